-- What each role may do. Everything that is not listed here is for superusers.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA rights;
GRANT USAGE ON SCHEMA rights TO PUBLIC;
CREATE TABLE rights.item (id integer PRIMARY KEY, v text);
GRANT INSERT, UPDATE, DELETE ON rights.item TO PUBLIC;
SELECT audit.enable('rights.item');
CREATE ROLE regress_audit_nobody;

-- Derived from the catalog, so that it covers new objects too. Functions that roles other than the owner may execute, with these roles.
SELECT p.oid::regprocedure AS function, string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ' ORDER BY a.grantee = 0 DESC, a.grantee::regrole::text) AS who
FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND a.grantee <> p.proowner
GROUP BY p.oid ORDER BY p.proname, p.pronargs, p.oid::regprocedure::text;
SELECT c.relname AS public_relation FROM pg_class c
WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND has_table_privilege('regress_audit_nobody', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
SELECT c.relname AS public_sequence FROM pg_class c
WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('regress_audit_nobody', c.oid, 'USAGE, SELECT, UPDATE') END;
SELECT n.nspname AS schema, has_schema_privilege(r.rolname, n.oid, 'USAGE') AS usage, has_schema_privilege(r.rolname, n.oid, 'CREATE') AS create, string_agg(r.rolname, ', ' ORDER BY r.rolname) AS roles
FROM pg_roles r, pg_namespace n
WHERE n.nspname IN ('audit', 'audit_internal') AND r.rolname IN ('regress_audit_nobody', 'audit_reader', 'audit_writer', 'audit_admin')
GROUP BY 1, 2, 3;

-- Tables: reading at most; an admin reads configuration, not values.
SELECT r.rolname, c.relname FROM pg_roles r, pg_class c
WHERE r.rolname IN ('audit_reader', 'audit_writer', 'audit_admin') AND c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v')
  AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
SELECT c.relname AS admin_reads FROM pg_class c
WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege('audit_admin', c.oid, 'SELECT') ORDER BY c.relname;
SELECT c.relname AS writer_reads FROM pg_class c
WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege('audit_writer', c.oid, 'SELECT') ORDER BY c.relname;
-- A reader reads everything through schema audit; no role can name anything in audit_internal.
SELECT count(*) AS unread FROM pg_class c
WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT has_table_privilege('audit_reader', c.oid, 'SELECT');
SELECT r.rolname, c.oid::regclass AS internal FROM pg_roles r, pg_class c
WHERE r.rolname IN ('audit_reader', 'audit_writer', 'audit_admin') AND c.relnamespace = 'audit_internal'::regnamespace
  AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, c.oid, 'USAGE, SELECT, UPDATE')
      ELSE has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END;
-- SECURITY DEFINER functions are listed here one by one: each runs with the rights of a superuser.
SELECT p.oid::regprocedure AS definer FROM pg_proc p WHERE p.pronamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND p.prosecdef ORDER BY p.proname, p.pronargs;
-- Views too: a view shows what its owner may read to every role that may read the view.
SELECT c.relname, c.reloptions FROM pg_class c WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind = 'v' AND c.reloptions IS NOT NULL;

-- Nobody: is recorded without any right, and reads nothing.
SET ROLE regress_audit_nobody;
INSERT INTO rights.item VALUES (1, 'x');
SELECT audit.set_context(actor => 'somebody', local => false);
UPDATE rights.item SET v = 'y';
SELECT audit.set_context(actor => '', local => false);
SELECT * FROM audit.diff('1', '2');
SELECT audit.row(NULL::rights.item, '{"id": 1}');
SELECT count(*) FROM audit.trail;
SELECT count(*) FROM audit.events;
SELECT count(*) FROM audit.coverage;
SELECT count(*) FROM audit.tables;
SELECT * FROM audit.history('rights.item', '1');
SELECT * FROM audit.diff('00000000-0000-7000-8000-000000000000'::uuid);
SELECT count(*) FROM audit.search();
SELECT count(*) FROM audit.follow();
SELECT audit.event('00000000-0000-7000-8000-000000000000');
SELECT count(*) FROM audit.dashboard;
SELECT audit.status();
SELECT audit.enable('rights.item', level => 'minimal');
SELECT audit.disable('rights.item');
SELECT audit.enable_schema('rights');
SELECT audit.baseline('rights.item');
SELECT audit.define_event_type('rights.seen');
SELECT audit.record('error.reported', '{"message": "x"}');
SELECT count(*) FROM audit.report_data_changes;
SELECT count(*) FROM audit.event_parameter_values;
SELECT count(*) FROM audit.error_groups;
SELECT * FROM audit.execution('x');
SELECT audit.report_html('exports', '2026-01-01', '2026-01-02');
SELECT audit.uninstall('remove the audit trail of contrib_regression');
CALL audit.maintain();
SET audit.enabled = off;
SET audit.max_value_bytes = 64;
SET audit.truncate_rows = 0;
SET audit.replicate = on;

