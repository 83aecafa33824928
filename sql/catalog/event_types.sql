-- The event types of the extension. Their numbers are below 1000 and never change; SQL says their names
-- instead, by the functions below. audit_internal.upsert_config writes the rows without logical replication:
-- an existing FOR ALL TABLES publication would send what INSERT writes to its subscribers.

SELECT audit_internal.upsert_config(ROW(t.*)::audit.event_types)
FROM (VALUES
    (1, 'row.insert', 'data', 'low', 'inserted', 'A row was inserted', true),
    (2, 'row.update', 'data', 'low', 'updated', 'A row was updated', true),
    (3, 'row.delete', 'data', 'medium', 'deleted', 'A row was deleted', true),
    (4, 'row.truncate', 'data', 'medium', 'truncated', 'The image of a row that TRUNCATE removed', true),
    (5, 'row.baseline', 'data', 'low', 'baselined', 'A row that existed when auditing began', true),
    (6, 'table.truncate', 'data', 'high', 'truncated', 'A table was emptied by TRUNCATE', true),
    (7, 'table.unseen', 'system', 'medium', 'changed rows unseen in',
        'Rows were added or changed without row events: ATTACH, CREATE TABLE AS, a rewrite', true),
    (20, 'table.read', 'read', 'low', 'read', 'Rows were read', true),
    (21, 'data.export', 'read', 'medium', 'exported', 'Rows were exported', true),
    (30, 'session.login', 'security', 'low', 'logged in to', 'A session began', true),
    (31, 'session.logout', 'security', 'low', 'logged out of', 'A session ended', true),
    (32, 'session.login_failed', 'security', 'medium', 'failed to log in to',
        'An attempt to connect was rejected', true),
    (33, 'access.denied', 'security', 'high', 'was denied',
        'A statement failed for lack of a privilege', true),
    (34, 'statement.error', 'security', 'low', 'failed on', 'A statement failed', true),
    (35, 'role.create', 'security', 'high', 'created role', 'A role was created', true),
    (36, 'role.alter', 'security', 'high', 'altered role', 'A role was altered', true),
    (37, 'role.drop', 'security', 'high', 'dropped role', 'A role was dropped', true),
    (38, 'privilege.grant', 'security', 'high', 'granted privileges on',
        'Privileges or memberships were granted', true),
    (39, 'privilege.revoke', 'security', 'medium', 'revoked privileges on',
        'Privileges or memberships were revoked', true),
    (40, 'role.set', 'security', 'low', 'switched to role', 'SET ROLE or SET SESSION AUTHORIZATION', true),
    (60, 'object.create', 'schema', 'medium', 'created', 'An object was created', true),
    (61, 'object.alter', 'schema', 'medium', 'altered', 'An object was altered', true),
    (62, 'object.drop', 'schema', 'high', 'dropped', 'An object was dropped', true),
    (80, 'config.enable', 'system', 'medium', 'enabled auditing of',
        'Auditing of a table or schema was switched on or changed', true),
    (81, 'config.disable', 'system', 'high', 'disabled auditing of',
        'Auditing of a table or schema was switched off', true),
    (82, 'config.change', 'system', 'medium', 'changed auditing of',
        'A setting of auditing was changed', true),
    (83, 'audit.suspend', 'system', 'high', 'suspended auditing of',
        'Changes were not recorded because audit.enabled was off', true),
    (84, 'audit.lost', 'system', 'high', 'lost events of',
        'Events were dropped because the queue was full', true),
    (85, 'audit.gap', 'system', 'high', 'may have lost events of',
        'A crash may have lost events between two times', true),
    (86, 'audit.uninstall', 'system', 'high', 'uninstalled', 'The audit trail was removed on purpose', true),
    (87, 'evidence.move', 'system', 'low', 'moved events of',
        'Events were moved from the overflow to their partition', true),
    (88, 'evidence.load', 'system', 'medium', 'loaded events of',
        'Events came from a restore or another server', true),
    (89, 'evidence.erase', 'system', 'high', 'erased events of', 'Values were erased on request', true),
    (90, 'retention.prune', 'system', 'medium', 'pruned', 'Events were dropped by retention', true),
    (91, 'retention.archive', 'system', 'low', 'archived', 'Events were archived', true),
    (92, 'retention.restore', 'system', 'medium', 'restored the archive', 'An archive was restored', true),
    (93, 'retention.unload', 'system', 'medium', 'unloaded the archive',
        'A restored archive was unloaded', true),
    (94, 'retention.hold', 'system', 'medium', 'placed the legal hold', 'A legal hold was placed', true),
    (95, 'retention.release', 'system', 'high', 'released the legal hold', 'A legal hold was released', true),
    (96, 'partition.create', 'system', 'low', 'created the partition', 'A partition was created', true),
    (97, 'trigger.change', 'system', 'high', 'changed the audit trigger of',
        'An audit trigger was disabled, replaced, dropped or restored', true),
    (98, 'table.unconfigured', 'system', 'high', 'worked without settings on',
        'A table without settings was changed under audit triggers, or took the name of an enabled one',
        true),
    (120, 'execution.started', 'application', 'low', 'started', 'A run of a flow, job or query began', true),
    (121, 'execution.step', 'application', 'low', 'ran a step of', 'A step of a run', true),
    (122, 'execution.finished', 'application', 'low', 'finished', 'A run ended well', true),
    (123, 'execution.failed', 'application', 'medium', 'failed', 'A run ended with an error', true),
    (124, 'function.call', 'application', 'low', 'called', 'A function was called', true),
    (125, 'error.reported', 'application', 'medium', 'reported an error in',
        'An application met an error', true)
) AS t (event_type, name, category, risk, phrase, description, built_in);

