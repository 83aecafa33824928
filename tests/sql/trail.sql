-- Reading: the columns of the contract, sentences, changes, both diffs, history.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT p.oid::regprocedure AS function, p.proargnames, pg_get_function_result(p.oid) AS result
FROM pg_proc p WHERE p.oid IN ('audit.history(regclass, text)'::regprocedure, 'audit.diff(uuid)'::regprocedure, 'audit.diff(jsonb, jsonb)'::regprocedure,
    'audit.row(anyelement, jsonb)'::regprocedure, 'audit.baseline(regclass)'::regprocedure) ORDER BY p.proname, p.pronargs;
SELECT a.attname FROM pg_attribute a WHERE a.attrelid = 'audit.changes'::regclass AND a.attnum > 0 ORDER BY a.attnum;
-- Never overloaded.
SELECT count(*) FROM pg_proc WHERE pronamespace = 'audit'::regnamespace AND proname = 'history';

CREATE SCHEMA trail;
SET search_path = trail;
CREATE TABLE customer (id text PRIMARY KEY, name text, credit numeric, a integer, b integer, c integer, d integer, e integer, f integer);
SELECT audit.enable('customer', label_column => 'name');
BEGIN;
SET LOCAL audit.actor = 'ann@example.org';
SET LOCAL audit.reason = 'opened at the counter';
INSERT INTO customer VALUES ('CUST-1', 'Acme', 100);
UPDATE customer SET credit = 200;
UPDATE customer SET a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
UPDATE customer SET id = 'CUST-2', name = 'CUST-2';
UPDATE customer SET name = NULL;
DELETE FROM customer;
TRUNCATE customer;
SELECT audit.disable('customer');
COMMIT;
SELECT event, category, risk, result, summary FROM audit.trail WHERE entity = 'trail.customer' AND actor = 'ann@example.org' ORDER BY event_id;
\x on
SELECT event_id IS NOT NULL AS event_id, occurred_at <= clock_timestamp() AS occurred_at, event, category, risk, result, summary, actor, actor_source, login = session_user AS login, role,
       effective_role = current_user AS effective_role, application_name = current_setting('application_name') AS application_name, client_addr IS NULL AS is_local,
       session_id ~ '^[0-9a-f]+\.[0-9a-f]+$' AS session_id, transaction_id > 0 AS transaction_id, trace_id, reason, context, entity, entity_id, entity_label,
       changed_columns, old_values, new_values, parameters, statement, server IS NOT NULL AS server
FROM audit.trail WHERE entity = 'trail.customer' AND event = 'row.update' ORDER BY trail.event_id LIMIT 1;
\x off
-- Names that need quotes have them.
CREATE TABLE "Odd Name" ("the Key" integer PRIMARY KEY, "a ""b""" text, "user" text);
SELECT audit.enable('"Odd Name"', label_column => 'a "b"');
INSERT INTO "Odd Name" VALUES (1, 'x', 'y');
UPDATE "Odd Name" SET "user" = 'z';
SELECT entity, entity_id, entity_label, changed_columns, new_values FROM audit.trail WHERE entity LIKE 'trail.%Odd%' AND category = 'data' ORDER BY event_id;
SELECT event, new_values FROM audit.history('"Odd Name"', '1');

-- changes: one row a column; JSON null is a null value, null the missing side.
SELECT entity_id, column_name, old_value, new_value FROM audit.changes WHERE entity = 'trail."Odd Name"' ORDER BY event_id, column_name;
SELECT entity_id, column_name, old_value, new_value FROM audit.changes WHERE entity = 'trail.customer' AND column_name IN ('credit', 'name') ORDER BY event_id, column_name;
SELECT d.* FROM audit.trail t CROSS JOIN LATERAL audit.diff(t.event_id) d
WHERE t.entity = 'trail.customer' AND t.event IN ('row.update', 'row.delete') AND d.column_name IN ('id', 'name') ORDER BY t.event_id, d.column_name;

-- diff of documents: nested, with paths.
SELECT * FROM audit.diff('{"a": {"b": [1, 2, 3]}, "same": [1, {"x": null}]}', '{"a": {"b": [1, 2, 4, 5]}, "same": [1, {"x": null}], "new": 1.50}');
SELECT * FROM audit.diff('{"a": {"b": 1}, "gone": null}', '{"a": [1], "null": null}');
SELECT * FROM audit.diff('{"odd.name": {"a[0]": 1, "": 2, "q\"": 3}}', '{"odd.name": {"a[0]": 2, "": 3, "q\"": 4}}');
SELECT * FROM audit.diff('[1, 2]', '[1]');
SELECT * FROM audit.diff('1', '1.0');
SELECT * FROM audit.diff('1', '"1"');
SELECT * FROM audit.diff('{"a": 1}', '{"a": 1}');
SELECT * FROM audit.diff(NULL, '{"a": 1}');
SELECT * FROM audit.diff('{"a": 1}', NULL);
SELECT * FROM audit.diff(NULL::jsonb, NULL::jsonb);

