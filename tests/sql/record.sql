-- Events of applications: their types, their parameters, the roles that recorded them.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_audit_app;
GRANT audit_writer TO regress_audit_app;
CREATE SCHEMA recorded;
GRANT USAGE, CREATE ON SCHEMA recorded TO regress_audit_app;
CREATE TYPE recorded.mood AS ENUM ('fine', 'glum');
CREATE TYPE recorded.pair AS (a integer, b text);

-- A type in both forms, stored under canonical names.
SELECT audit.define_event_type('invoice.approved', risk => 'medium', description => 'An invoice was approved', parameters =>
    '{"amount": {"type": "decimal", "required": true, "description": "In euro"}, "card": {"type": "varchar", "sensitive": true}, "note": "text"}');
SELECT t.name, t.category, t.risk, t.phrase, t.description, t.built_in, t.event_type >= 1000 AS is_ours FROM audit.event_types t WHERE t.name = 'invoice.approved';
SELECT p.name, p.data_type, p.required, p.sensitive, p.description
FROM audit.event_parameters p JOIN audit.event_types t USING (event_type) WHERE t.name = 'invoice.approved' ORDER BY p.name;
-- The number comes from the name: the same on every server, and the next one where it is taken.
SELECT event_type FROM audit.event_types WHERE name = 'invoice.approved';
SELECT audit_internal.new_event_type('invoice.approved') - t.event_type AS next_one FROM audit.event_types t WHERE t.name = 'invoice.approved';

-- Defined again: nothing new, no event; something new, an event with what was before.
SELECT audit.define_event_type('invoice.approved', risk => 'medium', description => 'An invoice was approved', parameters =>
    '{"note": "text", "amount": {"type": "numeric", "required": true, "description": "In euro"}, "card": {"type": "character varying", "sensitive": true}}');
SELECT audit.define_event_type('invoice.approved', parameters => '{"amount": "numeric"}');
SELECT entity, summary, parameters FROM audit.trail WHERE entity = 'event type invoice.approved' ORDER BY event_id;
SELECT audit.define_event_type('invoice.approved', category => 'security', parameters => '{"amount": "numeric", "card": {"type": "text", "sensitive": true}}');
SELECT t.category, p.name FROM audit.event_types t JOIN audit.event_parameters p USING (event_type) WHERE t.name = 'invoice.approved' ORDER BY p.name;
SELECT audit.define_event_type('invoice.approved', parameters =>
    '{"amount": {"type": "numeric", "required": true}, "card": {"type": "text", "sensitive": true}, "note": "text"}');

-- Definitions that are rejected.
SELECT audit.define_event_type(NULL);
SELECT audit.define_event_type('a.b', parameters => NULL);
SELECT audit.define_event_type('approved');
SELECT audit.define_event_type('Invoice.approved');
SELECT audit.define_event_type('invoice.approved; DROP TABLE x');
SELECT audit.define_event_type(repeat('a', 99) || '.b');
SELECT audit.define_event_type('row.insert');
SELECT audit.define_event_type('execution.paused');
SELECT audit.define_event_type('ledger.sealed');
\echo :SQLSTATE
SELECT audit.define_event_type('invoice.paid', category => 'data');
SELECT audit.define_event_type('invoice.paid', category => 'billing');
SELECT audit.define_event_type('invoice.paid', risk => 'none');
SELECT audit.define_event_type('invoice.paid', parameters => '[]');
SELECT audit.define_event_type('invoice.paid', parameters => '{"": "text"}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"$audit": "text"}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": 1}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": {}}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": {"type": "text", "required": "yes"}}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": {"type": "text", "secret": true}}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": "no_such_type"}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": "text; DROP TABLE x"}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": "numeric(10,2)"}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": "anyelement"}');
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": "mood"}');
\echo :SQLSTATE
CREATE TEMP TABLE scratch (a integer);
SELECT audit.define_event_type('invoice.paid', parameters => '{"a": "pg_temp.scratch"}');
SELECT count(*) FROM audit.event_types WHERE name = 'invoice.paid';

-- Recorded by an application that has no other right, for its user.
SET ROLE regress_audit_app;
SET audit.actor = 'ann@example.org';
SET audit.trace_id = 'trace-1';
SELECT pg_typeof(audit.record('invoice.approved', '{"amount": 100.50, "card": "4111-1111", "note": "ok"}', 'invoice', 'INV-1'));
SELECT audit.record('invoice.approved', '{"amount": "7", "card": null}', result => 'failure') IS NOT NULL AS recorded;
RESET audit.actor;
RESET audit.trace_id;
RESET ROLE;
SELECT event, category, risk, result, summary, actor, actor_source, role, effective_role, trace_id, entity, entity_id, parameters
FROM audit.trail WHERE event = 'invoice.approved' ORDER BY event_id \gx
-- The id is that of the event.
SELECT audit.record('invoice.approved', '{"amount": 1}') AS id \gset
SELECT event, parameters FROM audit.trail WHERE event_id = :'id';

