-- What can be audited, and how it is asked for.
\pset null (null)
\set SHOW_CONTEXT never
CREATE SCHEMA enable;
SET search_path = enable;
CREATE VIEW asked AS
SELECT table_name, kind, level, operations, ignored_columns, redacted_columns, label_column, partitions, active
FROM audit.tables WHERE schema_name LIKE 'enable%' ORDER BY schema_name, table_name;

-- The defaults; an option that is null keeps what is set.
CREATE TABLE plain (id integer PRIMARY KEY, name text, note text, seen integer);
SELECT audit.enable('plain');
TABLE asked;
SELECT audit.enable('plain', level => 'minimal', ignore_columns => '{seen,note}', label_column => 'name');
SELECT audit.enable('plain', operations => '{update,delete}', redact => '{"seen": "mask"}', reads => false);
TABLE asked;
SELECT audit.enable('plain', ignore_columns => '{}', redact => '{}', operations => '{insert,update,delete,truncate}');
TABLE asked;
SELECT tgname, tgenabled, tgtype, tgargs <> '' AS has_options FROM pg_trigger WHERE tgrelid = 'plain'::regclass ORDER BY tgname;
SELECT event, summary ~ '^\S+ enabled auditing of enable\.plain$' AS summary, parameters - 'previous' AS parameters, parameters->'previous'->>'level' AS previous_level
FROM audit.trail WHERE entity = 'enable.plain' ORDER BY event_id;

-- Operations: only those asked for have events.
CREATE TABLE partly (id integer PRIMARY KEY, v integer);
SELECT audit.enable('partly', operations => '{update}');
INSERT INTO partly VALUES (1, 1), (2, 2);
UPDATE partly SET v = 0;
DELETE FROM partly WHERE id = 2;
TRUNCATE partly;
SELECT audit.enable('partly', operations => '{insert,truncate}');
INSERT INTO partly VALUES (3, 3);
UPDATE partly SET v = 0;
TRUNCATE partly;
SELECT audit.enable('partly', operations => '{truncate}');
INSERT INTO partly VALUES (4, 4);
TRUNCATE partly;
SELECT event, entity_id FROM audit.trail WHERE entity = 'enable.partly' AND category = 'data' ORDER BY event_id;

-- Without a primary key: a replica identity serves, else there is no entity_id.
CREATE TABLE keyless (v integer);
CREATE TABLE identified (code text NOT NULL UNIQUE, v integer);
ALTER TABLE identified REPLICA IDENTITY USING INDEX identified_code_key;
SELECT audit.enable('keyless');
SELECT audit.enable('identified');
INSERT INTO keyless VALUES (1), (NULL);
UPDATE keyless SET v = 2 WHERE v = 1;
DELETE FROM keyless;
INSERT INTO identified VALUES ('x', 1);
UPDATE identified SET v = 2;
SELECT event, entity, entity_id, old_values, new_values FROM audit.trail
WHERE entity IN ('enable.keyless', 'enable.identified') AND category = 'data' ORDER BY event_id;

-- Composite keys, in the order of the key.
CREATE TABLE composite (b text, a integer, v integer, PRIMARY KEY (a, b));
SELECT audit.enable('composite');
INSERT INTO composite VALUES ('x "y" \ z', 1, 1), ('', 2, NULL);
SELECT event, entity_id FROM audit.trail WHERE entity = 'enable.composite' AND category = 'data' ORDER BY event_id;

-- Unlogged and foreign tables, and inheritance: a child is a table of its own.
CREATE UNLOGGED TABLE fleeting (id integer PRIMARY KEY);
SELECT audit.enable('fleeting');
INSERT INTO fleeting VALUES (1);
CREATE FOREIGN DATA WRAPPER regress_audit_wrapper;
CREATE SERVER regress_audit_server FOREIGN DATA WRAPPER regress_audit_wrapper;
CREATE FOREIGN TABLE elsewhere (id integer, v text) SERVER regress_audit_server;
SELECT audit.enable('elsewhere');
CREATE TABLE parent (id integer PRIMARY KEY, v text);
CREATE TABLE child (w text) INHERITS (parent);
SELECT audit.enable('parent');
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', 'w');
UPDATE parent SET v = v || '!';
SELECT entity, event, entity_id, new_values FROM audit.trail
WHERE entity IN ('enable.fleeting', 'enable.parent', 'enable.child') AND category = 'data' ORDER BY event_id;

-- CREATE TABLE (LIKE) copies no trigger.
CREATE TABLE alike (LIKE plain INCLUDING ALL);
INSERT INTO alike VALUES (1, 'x');
SELECT count(*) FROM audit.trail WHERE entity = 'enable.alike';