-- history: the id in any form that the key's type reads.
CREATE TABLE numbered (id integer PRIMARY KEY, v integer);
SELECT audit.enable('numbered');
INSERT INTO numbered VALUES (7, 1), (8, 1);
UPDATE numbered SET v = 2 WHERE id = 7;
SELECT event, entity_id, new_values FROM audit.history('numbered', '7');
SELECT count(*) FROM audit.history('numbered', ' 007');
SELECT count(*) FROM audit.history('numbered', '9');
-- A key that changes is followed both ways, also through a swap in one statement and a number used again.
UPDATE numbered SET id = 70 WHERE id = 7;
UPDATE numbered SET v = 3 WHERE id = 70;
SELECT event, entity_id, old_values, new_values FROM audit.history('numbered', '70');
SELECT count(*) FROM audit.history('numbered', '7');
INSERT INTO numbered VALUES (7, 100);
UPDATE numbered SET v = 101 WHERE id = 7;
SELECT event, entity_id, new_values FROM audit.history('numbered', '70');
SELECT event, entity_id, new_values FROM audit.history('numbered', '7');
CREATE TABLE swapped (id integer, v text, PRIMARY KEY (id) DEFERRABLE);
SELECT audit.enable('swapped');
INSERT INTO swapped VALUES (1, 'one'), (2, 'two');
UPDATE swapped SET id = 3 - id;
UPDATE swapped SET v = 'was one' WHERE id = 2;
SELECT event, entity_id, old_values, new_values FROM audit.history('swapped', '2') ORDER BY event_id;
-- Deleted and inserted again under the same key: both lives.
DELETE FROM numbered WHERE id = 8;
INSERT INTO numbered VALUES (8, 9);
SELECT event, old_values, new_values FROM audit.history('numbered', '8');

-- Keys of several columns and of other types.
CREATE TABLE composite (a integer, b text, c date, v integer, PRIMARY KEY (b, a, c));
SELECT audit.enable('composite');
INSERT INTO composite VALUES (1, 'x "y"', '2020-02-03', 0);
UPDATE composite SET v = 1;
SELECT entity_id FROM audit.trail WHERE entity = 'trail.composite' AND event = 'row.insert';
SELECT event, new_values FROM audit.history('composite', '["x \"y\"", 1, "2020-02-03"]');
SELECT count(*) FROM audit.history('composite', '["x \"y\"", " 01", "3 February 2020"]');
CREATE TABLE moments (at timestamptz PRIMARY KEY);
SELECT audit.enable('moments');
INSERT INTO moments VALUES ('2020-01-02 03:04:05.60+02');
SELECT entity_id FROM audit.history('moments', '2020-01-02 01:04:05.6+00');
SET timezone = 'Asia/Tokyo';
SELECT entity_id FROM audit.history('moments', '2020-01-02 10:04:05.6');
RESET timezone;
CREATE TABLE typed (n numeric(10, 2), u uuid, f boolean, PRIMARY KEY (n, u, f));
SELECT audit.enable('typed');
INSERT INTO typed VALUES (1.5, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', true);
SELECT entity_id FROM audit.history('typed', '[1.5, "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "yes"]');
-- Of a partition: the row under its parent's name. One that moves to another partition is deleted and inserted, which is
-- what its triggers see.
CREATE TABLE parts (id integer PRIMARY KEY, v integer) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
SELECT audit.enable('parts');
INSERT INTO parts VALUES (1, 1);
UPDATE parts SET id = 11;
SELECT entity, event, entity_id, old_values, new_values FROM audit.history('parts', '11');
SELECT count(*) FROM audit.history('parts_1', '1');

-- Rows come back from their images.
SELECT r.* FROM audit.trail t CROSS JOIN LATERAL audit.row(NULL::composite, t.new_values) r WHERE t.entity = 'trail.composite' AND t.event = 'row.insert';
SELECT r.* FROM audit.trail t CROSS JOIN LATERAL audit.row(ROW(1, 'base', '2000-01-01', 5)::composite, t.new_values) r
WHERE t.entity = 'trail.composite' AND t.event = 'row.update';

-- The parameters of events, one row each, with their declaration.
TRUNCATE numbered;
SELECT v.event, v.name, v.data_type, v.required, v.value FROM audit.event_parameter_values v JOIN audit.trail t USING (event_id)
WHERE t.entity = 'trail.numbered' AND t.event = 'table.truncate' AND v.name <> 'bytes' ORDER BY v.name;
SELECT DISTINCT v.name FROM audit.event_parameter_values v WHERE v.data_type IS NULL;
DROP SCHEMA trail CASCADE;
-- Dropped tables are still in the trail.
SELECT count(*) FROM audit.trail WHERE entity = 'trail.composite' AND category = 'data';

-- SQL names event types of the extension: the numbers are those of the catalog, and constants to the planner.
SELECT count(*) AS differing FROM audit.event_types t
WHERE t.built_in AND (audit_internal.event_type(t.name) <> t.event_type OR audit_internal.event_types(t.name) <> ARRAY[t.event_type]);
EXPLAIN (COSTS OFF, VERBOSE) SELECT audit_internal.event_type('row.update'), audit_internal.row_event_types(), audit_internal.row_change_types(), audit_internal.categories();
SELECT audit_internal.event_type('row.isnert');
SELECT audit_internal.event_types('row.insert', 'row.isnert');
-- Every name that a function or view passes to them is one, also in statements that are strings.
WITH sources AS (
    SELECT p.oid::regprocedure::text AS object, pg_get_functiondef(p.oid) AS source FROM pg_proc p
    WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT c.oid::regclass::text, pg_get_viewdef(c.oid) FROM pg_class c
    WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind = 'v'
), named AS (
    SELECT s.object, (regexp_matches(c.call[1], '''([^'']+)''', 'g'))[1] AS name
    FROM sources s CROSS JOIN LATERAL regexp_matches(s.source, 'event_types?\(([^)]*)\)', 'g') c (call)
    WHERE s.object !~ 'event_types?\('
)
SELECT count(*) > 20 AS has_names, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM audit.event_types t WHERE t.name = n.name AND t.built_in)) AS unknown
FROM named n;
