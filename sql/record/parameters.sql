-- The parameters of events, as rows and as text.

-- A parameter that is declared for the type but absent from the event has no row.
CREATE VIEW audit.event_parameter_values AS
SELECT
    e.event_id,
    e.occurred_at,
    e.event,
    p.key AS name,
    d.data_type,
    d.required,
    d.sensitive,
    p.value,
    p.value #>> '{}' AS value_text,
    e.category
FROM audit_internal.trail_events e
CROSS JOIN LATERAL pg_catalog.jsonb_each(
    CASE WHEN pg_catalog.jsonb_typeof(e.parameters) = 'object' THEN e.parameters END) p
LEFT JOIN audit.event_parameters d ON d.event_type = e.event_type AND d.name = p.key;
COMMENT ON VIEW audit.event_parameter_values IS
    'The parameters of events and, for row events, those of the statement: one row per value, with its '
    'declaration if there is one';
COMMENT ON COLUMN audit.event_parameter_values.event_id IS 'The event, as in audit.trail';
COMMENT ON COLUMN audit.event_parameter_values.occurred_at IS 'When the event occurred';
COMMENT ON COLUMN audit.event_parameter_values.event IS 'The name of the event type';
COMMENT ON COLUMN audit.event_parameter_values.name IS 'The name of the parameter';
COMMENT ON COLUMN audit.event_parameter_values.data_type IS
    'The declared type; null for a parameter that is not declared';
COMMENT ON COLUMN audit.event_parameter_values.required IS
    'Whether events of this type must have the parameter; null for a parameter that is not declared';
COMMENT ON COLUMN audit.event_parameter_values.sensitive IS
    'Whether the value is masked when it is recorded; null for a parameter that is not declared';
COMMENT ON COLUMN audit.event_parameter_values.value IS 'The recorded value';
COMMENT ON COLUMN audit.event_parameter_values.value_text IS 'The value as text; null for JSON null';
COMMENT ON COLUMN audit.event_parameter_values.category IS 'The category of the event';

CREATE FUNCTION audit_internal.parameter_number(parameters jsonb, name text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN parameters->>name ~ '^\s*\d{1,15}(\.\d*)?\s*$' THEN (parameters->>name)::numeric END;
END;
COMMENT ON FUNCTION audit_internal.parameter_number(jsonb, text) IS
    'A parameter as a number, whatever type is declared for it; null if it is not a number of at most 15 '
    'digits';

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
COMMENT ON FUNCTION audit_internal.shown(jsonb) IS
    'A stored value as displayed: without quotes, and with words for values that the trail does not contain; '
    'null for a null column';

CREATE FUNCTION audit_internal.details(parameters jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(p.key || ': ' || coalesce(audit_internal.shown(p.value), 'null'), ', '
                      ORDER BY p.key COLLATE "C")
    FROM jsonb_each(CASE WHEN jsonb_typeof(parameters) = 'object' THEN parameters END) p;
END;
COMMENT ON FUNCTION audit_internal.details(jsonb) IS 'Parameters as one line of text';
