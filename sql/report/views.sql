-- Reports for compliance, each a view to be filtered by occurred_at, actor and result. The category stands in
-- the view and the time in the filter, so that no other partition is read.

CREATE VIEW audit.report_data_changes AS
SELECT e.occurred_at, e.actor,
       CASE e.event_type WHEN 1 THEN 'created' WHEN 2 THEN 'changed' WHEN 3 THEN 'deleted' WHEN 4 THEN 'removed by TRUNCATE'
                         WHEN 6 THEN 'emptied by TRUNCATE' END AS change,
       e.entity AS table_name, e.entity_id AS record_id, e.entity_label AS record_name,
       d.column_name, audit_internal.shown(d.old_value) AS value_before, audit_internal.shown(d.new_value) AS value_after,
       e.reason, e.application_name AS application, e.client_addr AS address, e.result, e.event, e.category, e.trace_id, e.event_id
FROM audit_internal.trail_events e
LEFT JOIN LATERAL audit_internal.column_changes(e.event_type, e.changes, e.recorded_columns) d ON e.event_type <= 4
WHERE e.category = 'data' AND e.event_type <> 5;
COMMENT ON VIEW audit.report_data_changes IS
    'Changes of data, one row a changed column with its value before and after; a change without values is one row';
COMMENT ON COLUMN audit.report_data_changes.value_before IS 'Null for a created record and where the column was null';
COMMENT ON COLUMN audit.report_data_changes.value_after IS 'Null for a deleted record and where the column is null';

CREATE VIEW audit.report_user_access AS
SELECT e.occurred_at, e.actor, e.login, e.role,
       CASE e.event_type WHEN 1 THEN 'created' WHEN 2 THEN 'changed' WHEN 3 THEN 'deleted' WHEN 4 THEN 'removed by TRUNCATE'
                         WHEN 6 THEN 'emptied by TRUNCATE' WHEN 20 THEN 'read' WHEN 21 THEN 'exported' ELSE e.event END AS access,
       e.entity AS object, e.entity_id AS record_id, e.entity_label AS record_name,
       array_to_string(e.changed_columns, ', ') AS columns_changed,
       CASE WHEN e.event_type <= 4 THEN 1 ELSE audit_internal.parameter_number(e.event_parameters, 'rows')::bigint END AS row_count,
       e.reason, e.application_name AS application, e.client_addr AS address, e.session_id, e.result, e.event, e.category, e.event_id
FROM audit_internal.trail_events e
WHERE e.category IN ('data', 'read') AND e.event_type <> 5;
COMMENT ON VIEW audit.report_user_access IS 'Who read or changed what';

CREATE VIEW audit.report_security_events AS
SELECT e.occurred_at, e.risk, e.actor, e.login, e.event, e.entity AS object, e.summary, audit_internal.details(e.event_parameters) AS details,
       e.application_name AS application, e.client_addr AS address, e.session_id, e.result, e.category, e.event_id
FROM audit_internal.trail_events e
WHERE e.category = 'security';
COMMENT ON VIEW audit.report_security_events IS 'Logins, denials, failures, roles and privileges, with their risk';

CREATE VIEW audit.report_exports AS
SELECT e.occurred_at, e.actor, e.login, e.entity AS object, e.entity_id AS record_id,
       audit_internal.parameter_number(e.event_parameters, 'rows')::bigint AS row_count,
       e.event_parameters->>'format' AS format, e.event_parameters->>'destination' AS destination,
       audit_internal.details(e.event_parameters - ARRAY['rows', 'format', 'destination']) AS details,
       e.reason, e.application_name AS application, e.client_addr AS address, e.result, e.event, e.category, e.event_id
FROM audit_internal.trail_events e
WHERE e.category = 'read' AND (e.event_type = 21 OR e.event LIKE '%.export' OR e.event LIKE '%.exported');
COMMENT ON VIEW audit.report_exports IS
    'Exports with the rows that left: data.export, and events of category read that applications name *.export or *.exported';
COMMENT ON COLUMN audit.report_exports.row_count IS 'The event''s parameter rows';

