-- The functions that are written in Rust. What people call stands first; the rest serves the views,
-- triggers and functions of the extension itself.

CREATE FUNCTION audit.row(base anyelement, image jsonb) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_row';
COMMENT ON FUNCTION audit.row(anyelement, jsonb) IS
    'The row that an image describes, exact for every type; columns that the image lacks come from base';

CREATE FUNCTION audit.diff(old_values jsonb, new_values jsonb)
    RETURNS TABLE (path text, old_value jsonb, new_value jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'audit_diff_values';
COMMENT ON FUNCTION audit.diff(jsonb, jsonb) IS
    'What differs between two documents, one row a place such as a.b[2], positions from 0; what one side lacks is null there';

CREATE FUNCTION audit.baseline(target regclass) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_baseline';
COMMENT ON FUNCTION audit.baseline(regclass) IS
    'Records one event a row that exists now, so that history begins at the beginning; writers of the table wait meanwhile';

-- What a row event says. The event type, the columns changes and image of audit.events and recorded_columns of
-- audit.relations go in.

CREATE FUNCTION audit.changed_columns(event_type integer, changes jsonb) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_changed_columns';
COMMENT ON FUNCTION audit.changed_columns(integer, jsonb) IS 'Names of the columns that an update changed; null for other events';

CREATE FUNCTION audit.old_values(event_type integer, changes jsonb, image jsonb, recorded_columns jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_old_values';
COMMENT ON FUNCTION audit.old_values(integer, jsonb, jsonb, jsonb) IS 'The values before a row event; null for an insert';

CREATE FUNCTION audit.new_values(event_type integer, changes jsonb, image jsonb, recorded_columns jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_new_values';
COMMENT ON FUNCTION audit.new_values(integer, jsonb, jsonb, jsonb) IS 'The values after a row event; null for a delete';

CREATE FUNCTION audit.column_changes(event_type integer, changes jsonb, recorded_columns jsonb)
    RETURNS TABLE (column_name text, old_value jsonb, new_value jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'audit_column_changes';
COMMENT ON FUNCTION audit.column_changes(integer, jsonb, jsonb) IS
    'A row event as one row a column: all of an insert or delete, the changed ones of an update';

CREATE FUNCTION audit.summary(actor text, phrase text, entity text, entity_id text, entity_label text, event_type integer,
                              changes jsonb) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_summary';
COMMENT ON FUNCTION audit.summary(text, text, text, text, text, integer, jsonb) IS 'An event in one sentence';

CREATE TYPE audit.attribution AS (
    login                text,
    role                 text,
    effective_role       text,
    application_name     text,
    actor                text,
    actor_source         text,
    trace_id             text,
    reason               text,
    context              jsonb,
    statement            text,
    statement_parameters jsonb,
    token                text,
    client_addr          inet
);
COMMENT ON TYPE audit.attribution IS 'Who did it and why: a row of audit.contexts with what its session adds';

CREATE FUNCTION audit.attribution(node_id integer, context_id bigint) RETURNS audit.attribution
    LANGUAGE c STABLE PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'audit_attribution';
COMMENT ON FUNCTION audit.attribution(integer, bigint) IS
    'The context of an event with its session, past permissions; null where retention has let it go';

CREATE FUNCTION audit.is_preloaded() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_is_preloaded';
COMMENT ON FUNCTION audit.is_preloaded() IS 'Whether shared_preload_libraries names audit';

-- Triggers.

CREATE FUNCTION audit.capture_row() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_capture_row';
COMMENT ON FUNCTION audit.capture_row() IS 'AFTER ROW trigger that records the change; audit.enable creates it';

CREATE FUNCTION audit.capture_truncate() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_capture_truncate';
COMMENT ON FUNCTION audit.capture_truncate() IS 'BEFORE TRUNCATE trigger that records what goes; audit.enable creates it';

CREATE FUNCTION audit.write_row_trigger(target regclass, name text, operations integer, argument text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_write_row_trigger';
COMMENT ON FUNCTION audit.write_row_trigger(regclass, text, integer, text) IS
    'Creates or replaces the row trigger of a table; operations are the bits of pg_trigger.tgtype; internal';

CREATE FUNCTION audit.write_truncate_trigger(target regclass, argument text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_write_truncate_trigger';
COMMENT ON FUNCTION audit.write_truncate_trigger(regclass, text) IS 'Creates or replaces the TRUNCATE trigger of one table; internal';

CREATE FUNCTION audit.remove_trigger(trigger oid) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_remove_trigger';
COMMENT ON FUNCTION audit.remove_trigger(oid) IS 'Drops a trigger with its clones; internal';

CREATE FUNCTION audit.refuse_change() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_refuse_change';
COMMENT ON FUNCTION audit.refuse_change() IS 'Trigger on every table that holds evidence: it is never changed by SQL';

CREATE FUNCTION audit.arrive() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_arrive';
COMMENT ON FUNCTION audit.arrive() IS 'Trigger on every leaf: lets in what a subscription brings, once, and to a leaf that is open';

CREATE FUNCTION audit.arrivals() RETURNS bigint[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_arrivals';
COMMENT ON FUNCTION audit.arrivals() IS 'How many rows the first copy of a subscription has brought, and how many it left out because they were here; internal';

-- Writers, for the extension's own functions.

CREATE FUNCTION audit.emit(event text, parameters jsonb, entity text, entity_id text, target regclass, result text) RETURNS uuid
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_emit';
COMMENT ON FUNCTION audit.emit(text, jsonb, text, text, regclass, text) IS 'Writes an event and returns its id; for the extension itself';

CREATE FUNCTION audit.put(settings_row anyelement) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_put';
COMMENT ON FUNCTION audit.put(anyelement) IS
    'Stores a row of a configuration table in place of the one with the same key, past publications';

CREATE FUNCTION audit.remove(settings_row anyelement) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_remove';
COMMENT ON FUNCTION audit.remove(anyelement) IS 'Deletes the row of a configuration table that has this key, past publications';

CREATE FUNCTION audit.move_rows(source regclass, rows tid[], destination regclass, retention_id integer, is_news boolean) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_move_rows';
COMMENT ON FUNCTION audit.move_rows(regclass, tid[], regclass, integer, boolean) IS
    'Moves events from one table of the trail to another and returns how many; publications carry those that are news';

CREATE FUNCTION audit.copy_leaf(source regclass, destination regclass) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_copy_leaf';
COMMENT ON FUNCTION audit.copy_leaf(regclass, regclass) IS
    'Copies every row of a leaf into a table that is to take its place, past publications, and returns how many';

CREATE FUNCTION audit.delete_rows(leaf regclass, rows tid[]) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_delete_rows';
COMMENT ON FUNCTION audit.delete_rows(regclass, tid[]) IS 'Deletes these rows of a leaf, past publications; for retention';

CREATE FUNCTION audit.clock() RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_clock';
COMMENT ON FUNCTION audit.clock() IS 'The time that events are given';

-- What only one session does at a time (src/store/lock.rs has the purposes). Locks that no other SQL can take.

CREATE FUNCTION audit.lock(purpose text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_lock';
COMMENT ON FUNCTION audit.lock(text) IS 'Waits for the lock of this purpose and keeps it to the end of the transaction; internal';

CREATE FUNCTION audit.try_lock(purpose text) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_try_lock';
COMMENT ON FUNCTION audit.try_lock(text) IS 'Takes the lock of this purpose, or is false where another session has it; internal';

CREATE FUNCTION audit.lock_table(target regclass) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_lock_table';
COMMENT ON FUNCTION audit.lock_table(regclass) IS
    'Waits until no other session changes how this table is audited; kept to the end of the transaction; internal';

CREATE FUNCTION audit.reached(point text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_reached';
COMMENT ON FUNCTION audit.reached(text) IS 'Marks a point for tests of crashes; does nothing';

CREATE FUNCTION audit.execute_permitted(command text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_execute_permitted';
COMMENT ON FUNCTION audit.execute_permitted(text) IS 'Runs one command that evidence is guarded against; for retention, maintenance and uninstall';

CREATE FUNCTION audit.hash_key_is_readable() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_hash_key_is_readable';
COMMENT ON FUNCTION audit.hash_key_is_readable() IS 'Whether the file that audit.hash_key_file names holds a key';

-- The executable that writes archives. Requests and answers are described in archive/README.md.

CREATE FUNCTION audit.call_archiver(command text, request jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_call_archiver';
COMMENT ON FUNCTION audit.call_archiver(text, jsonb) IS 'Runs a command of audit-archive and returns its answer; internal';

CREATE FUNCTION audit.write_archive(request jsonb, queries text[]) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_write_archive';
COMMENT ON FUNCTION audit.write_archive(jsonb, text[]) IS 'Sends the lines that queries return to audit-archive and returns the manifest; internal';

CREATE FUNCTION audit.read_archive(request jsonb, destination regclass, retention_id integer) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_read_archive';
COMMENT ON FUNCTION audit.read_archive(jsonb, regclass, integer) IS 'Loads the events of an archive into a table and returns how many; internal';
