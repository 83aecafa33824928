-- Redacted values are nowhere: not in old or new values, keys, labels, statements or parameters.
\pset null (null)
\set SHOW_CONTEXT never
CREATE SCHEMA redact;
SET search_path = redact;
CREATE TABLE person (id integer PRIMARY KEY, name text, card text, email text, pin text);

-- Hashing needs a key.
SELECT audit.enable('person', redact => '{"email": "hash"}');
\echo :SQLSTATE
COPY (SELECT 'a key of the regression tests') TO PROGRAM 'cat > audit_hash_key';
ALTER SYSTEM SET audit.hash_key_file = 'audit_hash_key';
SELECT pg_reload_conf();
SELECT pg_sleep(1);
\c -
SET search_path = redact;
SHOW audit.hash_key_file;

SELECT audit.enable('person', level => 'comprehensive', redact => '{"card": "mask", "email": "hash", "pin": "omit"}', label_column => 'name');
INSERT INTO person VALUES (1, 'Ann', 'SECRET-4111', 'SECRET-ann@example.org', 'SECRET-1234'), (2, 'Bob', NULL, NULL, NULL);
UPDATE person SET card = 'SECRET-5500', email = 'SECRET-other@example.org', pin = 'SECRET-0000' WHERE id = 1;
UPDATE person SET email = 'SECRET-ann@example.org' WHERE id = 2 AND pin IS DISTINCT FROM 'SECRET-0000';
PREPARE change (text, text) AS UPDATE person SET card = $1, name = $2 WHERE id = 2;
EXECUTE change ('SECRET-6011', 'Robert');
DEALLOCATE change;
DELETE FROM person WHERE card = 'SECRET-5500';
-- Dollar quotes, escapes, comments and DO blocks hide nothing either.
UPDATE person SET card = $q$SECRET-7$q$, pin = E'SECRET-\x38' /* SECRET-comment */ WHERE id = 2; -- SECRET-9
DO $$ BEGIN UPDATE redact.person SET card = 'SECRET-10'; END $$;
SELECT regexp_replace(jsonb_pretty(jsonb_build_object('old', old_values, 'new', new_values)), '"[0-9a-f]{64}"', '"(digest)"', 'g') AS "values"
FROM audit.trail WHERE entity = 'redact.person' AND entity_id = '1' ORDER BY event_id;
SELECT event, entity_id, entity_label, changed_columns, parameters, statement
FROM audit.trail WHERE entity = 'redact.person' AND category = 'data' ORDER BY event_id;

-- Equal values have equal hashes, so they stay comparable.
SELECT count(*) AS hashes, count(DISTINCT value) AS different
FROM audit.trail t CROSS JOIN LATERAL (VALUES (t.old_values->'email'), (t.new_values->'email')) v (value)
WHERE t.entity = 'redact.person' AND value ? '$audit';

-- A hashed key files the row under its digest, and history takes the value.
CREATE TABLE account (iban text PRIMARY KEY, balance numeric);
SELECT audit.enable('account', redact => '{"iban": "hash"}');
INSERT INTO account VALUES ('SECRET-GB33', 1), ('SECRET-FR14', 2);
UPDATE account SET balance = 3 WHERE iban = 'SECRET-GB33';
UPDATE account SET iban = 'SECRET-DE89' WHERE iban = 'SECRET-FR14';
SELECT event, entity_id ~ '^[0-9a-f]{64}$' AS is_digest, dense_rank() OVER (ORDER BY first_at) AS row_number, changed_columns
FROM (SELECT *, min(event_id::text) OVER (PARTITION BY entity_id) AS first_at FROM audit.trail WHERE entity = 'redact.account' AND category = 'data') t
ORDER BY event_id;
SELECT event, changed_columns FROM audit.history('account', 'SECRET-GB33');
SELECT event, changed_columns FROM audit.history('account', 'SECRET-DE89');
SELECT event, changed_columns
FROM audit.history('account', (SELECT entity_id FROM audit.trail WHERE entity = 'redact.account' AND event = 'row.insert' ORDER BY event_id LIMIT 1));
-- A reader passes the digest: a hash of any value would tell, by guessing, what the trail hides.
GRANT USAGE ON SCHEMA redact TO audit_reader;
SET ROLE audit_reader;
SELECT event, changed_columns FROM audit.history('account', 'SECRET-GB33');
\echo :SQLSTATE
SELECT event, changed_columns
FROM audit.history('account', (SELECT entity_id FROM audit.trail WHERE entity = 'redact.account' AND event = 'row.insert' ORDER BY event_id LIMIT 1));
RESET ROLE;

-- A renamed column stays redacted, and the new one of the old name is not taken for it.
ALTER TABLE person RENAME COLUMN card TO payment_card;
UPDATE person SET payment_card = 'SECRET-11' WHERE id = 2;
ALTER TABLE person ADD COLUMN card text;
UPDATE person SET card = 'shown', payment_card = 'SECRET-12' WHERE id = 2;
SELECT redacted_columns FROM audit.tables WHERE schema_name = 'redact' AND table_name = 'person';
SELECT new_values FROM audit.diff((SELECT event_id FROM audit.trail WHERE entity = 'redact.person' AND new_values->>'card' = 'shown' ORDER BY event_id DESC LIMIT 1)) d (column_name, old_values, new_values)
WHERE column_name IN ('card', 'payment_card') ORDER BY column_name;

-- Minimal and standard, TRUNCATE with images, baseline.
SELECT audit.baseline('person');
TRUNCATE person;
SELECT event, entity_id, coalesce(old_values, new_values) - 'email' AS image, parameters - 'bytes' AS parameters, statement
FROM audit.trail WHERE entity = 'redact.person' AND event IN ('row.baseline', 'row.truncate', 'table.truncate') ORDER BY event_id;

-- '{}' removes redaction; null keeps it.
SELECT audit.enable('person', label_column => 'name');
SELECT redacted_columns FROM audit.tables WHERE schema_name = 'redact' AND table_name = 'person';
SELECT audit.enable('person', redact => '{}');
SELECT redacted_columns FROM audit.tables WHERE schema_name = 'redact' AND table_name = 'person';

-- Nothing that any table of the trail holds says the secret.
CREATE TEMP TABLE found (relation text, lines bigint);
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class c WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') LOOP
        EXECUTE format('INSERT INTO found SELECT %L, count(*) FROM %s t WHERE t::text LIKE %L', relation, relation, '%SEC' || 'RET-%');
    END LOOP;
END $$;
SELECT * FROM found WHERE lines > 0;
SELECT count(*) > 20 AS searched FROM found;

SET client_min_messages = warning;
DROP SCHEMA redact CASCADE;
ALTER SYSTEM RESET audit.hash_key_file;
COPY (SELECT) TO PROGRAM 'cat > /dev/null; rm audit_hash_key';
SELECT pg_reload_conf();
