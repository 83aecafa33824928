-- Every way in which rows change, as the trail has it.
\pset null (null)
SET client_min_messages = warning;
CREATE SCHEMA dml;
SET search_path = dml;
CREATE TEMP TABLE shown (event_id uuid);
CREATE TEMP VIEW recorded AS
SELECT t.* FROM audit.trail t
WHERE t.entity LIKE 'dml.%' AND t.category = 'data' AND t.event_id <> ALL (ARRAY(SELECT event_id FROM shown));
\set show 'SELECT entity, event, entity_id, old_values, new_values FROM recorded ORDER BY event_id \\; INSERT INTO shown SELECT event_id FROM recorded;'
CREATE TABLE item (id integer PRIMARY KEY, v text, n integer);
SELECT audit.enable('item');

-- COPY
COPY item FROM stdin;
1	one	1
2	\N	2
\.
:show
-- ON CONFLICT: inserted, updated, nothing
INSERT INTO item VALUES (2, 'two', 2), (3, 'three', 3) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v;
INSERT INTO item VALUES (3, 'again', 3), (4, 'four', 4) ON CONFLICT DO NOTHING;
INSERT INTO item VALUES (4, 'not', 4) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v WHERE item.n > 100;
:show
-- MERGE: each outcome once
MERGE INTO item USING (VALUES (1, 'merged'), (2, 'remove'), (3, 'keep'), (5, 'five')) s (id, v) ON item.id = s.id
WHEN MATCHED AND s.v = 'merged' THEN UPDATE SET v = s.v
WHEN MATCHED AND s.v = 'remove' THEN DELETE
WHEN MATCHED THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v, 0);
:show
-- Several changes of a row in one statement and one transaction, in their order
WITH gone AS (DELETE FROM item WHERE id = 5 RETURNING *) INSERT INTO item SELECT id + 1, v, n FROM gone;
UPDATE item SET n = n + 1 FROM generate_series(1, 3) WHERE id = 6;
BEGIN;
UPDATE item SET n = 10 WHERE id = 6;
UPDATE item SET n = 11 WHERE id = 6;
SAVEPOINT s;
UPDATE item SET n = 12 WHERE id = 6;
ROLLBACK TO s;
DELETE FROM item WHERE id = 6;
INSERT INTO item VALUES (6, 'back', 13);
COMMIT;
BEGIN;
UPDATE item SET n = 14 WHERE id = 6;
ROLLBACK;
:show
-- Through a view, a cursor, a rule, a function
CREATE VIEW items AS SELECT id, v FROM item;
INSERT INTO items VALUES (7, 'by a view');
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM item WHERE id = 7 FOR UPDATE;
FETCH c;
UPDATE item SET v = 'by a cursor' WHERE CURRENT OF c;
COMMIT;
CREATE RULE instead AS ON DELETE TO items DO INSTEAD UPDATE item SET v = 'by a rule' WHERE id = OLD.id;
DELETE FROM items WHERE id = 7;
CREATE FUNCTION remove(integer) RETURNS void LANGUAGE sql AS 'DELETE FROM item WHERE id = $1';
SELECT remove(7);
:show
-- Triggers of the user: BEFORE ones change and swallow rows, AFTER ones change the same row again
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.v = 'swallow' THEN
        RETURN NULL;
    END IF;
    NEW.n := -1;
    RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION meddle();
INSERT INTO item VALUES (8, 'meddled', 8), (9, 'swallow', 9);
DROP TRIGGER meddle ON item;
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE dml.item SET n = NEW.n + 1 WHERE id = NEW.id AND n < 3; RETURN NULL; END $$;
CREATE TRIGGER "  again" AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO item VALUES (10, 'nested', 0);
DROP TRIGGER "  again" ON item;
SELECT event, entity_id, old_values, new_values FROM audit.history('item', '10');
SELECT entity, event, entity_id, new_values FROM recorded WHERE entity_id <> '10' ORDER BY event_id;
INSERT INTO shown SELECT event_id FROM recorded;
-- Deferred constraints and triggers
CREATE TABLE later (id integer PRIMARY KEY, item_id integer REFERENCES item DEFERRABLE INITIALLY DEFERRED);
SELECT audit.enable('later');
BEGIN;
INSERT INTO later VALUES (1, 20);
INSERT INTO item VALUES (20, 'late', 0);
COMMIT;
:show
-- Foreign keys: CASCADE, SET NULL, SET DEFAULT, ON UPDATE
CREATE TABLE master (id integer PRIMARY KEY);
CREATE TABLE cascaded (id integer PRIMARY KEY, master_id integer REFERENCES master ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE nulled (id integer PRIMARY KEY, master_id integer REFERENCES master ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE defaulted (id integer PRIMARY KEY, master_id integer DEFAULT 0 REFERENCES master ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
SELECT audit.enable(t) FROM unnest('{master,cascaded,nulled,defaulted}'::regclass[]) t;
INSERT INTO master VALUES (0), (1), (2);
INSERT INTO cascaded VALUES (10, 1), (11, 2);
INSERT INTO nulled VALUES (20, 1);
INSERT INTO defaulted VALUES (30, 1);
INSERT INTO shown SELECT event_id FROM recorded;
UPDATE master SET id = 3 WHERE id = 1;
DELETE FROM master WHERE id = 3;
:show
-- Partitions: each partition, and rows that move
CREATE TABLE parts (id integer, k integer, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 (v text, k integer NOT NULL, id integer NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2);
SELECT audit.enable('parts');
INSERT INTO parts VALUES (1, 1, 'a'), (2, 2, 'b');
INSERT INTO parts_2 VALUES ('c', 2, 3);
UPDATE parts SET v = v || '!';
DELETE FROM parts_2 WHERE id = 3;
:show
UPDATE parts SET k = 2 WHERE id = 1;
:show
-- session_replication_role = replica
SET session_replication_role = replica;
INSERT INTO item VALUES (30, 'replica', 0);
DELETE FROM master WHERE id = 2;
TRUNCATE later;
SET session_replication_role = origin;
:show
-- audit.enabled = off leaves one event a transaction and table
SET audit.enabled = off;
INSERT INTO item VALUES (40, 'unrecorded', 0), (41, 'unrecorded', 0);
UPDATE item SET n = 1 WHERE id = 40;
BEGIN;
DELETE FROM item WHERE id = 40;
DELETE FROM item WHERE id = 41;
TRUNCATE later;
COMMIT;
RESET audit.enabled;
:show
SELECT event, category, entity, parameters FROM audit.trail WHERE entity LIKE 'dml.%' AND event = 'audit.suspend' ORDER BY event_id;
-- A statement that fails leaves no event
INSERT INTO item VALUES (50, 'fails', 0), (1, 'duplicate', 0);
:show
-- Large and compressed values, values that stay where they are
ALTER TABLE item ALTER COLUMN v SET STORAGE EXTERNAL;
INSERT INTO item VALUES (60, repeat('x', 10000), 0);
UPDATE item SET n = 1 WHERE id = 60;
UPDATE item SET v = repeat('x', 10000) WHERE id = 60;
UPDATE item SET v = repeat('y', 10000) WHERE id = 60;
SELECT event, changed_columns, length(old_values->>'v') AS old, length(new_values->>'v') AS new FROM recorded ORDER BY event_id;
DROP SCHEMA dml CASCADE;
