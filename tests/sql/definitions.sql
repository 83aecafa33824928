-- Changes of definitions: auditing follows the table, old events keep the name they were made under, history follows.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA definitions;
CREATE SCHEMA definitions_new;
SET search_path = definitions;
CREATE TABLE item (id integer PRIMARY KEY, a text, b integer);
SELECT audit.enable('item', level => 'comprehensive', ignore_columns => '{b}', label_column => 'a');

-- Everything happens in one session, with plans that were made before.
PREPARE change (integer) AS UPDATE item SET a = a || '!' WHERE id = $1;
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE item SET a = a || '?' WHERE id = 1; END $$;
INSERT INTO item VALUES (1, 'one', 1);
EXECUTE change (1);
SELECT change();
-- ADD, with and without a stored default; the old rows have the value without being rewritten.
ALTER TABLE item ADD COLUMN c numeric DEFAULT 1.50, ADD COLUMN d text;
EXECUTE change (1);
SELECT change();
UPDATE item SET c = 2, d = 'd' WHERE id = 1;
-- DROP, and a new column of the same name.
ALTER TABLE item DROP COLUMN d;
EXECUTE change (1);
ALTER TABLE item ADD COLUMN d integer;
UPDATE item SET d = 4 WHERE id = 1;
-- ALTER TYPE, which rewrites the table.
ALTER TABLE item ALTER COLUMN c TYPE text USING c || ' pieces';
EXECUTE change (1);
SELECT change();
-- RENAME of columns: the ignored one stays ignored, the label the label, the key the key.
ALTER TABLE item RENAME COLUMN b TO ignored;
ALTER TABLE item RENAME COLUMN a TO label;
ALTER TABLE item RENAME COLUMN id TO item_id;
UPDATE item SET ignored = 9, label = 'renamed' WHERE item_id = 1;
-- RENAME of the table, SET SCHEMA, rename of the schema.
ALTER TABLE item RENAME TO article;
UPDATE article SET label = 'table renamed';
ALTER TABLE article SET SCHEMA definitions_new;
UPDATE definitions_new.article SET label = 'moved';
ALTER SCHEMA definitions_new RENAME TO definitions_renamed;
UPDATE definitions_renamed.article SET label = 'schema renamed';
-- A rename that is rolled back.
BEGIN;
ALTER TABLE definitions_renamed.article RENAME COLUMN label TO lost;
UPDATE definitions_renamed.article SET lost = 'never';
ROLLBACK;
UPDATE definitions_renamed.article SET label = 'after rollback';

SELECT event, entity, entity_id, entity_label, changed_columns, old_values, new_values, parameters->>'reason' AS reason
FROM audit.trail WHERE entity LIKE 'definitions%' AND event NOT LIKE 'config.%' ORDER BY event_id;
SELECT schema_name, table_name, ignored_columns, label_column, active FROM audit.tables WHERE schema_name LIKE 'definitions%';
-- History follows through all names.
SELECT count(*) AS events, min(entity) AS one_name, max(entity) AS another_name,
       (array_agg(event ORDER BY event_id))[1] AS first, count(DISTINCT entity) AS names
FROM audit.history('definitions_renamed.article', '1');
SELECT r.entity, r.key_columns, count(*) OVER (PARTITION BY r.lineage) AS versions
FROM audit_internal.relations r WHERE r.entity LIKE 'definitions%' ORDER BY r.since, r.relation_id;

-- Two names that change places.
CREATE TABLE one (id integer PRIMARY KEY);
CREATE TABLE two (id integer PRIMARY KEY);
SELECT audit.enable('one');
SELECT audit.enable('two');
INSERT INTO one VALUES (1);
INSERT INTO two VALUES (1);
BEGIN;
ALTER TABLE one RENAME TO swap;
ALTER TABLE two RENAME TO one;
ALTER TABLE swap RENAME TO two;
COMMIT;
INSERT INTO one VALUES (2);
INSERT INTO two VALUES (3);
SELECT entity, new_values FROM audit.history('one', '1');
SELECT entity, new_values FROM audit.history('two', '1');
SELECT entity, new_values FROM audit.trail WHERE entity IN ('definitions.one', 'definitions.two') AND category = 'data' ORDER BY event_id;
SELECT table_name, active FROM audit.tables WHERE schema_name = 'definitions' ORDER BY table_name;

-- A table dropped and created again is another table, not audited and without the history of the first.
DROP TABLE one;
SELECT event, parameters->>'reason' AS reason FROM audit.trail WHERE entity = 'definitions.one' AND category = 'system' ORDER BY event_id DESC LIMIT 1;
CREATE TABLE one (id integer PRIMARY KEY, other text);
INSERT INTO one VALUES (1, 'unseen');
SELECT table_name FROM audit.tables WHERE schema_name = 'definitions' ORDER BY table_name;
SELECT audit.enable('one');
UPDATE one SET other = 'new';
SELECT entity, event FROM audit.history('one', '1');
SELECT event, entity_id, new_values FROM audit.trail WHERE entity = 'definitions.one' AND category = 'data' ORDER BY event_id;