-- Generated and identity columns; an expression computed when it is stored.
CREATE TABLE computed (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net numeric, gross numeric GENERATED ALWAYS AS (net * 1.2) STORED);
SELECT audit.enable('computed');
INSERT INTO computed (net) VALUES (10);
UPDATE computed SET net = 20;
SELECT event, entity_id, changed_columns, old_values, new_values FROM audit.trail WHERE entity = 'enable.computed' AND category = 'data' ORDER BY event_id;

-- Partitions, of several levels: those there are, those to come, those attached; events name the table that was enabled.
CREATE TABLE measure (day date, id integer, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE measure_1 PARTITION OF measure FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
SELECT audit.enable('measure', redact => '{"v": "mask"}', level => 'comprehensive');
CREATE TABLE measure_2 PARTITION OF measure FOR VALUES FROM ('2020-02-01') TO ('2020-03-01') PARTITION BY LIST (id);
CREATE TABLE measure_2_odd PARTITION OF measure_2 FOR VALUES IN (1, 3, 5);
CREATE TABLE measure_3 (extra integer, v text, id integer NOT NULL, day date NOT NULL);
ALTER TABLE measure_3 DROP COLUMN extra;
ALTER TABLE measure ATTACH PARTITION measure_3 FOR VALUES FROM ('2020-03-01') TO ('2020-04-01');
INSERT INTO measure VALUES ('2020-01-01', 1, 'a'), ('2020-02-01', 1, 'b'), ('2020-03-01', 1, 'c');
INSERT INTO measure_3 VALUES ('d', 2, '2020-03-02');
UPDATE measure_2_odd SET v = 'e';
SELECT table_name, kind, partitions, active FROM audit.tables WHERE table_name = 'measure';
SELECT entity, event, entity_id, new_values FROM audit.trail WHERE entity LIKE 'enable.measure%' AND category = 'data' ORDER BY event_id;
-- A partition of it is not enabled by itself.
SELECT audit.enable('measure_1');
\echo :SQLSTATE
SELECT audit.enable('measure_2_odd');
\echo :SQLSTATE
-- A detached partition stays audited, under its own name.
ALTER TABLE measure DETACH PARTITION measure_3;
INSERT INTO measure_3 VALUES ('f', 3, '2020-03-03');
SELECT table_name, kind, level, redacted_columns, partitions, active FROM audit.tables WHERE table_name LIKE 'measure%' ORDER BY table_name;
-- A table that is audited by itself is attached: it follows its parent from then on.
CREATE TABLE measure_4 (LIKE measure INCLUDING ALL);
SELECT audit.enable('measure_4', operations => '{insert}');
ALTER TABLE measure ATTACH PARTITION measure_4 FOR VALUES FROM ('2020-04-01') TO ('2020-05-01');
INSERT INTO measure VALUES ('2020-04-01', 1, 'g');
UPDATE measure_4 SET v = 'h';
SELECT entity, event, entity_id, new_values FROM audit.trail
WHERE entity LIKE 'enable.measure%' AND category = 'data' ORDER BY event_id OFFSET 5;
SELECT table_name, partitions, active FROM audit.tables WHERE table_name LIKE 'measure%' ORDER BY table_name;
-- Disabled as one.
SELECT audit.disable('measure');
INSERT INTO measure VALUES ('2020-01-02', 2, 'i');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('measure'));

-- A partition audited without its parent.
CREATE TABLE lone (id integer) PARTITION BY LIST (id);
CREATE TABLE lone_1 PARTITION OF lone FOR VALUES IN (1);
CREATE TABLE lone_2 PARTITION OF lone FOR VALUES IN (2);
SELECT audit.enable('lone_1');
INSERT INTO lone VALUES (1), (2);
SELECT entity, new_values FROM audit.trail WHERE entity LIKE 'enable.lone%' AND category = 'data';
-- Its parent is enabled too: each row is recorded once, under the parent.
SELECT audit.enable('lone');
INSERT INTO lone VALUES (1), (2);
SELECT entity, new_values FROM audit.trail WHERE entity LIKE 'enable.lone%' AND category = 'data' ORDER BY event_id OFFSET 1;
SELECT table_name, partitions, active FROM audit.tables WHERE table_name LIKE 'lone%' ORDER BY table_name;