CREATE VIEW audit.report_admin_activity AS
SELECT e.occurred_at, e.risk, e.actor, e.login, e.role, e.event, e.entity AS object, e.summary,
       audit_internal.details(e.event_parameters) AS details, e.reason, e.application_name AS application, e.client_addr AS address,
       e.result, e.category, e.event_id
FROM audit_internal.trail_events e
-- Not what the extension does by itself: events lost, moved or loaded, partitions made.
WHERE e.category IN ('schema', 'security', 'system')
  AND (e.category = 'schema' OR e.category = 'security' AND e.event_type BETWEEN 35 AND 40
       OR e.category = 'system' AND e.event_type NOT IN (84, 85, 87, 96));
COMMENT ON VIEW audit.report_admin_activity IS
    'What administrators did: definitions, roles and privileges, the configuration of auditing, retention';

-- A session is known by its first event. Counting its events means reading the trail, and finding its end reading the
-- security events: both are done only for who selects those columns.
CREATE VIEW audit.report_system_access AS
SELECT s.began_at AS occurred_at, s.login AS actor, s.login,
       CASE WHEN s.backend_type = 'client backend' THEN 'session' ELSE coalesce(s.backend_type, 'session') END AS access,
       u.application_users, s.application_name AS application, s.client_addr AS address, s.authentication,
       z.ended_at, z.ended_at - s.began_at AS duration, a.events, a.last_event_at,
       'success' AS result, 'session.login' AS event, 'security' AS category, n.name AS server, s.token AS session_id, NULL::uuid AS event_id
FROM audit_internal.sessions s
LEFT JOIN audit_internal.nodes n ON n.node_id = s.node_id
LEFT JOIN (SELECT c.node_id, c.session_id, array_agg(DISTINCT c.actor ORDER BY c.actor) AS application_users
           FROM audit_internal.contexts c WHERE c.actor IS NOT NULL GROUP BY c.node_id, c.session_id) u
       ON u.node_id = s.node_id AND u.session_id = s.session_id
LEFT JOIN (SELECT c.node_id, c.session_id, max(e.occurred_at) AS ended_at
           FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
           JOIN audit_internal.contexts c ON c.node_id = e.node_id AND c.context_id = e.context_id
           WHERE e.category = 'security' AND e.event_type = 31 GROUP BY c.node_id, c.session_id) z
       ON z.node_id = s.node_id AND z.session_id = s.session_id
LEFT JOIN (SELECT c.node_id, c.session_id, count(*) AS events, max(e.occurred_at) AS last_event_at
           FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
           JOIN audit_internal.contexts c ON c.node_id = e.node_id AND c.context_id = e.context_id
           GROUP BY c.node_id, c.session_id) a
       ON a.node_id = s.node_id AND a.session_id = s.session_id
UNION ALL
SELECT e.occurred_at, e.actor, e.login, CASE e.event_type WHEN 32 THEN 'failed login' ELSE e.event END,
       NULL, e.application_name, e.client_addr, audit_internal.shown(e.event_parameters->'authentication'),
       NULL, NULL, NULL, NULL, e.result, e.event, e.category, e.server, e.session_id, e.event_id
FROM audit_internal.trail_events e
WHERE e.category = 'security' AND (e.event_type = 32 OR e.event_type >= 1000 AND e.event ~ '\.(login|logout|login_failed)$');
COMMENT ON VIEW audit.report_system_access IS
    'Sessions, API and integration users: one row a session that did something, a login that failed, and the *.login, *.logout and *.login_failed that applications record';
COMMENT ON COLUMN audit.report_system_access.occurred_at IS 'When the session began, or the login happened';
COMMENT ON COLUMN audit.report_system_access.application_users IS 'The application''s users whom the session worked for: not null for an API or integration user';
COMMENT ON COLUMN audit.report_system_access.ended_at IS 'When the session ended, where that was recorded';
COMMENT ON COLUMN audit.report_system_access.events IS 'The events of the session; counting them reads the trail';
