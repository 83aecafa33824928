-- TRUNCATE: one event a table, with what was lost; images at level comprehensive.
\pset null (null)
SET client_min_messages = warning;
CREATE SCHEMA truncating;
SET search_path = truncating;
CREATE VIEW seen AS
SELECT event, entity, entity_id, old_values, parameters - 'bytes' AS parameters, parameters->>'bytes' > '0' AS has_bytes, statement
FROM audit.trail WHERE entity LIKE 'truncating.%' AND event IN ('table.truncate', 'row.truncate') ORDER BY event_id;

-- The rows are estimated, which costs nothing.
CREATE TABLE estimated (id integer PRIMARY KEY);
SELECT audit.enable('estimated');
INSERT INTO estimated SELECT generate_series(1, 50);
ANALYZE estimated;
TRUNCATE estimated;
TRUNCATE estimated;
TABLE seen;

-- Counted, with their images up to audit.truncate_rows.
CREATE TABLE counted (id integer PRIMARY KEY, v text);
SELECT audit.enable('counted', level => 'comprehensive');
INSERT INTO counted VALUES (1, 'a'), (2, 'b'), (3, 'c');
TRUNCATE counted;
INSERT INTO counted VALUES (4, 'd'), (5, 'e'), (6, 'f');
SET audit.truncate_rows = 2;
TRUNCATE counted;
INSERT INTO counted VALUES (7, 'g');
SET audit.truncate_rows = 0;
TRUNCATE counted;
RESET audit.truncate_rows;
SELECT * FROM seen WHERE entity = 'truncating.counted';

-- Several tables, CASCADE, RESTART IDENTITY.
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer PRIMARY KEY, parent_id integer REFERENCES parent);
SELECT audit.enable('parent', level => 'comprehensive');
SELECT audit.enable('child', level => 'comprehensive');
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (10, 1);
TRUNCATE parent RESTART IDENTITY CASCADE;
INSERT INTO parent VALUES (2);
INSERT INTO child VALUES (20, 2);
TRUNCATE child, parent;
SELECT event, entity, entity_id, parameters FROM seen WHERE entity IN ('truncating.parent', 'truncating.child');

-- A partitioned table: one event for all of its partitions, and one for a partition alone.
CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
SELECT audit.enable('parts', level => 'comprehensive');
INSERT INTO parts VALUES (1), (2), (11);
TRUNCATE parts;
INSERT INTO parts VALUES (3), (12);
TRUNCATE parts_2;
SELECT event, entity, entity_id, parameters FROM seen WHERE entity LIKE 'truncating.parts%';

-- Plain inheritance: ONLY the table, or its children too, which have events of their own where they are audited.
CREATE TABLE base (id integer PRIMARY KEY);
CREATE TABLE derived () INHERITS (base);
SELECT audit.enable('base', level => 'comprehensive');
SELECT audit.enable('derived', level => 'comprehensive');
INSERT INTO base VALUES (1);
INSERT INTO derived VALUES (2);
TRUNCATE ONLY base;
INSERT INTO base VALUES (3);
TRUNCATE base;
SELECT event, entity, entity_id, old_values, parameters FROM seen WHERE entity IN ('truncating.base', 'truncating.derived');

-- Rows of the same transaction, savepoints, rollback.
CREATE TABLE moment (id integer PRIMARY KEY);
SELECT audit.enable('moment', level => 'comprehensive');
BEGIN;
INSERT INTO moment VALUES (1);
SAVEPOINT s;
TRUNCATE moment;
ROLLBACK TO s;
INSERT INTO moment VALUES (2);
TRUNCATE moment;
COMMIT;
BEGIN;
TRUNCATE moment;
ROLLBACK;
SELECT event, entity_id, parameters FROM seen WHERE entity = 'truncating.moment';

-- history knows that the row went.
SELECT event, entity_id FROM audit.history('moment', '2');
-- Minimal: no images.
SELECT audit.enable('moment', level => 'minimal');
INSERT INTO moment VALUES (3);
TRUNCATE moment;
SELECT event, parameters->>'rows_exact' AS rows_exact, parameters->>'images' AS images FROM seen WHERE entity = 'truncating.moment' OFFSET 3;
DROP SCHEMA truncating CASCADE;
