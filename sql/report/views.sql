-- Reports for compliance: views to be filtered by occurred_at, actor and result. Each view has a condition on
-- category and the filter one on time, so that no other partition is read.

CREATE VIEW audit.report_data_changes AS
SELECT e.occurred_at,
       e.actor,
       CASE e.event WHEN 'row.insert' THEN 'created'
                    WHEN 'row.update' THEN 'changed'
                    WHEN 'row.delete' THEN 'deleted'
                    WHEN 'row.truncate' THEN 'removed by TRUNCATE'
                    WHEN 'table.truncate' THEN 'emptied by TRUNCATE' END AS change,
       e.entity AS table_name,
       e.entity_id AS record_id,
       e.entity_label AS record_name,
       d.column_name,
       audit_internal.shown(d.old_value) AS value_before,
       audit_internal.shown(d.new_value) AS value_after,
       e.reason,
       e.application_name AS application,
       e.client_addr AS address,
       e.result,
       e.event,
       e.category,
       e.trace_id,
       e.event_id
FROM audit_internal.trail_events e
LEFT JOIN LATERAL audit_internal.column_changes(e.event_type, e.changes, e.recorded_columns) d
       ON e.event_type = ANY (audit_internal.row_change_types())
WHERE e.category = 'data' AND e.event_type <> audit_internal.event_type('row.baseline');
COMMENT ON VIEW audit.report_data_changes IS
    'Changes of data, one row per changed column with its value before and after; a change without values '
    'is one row';
COMMENT ON COLUMN audit.report_data_changes.change IS
    'created, changed, deleted, removed by TRUNCATE or, for the whole table, emptied by TRUNCATE';
COMMENT ON COLUMN audit.report_data_changes.column_name IS 'Name of the column at the time';
COMMENT ON COLUMN audit.report_data_changes.value_before IS
    'Null for a created record and where the column was null';
COMMENT ON COLUMN audit.report_data_changes.value_after IS
    'Null for a deleted record and where the column is null';

CREATE VIEW audit.report_user_access AS
SELECT e.occurred_at,
       e.actor,
       e.login,
       e.role,
       CASE e.event WHEN 'row.insert' THEN 'created'
                    WHEN 'row.update' THEN 'changed'
                    WHEN 'row.delete' THEN 'deleted'
                    WHEN 'row.truncate' THEN 'removed by TRUNCATE'
                    WHEN 'table.truncate' THEN 'emptied by TRUNCATE'
                    WHEN 'table.read' THEN 'read'
                    WHEN 'data.export' THEN 'exported'
                    ELSE e.event END AS access,
       e.entity AS object,
       e.entity_id AS record_id,
       e.entity_label AS record_name,
       array_to_string(e.changed_columns, ', ') AS columns_changed,
       CASE WHEN e.event_type = ANY (audit_internal.row_change_types()) THEN 1
            ELSE audit_internal.parameter_number(e.event_parameters, 'rows')::bigint END AS row_count,
       e.reason,
       e.application_name AS application,
       e.client_addr AS address,
       e.session_id,
       e.result,
       e.event,
       e.category,
       e.event_id
FROM audit_internal.trail_events e
WHERE e.category IN ('data', 'read') AND e.event_type <> audit_internal.event_type('row.baseline');
COMMENT ON VIEW audit.report_user_access IS 'Reads and changes of data: who, what and when';
COMMENT ON COLUMN audit.report_user_access.access IS
    'created, changed, deleted, removed by TRUNCATE, emptied by TRUNCATE, read, exported, or the name of '
    'the event type';
COMMENT ON COLUMN audit.report_user_access.columns_changed IS 'Columns that an update changed';
COMMENT ON COLUMN audit.report_user_access.row_count IS
    '1 for a changed row, otherwise the parameter rows of the event';

CREATE VIEW audit.report_security_events AS
SELECT e.occurred_at,
       e.risk,
       e.actor,
       e.login,
       e.event,
       e.entity AS object,
       e.summary,
       audit_internal.details(e.event_parameters) AS details,
       e.application_name AS application,
       e.client_addr AS address,
       e.session_id,
       e.result,
       e.category,
       e.event_id
