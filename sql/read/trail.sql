-- The trail as people and reports read it.

-- The attribution stands in a subquery, so that its fields are named once. The joins are outer joins: an
-- event is shown also where retention has deleted its context.
CREATE VIEW audit_internal.trail_events AS
SELECT e.event_id,
       e.occurred_at,
       t.name AS event,
       e.category,
       t.risk,
       coalesce(e.result, 'success') AS result,
       audit_internal.summary(
           coalesce((e.who).actor, (e.who).login),
           t.phrase,
           coalesce(e.entity, r.entity),
           e.entity_id,
           e.entity_label,
           e.event_type,
           e.changes) AS summary,
       coalesce((e.who).actor, (e.who).login) AS actor,
       (e.who).actor_source,
       (e.who).login,
       (e.who).role,
       (e.who).effective_role,
       (e.who).application_name,
       (e.who).client_addr,
       (e.who).token AS session_id,
       coalesce(e.subject_transaction_id, e.transaction_id) AS transaction_id,
       (e.who).trace_id,
       (e.who).reason,
       (e.who).context,
       coalesce(e.entity, r.entity) AS entity,
       e.entity_id,
       e.entity_label,
       audit_internal.changed_columns(e.event_type, e.changes) AS changed_columns,
       audit_internal.old_values(e.event_type, e.changes, e.image, r.recorded_columns) AS old_values,
       audit_internal.new_values(e.event_type, e.changes, e.image, r.recorded_columns) AS new_values,
       coalesce(e.parameters, (e.who).statement_parameters) AS parameters,
       (e.who).statement,
       n.name AS server,
       e.node_id,
       e.relation_id,
       e.context_id,
       e.command_id,
       e.event_type,
       e.new_entity_id,
       e.changes,
       r.recorded_columns,
       e.parameters AS event_parameters,
       e.image,
       e.entity AS own_entity,
       e.transaction_id AS writer_transaction_id
FROM (
    SELECT s.*, audit_internal.attribution(s.node_id, s.context_id) AS who FROM audit_internal.stored_events s
) e
LEFT JOIN audit.event_types t ON t.event_type = e.event_type
LEFT JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
LEFT JOIN audit_internal.nodes n ON n.node_id = e.node_id;
COMMENT ON VIEW audit_internal.trail_events IS
    'audit.trail with the keys behind its columns, for functions and views of the extension; internal';

CREATE VIEW audit.trail AS
SELECT e.event_id,
       e.occurred_at,
       e.event,
       e.category,
       e.risk,
       e.result,
       e.summary,
       e.actor,
       e.actor_source,
       e.login,
       e.role,
       e.effective_role,
       e.application_name,
       e.client_addr,
       e.session_id,
       e.transaction_id,
       e.trace_id,
       e.reason,
       e.context,
       e.entity,
       e.entity_id,
       e.entity_label,
       e.changed_columns,
       e.old_values,
       e.new_values,
       e.parameters,
       e.statement,
       e.server
FROM audit_internal.trail_events e;
COMMENT ON VIEW audit.trail IS 'The audit trail: one row per event';
COMMENT ON COLUMN audit.trail.event_id IS 'UUID version 7, time-ordered, unique across servers';
COMMENT ON COLUMN audit.trail.occurred_at IS 'Wall clock at capture';
COMMENT ON COLUMN audit.trail.event IS 'Name of the event type, as in audit.event_types';
COMMENT ON COLUMN audit.trail.category IS 'data, read, security, schema, system or application';
COMMENT ON COLUMN audit.trail.risk IS 'low, medium or high';
COMMENT ON COLUMN audit.trail.result IS 'success or failure';
COMMENT ON COLUMN audit.trail.summary IS 'The event in one sentence';
COMMENT ON COLUMN audit.trail.actor IS 'The application''s user where it is known, else the login';
COMMENT ON COLUMN audit.trail.actor_source IS 'Source of actor: login, setting or comment';
COMMENT ON COLUMN audit.trail.login IS 'The session user';
COMMENT ON COLUMN audit.trail.role IS 'The role that SET ROLE set; null without one';
COMMENT ON COLUMN audit.trail.effective_role IS
    'The role whose privileges applied, such as the owner of a SECURITY DEFINER function';
