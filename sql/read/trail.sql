-- The trail as people and reports read it.

-- One row an event with everything that is known about it. An event is shown even where
-- retention has deleted its context. The overflow is read like any partition.
CREATE VIEW audit_internal.trail_events AS
SELECT e.event_id,
       e.occurred_at,
       t.name AS event,
       e.category,
       t.risk,
       coalesce(e.result, 'success') AS result,
       audit_internal.summary(coalesce((e.who).actor, (e.who).login), t.phrase, coalesce(e.entity, r.entity), e.entity_id, e.entity_label,
                     e.event_type, e.changes) AS summary,
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
    SELECT u.*, audit_internal.attribution(u.node_id, u.context_id) AS who
    FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) u
) e
LEFT JOIN audit.event_types t ON t.event_type = e.event_type
LEFT JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
LEFT JOIN audit_internal.nodes n ON n.node_id = e.node_id;
COMMENT ON VIEW audit_internal.trail_events IS 'audit.trail with the keys behind its columns, for the functions and views of the extension';

CREATE VIEW audit.sessions AS
SELECT s.node_id, s.session_id, s.token, s.login, s.authentication, s.client_addr, s.client_port, s.application_name, s.backend_type,
       s.began_at
FROM audit_internal.sessions s;
COMMENT ON VIEW audit.sessions IS 'One row a connection that wrote an event; token is the session id as %c of log_line_prefix prints it';

CREATE VIEW audit.trail AS
SELECT e.event_id, e.occurred_at, e.event, e.category, e.risk, e.result, e.summary, e.actor, e.actor_source, e.login, e.role,
       e.effective_role, e.application_name, e.client_addr, e.session_id, e.transaction_id, e.trace_id, e.reason, e.context,
       e.entity, e.entity_id, e.entity_label, e.changed_columns, e.old_values, e.new_values, e.parameters, e.statement, e.server
FROM audit_internal.trail_events e;
COMMENT ON VIEW audit.trail IS 'The audit trail: one row an event, ready for people and reports';
COMMENT ON COLUMN audit.trail.event_id IS 'UUID version 7, time-ordered, unique across servers';
COMMENT ON COLUMN audit.trail.occurred_at IS 'Wall clock at capture';
COMMENT ON COLUMN audit.trail.event IS 'What happened: the name of a row of audit.event_types';
COMMENT ON COLUMN audit.trail.category IS 'data, read, security, schema, system or application';
COMMENT ON COLUMN audit.trail.risk IS 'low, medium or high';
COMMENT ON COLUMN audit.trail.result IS 'success or failure';
COMMENT ON COLUMN audit.trail.summary IS 'The event in one sentence';
COMMENT ON COLUMN audit.trail.actor IS 'The application''s user where it is known, else the login';
COMMENT ON COLUMN audit.trail.actor_source IS 'Where actor comes from: login, setting or comment';
COMMENT ON COLUMN audit.trail.login IS 'The session user';
COMMENT ON COLUMN audit.trail.role IS 'The role chosen by SET ROLE';
COMMENT ON COLUMN audit.trail.effective_role IS 'The role whose rights counted, as inside a SECURITY DEFINER function';
COMMENT ON COLUMN audit.trail.session_id IS 'Stable for one connection; as %c in log_line_prefix';
COMMENT ON COLUMN audit.trail.transaction_id IS 'The top-level transaction';
COMMENT ON COLUMN audit.trail.entity IS 'The table as it was named then, for a partition the table that was enabled; or the object concerned';
COMMENT ON COLUMN audit.trail.entity_id IS
    'The key: its text for one column, a JSON array text for several; the old one where the key changed';
COMMENT ON COLUMN audit.trail.entity_label IS 'The name of the record: the value of its label column';
COMMENT ON COLUMN audit.trail.changed_columns IS 'Columns that an update changed; null for other events';
COMMENT ON COLUMN audit.trail.old_values IS 'Values before, by column';
COMMENT ON COLUMN audit.trail.new_values IS 'Values after, by column';
COMMENT ON COLUMN audit.trail.parameters IS 'The event''s parameters by name; of a row event those of its statement';
COMMENT ON COLUMN audit.trail.statement IS 'The statement, where the level records it';
COMMENT ON COLUMN audit.trail.server IS 'The node that captured the event';

CREATE VIEW audit.changes AS
SELECT e.event_id, e.occurred_at, e.actor, e.entity, e.entity_id, d.column_name, d.old_value, d.new_value
FROM audit_internal.trail_events e
CROSS JOIN LATERAL audit_internal.column_changes(e.event_type, e.changes, e.recorded_columns) d
WHERE e.category = 'data' AND e.event_type BETWEEN 1 AND 4;
COMMENT ON VIEW audit.changes IS
    'One row a changed column: every column of an inserted or deleted row, the changed ones of an updated one';
COMMENT ON COLUMN audit.changes.old_value IS 'Null where the row was inserted; JSON null where the column was null';
COMMENT ON COLUMN audit.changes.new_value IS 'Null where the row was deleted; JSON null where the column was null';