-- Without TRUNCATE, and with a foreign partition; what is detached keeps the options.
CREATE TABLE lean (id integer) PARTITION BY LIST (id);
CREATE TABLE lean_1 PARTITION OF lean FOR VALUES IN (1);
CREATE FOREIGN TABLE lean_2 PARTITION OF lean FOR VALUES IN (2) SERVER regress_audit_server;
INSERT INTO lean VALUES (1);
SELECT audit.enable('lean', operations => '{insert,update}');
ALTER TABLE lean ADD COLUMN v integer;
ALTER TABLE lean DETACH PARTITION lean_1;
INSERT INTO lean_1 VALUES (1);
CREATE FOREIGN TABLE lean_3 PARTITION OF lean FOR VALUES IN (3) SERVER regress_audit_server;
SELECT table_name, operations, partitions, active FROM audit.tables WHERE table_name LIKE 'lean%' ORDER BY table_name;
SELECT audit.enable('lean', operations => '{insert,truncate}');
SELECT table_name, operations, partitions, active FROM audit.tables WHERE table_name LIKE 'lean%' ORDER BY table_name;
SELECT entity, event, new_values FROM audit.trail WHERE entity LIKE 'enable.lean%' AND event NOT LIKE 'config.%' ORDER BY event_id;
-- A table that is audited by itself stays so below a parent that is not.
CREATE TABLE bare (id integer) PARTITION BY LIST (id);
ALTER TABLE lean_1 DROP COLUMN v;
ALTER TABLE bare ATTACH PARTITION lean_1 FOR VALUES IN (1);
INSERT INTO bare VALUES (1);
SELECT table_name, operations, partitions, active FROM audit.tables WHERE table_name IN ('bare', 'lean_1') ORDER BY table_name;
SELECT count(*) AS events FROM audit.trail WHERE entity = 'enable.lean_1' AND event = 'row.insert';

-- Schemas: the tables there are, and every table created there later.
CREATE SCHEMA enable_schema;
CREATE TABLE enable_schema.first (id integer PRIMARY KEY, secret text);
CREATE TABLE enable_schema.parts (id integer) PARTITION BY LIST (id);
CREATE TABLE enable_schema.parts_1 PARTITION OF enable_schema.parts FOR VALUES IN (1);
CREATE VIEW enable_schema.seen AS SELECT 1 AS one;
SELECT audit.enable_schema('enable_schema', redact => '{"secret": "mask"}', ignore_columns => '{touched}', label_column => 'name');
CREATE TABLE enable_schema.second (id integer PRIMARY KEY, name text, touched timestamptz, secret text);
CREATE TABLE enable_schema.third AS SELECT 1 AS id, 'x' AS secret;
SELECT 2 AS id INTO enable_schema.fourth;
CREATE TEMP TABLE fifth (id integer);
CREATE TABLE outside (id integer);
INSERT INTO enable_schema.second VALUES (1, 'Ann', now(), 'SECRET');
INSERT INTO enable_schema.third VALUES (2, 'SECRET');
INSERT INTO enable_schema.parts VALUES (1);
INSERT INTO outside VALUES (1);
SELECT table_name, kind, ignored_columns, redacted_columns, label_column, partitions, active
FROM audit.tables WHERE schema_name = 'enable_schema' ORDER BY table_name;
SELECT entity, event, entity_id, entity_label, new_values, parameters FROM audit.trail
WHERE entity LIKE 'enable\_schema.%' AND event <> 'config.enable' ORDER BY event_id;
-- Options of the schema change those of its tables; one table can differ from then on.
SELECT audit.enable_schema('enable_schema', level => 'minimal');
SELECT audit.enable('enable_schema.first', level => 'comprehensive');
SELECT table_name, level, redacted_columns FROM audit.tables WHERE schema_name = 'enable_schema' ORDER BY table_name;
SELECT audit.disable_schema('enable_schema');
CREATE TABLE enable_schema.sixth (id integer);
SELECT table_name FROM audit.tables WHERE schema_name = 'enable_schema';
SELECT event, entity, parameters->'previous'->>'level' AS previous_level FROM audit.trail
WHERE entity = 'schema enable_schema' ORDER BY event_id;

-- Off, on again: what happened meanwhile is not there.
SELECT audit.disable('plain');
INSERT INTO plain VALUES (1, 'unseen');
SELECT audit.enable('plain');
INSERT INTO plain VALUES (2, 'seen');
SELECT event, entity_id FROM audit.trail WHERE entity = 'enable.plain' AND event <> 'config.enable' ORDER BY event_id;

-- An aborted enable leaves nothing behind.
CREATE TABLE aborted (id integer);
BEGIN;
SELECT audit.enable('aborted');
INSERT INTO aborted VALUES (1);
ROLLBACK;
INSERT INTO aborted VALUES (2);
SELECT count(*) FROM audit.trail WHERE entity = 'enable.aborted';
SELECT count(*) FROM audit.tables WHERE table_name = 'aborted';

SET client_min_messages = warning;
DROP SCHEMA enable, enable_schema CASCADE;
DROP FOREIGN DATA WRAPPER regress_audit_wrapper CASCADE;
