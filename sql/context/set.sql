-- Actor, trace, reason and context, as the application sets them.

CREATE FUNCTION audit.set_context(
    actor text DEFAULT NULL,
    trace_id text DEFAULT NULL,
    reason text DEFAULT NULL,
    context jsonb DEFAULT NULL,
    local boolean DEFAULT true
) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'audit_set_context';
COMMENT ON FUNCTION audit.set_context(text, text, text, jsonb, boolean) IS
    'Sets actor, trace, reason and context for the transaction, or with local => false for the session; null '
    'keeps a value, an empty string unsets it';
