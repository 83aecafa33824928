-- Whoever asks for a row's history, records an event or declares a type runs no code of the owner of a table or type.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_audit_owner;
CREATE ROLE regress_audit_asking;
GRANT audit_reader, audit_writer TO regress_audit_asking;
CREATE SCHEMA mine AUTHORIZATION regress_audit_owner;
GRANT USAGE ON SCHEMA mine TO PUBLIC;
SET ROLE regress_audit_owner;
CREATE FUNCTION mine.take_over(value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_audit_owner' THEN
        RAISE WARNING 'the owner''s code runs as %', regexp_replace(current_user, '^(?!regress_).*', 'superuser');
        EXECUTE 'ALTER ROLE regress_audit_owner SUPERUSER';
    END IF;
    RETURN true;
END $$;
CREATE DOMAIN mine.trap AS text CHECK (mine.take_over(value));
CREATE DOMAIN mine.traps AS mine.trap[] CHECK (mine.take_over(value::text));
CREATE DOMAIN mine.number AS numeric(5, 2) CHECK (mine.take_over(value::text));
CREATE TYPE mine.trapped AS (t mine.trap);
CREATE TYPE mine.plain AS (a integer, b text);
CREATE TYPE mine.traprange AS RANGE (subtype = mine.trap);
CREATE TABLE mine.t (k mine.trap PRIMARY KEY);
CREATE TABLE mine.several (a mine.trap, b mine.number, PRIMARY KEY (a, b));
CREATE TABLE mine.list (k mine.trap[] PRIMARY KEY);
CREATE TABLE mine.lists (k mine.traps PRIMARY KEY);
CREATE TABLE mine.composite (k mine.trapped PRIMARY KEY);
CREATE TABLE mine.composites (k mine.trapped[] PRIMARY KEY);
CREATE TABLE mine.range (k mine.traprange PRIMARY KEY);
CREATE TABLE mine.multirange (k mine.trapmultirange PRIMARY KEY);
CREATE TABLE mine.plain_key (k mine.plain PRIMARY KEY, v integer);
CREATE TABLE mine.nested (k mine.plain[] PRIMARY KEY);
RESET ROLE;
SELECT audit.enable_schema('mine');
SET ROLE regress_audit_owner;
INSERT INTO mine.t VALUES ('x');
INSERT INTO mine.several VALUES ('x', 1.5);
INSERT INTO mine.list VALUES ('{x,y}');
INSERT INTO mine.lists VALUES ('{x,y}');
INSERT INTO mine.plain_key VALUES ((1, 'x'), 2);
INSERT INTO mine.nested VALUES (ARRAY[(1, 'x')::mine.plain]);
RESET ROLE;

-- Keys are read as what their domains are made of, ...
SELECT event, entity_id FROM audit.history('mine.t', 'x');
SELECT event, entity_id FROM audit.history('mine.several', '["x", "01.5"]');
SELECT event, entity_id FROM audit.history('mine.several', '["x", "12345"]');
SELECT event, entity_id FROM audit.history('mine.list', '["x", "y"]');
SELECT event, entity_id FROM audit.history('mine.list', '{x,y}');
SELECT event, entity_id FROM audit.history('mine.lists', '{x,"y"}');
SELECT event, entity_id FROM audit.history('mine.plain_key', '{"a": 1, "b": "x"}');
SELECT event, entity_id FROM audit.history('mine.plain_key', '(1,x)');
SELECT event, entity_id FROM audit.history('mine.nested', '[{"a": 1, "b": "x"}]');
-- ... or not at all.
SELECT event, entity_id FROM audit.history('mine.composite', '(x)');
\echo :SQLSTATE
SELECT event, entity_id FROM audit.history('mine.composite', '{"t": "x"}');
SELECT event, entity_id FROM audit.history('mine.composites', '{(x)}');
SELECT event, entity_id FROM audit.history('mine.range', '[x,y]');
SELECT event, entity_id FROM audit.history('mine.multirange', '{[x,y]}');
SET ROLE regress_audit_asking;
SELECT event, entity_id FROM audit.history('mine.t', 'x');
SELECT event, entity_id FROM audit.history('mine.several', '["x", 1.5]');
SELECT event FROM audit.history('mine.range', '[x,y]');
RESET ROLE;

-- Parameters of events are of types that run no code, when they are declared and later.
SELECT audit.define_event_type('trap.sprung', parameters => '{"a": "mine.trap"}');
\echo :SQLSTATE
SELECT audit.define_event_type('trap.sprung', parameters => '{"a": "mine.trap[]"}');
SELECT audit.define_event_type('trap.sprung', parameters => '{"a": "mine.trapped"}');
SELECT audit.define_event_type('trap.sprung', parameters => '{"a": "mine.traprange"}');
SELECT audit.define_event_type('trap.sprung', parameters => '{"a": "mine.trapmultirange"}');
SELECT audit.define_event_type('trap.sprung', parameters => '{"a": "mine.plain", "b": "mine.plain[]"}');
SET ROLE regress_audit_asking;
SELECT audit.record('trap.sprung', '{"a": "(1,x)", "b": ["(1,x)"]}') IS NOT NULL AS recorded;
SET ROLE regress_audit_owner;
DROP TABLE mine.plain_key, mine.nested;
ALTER TYPE mine.plain ADD ATTRIBUTE c mine.trap;
SET ROLE regress_audit_asking;
SELECT audit.record('trap.sprung', '{"a": "(1,x,y)"}');
\echo :SQLSTATE
SELECT audit.record('trap.sprung', '{"b": ["(1,x,y)"]}');
SELECT audit.record('trap.sprung', '{"a": null}') IS NOT NULL AS recorded;
RESET ROLE;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_audit_owner';

-- The hash of a key is computed for those who may read the values: others would try all of them.
COPY (SELECT 'a key of the regression tests') TO PROGRAM 'cat > audit_hash_key';
ALTER SYSTEM SET audit.hash_key_file = 'audit_hash_key';
SELECT pg_reload_conf();
\c -
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE mine.person (ssn text PRIMARY KEY, name text);
SELECT audit.enable('mine.person', redact => '{"ssn": "hash"}');
INSERT INTO mine.person VALUES ('123-45-6789', 'Ann');
SELECT entity_id AS digest FROM audit.trail WHERE entity = 'mine.person' AND event = 'row.insert' \gset
SELECT event FROM audit.history('mine.person', '123-45-6789');
SET ROLE regress_audit_asking;
SELECT event FROM audit.history('mine.person', '123-45-6789');
\echo :SQLSTATE
SELECT event FROM audit.history('mine.person', :'digest');
RESET ROLE;
GRANT SELECT (ssn) ON mine.person TO regress_audit_asking;
SET ROLE regress_audit_asking;
SELECT event FROM audit.history('mine.person', '123-45-6789');
RESET ROLE;
ALTER TABLE mine.person ENABLE ROW LEVEL SECURITY;
SET ROLE regress_audit_asking;
SELECT event FROM audit.history('mine.person', '123-45-6789');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA mine CASCADE;
DROP OWNED BY regress_audit_owner, regress_audit_asking;
DROP ROLE regress_audit_owner, regress_audit_asking;
ALTER SYSTEM RESET audit.hash_key_file;
COPY (SELECT) TO PROGRAM 'cat > /dev/null; rm audit_hash_key';
SELECT pg_reload_conf();
