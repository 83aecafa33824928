-- The model: what happened (events), what can happen (event types and their parameters), who did it
-- (sessions, contexts), to what (relations), where (nodes), and the configuration.
--
-- Members of the extension are the parents, the views, the functions and the configuration. A table
-- that holds evidence is a partition made at run time and not a member, so that pg_dump carries it whole.

DO $$
DECLARE
    taken text;
BEGIN
    SELECT n.nspname INTO taken
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname IN ('audit', 'audit_internal')
    ORDER BY n.nspname LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "%" already exists and does not belong to this extension', taken
            USING ERRCODE = 'duplicate_schema',
                  HINT = pg_catalog.format(
                      'Other auditing tools use the same name. Rename theirs with ALTER SCHEMA %I RENAME TO '
                      '…, then run CREATE EXTENSION audit again.', taken);
    END IF;
END $$;

-- Schema audit is what people call and read; audit_internal is what it is made of. No role is granted
-- USAGE on the second (audit.publish grants it to the role of a central server), so that no query can name an
-- object in it: its functions are reached through views and functions of the first.
CREATE SCHEMA audit;
COMMENT ON SCHEMA audit IS 'The audit trail of this database';
CREATE SCHEMA audit_internal;
COMMENT ON SCHEMA audit_internal IS
    'Functions, configuration and partitions that schema audit is made of; not to be used directly';

CREATE FUNCTION audit_internal.categories() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['data', 'read', 'security', 'schema', 'system', 'application'];
COMMENT ON FUNCTION audit_internal.categories() IS
    'The categories of events, in the order in which they are shown; internal';