FROM audit_internal.trail_events e
WHERE e.category = 'security';
COMMENT ON VIEW audit.report_security_events IS
    'Logins, denials, failures, and changes of roles and privileges, with their risk';
COMMENT ON COLUMN audit.report_security_events.details IS 'Parameters of the event, in one line';

CREATE VIEW audit.report_exports AS
SELECT e.occurred_at,
       e.actor,
       e.login,
       e.entity AS object,
       e.entity_id AS record_id,
       audit_internal.parameter_number(e.event_parameters, 'rows')::bigint AS row_count,
       e.event_parameters->>'format' AS format,
       e.event_parameters->>'destination' AS destination,
       audit_internal.details(
           CASE WHEN jsonb_typeof(e.event_parameters) = 'object'
                THEN e.event_parameters - ARRAY['rows', 'format', 'destination'] END) AS details,
       e.reason,
       e.application_name AS application,
       e.client_addr AS address,
       e.result,
       e.event,
       e.category,
       e.event_id
FROM audit_internal.trail_events e
WHERE e.category = 'read'
  AND (e.event = 'data.export' OR e.event LIKE '%.export' OR e.event LIKE '%.exported');
COMMENT ON VIEW audit.report_exports IS
    'Exports with their number of rows: data.export, and events of category read named *.export or '
    '*.exported';
COMMENT ON COLUMN audit.report_exports.row_count IS 'The parameter rows of the event';
COMMENT ON COLUMN audit.report_exports.format IS 'The parameter format of the event';
COMMENT ON COLUMN audit.report_exports.destination IS 'The parameter destination of the event';
COMMENT ON COLUMN audit.report_exports.details IS 'All other parameters of the event, in one line';

-- Events that the extension records by itself are left out: lost or moved events, created partitions.
CREATE VIEW audit.report_admin_activity AS
SELECT e.occurred_at,
       e.risk,
       e.actor,
       e.login,
       e.role,
       e.event,
       e.entity AS object,
       e.summary,
       audit_internal.details(e.event_parameters) AS details,
       e.reason,
       e.application_name AS application,
       e.client_addr AS address,
       e.result,
       e.category,
       e.event_id
FROM audit_internal.trail_events e
WHERE e.category IN ('schema', 'security', 'system')
  AND (e.category = 'schema'
       OR e.category = 'security' AND e.event_type = ANY (audit_internal.event_types(
              'role.create', 'role.alter', 'role.drop', 'privilege.grant', 'privilege.revoke', 'role.set'))
       OR e.category = 'system' AND e.event_type <> ALL (audit_internal.event_types(
              'audit.lost', 'audit.gap', 'evidence.move', 'partition.create')));
COMMENT ON VIEW audit.report_admin_activity IS
    'Acts of administrators: definitions, roles and privileges, the configuration of auditing, retention';
COMMENT ON COLUMN audit.report_admin_activity.details IS 'Parameters of the event, in one line';

-- A session is known by its first event. Its number of events and its end are in the trail, which is read
-- only for queries that select those columns.
CREATE VIEW audit.report_system_access AS
SELECT s.began_at AS occurred_at,
       s.login AS actor,
       s.login,
       CASE s.backend_type WHEN 'client backend' THEN 'session'
                           ELSE coalesce(s.backend_type, 'session') END AS access,
       u.application_users,
       s.application_name AS application,
       s.client_addr AS address,
       s.authentication,
       z.ended_at,
       z.ended_at - s.began_at AS duration,
       a.events,
       a.last_event_at,
       'success' AS result,
       'session.login' AS event,
       'security' AS category,
       n.name AS server,
       s.token AS session_id,
       NULL::uuid AS event_id
