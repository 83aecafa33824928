-- Every gap has a row.
\pset null (null)
SET client_min_messages = warning;
CREATE SCHEMA coverage;
SET search_path = coverage;
CREATE VIEW gaps AS
SELECT gap, object, detail, since IS NOT NULL AS since, until IS NOT NULL AS until FROM audit.coverage
WHERE object LIKE '%coverage%' OR gap LIKE 'event trigger%' ORDER BY gap, object, detail;
TABLE gaps;

-- A table that nobody audits, and the partitions of one, which count as one.
CREATE TABLE open (id integer);
CREATE TABLE parts (id integer) PARTITION BY LIST (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
CREATE TEMP TABLE open_temp (id integer);
TABLE gaps;
-- One partition audited: the others are gaps.
SELECT audit.enable('parts_1');
TABLE gaps;
SELECT audit.enable('parts');
SELECT audit.enable('open');
TABLE gaps;

-- Operations that are left out.
SELECT audit.enable('open', operations => '{insert,update}');
TABLE gaps;
SELECT audit.enable('open', operations => '{insert,update,delete,truncate}');

-- Triggers that are disabled, not always fired, dropped, or not first.
ALTER TABLE open DISABLE TRIGGER "!audit_row";
ALTER TABLE open ENABLE TRIGGER "!audit_truncate";
ALTER TABLE parts_2 DISABLE TRIGGER ALL;
TABLE gaps;
SELECT audit.enable('open');
SELECT audit.enable('parts');
DROP TRIGGER "!audit_truncate" ON open;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER "  first" AFTER INSERT ON parts_1 FOR EACH ROW EXECUTE FUNCTION nothing();
TABLE gaps;
SELECT audit.enable('open');
DROP TRIGGER "  first" ON parts_1;

-- Auditing off: by the setting, by disable, by ALTER ROLE.
BEGIN;
SET LOCAL audit.enabled = off;
INSERT INTO open VALUES (1);
COMMIT;
SELECT audit.disable('open');
TABLE gaps;
SELECT audit.enable('open');
CREATE ROLE regress_audit_coverage;
ALTER ROLE regress_audit_coverage SET audit.enabled = off;
TABLE gaps;
DROP ROLE regress_audit_coverage;

-- Rows that came unseen, until a baseline is taken.
SELECT audit.enable_schema('coverage');
CREATE TABLE made AS SELECT 1 AS id;
CREATE TABLE attached (LIKE parts);
SELECT audit.disable('attached');
INSERT INTO attached VALUES (3);
ALTER TABLE parts ATTACH PARTITION attached FOR VALUES IN (3);
ALTER TABLE open ALTER COLUMN id TYPE bigint;
SELECT * FROM gaps WHERE gap = 'rows came unseen';
SELECT audit.baseline('made'), audit.baseline('open'), audit.baseline('parts');
SELECT * FROM gaps WHERE gap = 'rows came unseen';
-- A partitioned table that is enabled with rows in it, and altered later, has none that came unseen.
SELECT audit.disable_schema('coverage');
SELECT audit.enable('parts', operations => '{insert}');
ALTER TABLE parts ADD COLUMN v text;
SELECT * FROM gaps WHERE object LIKE 'coverage.parts%';

-- Event triggers.
ALTER EVENT TRIGGER audit_table_rewritten DISABLE;
ALTER EVENT TRIGGER audit_objects_dropped ENABLE;
SELECT * FROM gaps WHERE gap LIKE 'event trigger%';
ALTER EVENT TRIGGER audit_table_rewritten ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_objects_dropped ENABLE ALWAYS;

-- Evidence without protection.
BEGIN;
ALTER TABLE audit_internal.events_overflow_all DISABLE TRIGGER reject_change;
SELECT gap, object, detail FROM audit.coverage WHERE gap = 'evidence unprotected';
ROLLBACK;

-- Dropped tables are no gaps.
DROP SCHEMA coverage CASCADE;
SELECT gap, object FROM audit.coverage WHERE object LIKE '%coverage%' AND until IS NULL AND gap <> 'auditing off';
