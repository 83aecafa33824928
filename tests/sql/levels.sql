-- What each level holds of each kind of change.
\pset null (null)
CREATE SCHEMA levels;
SET search_path = levels;
CREATE TABLE minimal (id integer PRIMARY KEY, name text, credit numeric(10, 2), seen integer);
CREATE TABLE standard (LIKE minimal INCLUDING ALL);
CREATE TABLE comprehensive (LIKE minimal INCLUDING ALL);
SELECT audit.enable('minimal', level => 'minimal', ignore_columns => '{seen}', label_column => 'name');
SELECT audit.enable('standard', ignore_columns => '{seen}', label_column => 'name');
SELECT audit.enable('comprehensive', level => 'comprehensive', ignore_columns => '{seen}', label_column => 'name');

-- Two rows; one column; nothing; only an ignored column; an ignored column beside others; the label; a deleted row.
INSERT INTO minimal VALUES (1, 'Acme', 10.50, 0), (2, 'Bell', NULL, 0);
UPDATE minimal SET credit = 11 WHERE id = 1;
UPDATE minimal SET credit = credit WHERE id = 1;
UPDATE minimal SET seen = seen + 1;
UPDATE minimal SET credit = 0, seen = 9 WHERE id = 2;
UPDATE minimal SET name = 'Bell & Co' WHERE id = 2;
DELETE FROM minimal WHERE id = 2;
SELECT event, entity_id, entity_label, changed_columns, old_values, new_values, statement
FROM audit.trail WHERE entity = 'levels.minimal' AND category = 'data' ORDER BY event_id;

INSERT INTO standard VALUES (1, 'Acme', 10.50, 0), (2, 'Bell', NULL, 0);
UPDATE standard SET credit = 11 WHERE id = 1;
UPDATE standard SET credit = credit WHERE id = 1;
UPDATE standard SET seen = seen + 1;
UPDATE standard SET credit = 0, seen = 9 WHERE id = 2;
UPDATE standard SET name = 'Bell & Co' WHERE id = 2;
DELETE FROM standard WHERE id = 2;
SELECT event, entity_id, entity_label, changed_columns, old_values, new_values, statement
FROM audit.trail WHERE entity = 'levels.standard' AND category = 'data' ORDER BY event_id;

INSERT INTO comprehensive VALUES (1, 'Acme', 10.50, 0), (2, 'Bell', NULL, 0);
UPDATE comprehensive SET credit = 11 WHERE id = 1;
UPDATE comprehensive SET credit = credit WHERE id = 1;
UPDATE comprehensive SET seen = seen + 1;
UPDATE comprehensive SET credit = 0, seen = 9 WHERE id = 2;
UPDATE comprehensive SET name = 'Bell & Co' WHERE id = 2;
DELETE FROM comprehensive WHERE id = 2;
SELECT event, entity_id, entity_label, changed_columns, old_values, new_values, statement
FROM audit.trail WHERE entity = 'levels.comprehensive' AND category = 'data' ORDER BY event_id;

-- The parameters of a statement, which only the highest level keeps.
PREPARE raise_credit (integer, numeric, text) AS UPDATE comprehensive SET credit = credit + $2, name = coalesce($3, name) WHERE id = $1;
EXECUTE raise_credit (1, 0.50, NULL);
PREPARE raise_standard (integer, numeric) AS UPDATE standard SET credit = credit + $2 WHERE id = $1;
EXECUTE raise_standard (1, 0.50);
DEALLOCATE ALL;
SELECT entity, changed_columns, new_values->'credit' AS credit, parameters, statement
FROM audit.trail WHERE entity LIKE 'levels.%' AND category = 'data' AND new_values->>'credit' = '11.50' ORDER BY event_id;

-- Several statements in one message: each event has its own.
INSERT INTO comprehensive VALUES (3, 'Cork', 1, 0) \; UPDATE comprehensive SET credit = 2 WHERE id = 3 \; DELETE FROM comprehensive WHERE id = 3;
SELECT event, statement FROM audit.trail WHERE entity = 'levels.comprehensive' AND entity_id = '3' ORDER BY event_id;

-- A change of level is a change of configuration and holds from the next row on, in the same transaction too.
BEGIN;
UPDATE standard SET credit = 20;
SELECT audit.enable('standard', level => 'minimal');
UPDATE standard SET credit = 21;
SELECT audit.enable('standard', level => 'comprehensive');
UPDATE standard SET credit = 21;
COMMIT;
SELECT event, changed_columns, old_values, new_values, parameters->'options'->>'level' AS level, parameters->'previous'->>'level' AS previous
FROM audit.trail
WHERE entity = 'levels.standard' AND transaction_id = (SELECT max(transaction_id) FROM audit.trail WHERE entity = 'levels.standard')
ORDER BY event_id;
SET client_min_messages = warning;
DROP SCHEMA levels CASCADE;
