-- A key may become an empty text: the update is filed under the old one, and history follows it.
CREATE SCHEMA empty_key;
CREATE TABLE empty_key.item (id text PRIMARY KEY, v int);
SELECT audit.enable('empty_key.item');
INSERT INTO empty_key.item VALUES ('a', 1);
UPDATE empty_key.item SET id = '';
UPDATE empty_key.item SET v = 2;
SELECT event, entity_id, new_values FROM audit.history('empty_key.item', '');
SET client_min_messages = warning;
DROP SCHEMA empty_key CASCADE;
