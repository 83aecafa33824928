-- ALTER DEFAULT PRIVILEGES of the role that installs the extension once handed the evidence, and audit.disable, to the application.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT current_database() AS home \gset
CREATE ROLE regress_audit_app;
CREATE ROLE regress_audit_owner SUPERUSER;
CREATE DATABASE regress_audit_defaults;
-- No worker runs in a template.
ALTER DATABASE regress_audit_defaults IS_TEMPLATE true;
\c regress_audit_defaults
SET client_min_messages = warning;
SET ROLE regress_audit_owner;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_audit_app WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, DELETE ON TABLES TO PUBLIC, audit_writer;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_audit_app, audit_reader;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO regress_audit_app WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO regress_audit_app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_audit_app;
CREATE EXTENSION audit;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT ALL ON TABLES TO regress_audit_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT ALL ON SEQUENCES TO regress_audit_app;
RESET ROLE;
-- The same for the role that runs maintenance.
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_audit_app;

CREATE TABLE patient (id integer PRIMARY KEY, name text);
GRANT SELECT, INSERT ON patient TO regress_audit_app;
SELECT audit.enable('patient');
INSERT INTO patient VALUES (1, 'Ann');
SELECT audit.hold('case', 'subpoena', entity => 'public.patient');
-- The table's dedicated partitions, and the default partitions for events of other servers.
SELECT audit.set_retention('data', keep => '1 year', target => 'patient');
SELECT count(*) FROM audit.gather(now() - interval '3 months');
CALL audit.maintain();

-- Privileges of roles other than owners and the roles of the extension.
CREATE VIEW pg_temp.privileges AS
SELECT o.kind, o.object, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee, a.privilege_type AS privilege, a.is_grantable
FROM (SELECT 'schema' AS kind, n.nspname::text AS object, n.nspowner AS owner, n.nspacl AS privileges FROM pg_namespace n WHERE n.nspname IN ('audit', 'audit_internal')
      UNION ALL
      SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.oid::regclass::text, c.relowner, c.relacl
      FROM pg_class c WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)
      UNION ALL
      SELECT 'column', format('%s.%I', c.oid::regclass, t.attname), c.relowner, t.attacl
      FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)
      UNION ALL
      SELECT 'routine', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
      FROM pg_proc p WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)
      UNION ALL
      SELECT 'type', t.oid::regtype::text, t.typowner,
             coalesce(t.typacl, CASE WHEN t.typcategory <> 'A' AND (t.typnamespace = 'audit'::regnamespace OR coalesce(c.relkind, 'c') = 'c') THEN acldefault('T', t.typowner) END)
      FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.typnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)) o
CROSS JOIN LATERAL aclexplode(o.privileges) a
WHERE a.grantee <> o.owner;
SELECT * FROM pg_temp.privileges p WHERE p.grantee NOT IN ('audit_reader', 'audit_writer', 'audit_admin') ORDER BY p.kind, p.object, p.grantee;
-- Readers read schema audit, and no role anything in audit_internal.
SELECT p.kind, p.grantee, p.privilege, p.is_grantable, count(*) > 0 AS has FROM pg_temp.privileges p WHERE p.grantee <> 'PUBLIC' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
SELECT c.relnamespace::regnamespace AS schema, bool_and(has_table_privilege('audit_reader', c.oid, 'SELECT')) AS is_read,
       bool_or(has_table_privilege('audit_reader', c.oid, 'SELECT')) AS is_read_in_part
FROM pg_class c WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') GROUP BY 1;

-- The application.
SET ROLE regress_audit_app;
SELECT count(*) FROM audit.events;
SELECT count(*) FROM audit.trail;
SELECT count(*) FROM audit_internal.events_overflow_all;
SELECT count(*) FROM audit_internal.events_dedicated_1;
SELECT * FROM audit.holds;
DELETE FROM audit.holds;
SELECT * FROM audit_internal.table_settings;
UPDATE audit.event_types SET risk = 'low';
SELECT nextval('audit_internal.dictionary_ids');
SELECT audit.disable('patient');
SELECT audit_internal.execute_permitted('SELECT 1');
SELECT audit_internal.emit('row.delete', '{}', NULL, NULL, NULL, NULL);
CREATE TABLE audit.mine ();
-- What every role may do in spite of the default privileges.
SELECT audit.set_context(actor => 'ann', local => false);
INSERT INTO patient VALUES (2, 'Bob');
SELECT audit.row(NULL::patient, '{"id": 1}');
SELECT * FROM audit.diff('1', '2');
RESET ROLE;

-- Maintenance revokes what an administrator grants on partitions.
SELECT l.partition AS partition FROM audit.partitions l WHERE l.parent = 'events_dedicated_1' ORDER BY l.since LIMIT 1 \gset
GRANT USAGE ON SCHEMA audit_internal TO regress_audit_app;
GRANT SELECT ON audit_internal.events_overflow_all, audit_internal.contexts_default, audit_internal.events_dedicated_1, :partition TO audit_reader;
GRANT SELECT ON audit_internal.sessions_default TO regress_audit_app WITH GRANT OPTION;
SET ROLE regress_audit_app;
GRANT SELECT ON audit_internal.sessions_default TO PUBLIC;
RESET ROLE;
REVOKE USAGE ON SCHEMA audit_internal FROM regress_audit_app;
GRANT SELECT (name) ON audit_internal.nodes_all TO regress_audit_app;
GRANT SELECT ON audit_internal.relations_all TO audit_reader WITH GRANT OPTION;
CALL audit.maintain();
SELECT * FROM pg_temp.privileges p WHERE p.kind IN ('table', 'column') AND (p.grantee NOT IN ('audit_reader', 'audit_admin') OR p.is_grantable);

\c :home
ALTER DATABASE regress_audit_defaults IS_TEMPLATE false;
DROP DATABASE regress_audit_defaults;
DROP ROLE regress_audit_app, regress_audit_owner;