CREATE TABLE audit.event_types (
    event_type  integer PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    category    text NOT NULL CHECK (category = ANY (audit_internal.categories())),
    risk        text NOT NULL DEFAULT 'low' CHECK (risk IN ('low', 'medium', 'high')),
    phrase      text NOT NULL,
    description text,
    built_in    boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE audit.event_types IS
    'Event types, one row per type: name, category, risk and the verb of its summary';
COMMENT ON COLUMN audit.event_types.event_type IS
    'Number of the type in audit.events; below 1000 for the types of the extension, which never change';
COMMENT ON COLUMN audit.event_types.name IS 'Object and verb, such as row.insert';
COMMENT ON COLUMN audit.event_types.category IS 'data, read, security, schema, system or application';
COMMENT ON COLUMN audit.event_types.risk IS 'low, medium or high';
COMMENT ON COLUMN audit.event_types.phrase IS 'Verb of the summary, between actor and entity';
COMMENT ON COLUMN audit.event_types.description IS 'What the type means';
COMMENT ON COLUMN audit.event_types.built_in IS
    'Whether the extension brings the type; false for types of audit.define_event_type';

CREATE TABLE audit.event_parameters (
    event_type  integer NOT NULL REFERENCES audit.event_types,
    name        text NOT NULL,
    data_type   text NOT NULL,
    required    boolean NOT NULL DEFAULT false,
    sensitive   boolean NOT NULL DEFAULT false,
    description text,
    PRIMARY KEY (event_type, name)
);
COMMENT ON TABLE audit.event_parameters IS
    'Parameters that event types declare, one row per type and parameter';
COMMENT ON COLUMN audit.event_parameters.event_type IS 'The event type, as in audit.event_types';
COMMENT ON COLUMN audit.event_parameters.name IS 'Name of the parameter';
COMMENT ON COLUMN audit.event_parameters.data_type IS 'Type that the value must have';
COMMENT ON COLUMN audit.event_parameters.required IS 'Whether every event of the type carries the parameter';
COMMENT ON COLUMN audit.event_parameters.sensitive IS
    'Whether the values are personal data or secrets: the trail has a mark in their place';
COMMENT ON COLUMN audit.event_parameters.description IS 'What the parameter means';

-- The order of the columns is that of the stored tuple: those of every event, then those of most, then the
-- rare ones. The writer omits trailing NULLs, so that a rare column costs nothing in the events that lack it.
CREATE TABLE audit.events (
    occurred_at            timestamptz NOT NULL,
    event_id               uuid NOT NULL,
    transaction_id         bigint NOT NULL,
    context_id             bigint NOT NULL,
    node_id                integer NOT NULL,
    event_type             integer NOT NULL,
    relation_id            integer NOT NULL,
    command_id             integer NOT NULL,
    category               text NOT NULL,
    entity_id              text,
    changes                jsonb,
    image                  jsonb,
    entity_label           text,
    parameters             jsonb,
    new_entity_id          text,
    entity                 text,
    result                 text,
    subject_transaction_id bigint,
    retention_id           integer
) PARTITION BY LIST (retention_id);
COMMENT ON TABLE audit.events IS
    'Events as stored, partitioned by category and time; read audit.trail instead';
COMMENT ON COLUMN audit.events.occurred_at IS 'Wall clock at capture';
COMMENT ON COLUMN audit.events.event_id IS 'UUID version 7, increasing within one connection';
COMMENT ON COLUMN audit.events.transaction_id IS 'The top-level transaction that wrote the event';
COMMENT ON COLUMN audit.events.context_id IS 'Who and why: key, with node_id, of the context of the event';
COMMENT ON COLUMN audit.events.node_id IS 'The server that recorded the event, as in audit.servers';
COMMENT ON COLUMN audit.events.event_type IS 'The event type, as in audit.event_types';
COMMENT ON COLUMN audit.events.relation_id IS
    'Version of the audited table: key, with node_id, of its name and columns at that time; 0 for an event '
    'that concerns no audited table';
COMMENT ON COLUMN audit.events.command_id IS
    'Number of the command within the transaction; versions of a row are ordered by transaction, command '
    'and event_id';
COMMENT ON COLUMN audit.events.category IS 'Category of the event type';
COMMENT ON COLUMN audit.events.entity_id IS
    'Key of the row or object; the old key where an update changed it';
COMMENT ON COLUMN audit.events.changes IS
    'Insert: [new, …]; delete: [old, …], both in the order of the recorded columns of the table version; '
    'update: {column: [old, new]}, or the column names alone at level minimal';
COMMENT ON COLUMN audit.events.image IS
    'The whole old row of an update at level comprehensive, in the order of the recorded columns';
COMMENT ON COLUMN audit.events.entity_label IS 'Value of the label column of the row';
COMMENT ON COLUMN audit.events.parameters IS 'Parameters of the event, by name';
COMMENT ON COLUMN audit.events.new_entity_id IS 'The new key where an update changed it';
COMMENT ON COLUMN audit.events.entity IS
    'The object concerned where it is not the audited table of relation_id';
COMMENT ON COLUMN audit.events.result IS 'failure, or null for success';
COMMENT ON COLUMN audit.events.subject_transaction_id IS
    'The transaction that the event is about, where the background worker wrote the event for another '
    'transaction';
COMMENT ON COLUMN audit.events.retention_id IS
    'The table''s own retention, whose dedicated partitions contain the event; negative in a restored '
    'archive; null in the partitions of the category';

CREATE TABLE audit_internal.events_by_category PARTITION OF audit.events
    FOR VALUES IN (NULL) PARTITION BY LIST (category);
COMMENT ON TABLE audit_internal.events_by_category IS 'Events with the retention of their category';

CREATE TABLE audit_internal.events_data PARTITION OF audit_internal.events_by_category
    FOR VALUES IN ('data') PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_read PARTITION OF audit_internal.events_by_category
    FOR VALUES IN ('read') PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_security PARTITION OF audit_internal.events_by_category
    FOR VALUES IN ('security') PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_schema PARTITION OF audit_internal.events_by_category
    FOR VALUES IN ('schema') PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_system PARTITION OF audit_internal.events_by_category
    FOR VALUES IN ('system') PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_application PARTITION OF audit_internal.events_by_category
    FOR VALUES IN ('application') PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE audit_internal.events_data IS 'Changes of rows';
COMMENT ON TABLE audit_internal.events_read IS 'Reads and exports';
COMMENT ON TABLE audit_internal.events_security IS 'Logins, denials, roles and privileges';
COMMENT ON TABLE audit_internal.events_schema IS 'Changes of definitions';
COMMENT ON TABLE audit_internal.events_system IS 'What happened to auditing itself';
COMMENT ON TABLE audit_internal.events_application IS 'What applications record';

-- Events for whose time no partition exists are stored here, in one partition without bounds, until
-- maintenance moves them. A default partition instead would be locked and scanned for each new partition.
CREATE TABLE audit_internal.events_overflow (LIKE audit.events) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE audit_internal.events_overflow IS
    'Events whose partition did not exist when they were written; audit.maintain() moves them to it';

-- No role is granted this view: functions and views of the extension read it with the rights of its owner.
CREATE VIEW audit_internal.stored_events AS
TABLE audit.events
UNION ALL
TABLE audit_internal.events_overflow;
COMMENT ON VIEW audit_internal.stored_events IS
    'All events as stored, those in the overflow included; internal';

-- Dictionary keys are unique within a node; node_id is random, so that one database can subscribe to the
-- trails of many servers. The upper bits of context_id and session_id are the hour since 2000, by which their
-- partitions are divided.
CREATE TABLE audit_internal.nodes (
    node_id           integer NOT NULL,
    name              text NOT NULL,
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    database_name     text NOT NULL,
    timeline          integer NOT NULL,
    since             timestamptz NOT NULL
) PARTITION BY RANGE (node_id);
COMMENT ON TABLE audit_internal.nodes IS
    'Databases that record events, one row per incarnation: a restored, copied or promoted database is a '
    'new one';

CREATE TABLE audit_internal.sessions (
    node_id          integer NOT NULL,
    session_id       bigint NOT NULL,
    token            text NOT NULL,
    login            text NOT NULL,
    authentication   text,
    client_addr      inet,
    client_port      integer,
    application_name text,
    backend_type     text,
    began_at         timestamptz NOT NULL
) PARTITION BY RANGE (session_id);
COMMENT ON TABLE audit_internal.sessions IS
    'Connections, one row per connection that wrote an event; token is the session id as %c of '
    'log_line_prefix prints it';

CREATE TABLE audit_internal.contexts (
    node_id              integer NOT NULL,
    context_id           bigint NOT NULL,
    session_id           bigint NOT NULL,
    login                text NOT NULL,
    role                 text,
    effective_role       text NOT NULL,
    application_name     text,
    actor                text,
    actor_source         text NOT NULL,
    trace_id             text,
    reason               text,
    context              jsonb,
    statement            text,
    statement_parameters jsonb,
    origin               text
) PARTITION BY RANGE (context_id);
COMMENT ON TABLE audit_internal.contexts IS
    'Who and why: one row per distinct combination of session, roles, actor, trace, reason, context and '
    'statement';
COMMENT ON COLUMN audit_internal.contexts.origin IS
    'The replication origin whose changes an apply worker was applying';

CREATE TABLE audit_internal.relations (
    node_id      integer NOT NULL,
    relation_id  integer NOT NULL,
    lineage      uuid NOT NULL,
    relation_oid oid NOT NULL,
    entity       text NOT NULL,
    schema_name  text NOT NULL,
    table_name   text NOT NULL,
    columns      jsonb NOT NULL,
    key_columns  text[],
    since        timestamptz NOT NULL,
    recorded_columns jsonb
) PARTITION BY RANGE (relation_id);
COMMENT ON TABLE audit_internal.relations IS
    'Audited tables over time, one row per version of name and columns; lineage is the same in all versions '
    'of a table';
COMMENT ON COLUMN audit_internal.relations.recorded_columns IS
    'Names of the columns whose values an image of the row has, in that order; null until the first row '
    'event of the version';

CREATE TABLE audit_internal.table_settings (
    schema_name  text NOT NULL,
    table_name   text NOT NULL,
    relation_oid oid NOT NULL,
    options      jsonb NOT NULL,
    enabled_at   timestamptz NOT NULL,
    enabled_by   text NOT NULL,
    PRIMARY KEY (relation_oid, schema_name, table_name)
);
COMMENT ON TABLE audit_internal.table_settings IS
    'The options that audit.enable was called with; audit.tables is the readable form';
COMMENT ON COLUMN audit_internal.table_settings.relation_oid IS
    'The table that the options apply to; 0 where a restore did not find it';

CREATE TABLE audit_internal.unconfigured_tables (
    relation_oid oid PRIMARY KEY,
    recorded_at  timestamptz NOT NULL
);
COMMENT ON TABLE audit_internal.unconfigured_tables IS
    'Tables that have audit triggers but no settings, and when their first change was recorded';

-- States of a trigger: 3 fires in every mode or is not needed, 2 fires in some modes, 1 is disabled, 0 is
-- missing. A trigger that pg_restore has yet to create does not count as weakened.
CREATE TABLE audit_internal.weakened_triggers (
    relation_oid   oid PRIMARY KEY,
    row_state      integer NOT NULL,
    truncate_state integer NOT NULL,
    since          timestamptz NOT NULL,
    is_restored    boolean NOT NULL
);
COMMENT ON TABLE audit_internal.weakened_triggers IS
    'Audited tables and partitions whose triggers do not record all that the settings ask for';

CREATE TABLE audit_internal.schema_settings (
    schema_name text PRIMARY KEY,
    schema_oid  oid NOT NULL,
    options     jsonb NOT NULL,
    enabled_at  timestamptz NOT NULL,
    enabled_by  text NOT NULL
);
COMMENT ON TABLE audit_internal.schema_settings IS 'Schemas whose future tables are audited';

-- The parents of partitions. Those of tables with a retention of their own are added when they are made.
CREATE TABLE audit_internal.partition_parents (
    parent       text PRIMARY KEY,
    category     text,
    retention_id integer UNIQUE
);
COMMENT ON TABLE audit_internal.partition_parents IS 'The tables of this schema whose partitions divide time';
COMMENT ON COLUMN audit_internal.partition_parents.category IS
    'The category of the events in its partitions; null for the dictionaries, and for the overflow, which '
    'takes any';
COMMENT ON COLUMN audit_internal.partition_parents.retention_id IS
    'The retention of the table that its partitions are dedicated to, null otherwise';

CREATE TABLE audit_internal.partition_settings (
    parent             text PRIMARY KEY,
    partition_interval interval NOT NULL CHECK (partition_interval >= interval '1 hour')
);
COMMENT ON TABLE audit_internal.partition_settings IS
    'The time range of one partition of a partitioned table, where it is not the default of one month';

-- The state of a partition and what is known of it other than its bounds, which pg_class has. A partition
-- without a row is open. What a row says of a closed partition is exact, because only move_rows and
-- delete_rows write to one.
-- The states and what leads from one to another: docs/internals/partition-lifecycle.md.
CREATE TABLE audit_internal.partition_catalog (
    partition_name    text PRIMARY KEY,
    parent            text NOT NULL,
    state             text NOT NULL
                      CHECK (state IN ('splitting', 'closed', 'merging', 'restored', 'default')),
    closed_at         timestamptz,
    events            bigint,
    first_at          timestamptz,
    last_at           timestamptz,
    lowest_context_id bigint,
    split_at          timestamptz,
    merged_from       text[],
    pruned_at         timestamptz,
    restored_number   integer
);
COMMENT ON TABLE audit_internal.partition_catalog IS
    'Partitions that are not simply open: their state, and the number and time range of the events of closed '
    'ones';
COMMENT ON COLUMN audit_internal.partition_catalog.state IS
    'splitting: open, and its end is being brought forward; closed: receives late events from the overflow '
    'only; merging: filled from two closed partitions, which it has yet to replace; restored: loaded from an '
    'archive; default: routes events of other servers to the overflow';
COMMENT ON COLUMN audit_internal.partition_catalog.restored_number IS
    'Of a restored archive: the end of the partition''s name; its negative is the retention_id of its events';
COMMENT ON COLUMN audit_internal.partition_catalog.lowest_context_id IS
    'Lower bound of context_id in the partition';
COMMENT ON COLUMN audit_internal.partition_catalog.split_at IS 'Time at which the open partition is to end';
COMMENT ON COLUMN audit_internal.partition_catalog.pruned_at IS
    'When retention last deleted single events because others are on legal hold; a hold that is placed or '
    'released clears it';
COMMENT ON COLUMN audit_internal.partition_catalog.merged_from IS
    'The partitions whose events were copied to this one, which has yet to replace them';

-- Without a policy, events are kept without limit.
CREATE TABLE audit_internal.retention_settings (
    retention_id integer PRIMARY KEY,
    category     text NOT NULL,
    lineage      uuid,
    entity       text,
    keep         interval,
    archive      boolean,
    archive_keep interval,
    max_bytes    bigint,
    is_moved     boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE audit_internal.retention_settings IS
    'The policies that audit.set_retention was called with, by category, and by table within data; '
    'audit.retention is the readable form';
COMMENT ON COLUMN audit_internal.retention_settings.is_moved IS
    'Whether the events that the table had in the category''s partitions have been moved to its dedicated '
    'ones';
COMMENT ON COLUMN audit_internal.retention_settings.lineage IS
    'The table, under all its names; null for the whole category';

CREATE TABLE audit.holds (
    name      text PRIMARY KEY,
    reason    text NOT NULL,
    entity    text,
    entity_id text,
    actor     text,
    since     timestamptz,
    until     timestamptz,
    placed_at timestamptz NOT NULL,
    placed_by text NOT NULL
);
COMMENT ON TABLE audit.holds IS
    'Legal holds: until a hold is released, retention neither deletes nor drops the events that it covers, '
    'nor deletes their archives';
COMMENT ON COLUMN audit.holds.name IS 'Name of the hold, by which audit.release releases it';
COMMENT ON COLUMN audit.holds.reason IS 'Why the hold was placed';
COMMENT ON COLUMN audit.holds.entity IS 'The table that is held; null for all';
COMMENT ON COLUMN audit.holds.entity_id IS 'Key of the row that is held; null for all rows';
COMMENT ON COLUMN audit.holds.actor IS 'The actor whose events are held; null for all';
COMMENT ON COLUMN audit.holds.since IS
    'Start of the time range that is held, inclusive; null for no lower bound';
COMMENT ON COLUMN audit.holds.until IS
    'End of the time range that is held, exclusive; null for no upper bound';
COMMENT ON COLUMN audit.holds.placed_at IS 'When the hold was placed';
COMMENT ON COLUMN audit.holds.placed_by IS 'The actor who placed the hold';

CREATE TABLE audit.archives (
    archive_id      uuid PRIMARY KEY,
    category        text NOT NULL,
    partition       text NOT NULL,
    entity          text,
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    events          bigint NOT NULL,
    first_at        timestamptz,
    last_at         timestamptz,
    bytes           bigint NOT NULL,
    live_bytes      bigint NOT NULL,
    location        text NOT NULL,
    manifest        text NOT NULL,
    manifest_sha256 text NOT NULL,
    files           jsonb NOT NULL,
    encrypted       boolean NOT NULL,
    schema_version  integer NOT NULL,
    archived_at     timestamptz NOT NULL,
    retention_id    integer,
    pruned_at       timestamptz,
    restored_as     text
);
COMMENT ON TABLE audit.archives IS 'Archives: where their files are and what they contain';
COMMENT ON COLUMN audit.archives.archive_id IS 'UUID of the archive';
COMMENT ON COLUMN audit.archives.category IS 'Category of the events';
COMMENT ON COLUMN audit.archives.partition IS
    'The partition that was archived; where a legal hold keeps some of its events, the partition that they '
    'are in now';
COMMENT ON COLUMN audit.archives.entity IS
    'The table whose dedicated partition was archived; null for a partition of the category';
COMMENT ON COLUMN audit.archives.since IS 'Lower bound of the partition, inclusive';
COMMENT ON COLUMN audit.archives.until IS 'Upper bound of the partition, exclusive';
COMMENT ON COLUMN audit.archives.events IS 'Number of events';
COMMENT ON COLUMN audit.archives.first_at IS 'Time of the oldest event';
COMMENT ON COLUMN audit.archives.last_at IS 'Time of the newest event';
COMMENT ON COLUMN audit.archives.bytes IS 'Size of the files';
COMMENT ON COLUMN audit.archives.live_bytes IS 'Size of the partition, with indexes, when it was archived';
COMMENT ON COLUMN audit.archives.location IS 'Directory or object store that has the files';
COMMENT ON COLUMN audit.archives.manifest IS 'Path of the manifest below the location';
COMMENT ON COLUMN audit.archives.manifest_sha256 IS 'SHA-256 of the manifest, in hexadecimal';
COMMENT ON COLUMN audit.archives.files IS 'The files that the manifest lists, with their sizes and digests';
COMMENT ON COLUMN audit.archives.encrypted IS 'Whether the files are encrypted';
COMMENT ON COLUMN audit.archives.schema_version IS 'Version of the archive format';
COMMENT ON COLUMN audit.archives.archived_at IS 'When the archive was written';
COMMENT ON COLUMN audit.archives.retention_id IS
    'The retention whose dedicated partition was archived; null for a partition of the category';
COMMENT ON COLUMN audit.archives.pruned_at IS
    'When retention deleted the archived events from the trail; null while it still has them';
COMMENT ON COLUMN audit.archives.restored_as IS
    'The partition that the archive is restored as; null where it is not restored';

CREATE SEQUENCE audit_internal.dictionary_ids AS bigint CACHE 32;
COMMENT ON SEQUENCE audit_internal.dictionary_ids IS 'Keys of sessions, contexts and relations';

-- audit_internal.upsert_config writes configuration without logical replication: a FOR ALL TABLES publication
-- must not send a subscriber rows of tables that the subscriber lacks.
ALTER TABLE audit.event_types REPLICA IDENTITY NOTHING;
ALTER TABLE audit.event_parameters REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.table_settings REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.schema_settings REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.unconfigured_tables REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.weakened_triggers REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.partition_settings REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.partition_parents REPLICA IDENTITY NOTHING;
ALTER TABLE audit.archives REPLICA IDENTITY NOTHING;
ALTER TABLE audit.holds REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.retention_settings REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.partition_catalog REPLICA IDENTITY NOTHING;

SELECT pg_catalog.pg_extension_config_dump('audit.event_types', 'WHERE NOT built_in');
SELECT pg_catalog.pg_extension_config_dump('audit.event_parameters', 'WHERE event_type >= 1000');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.table_settings', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.schema_settings', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.partition_settings', '');
SELECT pg_catalog.pg_extension_config_dump(
    'audit_internal.partition_parents', 'WHERE retention_id IS NOT NULL');
SELECT pg_catalog.pg_extension_config_dump('audit.archives', '');
SELECT pg_catalog.pg_extension_config_dump('audit.holds', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.retention_settings', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.partition_catalog', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.dictionary_ids', '');
