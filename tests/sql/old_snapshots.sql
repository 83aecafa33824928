-- What weakens auditing is an event whatever snapshot the transaction reads with, whatever command renames a table and whatever fails.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA old;
SET search_path = old;
CREATE VIEW said AS
SELECT t.event, t.entity, t.parameters->>'problem' AS problem, t.parameters->>'reason' AS reason, t.new_values
FROM audit.trail t WHERE t.entity ~ '^(old|older|newer)\.' AND t.event <> 'config.enable' ORDER BY t.event_id;

-- ALTER INDEX renames a table as well: its settings follow, and what takes its name is said to.
CREATE TABLE item (id integer PRIMARY KEY, v text);
CREATE TABLE other (id integer PRIMARY KEY, v text);
SELECT audit.enable('item');
ALTER INDEX item RENAME TO item_old;
ALTER INDEX other RENAME TO item;
INSERT INTO item VALUES (1, 'unseen');
INSERT INTO item_old VALUES (1, 'seen');
SELECT * FROM said;
SELECT table_name, active FROM audit.tables WHERE schema_name = 'old';
-- So is a table that is created under the name, and one that comes with its schema.
DROP TABLE item;
CREATE TABLE item (id integer PRIMARY KEY, v text);
DROP TABLE item, item_old;
CREATE SCHEMA older;
CREATE TABLE older.item (id integer PRIMARY KEY);
SELECT audit.enable('older.item');
CREATE SCHEMA newer;
CREATE TABLE newer.item (id integer PRIMARY KEY);
ALTER SCHEMA older RENAME TO oldest;
ALTER SCHEMA newer RENAME TO older;
SELECT * FROM said OFFSET 2;
-- In a schema that is audited, a table of the old name does not take the settings of the other.
SELECT audit.enable_schema('old');
CREATE TABLE item (id integer PRIMARY KEY);
ALTER INDEX item RENAME TO item_old;
CREATE TABLE item (id integer PRIMARY KEY);
SELECT table_name, active FROM audit.tables WHERE schema_name = 'old' ORDER BY 1;
DROP TABLE item_old;
SELECT event, entity, reason FROM said ORDER BY 1 LIMIT 1 OFFSET 0;
SELECT audit.disable_schema('old');

-- Options follow columns that are renamed through a type or a parent.
CREATE TYPE typed AS (id integer, secret text, open text);
CREATE TABLE typed_table OF typed (PRIMARY KEY (id));
SELECT audit.enable('typed_table', redact => '{"secret": "mask"}');
ALTER TYPE typed RENAME ATTRIBUTE secret TO hidden CASCADE;
ALTER TYPE typed RENAME ATTRIBUTE open TO secret CASCADE;
SELECT audit.enable('typed_table', level => 'standard');
INSERT INTO typed_table VALUES (1, 'classified', 'shown');
SELECT new_values FROM said WHERE entity = 'old.typed_table';

-- A detached partition keeps the options of its parent, even those that could not be asked for by itself.
CREATE TABLE parent (id integer, secret text NOT NULL) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parent FOR VALUES IN (1);
SELECT audit.enable('parent', redact => '{"secret": "mask"}');
ALTER TABLE part ADD PRIMARY KEY (secret);
ALTER TABLE parent DETACH PARTITION part;
INSERT INTO part VALUES (1, 'classified');
SELECT new_values FROM said WHERE entity = 'old.part';

-- No hash by the argument of a trigger: its owner could compare it with that of another table. A redaction of a column that is not
-- there, as after a rename, hides all.
CREATE TABLE restored (id integer PRIMARY KEY, secret text, note text);
CREATE TRIGGER ours AFTER INSERT ON restored FOR EACH ROW EXECUTE FUNCTION audit.capture_row('{"redact": {"secret": "hash"}}');
INSERT INTO restored VALUES (1, 'classified', 'shown');
ALTER TABLE restored RENAME COLUMN secret TO renamed;
INSERT INTO restored VALUES (2, 'classified', 'hidden');
SELECT new_values FROM said WHERE entity = 'old.restored' AND event = 'row.insert';

DROP SCHEMA old, older, oldest CASCADE;