-- Reader: reads, and that is all.
SET ROLE audit_reader;
SELECT event, entity_id, new_values FROM audit.trail WHERE entity = 'rights.item' AND category = 'data' ORDER BY event_id;
SELECT event FROM audit.history('rights.item', '1');
SELECT count(*) FROM audit.changes WHERE entity = 'rights.item';
SELECT event, entity_id FROM audit.search('y', entity => 'rights.item', sort => 'event_id asc');
SELECT count(*) > 0 AS seen FROM audit.follow(NULL, 10);
SELECT audit.event(s.event_id)->>'event' AS event, (SELECT count(*) FROM audit.related(s.event_id)) AS related FROM audit.search(entity => 'rights.item', events => '{row.update}') s;
SELECT event, events FROM audit.table_activity('rights.item') ORDER BY event;
SELECT entity, modified FROM audit.user_activity('somebody', until => NULL);
SELECT sessions FROM audit.user_sessions('somebody', until => NULL);
SELECT sum(events) > 0 AS seen FROM audit.dashboard;
SELECT sum(events) > 0 AS seen FROM audit.activity_by_day(until => clock_timestamp());
SELECT count(*) >= 0 AS seen FROM audit.recent_high_risk;
SELECT count(*) > 0 AS seen FROM audit.diff((SELECT event_id FROM audit.trail WHERE entity = 'rights.item' AND event = 'row.update'));
SELECT count(*) > 0 AS seen FROM audit.tables;
SELECT count(*) >= 0 AS seen FROM audit.coverage;
SELECT version IS NOT NULL AS seen FROM audit.status();
SELECT * FROM rights.item;
SELECT audit.enable('rights.item', level => 'minimal');
SELECT audit.disable('rights.item');
SELECT audit.baseline('rights.item');
SELECT audit.define_event_type('rights.seen');
SELECT audit.record('error.reported', '{"message": "x"}');
SELECT DISTINCT table_name FROM audit.report_data_changes WHERE table_name = 'rights.item';
SELECT count(*) >= 0 AS seen FROM audit.error_groups;
CALL audit.maintain();
DELETE FROM audit.events;

-- Writer: records events of applications, and that is all.
SET ROLE audit_writer;
SELECT audit.record('error.reported', '{"message": "x"}', 'rights') IS NOT NULL AS recorded;
SELECT audit.record('row.insert', '{}', 'rights.item', '1');
SELECT count(*) FROM audit.trail;
SELECT count(*) FROM audit.event_types;
SELECT count(*) FROM audit.report_data_changes;
SELECT count(*) FROM audit.error_groups;
SELECT * FROM audit.execution('x');
SELECT audit.report_html('exports', '2026-01-01', '2026-01-02');
SELECT audit_internal.emit('row.insert', NULL, NULL, NULL, NULL, NULL);
SELECT audit_internal.upsert_config(ROW(2000, 'rights.seen', 'data', 'low', '', '', false)::audit.event_types);
SELECT audit_internal.delete_config(ROW(1, 'row.insert', 'data', 'low', '', '', true)::audit.event_types);
SELECT audit.define_event_type('rights.seen');
SELECT audit.enable('rights.item', level => 'minimal');
INSERT INTO audit.event_types VALUES (2000, 'rights.seen', 'data', 'low', '');

-- Admin: configures tables that it does not own or read, without seeing values.
SET ROLE audit_admin;
SELECT audit.enable('rights.item', level => 'comprehensive');
SELECT audit.baseline('rights.item');
SELECT level FROM audit.tables WHERE schema_name = 'rights';
SELECT count(*) >= 0 AS seen FROM audit.coverage;
SELECT version IS NOT NULL AS seen FROM audit.status();
SELECT audit.enable_schema('rights');
SELECT audit.disable_schema('rights');
CALL audit.maintain();
SELECT audit.define_event_type('rights.seen');
SELECT audit.record('rights.seen');
SELECT count(*) FROM audit.report_data_changes;
SELECT * FROM audit.execution('x');
SELECT count(*) FROM audit.trail;
SELECT count(*) FROM audit.events;
SELECT * FROM audit.history('rights.item', '1');
SELECT * FROM audit.changes;
SELECT * FROM rights.item;
UPDATE audit_internal.table_settings SET options = '{}';
SELECT audit.uninstall('remove the audit trail of contrib_regression');
SET audit.enabled = off;
RESET ROLE;
-- The trail shows the role that changed the configuration.
SELECT event, role FROM audit.trail WHERE entity IN ('rights.item', 'schema rights') AND category = 'system' ORDER BY event_id OFFSET 1;

-- The owner of a table cannot take its auditing away unseen.
ALTER TABLE rights.item OWNER TO regress_audit_nobody;
SELECT audit.enable('rights.item');
SET ROLE regress_audit_nobody;
ALTER TABLE rights.item DISABLE TRIGGER "!audit_row";
INSERT INTO rights.item VALUES (2, 'unseen');
RESET ROLE;
SELECT gap, object FROM audit.coverage WHERE object = 'rights.item' AND gap LIKE 'trigger%';

DROP SCHEMA rights CASCADE;
DROP ROLE regress_audit_nobody;
