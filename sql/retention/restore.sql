-- Restoring archives: partitions that an archive is loaded into, until it is unloaded.

-- A restored archive is a partition beside those of the categories: readers find its events in the trail, and
-- retention does not apply to it.
-- SECURITY DEFINER is safe here: its callers, members of audit_admin, name an archive that audit.archives
-- lists, and get a number.
CREATE FUNCTION audit.restore_archive(archive_id uuid) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET client_min_messages = warning
SET lock_timeout = '2s'
AS $$
DECLARE
    archived audit.archives;
    number integer;
    partition text;
    loaded bigint;
BEGIN
    PERFORM audit_internal.enter_maintenance();
    archived := audit_internal.known_archive(archive_id);
    PERFORM audit_internal.check_restorable(archived);
    number := 1 + coalesce((SELECT max(p.restored_number)
                            FROM audit_internal.partition_catalog p
                            WHERE p.state = 'restored'), 0);
    partition := 'events_archived_' || number;
    loaded := audit_internal.load_archive(archived, partition, -number);
    PERFORM audit_internal.injection_point('restore.loaded');
    PERFORM audit_internal.attach_restored(archived, partition, number);
    archived.restored_as := partition;
    PERFORM audit_internal.upsert_config(archived);
    PERFORM audit_internal.emit(
        'retention.restore',
        parameters => jsonb_build_object(
            'archive_id', archive_id,
            'events', loaded,
            'since', archived.first_at,
            'until', archived.last_at),
        entity => 'audit_internal.' || archived.partition);
    RETURN loaded;
END;
$$;
COMMENT ON FUNCTION audit.restore_archive(uuid) IS
    'Restores the events of an archive to the trail, where retention does not apply to them; returns how '
    'many';

-- SECURITY DEFINER is safe here: as audit.restore_archive; the dropped events are in the archive.
CREATE FUNCTION audit.unload_archive(archive_id uuid) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    archived audit.archives;
    partition text;
BEGIN
    PERFORM audit_internal.enter_maintenance();
    archived := audit_internal.known_archive(archive_id);
    partition := archived.restored_as;
    IF partition IS NULL THEN
        RAISE EXCEPTION 'archive % is not restored', archive_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Column restored_as of audit.archives shows which archives are restored.';
    END IF;
    LOCK TABLE audit.events IN ACCESS EXCLUSIVE MODE;
    PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', partition));
    PERFORM audit_internal.forget_partition(partition);
    archived.restored_as := NULL;
    PERFORM audit_internal.upsert_config(archived);
    PERFORM audit_internal.emit(
        'retention.unload',
        parameters => jsonb_build_object(
            'archive_id', archive_id,
            'events', archived.events,
            'since', archived.first_at,
            'until', archived.last_at),
        entity => 'audit_internal.' || archived.partition);
    RETURN archived.events;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'could not unload archive %: the trail is in use by another session', archive_id
        USING ERRCODE = 'lock_not_available', HINT = 'Try again.';
END;
$$;
COMMENT ON FUNCTION audit.unload_archive(uuid) IS
    'Removes the events of a restored archive from the trail; its files stay; returns how many';

CREATE FUNCTION audit_internal.check_restorable(archived audit.archives) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF archived.restored_as IS NOT NULL THEN
        RAISE EXCEPTION 'archive % is already restored', archived.archive_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Its events are in the trail; audit.unload_archive removes them.';
    ELSIF archived.pruned_at IS NULL THEN
        RAISE EXCEPTION 'the events of archive % are still in the trail', archived.archive_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'An archive can be restored once retention has deleted its events.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_restorable(audit.archives) IS
    'Raises an error if the events of an archive are in the trail';

CREATE FUNCTION audit_internal.load_archive(
    archived audit.archives,
    partition text,
    retention_id integer
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    loaded bigint;
BEGIN
    PERFORM audit_internal.create_partition_table('events', partition);
    EXECUTE format(
        'COMMENT ON TABLE audit_internal.%I IS %L',
        partition, format('Archive %s of %s, restored', archived.archive_id, archived.partition));
    loaded := audit_internal.read_archive(
        audit_internal.archive_request(archived),
        audit_internal.relation_named(partition),
        retention_id);
    IF loaded <> archived.events THEN
        RAISE EXCEPTION 'archive % contains % events, but % were written',
            archived.archive_id, loaded, archived.events
            USING ERRCODE = 'data_corrupted',
                  HINT = 'Nothing was restored. Compare the files with a copy of them.';
    END IF;
    RETURN loaded;
END;
$$;
COMMENT ON FUNCTION audit_internal.load_archive(audit.archives, text, integer) IS
    'Loads the events of an archive into a new table and returns how many';

CREATE FUNCTION audit_internal.attach_restored(
    archived audit.archives,
    partition text,
    number integer
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET default_tablespace = ''
AS $$
DECLARE
    parent text := audit_internal.parent_of(archived.category, NULL);
    known audit_internal.partition_catalog;
BEGIN
    PERFORM audit_internal.use_tablespace();
    PERFORM audit_internal.create_time_index(partition);
    PERFORM audit_internal.finish_partition(partition, parent, audit_internal.closed_indexes(parent));
    SELECT f.* INTO known FROM audit_internal.partition_catalog f WHERE f.partition_name = partition;
    known.parent := 'events';
    known.state := 'restored';
    known.restored_number := number;
    PERFORM audit_internal.upsert_config(known);
    -- The first constraint saves ATTACH PARTITION a scan, the second lets the planner skip the partition.
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I '
        'ADD CONSTRAINT retention_id CHECK (retention_id IS NOT NULL AND retention_id = %s), '
        'ADD CONSTRAINT archived CHECK (category = %L AND occurred_at >= %L AND occurred_at < %L)',
        partition, -number, archived.category, archived.since, archived.until));
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit.events ATTACH PARTITION audit_internal.%I FOR VALUES IN (%s)',
        partition, -number));
END;
$$;
COMMENT ON FUNCTION audit_internal.attach_restored(audit.archives, text, integer) IS
    'Closes a table that an archive was loaded into and attaches it to the trail';
