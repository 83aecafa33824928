-- audit.event: the detail page of an event as one document; audit.related: what belongs to it.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT p.oid::regprocedure AS function, p.proargnames, pg_get_function_result(p.oid) AS result
FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace AND p.proname IN ('event', 'related') ORDER BY 1;
CREATE SCHEMA detail;
SET search_path = detail;
CREATE TABLE account (id text PRIMARY KEY, name text, credit numeric, note jsonb);
CREATE TABLE whole (id integer PRIMARY KEY, zeta text, alpha text);
CREATE TABLE brief (id integer PRIMARY KEY, v text);
CREATE TABLE keyless (v text);
SELECT audit.enable('account', label_column => 'name'), audit.enable('whole', level => 'comprehensive'), audit.enable('brief', level => 'minimal'), audit.enable('keyless');
CREATE FUNCTION pg_temp.id_of(of_event text, of_entity text, place integer DEFAULT 0) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT t.event_id FROM audit.trail t WHERE t.event = of_event AND t.entity = of_entity ORDER BY t.event_id OFFSET place LIMIT 1
$$;
INSERT INTO account VALUES ('A-1', 'Acme', 10, '{"a": [1]}');
BEGIN;
SELECT audit.set_context(actor => 'ann@detail.example', trace_id => 'detail-trace', reason => 'asked by phone');
UPDATE account SET credit = 20, note = NULL;
INSERT INTO whole VALUES (1, 'z', 'a');
UPDATE whole SET zeta = 'y';
INSERT INTO brief VALUES (1, 'a');
UPDATE brief SET v = 'b';
INSERT INTO keyless VALUES ('k');
COMMIT;
SELECT audit.set_context(trace_id => 'detail-trace', local => false);
UPDATE account SET id = 'A-2';
SELECT audit.set_context(trace_id => '', local => false);
UPDATE account SET credit = 30;
DELETE FROM account;

SELECT jsonb_object_keys(audit.event(pg_temp.id_of('row.update', 'detail.account')));
SELECT jsonb_pretty((d #- '{who,session}' #- '{who,effective_role}' #- '{who,login}' #- '{who,application_name}') - '{event_id,occurred_at,transaction_id,server,related}'::text[]) FROM audit.event(pg_temp.id_of('row.update', 'detail.account')) d;
SELECT d->'who'->>'login' = session_user AS login, d->'who'->>'effective_role' = current_user AS effective_role, d->'who'->'session'->>'backend_type' AS backend_type,
       (d->'who'->'session'->>'began_at')::timestamptz < now() AS began_at, d->'who'->'session'->>'session_id' = t.session_id AS session_id,
       (d->>'occurred_at')::timestamptz = t.occurred_at AS occurred_at, (d->>'transaction_id')::bigint = t.transaction_id AS transaction_id, d->>'server' = t.server AS server
FROM audit.trail t CROSS JOIN LATERAL audit.event(t.event_id) d WHERE t.event_id = pg_temp.id_of('row.update', 'detail.account');
-- The table of changes: in the order of the columns; with the whole row where it is known; names alone at level minimal.
CREATE FUNCTION pg_temp.changes(of_event uuid) RETURNS TABLE (name text, type text, before jsonb, after jsonb, changed boolean) LANGUAGE sql AS $$
    SELECT c->>'column', c->>'type', c->'before', c->'after', (c->>'changed')::boolean FROM jsonb_array_elements(audit.event(of_event)->'changes') c
$$;
SELECT * FROM pg_temp.changes(pg_temp.id_of('row.insert', 'detail.account'));
SELECT * FROM pg_temp.changes(pg_temp.id_of('row.delete', 'detail.account'));
SELECT * FROM pg_temp.changes(pg_temp.id_of('row.update', 'detail.whole'));
SELECT * FROM pg_temp.changes(pg_temp.id_of('row.update', 'detail.brief'));
SELECT d->'changes' AS changes, d->'parameters'->'options'->'level' AS level FROM audit.event(pg_temp.id_of('config.enable', 'detail.whole')) d;
SELECT d->>'statement' AS statement FROM audit.event(pg_temp.id_of('row.update', 'detail.whole')) d;
-- Related: before and after, also through a change of the key; transaction; trace.
CREATE FUNCTION pg_temp.ties(of_event uuid) RETURNS TABLE (tie text, count text, summaries text) LANGUAGE sql AS $$
    SELECT 'previous', NULL, d->'related'->'previous'->>'summary' FROM audit.event(of_event) d
    UNION ALL SELECT 'next', NULL, d->'related'->'next'->>'summary' FROM audit.event(of_event) d
    UNION ALL SELECT k, d->'related'->k->>'count', (SELECT string_agg(e->>'event' || ' ' || (e->>'entity'), ', ') FROM jsonb_array_elements(d->'related'->k->'events') e)
    FROM audit.event(of_event) d, unnest(ARRAY['transaction', 'trace']) k
$$;
SELECT r.tie, r.count, replace(r.summaries, session_user, 'user') AS summaries FROM pg_temp.ties(pg_temp.id_of('row.insert', 'detail.account')) r;
SELECT r.tie, r.count, replace(r.summaries, session_user, 'user') AS summaries FROM pg_temp.ties(pg_temp.id_of('row.update', 'detail.account')) r;
SELECT r.tie, r.count, replace(r.summaries, session_user, 'user') AS summaries FROM pg_temp.ties(pg_temp.id_of('row.update', 'detail.account', 1)) r;
SELECT r.tie, r.count, replace(r.summaries, session_user, 'user') AS summaries FROM pg_temp.ties(pg_temp.id_of('row.update', 'detail.account', 2)) r;
SELECT r.tie, r.count, replace(r.summaries, session_user, 'user') AS summaries FROM pg_temp.ties(pg_temp.id_of('row.delete', 'detail.account')) r;
SELECT r.tie, r.count, replace(r.summaries, session_user, 'user') AS summaries FROM pg_temp.ties(pg_temp.id_of('row.insert', 'detail.keyless')) r;
-- The same as rows of the trail, each once, by time.
SELECT r.event, r.entity, r.entity_id FROM audit.related(pg_temp.id_of('row.update', 'detail.account')) r;
SELECT r.event, r.entity, r.entity_id FROM audit.related(pg_temp.id_of('row.update', 'detail.account', 2)) r;
-- A table that was renamed is the same.
ALTER TABLE whole RENAME TO entire;
UPDATE entire SET alpha = 'b';
SELECT r.event, r.entity FROM audit.related(pg_temp.id_of('row.update', 'detail.entire')) r;
-- Of a large transaction the nearest.
INSERT INTO brief SELECT i, 'x' FROM generate_series(100, 1600) i;
SELECT count(*), min(r.entity_id::integer) > 100 AS is_near FROM audit.related(pg_temp.id_of('row.insert', 'detail.brief', 1400)) r;
SELECT d->'related'->'transaction'->>'count' AS count, jsonb_array_length(d->'related'->'transaction'->'events') AS shown FROM audit.event(pg_temp.id_of('row.insert', 'detail.brief', 1400)) d;
-- What is not there.
SELECT audit.event('00000000-0000-7000-8000-000000000000'), audit.event(NULL);
SELECT count(*) FROM audit.related('00000000-0000-7000-8000-000000000000');
SELECT count(*) FROM audit.related(NULL);
DROP SCHEMA detail CASCADE;
