-- Reports for compliance: what is in them, what is not, and which partitions they read.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA report;
CREATE TABLE report.customer (id integer PRIMARY KEY, name text, credit numeric, card text);
SELECT audit.enable('report.customer', label_column => 'name', redact => '{"card": "mask"}');
CREATE TABLE report.minimal (id integer PRIMARY KEY, v text);
SELECT audit.enable('report.minimal', level => 'minimal');
SET audit.actor = 'ann';
SET audit.reason = 'asked';
INSERT INTO report.customer VALUES (1, 'Acme', 10, '4111');
UPDATE report.customer SET credit = NULL, name = E'Acme\nLtd';
DELETE FROM report.customer;
INSERT INTO report.minimal VALUES (1, 'x');
UPDATE report.minimal SET v = 'y';
TRUNCATE report.minimal;
RESET audit.reason;
RESET audit.actor;
SELECT audit.baseline('report.minimal');
-- Kinds of events that nothing captures yet are read by their type.
SELECT audit_internal.emit('table.read', '{"rows": 12}', 'report.customer', NULL, NULL, NULL) IS NOT NULL AS ok;
SELECT audit_internal.emit('data.export', '{"rows": 1000, "format": "csv", "destination": "/tmp/x.csv", "delimiter": ";"}', 'report.customer', NULL, NULL, NULL) IS NOT NULL AS ok;
SELECT audit_internal.emit('session.login_failed', '{"user": "mallory", "authentication": "scram"}', 'report database', NULL, NULL, 'failure') IS NOT NULL AS ok;
SELECT audit_internal.emit('access.denied', NULL, 'report.secret', NULL, NULL, 'failure') IS NOT NULL AS ok;
SELECT audit_internal.emit('role.create', '{"role": "report_role"}', 'role report_role', NULL, NULL, NULL) IS NOT NULL AS ok;
SELECT audit_internal.emit('object.drop', NULL, 'report.gone', NULL, NULL, NULL) IS NOT NULL AS ok;
SELECT audit_internal.emit('partition.create', '{"since": "2020-01-01", "until": "2020-02-01"}', 'report partition', NULL, NULL, NULL) IS NOT NULL AS ok;
-- What applications record joins them by category and name.
SELECT audit.define_event_type('grid.exported', category => 'read', parameters => '{"rows": "text"}');
SELECT audit.define_event_type('grid.opened', category => 'read');
SELECT audit.define_event_type('web.login', category => 'security', risk => 'medium');
SET audit.actor = 'bob';
SELECT audit.record('grid.exported', '{"rows": "55"}', 'report grid', '7') IS NOT NULL AS ok;
SELECT audit.record('grid.exported', '{"rows": "all"}', 'report grid', '8', 'failure') IS NOT NULL AS ok;
SELECT audit.record('grid.opened', '{}', 'report grid') IS NOT NULL AS ok;
SELECT audit.record('web.login', '{}', 'report web') IS NOT NULL AS ok;
RESET audit.actor;

SELECT actor, change, table_name, record_id, record_name, column_name, value_before, value_after, reason, result
FROM audit.report_data_changes WHERE table_name LIKE 'report.%' ORDER BY occurred_at, event_id, column_name;
SELECT actor, access, object, record_id, record_name, columns_changed, row_count, reason, result
FROM audit.report_user_access WHERE object LIKE 'report%' ORDER BY occurred_at, event_id;
SELECT risk, actor, event, object, summary, details, result
FROM audit.report_security_events WHERE object LIKE '%report%' ORDER BY occurred_at, event_id;
SELECT actor, object, record_id, row_count, format, destination, details, result, event
FROM audit.report_exports WHERE object LIKE 'report%' ORDER BY occurred_at, event_id;
SELECT risk, actor, event, object, category, result FROM audit.report_admin_activity WHERE object LIKE '%report%' ORDER BY occurred_at, event_id;
SELECT access, actor, authentication, result, event FROM audit.report_system_access WHERE event <> 'session.login' AND actor !~ 'activity' ORDER BY occurred_at, event_id;
-- This session, which has worked for two users of the application and others in the tests before.
SELECT access, actor, application_users @> ARRAY['ann', 'bob'] AS users, application, address, ended_at, duration, events > 20 AS has_events,
       last_event_at > occurred_at AS is_later, result
FROM audit.report_system_access
WHERE session_id = (SELECT t.session_id FROM audit.trail t WHERE t.entity = 'report web') ORDER BY access;

-- Ordinary conditions.
SELECT count(*) FROM audit.report_data_changes WHERE actor = 'ann' AND table_name = 'report.minimal' AND occurred_at > now() - interval '1 hour';
SELECT count(*) FROM audit.report_data_changes WHERE actor = 'nobody';
SELECT object FROM audit.report_exports WHERE result = 'failure' AND object !~ 'activity';

-- Partitions of another time or category are not read.
SELECT sum(audit_internal.create_partitions_of('events_' || c, '2020-01-01', '2020-03-01')) > 0 AS made
FROM unnest(ARRAY['data', 'read', 'security', 'schema', 'system', 'application']) c;
CREATE FUNCTION report.scanned(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN (SELECT string_agg(DISTINCT r #>> '{}', ', ' ORDER BY r #>> '{}')
            FROM jsonb_path_query(plan::jsonb, '$.**."Relation Name"') r WHERE r #>> '{}' LIKE 'events%');
END $$;
SELECT r AS report, report.scanned(format('SELECT * FROM audit.report_%s WHERE occurred_at >= %L AND occurred_at < %L AND actor = %L AND result = %L',
                                          r, '2020-02-01 00:00+00', '2020-03-01 00:00+00', 'ann', 'success')) AS scanned
FROM unnest(ARRAY['data_changes', 'user_access', 'security_events', 'exports', 'admin_activity']) r;
-- Sessions: the trail is read for who asks for the number of events, the security events for who asks for their end.
SELECT report.scanned($$ SELECT occurred_at, actor, access, application, address, authentication, application_users, result FROM audit.report_system_access
    WHERE occurred_at >= '2020-02-01 00:00+00' AND occurred_at < '2020-03-01 00:00+00' $$) AS scanned;
SELECT report.scanned($$ SELECT occurred_at, duration FROM audit.report_system_access WHERE occurred_at >= '2020-02-01 00:00+00' $$) !~ 'data|read|schema|system|application' AS is_narrow;
DROP SCHEMA report CASCADE;
