-- Two schemas: audit is what people call and read, audit_internal all else, of which nobody can name anything.
\pset null (null)
SET client_min_messages = warning;
-- The manual's table of contents.
SELECT string_agg(DISTINCT p.proname, ', ' ORDER BY p.proname) AS functions FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace;
SELECT CASE c.relkind WHEN 'v' THEN 'views' ELSE 'tables' END AS kind, string_agg(c.relname, ', ' ORDER BY c.relname) AS relations
FROM pg_class c WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind NOT IN ('i', 'I') GROUP BY 1 ORDER BY 1;
SELECT count(*) AS types FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typnamespace = 'audit'::regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c';

-- PostgreSQL checks the functions of a view for the role that reads the view, through whatever functions in SQL they call:
-- each is PUBLIC's, and so reachable through every view over ours. (Trigger functions are compared with, not called.)
WITH RECURSIVE called AS (
    SELECT d.refobjid AS function
    FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE v.relnamespace = 'audit'::regnamespace AND d.refclassid = 'pg_proc'::regclass
    UNION
    SELECT d.refobjid
    FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE v.relnamespace = 'audit_internal'::regnamespace AND d.refclassid = 'pg_proc'::regclass
    UNION
    SELECT d.refobjid
    FROM called c JOIN pg_proc p ON p.oid = c.function AND NOT p.prosecdef
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
)
SELECT p.oid::regprocedure AS unreachable
FROM called c JOIN pg_proc p ON p.oid = c.function
WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)
  AND p.prorettype <> 'trigger'::regtype
  AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE');
-- What they execute in a language that looks names up as the role would runs with the owner's rights.
SELECT p.oid::regprocedure AS looks_up_names
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'audit_internal'::regnamespace AND NOT p.prosecdef AND (l.lanname = 'plpgsql' OR l.lanname = 'sql' AND p.prosqlbody IS NULL)
  AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner);

CREATE SCHEMA own;
CREATE TABLE own.customer (id integer PRIMARY KEY, name text);
SELECT audit.enable('own.customer');
INSERT INTO own.customer VALUES (1, 'Ann');
UPDATE own.customer SET name = 'Bob';
CREATE ROLE regress_audit_analyst;
CREATE ROLE regress_audit_clerk;
GRANT audit_reader TO regress_audit_analyst;
GRANT USAGE, CREATE ON SCHEMA own TO regress_audit_analyst;
GRANT USAGE ON SCHEMA own TO regress_audit_clerk;
-- A reader's own views serve whoever may read those.
SET ROLE regress_audit_analyst;
CREATE VIEW own.recent AS SELECT event, entity_id, actor IS NOT NULL AS has_actor, summary, old_values, new_values, changed_columns FROM audit.trail WHERE entity = 'own.customer' AND category = 'data';
CREATE VIEW own.cells AS SELECT column_name, old_value, new_value FROM audit.changes WHERE entity = 'own.customer';
CREATE VIEW own.figures AS SELECT count(*) AS rows FROM audit.dashboard;
CREATE VIEW own.gaps AS SELECT count(*) > 0 AS has_gaps FROM audit.coverage;
CREATE VIEW own.kept AS SELECT count(*) > 0 AS has_policies FROM audit.retention;
CREATE VIEW own.groups AS SELECT count(*) FROM audit.error_groups;
CREATE VIEW own.parameters AS SELECT count(*) > 0 AS has_parameters FROM audit.event_parameter_values;
CREATE VIEW own.report AS SELECT count(*) > 0 AS has_changes FROM audit.report_data_changes;
GRANT SELECT ON own.recent, own.cells, own.figures, own.gaps, own.kept, own.groups, own.parameters, own.report TO regress_audit_clerk;
SET ROLE regress_audit_clerk;
SELECT * FROM own.recent ORDER BY event;
SELECT * FROM own.cells WHERE old_value IS NOT NULL;
SELECT * FROM own.figures;
SELECT * FROM own.gaps;
SELECT * FROM own.kept;
SELECT * FROM own.groups;
SELECT * FROM own.parameters;
SELECT * FROM own.report;
SELECT count(*) FROM audit.trail;

-- A column of a row type of ours would keep our table from being altered; functions over rows of the trail are for readers.
RESET ROLE;
SET ROLE regress_audit_analyst;
CREATE TABLE own.copies (e audit.event_types);
CREATE FUNCTION own.latest() RETURNS audit.trail LANGUAGE sql RETURN (SELECT t FROM audit.trail t LIMIT 1);
-- By name, nothing: not for a reader, nor for an administrator.
SELECT audit_internal.shown('1');
SET ROLE regress_audit_analyst;
SELECT audit_internal.shown('1');
SELECT * FROM audit_internal.contexts;
CREATE TABLE own.like_ours (LIKE audit_internal.events_data);
PREPARE waits AS SELECT * FROM audit_internal.events_overflow_all;
SELECT count(*) > 0 AS reads FROM audit.sessions;
SET ROLE audit_admin;
SELECT audit_internal.emit('row.delete', '{}', NULL, NULL, NULL, NULL);
SELECT nextval('audit_internal.dictionary_ids');
RESET ROLE;
DROP SCHEMA own CASCADE;
DROP ROLE regress_audit_analyst, regress_audit_clerk;
