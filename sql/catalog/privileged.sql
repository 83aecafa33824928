-- Functions in Rust that bypass privileges and triggers: they write and delete rows of the trail and of its
-- configuration, and create triggers on tables of other owners. No role may execute them: functions of the
-- extension call them after checking the request.

CREATE FUNCTION audit_internal.emit(
    event text,
    parameters jsonb DEFAULT NULL,
    entity text DEFAULT NULL,
    entity_id text DEFAULT NULL,
    target regclass DEFAULT NULL,
    result text DEFAULT NULL
) RETURNS uuid
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_emit';
COMMENT ON FUNCTION audit_internal.emit(text, jsonb, text, text, regclass, text) IS
    'Writes an event and returns its id; target is an audited table, entity any other object, result failure '
    'or null';

-- Callers assign the columns of a variable of the table's row type by name.
CREATE FUNCTION audit_internal.upsert_config(settings_row anyelement) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_upsert_config';
COMMENT ON FUNCTION audit_internal.upsert_config(anyelement) IS
    'Stores a row of a configuration table in place of the one with the same key, without logical '
    'replication';

CREATE FUNCTION audit_internal.delete_config(settings_row anyelement) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_delete_config';
COMMENT ON FUNCTION audit_internal.delete_config(anyelement) IS
    'Deletes the row of a configuration table that has this key, without logical replication';

CREATE FUNCTION audit_internal.move_rows(
    source regclass,
    rows tid[],
    destination regclass,
    retention_id integer,
    replicates boolean
) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_move_rows';
COMMENT ON FUNCTION audit_internal.move_rows(regclass, tid[], regclass, integer, boolean) IS
    'Moves rows from one table of the trail to another and returns how many; with replicates, publications '
    'carry them, which have not been replicated yet';

CREATE FUNCTION audit_internal.copy_partition(source regclass, destination regclass) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_copy_partition';
COMMENT ON FUNCTION audit_internal.copy_partition(regclass, regclass) IS
    'Copies every row of a partition into the table that is to replace it, without logical replication, and '
    'returns how many';

CREATE FUNCTION audit_internal.delete_rows(partition regclass, rows tid[]) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_delete_rows';
COMMENT ON FUNCTION audit_internal.delete_rows(regclass, tid[]) IS
    'Deletes rows of a partition for retention, without logical replication, and returns how many';

CREATE FUNCTION audit_internal.read_archive(request jsonb, destination regclass, retention_id integer)
RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_read_archive';
COMMENT ON FUNCTION audit_internal.read_archive(jsonb, regclass, integer) IS
    'Loads the events of an archive into a table and returns how many';

CREATE FUNCTION audit_internal.execute_permitted(command text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_execute_permitted';
COMMENT ON FUNCTION audit_internal.execute_permitted(text) IS
    'Runs one command that the protection of evidence would reject; for retention, maintenance and '
    'audit.uninstall';

CREATE FUNCTION audit_internal.write_row_trigger(
    target regclass,
    name text,
    operations integer,
    argument text
) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_write_row_trigger';
COMMENT ON FUNCTION audit_internal.write_row_trigger(regclass, text, integer, text) IS
    'Creates or replaces the row trigger of a table; operations are bits of pg_trigger.tgtype';

CREATE FUNCTION audit_internal.write_truncate_trigger(target regclass, argument text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_write_truncate_trigger';
COMMENT ON FUNCTION audit_internal.write_truncate_trigger(regclass, text) IS
    'Creates or replaces the TRUNCATE trigger of a table';

CREATE FUNCTION audit_internal.remove_trigger(trigger oid) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_remove_trigger';
COMMENT ON FUNCTION audit_internal.remove_trigger(oid) IS 'Drops a trigger and its clones';