-- Values are checked as their types read them.
SELECT audit.define_event_type('kinds.all', parameters => '{"n": "numeric", "i": "integer", "b": "boolean", "t": "text", "d": "date", "at": "timestamptz", "u": "uuid",
    "j": "jsonb", "m": "recorded.mood", "ia": "integer[]", "ta": "text[]", "c": "recorded.pair", "by": "bytea", "ip": "inet"}');
SELECT audit.record('kinds.all', '{"n": 1e30, "i": "42", "b": true, "t": 5, "d": "2026-01-31", "at": "2026-01-31 12:00+02", "u": "00000000-0000-7000-8000-000000000000",
    "j": [1, {"a": null}], "m": "glum", "ia": [[1, 2], [3, null]], "ta": ["a", "b"], "c": "(1,x)", "by": "\\x00ff", "ip": "10.0.0.1"}') IS NOT NULL AS recorded;
SELECT audit.record('kinds.all', '{"ia": "{1,2}", "b": "on", "j": "text", "n": null}') IS NOT NULL AS recorded;
SELECT parameters FROM audit.trail WHERE event = 'kinds.all' ORDER BY event_id;
SELECT audit.record('kinds.all', '{"n": "many"}');
SELECT audit.record('kinds.all', '{"n": true}');
SELECT audit.record('kinds.all', '{"n": [1]}');
SELECT audit.record('kinds.all', '{"n": {}}');
SELECT audit.record('kinds.all', '{"i": 1.5}');
SELECT audit.record('kinds.all', '{"i": 99999999999}');
SELECT audit.record('kinds.all', '{"b": "perhaps"}');
SELECT audit.record('kinds.all', '{"d": "2026-02-30"}');
SELECT audit.record('kinds.all', '{"m": "merry"}');
SELECT audit.record('kinds.all', '{"ia": [1, "x"]}');
SELECT audit.record('kinds.all', '{"c": {"a": 1}}');
SELECT audit.record('kinds.all', '{"t": ["a"]}');
\echo :SQLSTATE
-- What a sensitive parameter holds is in no message.
SELECT audit.define_event_type('secret.used', parameters => '{"pin": {"type": "integer", "sensitive": true}}');
SELECT audit.record('secret.used', '{"pin": "12x4"}');
\echo :SQLSTATE
-- A type that went is said so, and one that came back is found.
ALTER TYPE recorded.mood RENAME TO temper;
SELECT audit.record('kinds.all', '{"m": "glum"}');
ALTER TYPE recorded.temper RENAME TO mood;
SELECT audit.record('kinds.all', '{"m": "glum"}') IS NOT NULL AS recorded;

-- Events that are rejected.
SELECT audit.record('invoice.approved', '{"amount": 1, "colour": "red"}');
SELECT audit.record('invoice.approved', '{"note": "x"}');
SELECT audit.record('invoice.approved', '{"amount": null}');
SELECT audit.record('invoice.approved');
SELECT audit.record('invoice.approved', '[1]');
SELECT audit.record('invoice.approved', '1');
SELECT audit.record('invoice.approved', '{"amount": 1}', result => 'maybe');
SELECT audit.record('invoice.approved', '{"amount": 1}', result => NULL);
SELECT audit.record(NULL);
\echo :SQLSTATE
SELECT audit.record('no.such_type');
\echo :SQLSTATE
SELECT audit.record('invoice.approved', '{"amount": 1}', autonomous => true);
\echo :SQLSTATE
SELECT audit.define_event_type('plain.event');
SELECT audit.record('plain.event', '{"a": 1}');
SELECT audit.record('plain.event', NULL) IS NOT NULL AS recorded;
SELECT parameters FROM audit.trail WHERE event = 'plain.event';
-- Of the built-in types, applications may record only those that exist for them.
SELECT audit.record('row.insert', '{}', 'recorded.item', '1');
\echo :SQLSTATE
DO $$
DECLARE
    kind text;
    taken text[] := '{}';
BEGIN
    FOR kind IN SELECT name FROM audit.event_types WHERE built_in ORDER BY event_type LOOP
        BEGIN
            PERFORM audit.record(kind, '{"unknown": 1}');
        EXCEPTION WHEN invalid_parameter_value THEN
            IF sqlerrm LIKE '%has no parameter%' THEN
                taken := taken || kind;
            END IF;
        END;
    END LOOP;
    RAISE WARNING 'taken: %', taken;
END $$;

