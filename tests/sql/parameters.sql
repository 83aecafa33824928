-- The parameters of events with their declarations, and how people read stored values.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT audit.define_event_type('order.placed', parameters => '{"lines": {"type": "integer", "required": true}, "card": {"type": "text", "sensitive": true}, "extra": "jsonb", "note": "text"}');
SELECT audit.record('order.placed', '{"lines": 3, "card": "4111", "extra": {"a": [1]}}', 'parameters 1') IS NOT NULL AS recorded;
SELECT audit.record('order.placed', '{"lines": 4, "note": null}', 'parameters 2') IS NOT NULL AS recorded;
SELECT t.entity, v.event, v.name, v.data_type, v.required, v.sensitive, v.value, v.value_text, v.category, v.occurred_at = t.occurred_at AS same_time
FROM audit.event_parameter_values v JOIN audit.trail t USING (event_id) WHERE v.event = 'order.placed' ORDER BY t.event_id, v.name;
-- Of a row event, those of its statement, which have no declaration.
CREATE SCHEMA parameters;
CREATE TABLE parameters.item (id integer PRIMARY KEY, v text);
SELECT audit.enable('parameters.item', level => 'comprehensive');
PREPARE add_item (integer, text) AS INSERT INTO parameters.item VALUES ($1, $2);
EXECUTE add_item (1, 'x');
SELECT v.name, v.data_type, v.required, v.sensitive, v.value, v.value_text
FROM audit.event_parameter_values v JOIN audit.trail t USING (event_id) WHERE t.entity = 'parameters.item' AND t.category = 'data' ORDER BY v.name;
-- A declaration that went leaves the value.
SELECT audit.define_event_type('order.placed', parameters => '{"lines": "integer"}');
SELECT DISTINCT v.name, v.data_type, v.required FROM audit.event_parameter_values v WHERE v.event = 'order.placed' ORDER BY v.name;

-- Partitions of another time or category are not read.
SELECT audit_internal.create_partitions_of('events_application', '2020-01-01', '2020-03-01') AS made;
CREATE FUNCTION parameters.scanned(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN QUERY SELECT DISTINCT r #>> '{}' FROM jsonb_path_query(plan::jsonb, '$.**."Relation Name"') r WHERE r #>> '{}' LIKE 'events%' ORDER BY 1;
END $$;
SELECT * FROM parameters.scanned($$ SELECT * FROM audit.event_parameter_values
    WHERE category = 'application' AND occurred_at >= '2020-02-01 00:00+00' AND occurred_at < '2020-03-01 00:00+00' $$);

-- Stored values for people.
SELECT v AS value, audit_internal.shown(v) FROM unnest(ARRAY['"text"', '1.50', 'true', 'null', '{"a": 1}', '[1, "b"]', '{"$audit": "masked"}', '{"$audit": "omitted"}',
    '{"$audit": {"capped": {"bytes": 2000000, "sha256": "00"}}}', '{"$audit": {"hash": "0123456789abcdef"}}', '{"$audit": {"text": "NaN"}}',
    '{"$audit": {"json": {"$audit": "x"}}}', '{"$audit": {"unreadable": "why"}}']::jsonb[]) v;
SELECT audit_internal.details('{"b": "x", "a": null, "card": {"$audit": "masked"}}'), audit_internal.details('{}'), audit_internal.details(NULL);
SELECT v AS value, audit_internal.parameter_number(jsonb_build_object('n', v), 'n') AS number
FROM unnest(ARRAY['12', '"12.5"', '" 7 "', '-1', '"NaN"', '"1e300"', '1e20', 'null', '{}', '"x"', 'true']::jsonb[]) v;

DROP SCHEMA parameters CASCADE;
