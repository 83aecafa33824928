-- The parameters of events.

-- A parameter that an event of the type may carry but this one does not is left out.
CREATE VIEW audit.event_parameter_values AS
SELECT e.event_id, e.occurred_at, e.event, p.key AS name, d.data_type, d.required, d.sensitive, p.value,
       p.value #>> '{}' AS value_text, e.category
FROM audit_internal.trail_events e
CROSS JOIN LATERAL pg_catalog.jsonb_each(e.parameters) p
LEFT JOIN audit.event_parameters d ON d.event_type = e.event_type AND d.name = p.key;
COMMENT ON VIEW audit.event_parameter_values IS
    'The parameters of events and, of row events, those of the statement: one row a value, with its declaration where there is one';
COMMENT ON COLUMN audit.event_parameter_values.data_type IS 'The declared type; null for a parameter that is not declared';
COMMENT ON COLUMN audit.event_parameter_values.value_text IS 'The value as text; null for JSON null';

CREATE FUNCTION audit_internal.parameter_number(parameters jsonb, name text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN parameters->>name ~ '^\s*\d{1,15}(\.\d*)?\s*$' THEN (parameters->>name)::numeric END;
END;
COMMENT ON FUNCTION audit_internal.parameter_number(jsonb, text) IS
    'A parameter as a number, whatever its event type declares; null where it is none or beyond 15 digits';

-- What people read in place of a stored value: no quotes, and words for what the trail does not show.
CREATE FUNCTION audit_internal.shown(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN value->'$audit' IS NULL THEN value #>> '{}'
        WHEN jsonb_typeof(value->'$audit') = 'string' THEN '(' || (value->>'$audit') || ')'
        WHEN value->'$audit' ? 'capped' THEN '(' || (value #>> '{$audit,capped,bytes}') || ' bytes, not kept)'
        WHEN value->'$audit' ? 'hash' THEN '(hash ' || left(value #>> '{$audit,hash}', 12) || ')'
        WHEN value->'$audit' ? 'text' THEN value #>> '{$audit,text}'
        WHEN value->'$audit' ? 'json' THEN value #>> '{$audit,json}'
        ELSE value::text END;
END;
COMMENT ON FUNCTION audit_internal.shown(jsonb) IS 'A stored value as people read it; null for a null column';

CREATE FUNCTION audit_internal.details(parameters jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(p.key || ': ' || coalesce(audit_internal.shown(p.value), 'null'), ', ' ORDER BY p.key COLLATE "C")
    FROM jsonb_each(parameters) p;
END;
COMMENT ON FUNCTION audit_internal.details(jsonb) IS 'Parameters in one line for people';
