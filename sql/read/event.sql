-- One event with everything that belongs to it: the document that an application shows of it.

-- SECURITY DEFINER is safe here: as audit.diff.
CREATE FUNCTION audit.event(event_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored audit.events := audit_internal.event_at(event_id);
    shown record;
BEGIN
    IF stored.event_id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT t.*, c.session_id AS session_key, r.columns INTO STRICT shown
    FROM audit_internal.trail_events t
    LEFT JOIN audit_internal.contexts c ON c.node_id = t.node_id AND c.context_id = t.context_id
    LEFT JOIN audit_internal.relations r ON r.node_id = t.node_id AND r.relation_id = t.relation_id
    WHERE t.occurred_at = stored.occurred_at
      AND t.event_id = stored.event_id
      AND t.category = stored.category;

    RETURN jsonb_build_object(
        'event_id', shown.event_id,
        'occurred_at', shown.occurred_at,
        'event', shown.event,
        'category', shown.category,
        'risk', shown.risk,
        'result', shown.result,
        'summary', shown.summary,
        'server', shown.server,
        'transaction_id', shown.transaction_id,
        'trace_id', shown.trace_id,
        'reason', shown.reason,
        'context', shown.context,
        'who', jsonb_build_object(
            'actor', shown.actor,
            'actor_source', shown.actor_source,
            'login', shown.login,
            'role', shown.role,
            'effective_role', shown.effective_role,
            'application_name', shown.application_name,
            'client_addr', shown.client_addr,
            'session', audit_internal.session_document(shown.node_id, shown.session_key)),
        'what', jsonb_build_object(
            'entity', shown.entity,
            'entity_id', shown.entity_id,
            'new_entity_id', shown.new_entity_id,
            'entity_label', shown.entity_label),
        'changes', coalesce(
            audit_internal.change_table(
                shown.event_type,
                shown.changes,
                CASE WHEN shown.image IS NOT NULL THEN shown.old_values END,
                shown.columns,
                shown.recorded_columns),
            '[]'),
        'parameters', shown.parameters,
        'statement', shown.statement,
        'related', audit_internal.related_document(stored));
END;
$$;
COMMENT ON FUNCTION audit.event(uuid) IS
    'An event as one document: its fields, who, what, every known column before and after, and its related '
    'events; null for an unknown id';

CREATE FUNCTION audit_internal.session_document(node_id integer, session_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'session_id', s.token,
            'began_at', s.began_at,
            'authentication', s.authentication,
            'client_port', s.client_port,
            'backend_type', s.backend_type)
        FROM audit_internal.sessions s
        WHERE s.node_id = session_document.node_id AND s.session_id = session_document.session_id);
END;
$$;
COMMENT ON FUNCTION audit_internal.session_document(integer, bigint) IS
    'The session of an event for audit.event; null where retention has deleted it; internal';

-- The values of a row event by column, in the order of the table: all that are known, whether changed or not.
CREATE FUNCTION audit_internal.change_table(
    event_type integer,
    changes jsonb,
    old_row jsonb,
    columns jsonb,
    recorded_columns jsonb
) RETURNS jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_agg(
        jsonb_build_object(
            'column', v.name,
            'type', c.definition->'type',
            'before', v.old_value,
            'after', v.new_value,
            'changed', v.is_changed)
        ORDER BY (c.definition->'number')::integer, v.name)
    FROM (
        SELECT d.column_name AS name, d.old_value, d.new_value, true AS is_changed
        FROM audit_internal.column_changes(event_type, changes, recorded_columns) d
        UNION ALL
        SELECT i.key, i.value, i.value, false
        FROM jsonb_each(old_row) i
        WHERE (changes ? i.key) IS NOT TRUE
    ) v
    LEFT JOIN jsonb_array_elements(columns) c (definition) ON c.definition->>'name' = v.name;
END;
COMMENT ON FUNCTION audit_internal.change_table(integer, jsonb, jsonb, jsonb, jsonb) IS
    'The values of a row event by column, for audit.event; internal';