-- Part of the transaction: a rollback leaves nothing, a savepoint leaves what is outside.
BEGIN;
SELECT audit.record('invoice.approved', '{"amount": 11}', 'tx') IS NOT NULL AS recorded;
SAVEPOINT a;
SELECT audit.record('invoice.approved', '{"amount": 12}', 'tx') IS NOT NULL AS recorded;
ROLLBACK TO a;
SELECT audit.record('invoice.approved', '{"amount": 13}', 'tx') IS NOT NULL AS recorded;
COMMIT;
BEGIN;
SELECT audit.record('invoice.approved', '{"amount": 14}', 'tx') IS NOT NULL AS recorded;
ROLLBACK;
SELECT parameters, count(*) OVER (PARTITION BY transaction_id) AS together FROM audit.trail WHERE entity = 'tx' ORDER BY event_id;
BEGIN READ ONLY;
SELECT audit.record('invoice.approved', '{"amount": 15}');
\echo :SQLSTATE
ROLLBACK;
-- A backend that used a definition forgets it when it is rolled back.
BEGIN;
SELECT audit.define_event_type('brief.event', parameters => '{"a": "text"}');
SELECT audit.record('brief.event', '{"a": "x"}') IS NOT NULL AS recorded;
SAVEPOINT b;
SELECT audit.define_event_type('brief.event', parameters => '{"a": "text", "b": "text"}');
SELECT audit.record('brief.event', '{"b": "x"}') IS NOT NULL AS recorded;
ROLLBACK TO b;
SELECT audit.record('brief.event', '{"b": "x"}');
ROLLBACK;
SELECT audit.record('brief.event', '{"a": "x"}');
-- A redefinition takes effect at once, also in a backend that has cached the old one.
SELECT audit.define_event_type('plain.event', parameters => '{"a": "integer"}');
SELECT audit.record('plain.event', '{"a": 1}') IS NOT NULL AS recorded;
-- The category stays while there are events.
SELECT audit.define_event_type('plain.event', category => 'read');
\echo :SQLSTATE

-- Who: the caller, and inside a SECURITY DEFINER function the role whose rights count, as for row events.
CREATE FUNCTION recorded.approve() RETURNS uuid LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$ SELECT audit.record('plain.event', '{"a": 77}') $$;
SET ROLE regress_audit_app;
SELECT recorded.approve() IS NOT NULL AS recorded;
/*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',route='%2Finvoices'*/ SELECT audit.record('plain.event', '{"a": 78}') IS NOT NULL AS recorded;
SELECT audit.set_context(reason => 'asked', context => '{"ticket": 9}', local => false);
SELECT audit.record('plain.event', '{"a": 79}') IS NOT NULL AS recorded;
SELECT audit.set_context(reason => '', context => '{}', local => false);
RESET ROLE;
SELECT parameters->'a' AS a, role, effective_role = session_user AS as_owner, trace_id, reason, context
FROM audit.trail WHERE event = 'plain.event' AND (parameters->>'a')::integer > 70 ORDER BY event_id;

-- Objects that the caller created shadow nothing.
SET ROLE regress_audit_app;
CREATE DOMAIN recorded.numeric AS text CHECK (value = 'never');
CREATE FUNCTION recorded.emit(text, jsonb, text, text, regclass, text) RETURNS uuid LANGUAGE sql AS $$ SELECT NULL::uuid $$;
SET search_path = recorded, pg_catalog;
SELECT audit.record('invoice.approved', '{"amount": 20}') IS NOT NULL AS recorded;
RESET search_path;
-- Writers of the extension are no way around.
SELECT audit_internal.emit('invoice.approved', '{"amount": "x"}', NULL, NULL, NULL, NULL);
SELECT audit_internal.upsert_config(ROW(1, 'row.insert', 'application', 'low', '', '', false)::audit.event_types);
SELECT audit.define_event_type('mine.own');
SELECT count(*) FROM audit.event_types;
SELECT count(*) FROM audit.trail;
RESET ROLE;

-- What is recorded under a row's name is no history of the row.
CREATE TABLE recorded.item (id integer PRIMARY KEY);
SELECT audit.enable('recorded.item');
INSERT INTO recorded.item VALUES (1);
SELECT audit.record('plain.event', '{"a": 1}', 'recorded.item', '1') IS NOT NULL AS recorded;
SELECT event FROM audit.history('recorded.item', '1');
-- A user's object that looks like a marker is told from one, and what is over the cap is recorded by its digest.
SELECT audit.record('kinds.all', '{"j": {"$audit": "masked"}}', 'marker') IS NOT NULL AS recorded;
SET audit.max_value_bytes = 64;
SELECT audit.record('kinds.all', jsonb_build_object('t', repeat('x', 65), 'j', to_jsonb(repeat('y', 64)), 'ta', array_fill('z'::text, ARRAY[30])), 'capped') IS NOT NULL AS recorded;
RESET audit.max_value_bytes;
SELECT entity, parameters FROM audit.trail WHERE entity IN ('marker', 'capped') ORDER BY event_id;
SELECT encode(sha256(repeat('x', 65)::bytea), 'hex') AS digest;
-- audit.enabled is about audited tables.
SET audit.enabled = off;
SELECT audit.record('plain.event', '{"a": 1}', 'switched off') IS NOT NULL AS recorded;
RESET audit.enabled;
SELECT count(*) FROM audit.trail WHERE entity = 'switched off';
-- Never in a parallel worker, nor planned for one.
SELECT proparallel, provolatile FROM pg_proc WHERE oid = 'audit.record'::regproc;

DROP SCHEMA recorded CASCADE;
DROP ROLE regress_audit_app;
