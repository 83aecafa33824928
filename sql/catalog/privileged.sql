-- Functions in Rust that act past privileges and triggers: they write and delete rows of the trail and its
-- configuration, and put triggers on tables of others. No role is granted any of them: they are called by
-- functions of the extension that check what they do.

CREATE FUNCTION audit_internal.emit(event text, parameters jsonb, entity text, entity_id text, target regclass, result text) RETURNS uuid
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_emit';
COMMENT ON FUNCTION audit_internal.emit(text, jsonb, text, text, regclass, text) IS 'Writes an event and returns its id; for the extension itself';

CREATE FUNCTION audit_internal.upsert_config(settings_row anyelement) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_upsert_config';
COMMENT ON FUNCTION audit_internal.upsert_config(anyelement) IS
    'Stores a row of a configuration table in place of the one with the same key, without logical replication';

CREATE FUNCTION audit_internal.delete_config(settings_row anyelement) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_delete_config';
COMMENT ON FUNCTION audit_internal.delete_config(anyelement) IS 'Deletes the row of a configuration table that has this key, without logical replication';

CREATE FUNCTION audit_internal.move_rows(source regclass, rows tid[], destination regclass, retention_id integer, replicates boolean) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_move_rows';
COMMENT ON FUNCTION audit_internal.move_rows(regclass, tid[], regclass, integer, boolean) IS
    'Moves events from one table of the trail to another and returns how many; publications carry those that have not been replicated yet';

CREATE FUNCTION audit_internal.copy_partition(source regclass, destination regclass) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_copy_partition';
COMMENT ON FUNCTION audit_internal.copy_partition(regclass, regclass) IS
    'Copies every row of a partition into a table that is to take its place, without logical replication, and returns how many';

CREATE FUNCTION audit_internal.delete_rows(partition regclass, rows tid[]) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_delete_rows';
COMMENT ON FUNCTION audit_internal.delete_rows(regclass, tid[]) IS 'Deletes these rows of a partition, without logical replication; for retention';

CREATE FUNCTION audit_internal.read_archive(request jsonb, destination regclass, retention_id integer) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_read_archive';
COMMENT ON FUNCTION audit_internal.read_archive(jsonb, regclass, integer) IS 'Loads the events of an archive into a table and returns how many; internal';

CREATE FUNCTION audit_internal.execute_permitted(command text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_execute_permitted';
COMMENT ON FUNCTION audit_internal.execute_permitted(text) IS 'Runs one command that evidence is protected against; for retention, maintenance and uninstall';

CREATE FUNCTION audit_internal.write_row_trigger(target regclass, name text, operations integer, argument text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_write_row_trigger';
COMMENT ON FUNCTION audit_internal.write_row_trigger(regclass, text, integer, text) IS
    'Creates or replaces the row trigger of a table; operations are the bits of pg_trigger.tgtype; internal';

CREATE FUNCTION audit_internal.write_truncate_trigger(target regclass, argument text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_write_truncate_trigger';
COMMENT ON FUNCTION audit_internal.write_truncate_trigger(regclass, text) IS 'Creates or replaces the TRUNCATE trigger of one table; internal';

CREATE FUNCTION audit_internal.remove_trigger(trigger oid) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_remove_trigger';
COMMENT ON FUNCTION audit_internal.remove_trigger(oid) IS 'Drops a trigger with its clones; internal';