-- The planner computes both functions when it plans, so that a comparison with them is one with a constant.
-- They are made of the rows above. A name that is none of theirs is an error.
DO $$
DECLARE
    numbers pg_catalog.jsonb := (
        SELECT pg_catalog.jsonb_object_agg(t.name, t.event_type) FROM audit.event_types t WHERE t.built_in);
BEGIN
    EXECUTE pg_catalog.format(
        'CREATE FUNCTION audit_internal.event_type(name text) RETURNS integer
         LANGUAGE sql IMMUTABLE PARALLEL SAFE
         RETURN coalesce(%L::jsonb->>name, ''no event type is named '' || name)::integer', numbers);
    EXECUTE pg_catalog.format(
        'CREATE FUNCTION audit_internal.event_types(VARIADIC names text[]) RETURNS integer[]
         LANGUAGE sql IMMUTABLE PARALLEL SAFE
         RETURN ARRAY(SELECT coalesce(%L::jsonb->>n.name, ''no event type is named '' || n.name)::integer
                      FROM unnest(names) n (name))', numbers);
END $$;
COMMENT ON FUNCTION audit_internal.event_type(text) IS
    'The number of an event type of the extension, a constant to the planner; internal';
COMMENT ON FUNCTION audit_internal.event_types(text[]) IS
    'The numbers of event types of the extension, a constant to the planner; internal';

CREATE FUNCTION audit_internal.row_event_types() RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN audit_internal.event_types('row.insert', 'row.update', 'row.delete', 'row.truncate', 'row.baseline');
COMMENT ON FUNCTION audit_internal.row_event_types() IS 'The event types about one row of a table; internal';

CREATE FUNCTION audit_internal.row_change_types() RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN audit_internal.event_types('row.insert', 'row.update', 'row.delete', 'row.truncate');
COMMENT ON FUNCTION audit_internal.row_change_types() IS
    'The event types by which one row of a table changed; internal';

SELECT audit_internal.upsert_config(ROW(
    audit_internal.event_type(p.event),
    p.name,
    p.data_type,
    p.required,
    false,
    p.description
)::audit.event_parameters)
FROM (VALUES
    ('table.truncate', 'rows', 'bigint', false,
        'Rows removed: counted at level comprehensive, else estimated'),
    ('table.truncate', 'rows_exact', 'boolean', false, 'Whether rows is a count'),
    ('table.truncate', 'bytes', 'bigint', false, 'Bytes of the table with its TOAST and indexes'),
    ('table.truncate', 'images', 'bigint', false, 'Row images kept as row.truncate events'),
    ('table.unseen', 'reason', 'text', true, 'What happened: attach, create table as, rewrite'),
    ('table.unseen', 'rows', 'bigint', false, 'Rows concerned, estimated'),
    ('table.unseen', 'partition', 'text', false, 'The partition that was attached'),
    ('config.enable', 'options', 'jsonb', true, 'The options now in force'),
    ('config.enable', 'previous', 'jsonb', false, 'The options before'),
    ('config.disable', 'previous', 'jsonb', false, 'The options before'),
    ('config.disable', 'reason', 'text', false, 'Why, where it was not requested'),
    ('config.change', 'setting', 'text', true, 'What was changed'),
    ('config.change', 'value', 'jsonb', false, 'The new value'),
    ('config.change', 'previous', 'jsonb', false, 'The value before'),
    ('audit.suspend', 'operation', 'text', false, 'The first operation that was not recorded'),
    ('table.unconfigured', 'reason', 'text', false,
        'Why, where it is not the first change under audit triggers'),
    ('trigger.change', 'command', 'text', true, 'The command that did it'),
    ('trigger.change', 'problem', 'text', false,
        'What is no longer recorded; null where everything is recorded again'),
    ('evidence.move', 'events', 'bigint', true, 'Events moved'),
    ('evidence.move', 'since', 'timestamptz', false, 'Time of the oldest'),
    ('evidence.move', 'until', 'timestamptz', false, 'Time of the newest'),
    ('evidence.load', 'subscription', 'text', false, 'The subscription whose first copy it was'),
    ('evidence.load', 'server', 'text', false, 'The server that the events of a closed partition came from'),
    ('evidence.load', 'events', 'bigint', false, 'Events loaded'),
    ('evidence.load', 'rows', 'bigint', false, 'Rows of sessions, contexts, relations or nodes loaded'),
    ('evidence.load', 'known', 'bigint', false, 'Rows that were known already and were left out'),
    ('evidence.load', 'since', 'timestamptz', false, 'Time of the oldest'),
    ('evidence.load', 'until', 'timestamptz', false, 'Time of the newest'),
    ('retention.prune', 'category', 'text', false, 'Category of the events'),
    ('retention.prune', 'events', 'bigint', true, 'Events deleted or dropped'),
    ('retention.prune', 'since', 'timestamptz', false, 'Time of the oldest'),
    ('retention.prune', 'until', 'timestamptz', false, 'Time of the newest'),
    ('retention.prune', 'action', 'text', false, 'drop, delete, or what was done besides'),
    ('retention.prune', 'reason', 'text', false, 'Why'),
    ('retention.prune', 'archive_id', 'uuid', false, 'The archive that holds them'),
    ('retention.archive', 'archive_id', 'uuid', true, 'The archive'),
    ('retention.archive', 'events', 'bigint', true, 'Events archived'),
    ('retention.archive', 'since', 'timestamptz', false, 'Time of the oldest'),
    ('retention.archive', 'until', 'timestamptz', false, 'Time of the newest'),
    ('retention.archive', 'bytes', 'bigint', false, 'Bytes of the files'),
    ('retention.archive', 'location', 'text', false, 'Where they are'),
    ('retention.restore', 'archive_id', 'uuid', true, 'The archive'),
    ('retention.restore', 'events', 'bigint', true, 'Events restored'),
    ('retention.restore', 'since', 'timestamptz', false, 'Time of the oldest'),
    ('retention.restore', 'until', 'timestamptz', false, 'Time of the newest'),
    ('retention.unload', 'archive_id', 'uuid', true, 'The archive'),
    ('retention.unload', 'events', 'bigint', true, 'Events unloaded'),
    ('retention.unload', 'since', 'timestamptz', false, 'Time of the oldest'),
    ('retention.unload', 'until', 'timestamptz', false, 'Time of the newest'),
    ('retention.hold', 'reason', 'text', true, 'Why, and for whom'),
    ('retention.hold', 'entity', 'text', false, 'The table that is held'),
    ('retention.hold', 'entity_id', 'text', false, 'The row that is held'),
    ('retention.hold', 'actor', 'text', false, 'The actor whose events are held'),
    ('retention.hold', 'since', 'timestamptz', false, 'From when'),
    ('retention.hold', 'until', 'timestamptz', false, 'Until when'),
    ('retention.release', 'reason', 'text', false, 'Why it was released'),
    ('retention.release', 'placed_for', 'text', false, 'Why it had been placed'),
    ('retention.release', 'placed_at', 'timestamptz', false, 'When it had been placed'),
    ('retention.release', 'placed_by', 'text', false, 'Who had placed it'),
    ('retention.release', 'entity', 'text', false, 'The table that was held'),
    ('retention.release', 'entity_id', 'text', false, 'The row that was held'),
    ('retention.release', 'actor', 'text', false, 'The actor whose events were held'),
    ('retention.release', 'since', 'timestamptz', false, 'From when'),
    ('retention.release', 'until', 'timestamptz', false, 'Until when'),
    ('partition.create', 'since', 'timestamptz', true, 'Lower bound of the partition'),
    ('partition.create', 'until', 'timestamptz', true, 'Upper bound of the partition'),
    -- Reports read these; no capture writes them yet.
    ('table.read', 'rows', 'bigint', false, 'Rows read'),
    ('data.export', 'rows', 'bigint', false, 'Rows exported'),
    ('data.export', 'format', 'text', false, 'The format they were exported in'),
    ('data.export', 'destination', 'text', false, 'Where they were exported to'),
    ('execution.started', 'name', 'text', true, 'What runs: a flow, job, query or function'),
    ('execution.started', 'kind', 'text', false,
        'flow, job, query, function or whatever the application calls it'),
    ('execution.started', 'id', 'text', false, 'The run, where a trace has more than one'),
    ('execution.started', 'parent_id', 'text', false, 'The run that started this one'),
    ('execution.started', 'path', 'text', false, 'Where it is defined'),
    ('execution.started', 'attempt', 'integer', false, 'How often it has been tried, this one included'),
    ('execution.started', 'inputs', 'jsonb', false, 'What it runs on, by name'),
    ('execution.step', 'name', 'text', true, 'The step'),
    ('execution.step', 'kind', 'text', false, 'What kind of step'),
    ('execution.step', 'id', 'text', false, 'The run'),
    ('execution.step', 'path', 'text', false, 'Where the step is defined'),
    ('execution.step', 'attempt', 'integer', false, 'How often the step has been tried, this one included'),
    ('execution.step', 'inputs', 'jsonb', false, 'What it ran on, by name'),
    ('execution.step', 'outputs', 'jsonb', false, 'What came out, by name'),
    ('execution.step', 'duration_ms', 'numeric', false, 'How long it took, in milliseconds'),
    ('execution.step', 'error', 'text', false, 'Class or code of the error that ended it'),
    ('execution.step', 'message', 'text', false, 'What the step or its error says'),
    ('execution.step', 'stack', 'text', false, 'The stack of the error'),
    ('execution.finished', 'name', 'text', false, 'What ran'),
    ('execution.finished', 'kind', 'text', false,
        'flow, job, query, function or whatever the application calls it'),
    ('execution.finished', 'id', 'text', false, 'The run'),
    ('execution.finished', 'path', 'text', false, 'Where it is defined'),
    ('execution.finished', 'attempt', 'integer', false, 'How often it has been tried, this one included'),
    ('execution.finished', 'outputs', 'jsonb', false, 'What came out, by name'),
    ('execution.finished', 'duration_ms', 'numeric', false, 'How long it took, in milliseconds'),
    ('execution.finished', 'message', 'text', false, 'What the run says of itself'),
    ('execution.failed', 'name', 'text', false, 'What ran'),
    ('execution.failed', 'kind', 'text', false,
        'flow, job, query, function or whatever the application calls it'),
    ('execution.failed', 'id', 'text', false, 'The run'),
    ('execution.failed', 'path', 'text', false, 'Where it is defined'),
    ('execution.failed', 'attempt', 'integer', false, 'How often it has been tried, this one included'),
    ('execution.failed', 'outputs', 'jsonb', false, 'What had come out by then, by name'),
    ('execution.failed', 'duration_ms', 'numeric', false, 'How long it took, in milliseconds'),
    ('execution.failed', 'error', 'text', false, 'Class or code of the error'),
    ('execution.failed', 'message', 'text', false, 'What the error says'),
    ('execution.failed', 'stack', 'text', false, 'The stack of the error'),
    ('error.reported', 'message', 'text', true, 'What the error says'),
    ('error.reported', 'error', 'text', false, 'Class or code of the error'),
    ('error.reported', 'stack', 'text', false, 'The stack of the error'),
    ('error.reported', 'kind', 'text', false, 'What kind of thing failed'),
    ('error.reported', 'name', 'text', false, 'What failed'),
    ('error.reported', 'path', 'text', false, 'Where it failed: a page, a route, a file'),
    ('error.reported', 'id', 'text', false, 'The run in which it failed'),
    ('error.reported', 'details', 'jsonb', false, 'Anything else worth keeping')
) AS p (event, name, data_type, required, description);
