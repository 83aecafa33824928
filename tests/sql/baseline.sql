-- One event a row that exists now.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA baseline;
SET search_path = baseline;
CREATE TABLE item (id integer PRIMARY KEY, name text, note text);
INSERT INTO item VALUES (1, 'one', 'x'), (2, 'two', NULL), (3, 'three', 'z');
ALTER TABLE item ADD COLUMN added integer DEFAULT 5;
SELECT audit.enable('item', ignore_columns => '{note}', label_column => 'name');
SELECT audit.baseline('item');
UPDATE item SET name = 'uno' WHERE id = 1;
DELETE FROM item WHERE id = 2;
SELECT event, entity_id, entity_label, old_values, new_values FROM audit.trail WHERE entity = 'baseline.item' AND category = 'data' ORDER BY event_id;
SELECT event, old_values, new_values FROM audit.history('item', '1');
-- Again: another one, of what exists by then; the transaction's own rows too.
BEGIN;
INSERT INTO item VALUES (4, 'four', NULL, 6);
SELECT audit.baseline('item');
ROLLBACK;
SELECT audit.baseline('item');
SELECT count(*) FROM audit.trail WHERE entity = 'baseline.item' AND event = 'row.baseline';
-- Empty.
CREATE TABLE empty (id integer);
SELECT audit.enable('empty');
SELECT audit.baseline('empty');
-- At level minimal: which rows there were.
CREATE TABLE brief (id integer PRIMARY KEY, v text);
INSERT INTO brief VALUES (1, 'x');
SELECT audit.enable('brief', level => 'minimal');
SELECT audit.baseline('brief');
SELECT event, entity_id, new_values FROM audit.trail WHERE entity = 'baseline.brief' AND category = 'data';
-- Partitioned: all partitions under the parent's name, or one of them.
CREATE TABLE parts (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parts_2 (v text, id integer NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 'a'), (11, 'b');
SELECT audit.enable('parts');
SELECT audit.baseline('parts');
SELECT audit.baseline('parts_2');
SELECT event, entity, entity_id, new_values FROM audit.trail WHERE entity LIKE 'baseline.parts%' AND event NOT LIKE 'config.%' ORDER BY event_id;
-- Inheritance: the table alone.
CREATE TABLE base (id integer PRIMARY KEY);
CREATE TABLE derived () INHERITS (base);
INSERT INTO base VALUES (1);
INSERT INTO derived VALUES (2);
SELECT audit.enable('base');
SELECT audit.baseline('base');
-- Row-level security hides nothing from it.
CREATE TABLE guarded (id integer PRIMARY KEY);
INSERT INTO guarded VALUES (1);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT audit.enable('guarded');
GRANT USAGE ON SCHEMA baseline TO audit_admin;
SET ROLE audit_admin;
SELECT audit.baseline('baseline.guarded');
RESET ROLE;
DROP SCHEMA baseline CASCADE;
