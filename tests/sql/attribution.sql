-- Who and why.
\pset null (null)
\set SHOW_CONTEXT never
CREATE SCHEMA attribution;
SET search_path = attribution;
CREATE ROLE regress_audit_ann;
CREATE ROLE regress_audit_owner;
CREATE ROLE regress_audit_clerk;
GRANT regress_audit_clerk TO regress_audit_ann;
GRANT USAGE ON SCHEMA attribution TO regress_audit_ann, regress_audit_owner, regress_audit_clerk;
CREATE TABLE customer (id integer PRIMARY KEY, credit integer);
CREATE TABLE invoice (id integer PRIMARY KEY, customer_id integer REFERENCES customer ON DELETE CASCADE ON UPDATE CASCADE);
GRANT ALL ON customer, invoice TO regress_audit_ann, regress_audit_owner, regress_audit_clerk;
SELECT audit.enable('customer');
SELECT audit.enable('invoice');

-- Reads what the last statement recorded and forgets what was shown before.
CREATE TEMP TABLE shown (event_id uuid);
CREATE TEMP VIEW who AS
SELECT t.event, t.entity_id AS id, replace(t.actor, :'USER', '(me)') AS actor, t.actor_source AS source, replace(t.login, :'USER', '(me)') AS login,
       t.role, replace(t.effective_role, :'USER', '(me)') AS effective_role, t.trace_id, t.reason, t.context, t.event_id
FROM audit.trail t
WHERE t.entity LIKE 'attribution.%' AND t.category = 'data' AND t.event_id <> ALL (ARRAY(SELECT event_id FROM shown));
\set show 'SELECT event, id, actor, source, login, role, effective_role, trace_id, reason, context FROM who ORDER BY event_id \\; INSERT INTO shown SELECT event_id FROM who;'

-- By itself: the login.
INSERT INTO customer VALUES (1, 10), (2, 20), (3, 30);
:show
-- Settings. An empty text counts as unset, and SET LOCAL ends with its transaction.
BEGIN;
SET LOCAL audit.actor = 'ann@example.org';
SET LOCAL audit.trace_id = 'trace-1';
SET LOCAL audit.reason = 'customer called';
SET LOCAL audit.context = '{"ticket": "OPS-7", "n": 1.50}';
UPDATE customer SET credit = 11 WHERE id = 1;
SET LOCAL audit.actor = '';
SET LOCAL audit.context = '';
UPDATE customer SET credit = 12 WHERE id = 1;
COMMIT;
UPDATE customer SET credit = 13 WHERE id = 1;
:show
-- A savepoint that is rolled back takes its settings along.
BEGIN;
SET LOCAL audit.reason = 'outer';
SAVEPOINT nested;
SET LOCAL audit.reason = 'nested';
UPDATE customer SET credit = 14 WHERE id = 1;
ROLLBACK TO SAVEPOINT nested;
UPDATE customer SET credit = 15 WHERE id = 1;
SET LOCAL audit.reason = 'nested';
UPDATE customer SET credit = 16 WHERE id = 1;
COMMIT;
:show
-- What is not a JSON object is refused.
SET audit.context = '[1]';
\echo :SQLSTATE
SET audit.context = '{"a": 1';
\echo :SQLSTATE

-- set_context: null keeps, an empty text unsets, local by default.
BEGIN;
SELECT audit.set_context(actor => 'bob', trace_id => 'trace-2', reason => 'month end', context => '{"batch": 4}');
UPDATE customer SET credit = 17 WHERE id = 1;
SELECT audit.set_context(reason => '');
UPDATE customer SET credit = 18 WHERE id = 1;
COMMIT;
UPDATE customer SET credit = 19 WHERE id = 1;
:show
SELECT audit.set_context(actor => 'lost');
SELECT audit.set_context(actor => 'kept', local => false);
UPDATE customer SET credit = 20 WHERE id = 1;
SELECT audit.set_context(actor => '', local => false);
UPDATE customer SET credit = 21 WHERE id = 1;
:show
SELECT audit.set_context(context => '[1]', local => false);
\echo :SQLSTATE
SELECT audit.set_context(context => 'null', local => false);
\echo :SQLSTATE