-- The same in one session with cached plans, in an audited schema: the new table is audited from its first row on.
SELECT audit.enable_schema('definitions', ignore_columns => '{v}');
CREATE TABLE again (id integer PRIMARY KEY, v integer);
PREPARE fill AS INSERT INTO again VALUES (1, 1);
EXECUTE fill;
DROP TABLE again;
CREATE TABLE again (id integer PRIMARY KEY, w integer);
EXECUTE fill;
SELECT event, entity_id, new_values FROM audit.trail WHERE entity = 'definitions.again' AND category = 'data' ORDER BY event_id;
SELECT event, new_values FROM audit.history('again', '1');

-- A dropped column loses its option; the key may be dropped and created anew with other columns.
CREATE TABLE keyed (id integer PRIMARY KEY, code text NOT NULL, note text);
SELECT audit.enable('keyed', ignore_columns => '{note}', label_column => 'code');
INSERT INTO keyed VALUES (1, 'x', 'n');
ALTER TABLE keyed DROP COLUMN note;
ALTER TABLE keyed DROP CONSTRAINT keyed_pkey;
UPDATE keyed SET id = 2;
ALTER TABLE keyed ADD PRIMARY KEY (code);
UPDATE keyed SET id = 3;
SELECT audit.enable('keyed', level => 'standard');
SELECT ignored_columns FROM audit.tables WHERE schema_name = 'definitions' AND table_name = 'keyed';
SELECT event, entity_id, old_values, new_values FROM audit.trail WHERE entity = 'definitions.keyed' AND category = 'data' ORDER BY event_id;

-- Types change under a table: a composite's attribute, an enum's label, a domain.
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TYPE size AS (width integer, height integer);
CREATE TABLE thing (id integer PRIMARY KEY, colour colour, size size);
INSERT INTO thing VALUES (1, 'red', '(1,2)');
ALTER TYPE colour RENAME VALUE 'red' TO 'crimson';
ALTER TYPE size RENAME ATTRIBUTE width TO breadth;
UPDATE thing SET size = '(3,4)';
ALTER TYPE size ADD ATTRIBUTE depth integer;
UPDATE thing SET size = '(3,4,5)', colour = 'green';
ALTER TYPE size DROP ATTRIBUTE breadth;
UPDATE thing SET size = '(6,7)';
SELECT event, old_values, new_values FROM audit.trail WHERE entity = 'definitions.thing' AND category = 'data' ORDER BY event_id;

-- Disabled triggers are put in order by enabling again.
ALTER TABLE two DISABLE TRIGGER "!audit_row";
SELECT active FROM audit.tables WHERE schema_name = 'definitions' AND table_name = 'two';
SELECT audit.enable('two');
SELECT active FROM audit.tables WHERE schema_name = 'definitions' AND table_name = 'two';
DROP TRIGGER "!audit_row" ON two;
SELECT active FROM audit.tables WHERE schema_name = 'definitions' AND table_name = 'two';

-- An audited schema that is renamed stays audited, one that is dropped and created again is another one.
CREATE SCHEMA definitions_all;
SELECT audit.enable_schema('definitions_all');
ALTER SCHEMA definitions_all RENAME TO definitions_every;
CREATE TABLE definitions_every.new (id integer);
CREATE SCHEMA definitions_all;
CREATE TABLE definitions_all.new (id integer);
SELECT schema_name, table_name FROM audit.tables WHERE schema_name ~ 'definitions_(all|every)';
DROP SCHEMA definitions_every, definitions_all CASCADE;
CREATE SCHEMA definitions_every;
CREATE TABLE definitions_every.new (id integer);
SELECT schema_name, table_name FROM audit.tables WHERE schema_name ~ 'definitions_(all|every)';
SELECT event, parameters->>'reason' AS reason FROM audit.trail WHERE entity ~ '^schema definitions_(all|every)' ORDER BY event_id;
DROP SCHEMA definitions_every CASCADE;

-- DROP SCHEMA CASCADE records each table that went.
SELECT audit.disable_schema('definitions');
SELECT audit.enable('keyed');
SELECT audit.enable('thing');
DROP SCHEMA definitions, definitions_renamed CASCADE;
SELECT entity, event, parameters->>'reason' AS reason FROM audit.trail
WHERE event = 'config.disable' AND parameters->>'reason' IS NOT NULL AND entity LIKE 'definitions%' ORDER BY entity, event_id;
SELECT count(*) FROM audit.tables WHERE schema_name LIKE 'definitions%';
