-- ATTACH and DETACH PARTITION of an attacker's own tables leave the auditing of other tables alone, whatever name the command gives: what
-- follows such a command uses the OIDs of the tables that PostgreSQL has moved, after it has checked their owner.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA hidden;
CREATE TABLE hidden.salaries (id integer PRIMARY KEY, amount integer);
SELECT audit.enable('hidden.salaries');
CREATE TABLE public.wages (id integer, amount integer);
SELECT audit.enable('public.wages');
CREATE TABLE public.ledger (id integer, amount integer) PARTITION BY LIST (id);
CREATE TABLE public.ledger_1 PARTITION OF public.ledger FOR VALUES IN (1);
SELECT audit.enable('public.ledger');
CREATE ROLE regress_audit_mallory;
CREATE SCHEMA mallory AUTHORIZATION regress_audit_mallory;
CREATE VIEW guarded AS
SELECT s.schema_name, s.table_name,
       (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = s.relation_oid AND t.tgname LIKE '!audit%' AND t.tgenabled = 'A') AS triggers
FROM audit_internal.table_settings s WHERE s.schema_name IN ('hidden', 'public', 'mallory') ORDER BY 1, 2;
CREATE TEMP TABLE before AS SELECT count(*) AS events FROM audit.events;
GRANT SELECT ON before TO PUBLIC;

SET ROLE regress_audit_mallory;
CREATE FUNCTION mallory.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
-- Parents with a trigger of our name, with one that calls our function, and with none.
CREATE TABLE mallory.named (id integer, amount integer) PARTITION BY LIST (id);
CREATE TRIGGER "!audit_row" AFTER INSERT ON mallory.named FOR EACH ROW EXECUTE FUNCTION mallory.nothing();
CREATE TABLE mallory.genuine (id integer, amount integer) PARTITION BY LIST (id);
CREATE TRIGGER ours AFTER INSERT ON mallory.genuine FOR EACH ROW EXECUTE FUNCTION audit.capture_row('{}');
CREATE TABLE mallory.salaries (id integer, amount integer);
CREATE TABLE mallory.more (id integer, amount integer);
-- A superuser's function would find hidden.salaries; the command finds mallory.salaries, as its role may not use schema hidden.
SET search_path = hidden, mallory;
ALTER TABLE mallory.named ATTACH PARTITION salaries FOR VALUES IN (1);
ALTER TABLE mallory.named DETACH PARTITION salaries;
ALTER TABLE mallory.genuine ATTACH PARTITION salaries FOR VALUES IN (1);
ALTER TABLE mallory.genuine DETACH PARTITION salaries;
-- Another table of that name comes while the bound is computed.
CREATE FUNCTION mallory.swap() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE mallory.wages (id integer, amount integer); RETURN 2; END $$;
SET search_path = mallory, public;
ALTER TABLE mallory.named ATTACH PARTITION wages FOR VALUES IN (mallory.swap());
-- PostgreSQL rejects tables of another owner, and nothing has been changed before.
ALTER TABLE mallory.named ATTACH PARTITION public.wages FOR VALUES IN (3);
ALTER TABLE public.ledger DETACH PARTITION public.ledger_1;
ALTER TABLE public.ledger ATTACH PARTITION mallory.more FOR VALUES IN (4);
ALTER TABLE hidden.salaries RENAME TO other;
RESET search_path;
RESET ROLE;
SELECT * FROM guarded;
SELECT gap, object FROM audit.coverage WHERE object ~ '^(hidden|public\.(wages|ledger))' ORDER BY 2, 1;
SELECT b.events = e.events AS is_unchanged FROM before b, (SELECT count(*) AS events FROM audit.events) e;

-- An audited table stays audited while its owner attaches it to a parent that is not, and afterwards.
ALTER TABLE public.wages OWNER TO regress_audit_mallory;
SET ROLE regress_audit_mallory;
DROP TABLE mallory.wages, mallory.salaries;
ALTER TABLE mallory.genuine ATTACH PARTITION public.wages FOR VALUES IN (1);
INSERT INTO public.wages VALUES (1, 100);
UPDATE mallory.genuine SET amount = 1;
DELETE FROM public.wages;
ALTER TABLE mallory.genuine DETACH PARTITION public.wages;
INSERT INTO public.wages VALUES (1, 100);
RESET ROLE;
SELECT * FROM guarded;
SELECT event, entity, old_values, new_values FROM audit.trail WHERE entity = 'public.wages' AND category = 'data' ORDER BY event_id;

-- Below an audited parent it follows the parent, and an event says so; a column that it redacts has to be redacted there too.
SELECT audit.enable('public.wages', level => 'comprehensive', redact => '{"amount": "mask"}');
ALTER TABLE public.ledger OWNER TO regress_audit_mallory;
ALTER TABLE public.ledger_1 OWNER TO regress_audit_mallory;
SET ROLE regress_audit_mallory;
DELETE FROM public.wages;
INSERT INTO public.wages VALUES (5, 6);
ALTER TABLE public.ledger ATTACH PARTITION public.wages FOR VALUES IN (5);
\echo :SQLSTATE
RESET ROLE;
SELECT audit.enable('public.ledger', redact => '{"amount": "omit"}');
SET ROLE regress_audit_mallory;
ALTER TABLE public.ledger ATTACH PARTITION public.wages FOR VALUES IN (5);
INSERT INTO public.ledger VALUES (5, 7), (1, 8);
RESET ROLE;
SELECT * FROM guarded;
SELECT event, entity, role, parameters->>'reason' AS reason, parameters->'previous'->>'level' AS level, parameters->'options'->'redact' AS redact
FROM audit.trail WHERE entity IN ('public.wages', 'public.ledger') AND category = 'system' AND role = 'regress_audit_mallory' ORDER BY event_id;
SELECT entity, event, new_values FROM audit.trail WHERE entity IN ('public.wages', 'public.ledger') AND event = 'row.insert' ORDER BY event_id OFFSET 2;
-- A partition that is detached from an audited parent stays audited.
SET ROLE regress_audit_mallory;
ALTER TABLE public.ledger DETACH PARTITION public.ledger_1;
UPDATE public.ledger_1 SET amount = 9;
TRUNCATE public.ledger_1;
RESET ROLE;
SELECT * FROM guarded;
SELECT entity, event, new_values FROM audit.trail WHERE entity = 'public.ledger_1' AND category = 'data' ORDER BY event_id;

-- An audited partitioned table below another: one event for each row.
CREATE TABLE public.region (id integer, area integer) PARTITION BY LIST (area);
CREATE TABLE public.region_1 (id integer, area integer) PARTITION BY LIST (id);
CREATE TABLE public.region_1_1 PARTITION OF public.region_1 FOR VALUES IN (1);
SELECT audit.enable('public.region_1'), audit.enable('public.region');
ALTER TABLE public.region ATTACH PARTITION public.region_1 FOR VALUES IN (1);
INSERT INTO public.region VALUES (1, 1);
INSERT INTO public.region_1 VALUES (1, 1);
ALTER TABLE public.region DETACH PARTITION public.region_1;
INSERT INTO public.region_1 VALUES (1, 1);
SELECT entity, event FROM audit.trail WHERE entity LIKE 'public.region%' AND category = 'data' ORDER BY event_id;
SELECT * FROM guarded WHERE table_name LIKE 'region%';

DROP TABLE public.wages, public.ledger, public.ledger_1, public.region, public.region_1;
DROP SCHEMA hidden, mallory CASCADE;
DROP VIEW guarded;
DROP ROLE regress_audit_mallory;