-- A sqlcommenter comment fills what the settings leave open.
UPDATE customer SET credit = 22 WHERE id = 1 /*actor='carol%40example.org',route='%2Fcustomers',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/;
UPDATE customer SET credit = 23 WHERE id = 1;
BEGIN;
SET LOCAL audit.actor = 'dave';
SET LOCAL audit.trace_id = 'trace-3';
SET LOCAL audit.context = '{"set": true}';
UPDATE customer SET credit = 24 WHERE id = 1 /*actor='carol',route='%2Fcustomers',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/;
COMMIT;
UPDATE customer SET credit = 25 /* an ordinary comment */ WHERE id = 1;
UPDATE customer SET credit = 26 WHERE id = 1 /*traceparent='nonsense'*/;
UPDATE customer SET credit = 27 WHERE id = 1 AND 'a' <> '/*actor=''eve''*/';
:show
-- The text of a prepared statement is older than its execution: only that one's comment counts.
PREPARE stale AS UPDATE customer SET credit = credit + 1 WHERE id = 1 /*actor='stale'*/;
EXECUTE stale;
EXECUTE stale /*actor='fresh'*/;
DEALLOCATE stale;
:show

-- Roles. SET ROLE:
SET ROLE regress_audit_clerk;
UPDATE customer SET credit = 40 WHERE id = 2;
RESET ROLE;
-- SET SESSION AUTHORIZATION, and SET ROLE in it:
SET SESSION AUTHORIZATION regress_audit_ann;
UPDATE customer SET credit = 41 WHERE id = 2;
SET ROLE regress_audit_clerk;
UPDATE customer SET credit = 42 WHERE id = 2;
RESET SESSION AUTHORIZATION;
:show
-- A SECURITY DEFINER function:
CREATE FUNCTION raise_credit() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = attribution
AS 'UPDATE customer SET credit = credit + 1 WHERE id = 2';
ALTER FUNCTION raise_credit() OWNER TO regress_audit_owner;
SET SESSION AUTHORIZATION regress_audit_ann;
SELECT raise_credit();
SET ROLE regress_audit_clerk;
SELECT raise_credit();
RESET SESSION AUTHORIZATION;
:show
-- Foreign keys run as the owner of the referencing table, yet the trail names who deleted.
ALTER TABLE invoice OWNER TO regress_audit_owner;
INSERT INTO invoice VALUES (71, 2), (72, 2);
SET SESSION AUTHORIZATION regress_audit_ann;
UPDATE customer SET id = 4 WHERE id = 2;
DELETE FROM customer WHERE id = 4;
RESET SESSION AUTHORIZATION;
-- Not the effective role: an AFTER trigger of the cascaded change runs as the owner since PostgreSQL 18, before that as the
-- role that deleted.
SELECT event, id, actor, source, login, role FROM who ORDER BY event_id;
INSERT INTO shown SELECT event_id FROM who;

-- The application's name is of the event, not of the login.
SET application_name = 'billing';
UPDATE customer SET credit = 50 WHERE id = 1;
SET application_name = 'support';
UPDATE customer SET credit = 51 WHERE id = 1;
RESET application_name;
SELECT application_name, new_values FROM audit.trail WHERE event_id IN (SELECT event_id FROM who) ORDER BY event_id;
INSERT INTO shown SELECT event_id FROM who;

-- One session, one transaction, as PostgreSQL names them.
BEGIN;
UPDATE customer SET credit = 60 WHERE id = 1;
SAVEPOINT s;
UPDATE customer SET credit = 61 WHERE id = 1;
SELECT count(*) AS events, bool_and(t.transaction_id = pg_current_xact_id()::text::bigint) AS is_top_transaction,
       bool_and(t.session_id ~ '^[0-9a-f]+\.[0-9a-f]+$' AND split_part(t.session_id, '.', 2) = to_hex(pg_backend_pid())) AS is_session
FROM audit.trail t JOIN who USING (event_id);
COMMIT;

-- A context is written once for many events.
BEGIN;
SET LOCAL audit.reason = 'bulk load';
INSERT INTO customer SELECT g, 0 FROM generate_series(100, 199) g;
DELETE FROM customer WHERE id >= 100;
COMMIT;
SELECT count(DISTINCT e.context_id) AS contexts, count(*) AS events
FROM audit.events e JOIN audit_internal.contexts c USING (node_id, context_id)
WHERE c.reason = 'bulk load';

SET client_min_messages = warning;
DROP SCHEMA attribution CASCADE;
DROP ROLE regress_audit_ann, regress_audit_owner, regress_audit_clerk;
