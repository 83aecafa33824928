-- Who works, and why, as the application says.

CREATE FUNCTION audit.set_context(actor text DEFAULT NULL, trace_id text DEFAULT NULL, reason text DEFAULT NULL,
                                  context jsonb DEFAULT NULL, local boolean DEFAULT true) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'audit_set_context';
COMMENT ON FUNCTION audit.set_context(text, text, text, jsonb, boolean) IS
    'Sets who works and why; null leaves a value as it is, an empty string unsets it';
