-- The model: what happened (events), what can happen (event types and their parameters), who did it
-- (sessions, contexts), to what (relations), where (nodes), and the configuration.
--
-- Members of the extension are the parents, the views, the functions and the configuration. A table
-- that holds evidence is a partition made at run time and not a member, so that pg_dump carries it whole.

DO $$
DECLARE
    taken text;
BEGIN
    SELECT n.nspname INTO taken FROM pg_catalog.pg_namespace n WHERE n.nspname IN ('audit', 'audit_internal') ORDER BY n.nspname LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "%" already exists and does not belong to this extension', taken
            USING ERRCODE = 'duplicate_schema',
                  HINT = pg_catalog.format('Other auditing tools use the same name. Rename theirs with ALTER SCHEMA %I RENAME TO …, then run CREATE EXTENSION audit again.', taken);
    END IF;
END $$;

-- What people call and read, and what the extension keeps for itself: no role may use the second schema, so that no
-- object in it can be named. Its functions are reached through views and functions of the first.
CREATE SCHEMA audit;
COMMENT ON SCHEMA audit IS 'The audit trail of this database';
CREATE SCHEMA audit_internal;
COMMENT ON SCHEMA audit_internal IS 'Functions, configuration and partitions that schema audit is made of; not to be used directly';

CREATE TABLE audit.event_types (
    event_type  integer PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    category    text NOT NULL CHECK (category IN ('data', 'read', 'security', 'schema', 'system', 'application')),
    risk        text NOT NULL DEFAULT 'low' CHECK (risk IN ('low', 'medium', 'high')),
    phrase      text NOT NULL,
    description text,
    built_in    boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE audit.event_types IS 'Every kind of event: its name, category, risk and the words its summary uses';

CREATE TABLE audit.event_parameters (
    event_type  integer NOT NULL REFERENCES audit.event_types,
    name        text NOT NULL,
    data_type   text NOT NULL,
    required    boolean NOT NULL DEFAULT false,
    sensitive   boolean NOT NULL DEFAULT false,
    description text,
    PRIMARY KEY (event_type, name)
);
COMMENT ON TABLE audit.event_parameters IS 'The parameters that an event of each type carries';

-- The columns stand in the order of the stored tuple: what every event has, then what most have,
-- then what few have. The writer leaves off trailing NULLs, so the rare ones cost nothing.
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
    'The events, partitioned by category and then by time; audit.trail is the readable form. Tables with a retention of their own and restored archives have partitions beside the categories';
COMMENT ON COLUMN audit.events.event_id IS 'UUID version 7, increasing within one connection';
COMMENT ON COLUMN audit.events.transaction_id IS 'The top-level transaction that wrote the event';
COMMENT ON COLUMN audit.events.relation_id IS 'The version of the table in audit_internal.relations, 0 for an event that concerns no audited table';
COMMENT ON COLUMN audit.events.command_id IS 'The command within the transaction; versions of a row are ordered by (transaction, command, id)';
COMMENT ON COLUMN audit.events.changes IS
    'Insert: [new, …]; delete: [old, …], both in the order of recorded_columns in audit_internal.relations; update: {column: [old, new]}, or the names alone at level minimal';
COMMENT ON COLUMN audit.events.image IS 'The whole old row of an update at level comprehensive, in the order of recorded_columns';
COMMENT ON COLUMN audit.events.new_entity_id IS 'The new key where an update changed it; entity_id is then the old one';
COMMENT ON COLUMN audit.events.entity IS 'The object concerned where it is not the audited table of relation_id';
COMMENT ON COLUMN audit.events.result IS 'failure, or null for success';
COMMENT ON COLUMN audit.events.subject_transaction_id IS 'The transaction the event is about where a worker wrote it on behalf of another transaction';
COMMENT ON COLUMN audit.events.retention_id IS
    'The table''s own retention, in whose dedicated partitions the event is; negative where an archive was restored; null for the partitions of the category';

CREATE TABLE audit_internal.events_by_category PARTITION OF audit.events FOR VALUES IN (NULL) PARTITION BY LIST (category);
COMMENT ON TABLE audit_internal.events_by_category IS 'Events with the retention of their category';

CREATE TABLE audit_internal.events_data        PARTITION OF audit_internal.events_by_category FOR VALUES IN ('data')        PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_read        PARTITION OF audit_internal.events_by_category FOR VALUES IN ('read')        PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_security    PARTITION OF audit_internal.events_by_category FOR VALUES IN ('security')    PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_schema      PARTITION OF audit_internal.events_by_category FOR VALUES IN ('schema')      PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_system      PARTITION OF audit_internal.events_by_category FOR VALUES IN ('system')      PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_internal.events_application PARTITION OF audit_internal.events_by_category FOR VALUES IN ('application') PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE audit_internal.events_data        IS 'Changes of rows';
COMMENT ON TABLE audit_internal.events_read        IS 'Reads and exports';
COMMENT ON TABLE audit_internal.events_security    IS 'Logins, denials, roles and privileges';
COMMENT ON TABLE audit_internal.events_schema      IS 'Changes of definitions';
COMMENT ON TABLE audit_internal.events_system      IS 'What happened to auditing itself';
COMMENT ON TABLE audit_internal.events_application IS 'What applications record';

-- What found no partition in time waits here, in one partition that never ends, until maintenance moves it. It is not a
-- default partition, which would have to be locked and searched for every new partition.
CREATE TABLE audit_internal.events_overflow (LIKE audit.events) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE audit_internal.events_overflow IS 'Events whose partition was missing; audit.maintain() moves them to it';

-- Dictionary keys are unique within a node; node_id is random, so that trails of many servers can be gathered.
-- The upper bits of context_id and session_id are the hour since 2000, which is what their partitions are divided by.
CREATE TABLE audit_internal.nodes (
    node_id           integer NOT NULL,
    name              text NOT NULL,
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    database_name     text NOT NULL,
    timeline          integer NOT NULL,
    since             timestamptz NOT NULL
) PARTITION BY RANGE (node_id);
COMMENT ON TABLE audit_internal.nodes IS 'The servers and their incarnations: a restored, copied or promoted database is a new one';

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
COMMENT ON TABLE audit_internal.sessions IS 'One row a connection that wrote an event; token is the session id as %c of log_line_prefix prints it';

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
COMMENT ON TABLE audit_internal.contexts IS 'Who and why: one row per distinct combination of session, roles, actor, trace, reason, context and statement';
COMMENT ON COLUMN audit_internal.contexts.origin IS 'The replication origin whose changes an apply worker was applying';

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
COMMENT ON TABLE audit_internal.relations IS 'Audited tables over time: a row per version of name and columns; lineage stays the same for one table';
COMMENT ON COLUMN audit_internal.relations.recorded_columns IS
    'Names of the columns whose values a whole row holds, in their order; null in a version that no row event has needed';

CREATE TABLE audit_internal.table_settings (
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    relation_oid oid NOT NULL,
    options     jsonb NOT NULL,
    enabled_at  timestamptz NOT NULL,
    enabled_by  text NOT NULL,
    PRIMARY KEY (relation_oid, schema_name, table_name)
);
COMMENT ON TABLE audit_internal.table_settings IS 'The options that audit.enable was called with; audit.tables is the readable form';
COMMENT ON COLUMN audit_internal.table_settings.relation_oid IS 'The table that the options hold for, 0 for one that a restore did not find';

-- Tables that have audit triggers but no settings, and when the first change of one was recorded.
CREATE TABLE audit_internal.unconfigured_tables (
    relation_oid oid PRIMARY KEY,
    recorded_at  timestamptz NOT NULL
);
COMMENT ON TABLE audit_internal.unconfigured_tables IS 'Tables that have audit triggers but no settings, and have been written to';

-- Audited tables and partitions whose triggers have been weakened: 3 fires in every mode or is not needed, 2
-- in some modes, 1 is disabled, 0 is missing. What a restore has yet to create is no weakening.
CREATE TABLE audit_internal.weakened_triggers (
    relation_oid   oid PRIMARY KEY,
    row_state      integer NOT NULL,
    truncate_state integer NOT NULL,
    since          timestamptz NOT NULL,
    is_restored    boolean NOT NULL
);
COMMENT ON TABLE audit_internal.weakened_triggers IS 'Audited tables whose triggers do not record all that the settings ask for';

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
COMMENT ON COLUMN audit_internal.partition_parents.category IS 'The category of the events in its partitions; null for the dictionaries, and for the overflow, which takes any';
COMMENT ON COLUMN audit_internal.partition_parents.retention_id IS 'The retention of the table that its partitions are dedicated to, null otherwise';
INSERT INTO audit_internal.partition_parents (parent, category) VALUES
    ('contexts', NULL),
    ('sessions', NULL),
    ('events_overflow', NULL),
    ('events_data', 'data'),
    ('events_read', 'read'),
    ('events_security', 'security'),
    ('events_schema', 'schema'),
    ('events_system', 'system'),
    ('events_application', 'application');

CREATE TABLE audit_internal.partition_settings (
    parent        text PRIMARY KEY,
    partition_interval interval NOT NULL CHECK (partition_interval >= interval '1 hour')
);
COMMENT ON TABLE audit_internal.partition_settings IS 'How much time one partition of a partitioned table holds, where it is not the default of one month';

-- The state of a partition and what is known of it beside its bounds, which are in the catalog. A partition without a
-- row is open. What a row says of a closed partition is exact, because only move_rows and delete_rows write to one.
-- The states and what leads from one to another: docs/internals/partition-lifecycle.md.
CREATE TABLE audit_internal.partition_catalog (
    partition_name    text PRIMARY KEY,
    parent            text NOT NULL,
    state             text NOT NULL CHECK (state IN ('splitting', 'closed', 'merging', 'restored', 'default')),
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
COMMENT ON TABLE audit_internal.partition_catalog IS 'Partitions that are not simply open: their state, and how many events from when to when the closed ones hold';
COMMENT ON COLUMN audit_internal.partition_catalog.state IS
    'splitting: open, and its end is being brought forward; closed: takes no more events but by way of the overflow; merging: filled from two closed partitions, whose place it has yet to take; restored: loaded from an archive; default: routes events of other servers to the overflow';
COMMENT ON COLUMN audit_internal.partition_catalog.lowest_context_id IS 'No event of the partition refers to an older context';
COMMENT ON COLUMN audit_internal.partition_catalog.split_at IS 'The open partition is to end here';
COMMENT ON COLUMN audit_internal.partition_catalog.pruned_at IS 'When retention last deleted events from among others that are held; it looks again when a hold is placed or released';
COMMENT ON COLUMN audit_internal.partition_catalog.restored_number IS 'Of a restored archive: the end of the partition''s name, and negative the retention of its events';
COMMENT ON COLUMN audit_internal.partition_catalog.merged_from IS 'The partitions that this one, not yet in their place, holds the events of';

-- Retention by category, and by table within data. Nothing is set at first: everything is kept.
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
COMMENT ON TABLE audit_internal.retention_settings IS 'The policies that audit.set_retention was called with; audit.retention is the readable form';
COMMENT ON COLUMN audit_internal.retention_settings.is_moved IS 'Whether what the table had in the category''s partitions has been moved to its dedicated ones';
COMMENT ON COLUMN audit_internal.retention_settings.lineage IS 'The table, whatever its name; null for the whole category';

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
COMMENT ON TABLE audit.holds IS 'Legal holds: what they cover is neither pruned nor, once archived, deleted, until they are released';

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
COMMENT ON TABLE audit.archives IS 'What has been archived: where the files are and what they hold';
COMMENT ON COLUMN audit.archives.partition IS 'The partition that it was made of; where events of it are still held, the one that they are in now';
COMMENT ON COLUMN audit.archives.entity IS 'The table, where it has dedicated partitions';
COMMENT ON COLUMN audit.archives.retention_id IS 'The retention whose dedicated partition it was, null for a category''s';
COMMENT ON COLUMN audit.archives.bytes IS 'Of the files';
COMMENT ON COLUMN audit.archives.live_bytes IS 'Of the partition when it was archived, with indexes';
COMMENT ON COLUMN audit.archives.manifest IS 'The manifest''s path below the location';
COMMENT ON COLUMN audit.archives.pruned_at IS 'When retention deleted the events themselves';
COMMENT ON COLUMN audit.archives.restored_as IS 'The partition it has been restored as, null otherwise';

CREATE SEQUENCE audit_internal.dictionary_ids AS bigint CACHE 32;
COMMENT ON SEQUENCE audit_internal.dictionary_ids IS 'Keys of sessions, contexts and relations';

-- Configuration is written by audit_internal.upsert_config, whose changes no publication carries: a FOR ALL TABLES
-- publication must not send a subscriber rows of tables that it does not have.
ALTER TABLE audit.event_types      REPLICA IDENTITY NOTHING;
ALTER TABLE audit.event_parameters REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.table_settings   REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.schema_settings  REPLICA IDENTITY NOTHING;
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
SELECT pg_catalog.pg_extension_config_dump('audit_internal.partition_parents', 'WHERE retention_id IS NOT NULL');
SELECT pg_catalog.pg_extension_config_dump('audit.archives', '');
SELECT pg_catalog.pg_extension_config_dump('audit.holds', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.retention_settings', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.partition_catalog', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.dictionary_ids', '');