FROM audit_internal.sessions s
LEFT JOIN audit_internal.nodes n ON n.node_id = s.node_id
LEFT JOIN (
    SELECT c.node_id, c.session_id, array_agg(DISTINCT c.actor ORDER BY c.actor) AS application_users
    FROM audit_internal.contexts c
    WHERE c.actor IS NOT NULL
    GROUP BY c.node_id, c.session_id
) u ON u.node_id = s.node_id AND u.session_id = s.session_id
LEFT JOIN (
    SELECT c.node_id, c.session_id, max(e.occurred_at) AS ended_at
    FROM audit_internal.stored_events e
    JOIN audit_internal.contexts c ON c.node_id = e.node_id AND c.context_id = e.context_id
    WHERE e.category = 'security' AND e.event_type = audit_internal.event_type('session.logout')
    GROUP BY c.node_id, c.session_id
) z ON z.node_id = s.node_id AND z.session_id = s.session_id
LEFT JOIN (
    SELECT c.node_id, c.session_id, count(*) AS events, max(e.occurred_at) AS last_event_at
    FROM audit_internal.stored_events e
    JOIN audit_internal.contexts c ON c.node_id = e.node_id AND c.context_id = e.context_id
    GROUP BY c.node_id, c.session_id
) a ON a.node_id = s.node_id AND a.session_id = s.session_id
UNION ALL
SELECT e.occurred_at,
       e.actor,
       e.login,
       CASE e.event WHEN 'session.login_failed' THEN 'failed login' ELSE e.event END,
       NULL,
       e.application_name,
       e.client_addr,
       audit_internal.shown(e.event_parameters->'authentication'),
       NULL,
       NULL,
       NULL,
       NULL,
       e.result,
       e.event,
       e.category,
       e.server,
       e.session_id,
       e.event_id
FROM audit_internal.trail_events e
WHERE e.category = 'security'
  AND e.event_type = ANY (ARRAY(
      SELECT t.event_type FROM audit.event_types t
      WHERE t.name = 'session.login_failed' OR NOT t.built_in AND t.name ~ '\.(login|logout|login_failed)$'));
COMMENT ON VIEW audit.report_system_access IS
    'Access to the system, one row per session that wrote an event, per failed login, and per event of an '
    'application named *.login, *.logout or *.login_failed';
COMMENT ON COLUMN audit.report_system_access.occurred_at IS 'When the session began, or time of the event';
COMMENT ON COLUMN audit.report_system_access.access IS
    'session, failed login, the type of a process other than a client''s, or the name of the event type';
COMMENT ON COLUMN audit.report_system_access.application_users IS
    'Actors that the application set during the session; null for a session that acted as its login alone';
COMMENT ON COLUMN audit.report_system_access.authentication IS
    'Authentication method and the identity that it proved, where PostgreSQL reports them';
COMMENT ON COLUMN audit.report_system_access.ended_at IS 'When the session ended, where that was recorded';
COMMENT ON COLUMN audit.report_system_access.duration IS 'ended_at minus the start of the session';
COMMENT ON COLUMN audit.report_system_access.events IS
    'Number of events of the session; a query that selects it reads the trail';
COMMENT ON COLUMN audit.report_system_access.last_event_at IS
    'Time of the last event of the session; a query that selects it reads the trail';
COMMENT ON COLUMN audit.report_system_access.event IS 'Name of the event type; session.login for a session';
COMMENT ON COLUMN audit.report_system_access.event_id IS 'The event, as in audit.trail; null for a session';

-- The other columns of these views are columns of audit.trail, under the same name or another one of this
-- list.
DO $$
DECLARE
    described record;
BEGIN
    FOR described IN
        SELECT c.oid::regclass AS relation, a.attname,
               pg_catalog.col_description(t.attrelid, t.attnum) AS description
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN (VALUES
            ('table_name', 'entity'),
            ('object', 'entity'),
            ('record_id', 'entity_id'),
            ('record_name', 'entity_label'),
            ('application', 'application_name'),
            ('address', 'client_addr')
        ) n (name, trail_name) ON n.name = a.attname
        JOIN pg_catalog.pg_attribute t
          ON t.attrelid = 'audit.trail'::pg_catalog.regclass AND t.attname = coalesce(n.trail_name, a.attname)
        WHERE c.relnamespace = 'audit'::pg_catalog.regnamespace
          AND (c.relname IN ('changes', 'recent_high_risk', 'event_parameter_values')
               OR c.relname LIKE 'report\_%')
          AND pg_catalog.col_description(c.oid, a.attnum) IS NULL
    LOOP
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN %s.%I IS %L', described.relation, described.attname, described.description);
    END LOOP;
END $$;