COMMENT ON COLUMN audit.trail.application_name IS 'application_name of the session at the time of the event';
COMMENT ON COLUMN audit.trail.client_addr IS 'IP address of the client; null for a Unix-domain socket';
COMMENT ON COLUMN audit.trail.session_id IS 'The connection, as %c of log_line_prefix prints it';
COMMENT ON COLUMN audit.trail.transaction_id IS 'The top-level transaction';
COMMENT ON COLUMN audit.trail.trace_id IS
    'The trace that the event belongs to: audit.trace_id, or the trace of a traceparent comment';
COMMENT ON COLUMN audit.trail.reason IS 'Why the actor did it: audit.reason at the time of the event';
COMMENT ON COLUMN audit.trail.context IS
    'Facts that the application gave: audit.context at the time of the event, or the keys of a sqlcommenter '
    'comment';
COMMENT ON COLUMN audit.trail.entity IS
    'The table by its name at the time, for a partition the table that was enabled; or the object concerned';
COMMENT ON COLUMN audit.trail.entity_id IS
    'The key: the text of one column, a JSON array of several; the old key where an update changed it';
COMMENT ON COLUMN audit.trail.entity_label IS 'Name of the record: the value of its label column';
COMMENT ON COLUMN audit.trail.changed_columns IS 'Columns that an update changed; null for other events';
COMMENT ON COLUMN audit.trail.old_values IS 'Values before the event, by column';
COMMENT ON COLUMN audit.trail.new_values IS 'Values after the event, by column';
COMMENT ON COLUMN audit.trail.parameters IS
    'Parameters of the event, by name; for a row event those of its statement';
COMMENT ON COLUMN audit.trail.statement IS 'Text of the statement, where the level of the table records it';
COMMENT ON COLUMN audit.trail.server IS 'The server that captured the event, as in audit.servers';

-- The columns of the trail, for statements that read them from audit_internal.trail_events.
CREATE FUNCTION audit_internal.trail_columns(alias text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(format('%I.%I', alias, a.attname), ', ' ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0;
END;
COMMENT ON FUNCTION audit_internal.trail_columns(text) IS
    'A select list of the columns of audit.trail, from a relation of this alias; internal';

CREATE VIEW audit.changes AS
SELECT e.event_id,
       e.occurred_at,
       e.actor,
       e.entity,
       e.entity_id,
       d.column_name,
       d.old_value,
       d.new_value
FROM audit_internal.trail_events e
CROSS JOIN LATERAL audit_internal.column_changes(e.event_type, e.changes, e.recorded_columns) d
WHERE e.category = 'data' AND e.event_type = ANY (audit_internal.row_change_types());
COMMENT ON VIEW audit.changes IS
    'Changes of values, one row per column: all columns of an inserted or deleted row, the changed ones of '
    'an updated one';
COMMENT ON COLUMN audit.changes.column_name IS 'Name of the column at the time';
COMMENT ON COLUMN audit.changes.old_value IS
    'Null where the row was inserted; JSON null where the column was null';
COMMENT ON COLUMN audit.changes.new_value IS
    'Null where the row was deleted; JSON null where the column was null';

CREATE VIEW audit.sessions AS
SELECT s.node_id,
       s.session_id,
       s.token,
       s.login,
       s.authentication,
       s.client_addr,
       s.client_port,
       s.application_name,
       s.backend_type,
       s.began_at
FROM audit_internal.sessions s;
COMMENT ON VIEW audit.sessions IS 'Connections, one row per connection that wrote an event';
COMMENT ON COLUMN audit.sessions.node_id IS 'The server, as in audit.servers';
COMMENT ON COLUMN audit.sessions.session_id IS 'Key of the session, unique within node_id';
COMMENT ON COLUMN audit.sessions.token IS
    'The connection, as %c of log_line_prefix prints it: session_id of audit.trail';
COMMENT ON COLUMN audit.sessions.login IS 'The role that logged in';
COMMENT ON COLUMN audit.sessions.authentication IS
    'Authentication method and the identity that it proved, where PostgreSQL reports them';
COMMENT ON COLUMN audit.sessions.client_addr IS 'IP address of the client; null for a Unix-domain socket';
COMMENT ON COLUMN audit.sessions.client_port IS 'TCP port of the client; null for a Unix-domain socket';
COMMENT ON COLUMN audit.sessions.application_name IS
    'application_name when the session wrote its first event';
COMMENT ON COLUMN audit.sessions.backend_type IS 'Type of the process, as in pg_stat_activity';
COMMENT ON COLUMN audit.sessions.began_at IS 'When the connection began';
