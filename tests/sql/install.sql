-- What CREATE EXTENSION makes, and what it refuses.
\set SHOW_CONTEXT never
CREATE EXTENSION audit;
SELECT extnamespace::regnamespace AS schema, extrelocatable FROM pg_extension WHERE extname = 'audit';

-- Members: configuration and the parents of what holds evidence, never a table with evidence itself.
CREATE TEMP VIEW members AS
SELECT d.classid::regclass AS catalog, d.objid, pg_describe_object(d.classid, d.objid, 0) AS object
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE d.deptype = 'e' AND e.extname = 'audit';
SELECT c.relkind, c.oid::regclass AS relation
FROM members m JOIN pg_class c ON c.oid = m.objid AND m.catalog = 'pg_class'::regclass
WHERE c.relkind IN ('r', 'p', 'S') ORDER BY c.relkind, c.relname;

-- Every object has a comment. From 18 on, the types that come with tables and views are members too.
SELECT m.object FROM members m
WHERE obj_description(m.objid, m.catalog::text::name) IS NULL
  AND NOT EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
                  WHERE m.catalog = 'pg_type'::regclass AND t.oid = m.objid AND (t.typcategory = 'A' OR c.relkind <> 'c'))
ORDER BY m.object;

-- Nobody has to quote a column or an argument.
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_get_keywords() k ON k.word = a.attname AND k.catcode IN ('R', 'T')
WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'c');
SELECT p.oid::regprocedure, n.name
FROM pg_proc p CROSS JOIN LATERAL unnest(p.proargnames) n (name) JOIN pg_get_keywords() k ON k.word = n.name AND k.catcode IN ('R', 'T')
WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace);
DO $$
DECLARE
    query text;
BEGIN
    FOR query IN
        SELECT format('SELECT %s FROM %s LIMIT 0', string_agg(a.attname::text, ', ' ORDER BY a.attnum), c.oid::regclass)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') GROUP BY c.oid, c.relname
    LOOP
        EXECUTE query;
    END LOOP;
END $$;

-- No function depends on the search path of its caller: SQL is parsed beforehand, everything else pins it. The event
-- trigger on ddl_command_start is the exception, which looks names up as the statement does.
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND l.lanname NOT IN ('c', 'internal')
  AND p.prosqlbody IS NULL AND p.prokind <> 'p'
  AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'));

-- Every event type has a name of two words, and parameters belong to one.
SELECT name FROM audit.event_types WHERE name !~ '^[a-z]+\.[a-z_]+$' OR description IS NULL OR NOT built_in;
SELECT category, count(*) > 0 AS is_used FROM audit.event_types GROUP BY category ORDER BY category;

-- The roles cannot log in and belong to nobody.
SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, shobj_description(r.oid, 'pg_authid') AS description
FROM pg_roles r WHERE r.rolname LIKE 'audit\_%' ORDER BY r.rolname;

-- A second database: what is there already is not taken over.
CREATE DATABASE regress_audit_other;
\c regress_audit_other
CREATE SCHEMA audit;
CREATE EXTENSION audit;
\echo :SQLSTATE
DROP SCHEMA audit;
BEGIN;
COMMENT ON ROLE audit_reader IS NULL;
ALTER ROLE audit_reader LOGIN;
CREATE EXTENSION audit;
\echo :SQLSTATE
ROLLBACK;
BEGIN;
COMMENT ON ROLE audit_writer IS NULL;
CREATE ROLE regress_audit_member IN ROLE audit_writer;
CREATE EXTENSION audit;
\echo :SQLSTATE
ROLLBACK;
CREATE EXTENSION audit SCHEMA public;
\echo :SQLSTATE

-- The first call of an administrator has somewhere to write its event.
CREATE EXTENSION audit;
SELECT audit.set_retention('data', '10 years');
SELECT audit.uninstall('remove the audit trail of regress_audit_other');
CREATE EXTENSION audit;
SELECT audit.hold('matter', 'asked');
SELECT audit.uninstall('remove the audit trail of regress_audit_other');

-- Without evidence it goes like any extension.
CREATE EXTENSION audit;
DROP EXTENSION audit;
SELECT nspname FROM pg_namespace WHERE nspname IN ('audit', 'audit_internal');

-- With evidence it goes only on purpose.
CREATE ROLE regress_audit_super SUPERUSER;
SET ROLE regress_audit_super;
CREATE EXTENSION audit;
RESET ROLE;
CREATE TABLE note (id integer PRIMARY KEY);
SELECT audit.enable('note');
DROP EXTENSION audit;
\echo :SQLSTATE
DROP EXTENSION audit CASCADE;
DROP EXTENSION IF EXISTS audit;
DROP SCHEMA audit CASCADE;
\echo :SQLSTATE
SET client_min_messages = warning;
-- Which object of the cascade comes first is PostgreSQL's affair.
DO $$
DECLARE
    advice text;
BEGIN
    DROP OWNED BY regress_audit_super CASCADE;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS advice = PG_EXCEPTION_HINT;
    RAISE WARNING 'refused: %', advice;
END $$;
RESET client_min_messages;
SELECT audit.uninstall('yes');
\echo :SQLSTATE
SELECT audit.uninstall(NULL);
\echo :SQLSTATE
SELECT count(*) > 0 AS evidence_is_there FROM audit.trail;
SELECT audit.uninstall('remove the audit trail of regress_audit_other');
SELECT nspname FROM pg_namespace WHERE nspname IN ('audit', 'audit_internal');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'note'::regclass;
INSERT INTO note VALUES (1);
\c contrib_regression
DROP DATABASE regress_audit_other;
DROP ROLE regress_audit_super;
