-- Archiving partitions to files, and deleting the files when their own time is over.

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, choose what is archived; the server's
-- configuration determines where to and by which program.
CREATE FUNCTION audit.archive(category text, before timestamptz) RETURNS SETOF audit.archives
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    candidate record;
BEGIN
    IF archive.category IS NULL OR before IS NULL THEN
        RAISE EXCEPTION 'category and before must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Name a category, and the time by which its partitions end.';
    END IF;
    PERFORM audit_internal.check_category(category);
    PERFORM audit_internal.check_archive_location();
    PERFORM audit_internal.enter_maintenance();
    FOR candidate IN
        SELECT l.partition_name, l.state
        FROM audit.partitions l
        LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
        WHERE l.category = archive.category
          AND l.until <= before
          AND f.events IS DISTINCT FROM 0
          AND NOT EXISTS (SELECT FROM audit.archives a
                          WHERE a.partition = l.partition_name AND a.pruned_at IS NULL)
        ORDER BY l.since
    LOOP
        IF candidate.state <> 'closed' THEN
            RAISE NOTICE 'partition "%" is not closed yet and was not archived', candidate.partition_name;
            CONTINUE;
        END IF;
        BEGIN
            RETURN NEXT audit_internal.archive_partition(candidate.partition_name);
        EXCEPTION WHEN lock_not_available THEN
            RAISE NOTICE 'partition "%" is in use by another session and was not archived',
                candidate.partition_name;
        END;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.archive(text, timestamptz) IS
    'Archives the closed partitions of a category that end by the given time; their events stay until '
    'retention deletes them';

-- SECURITY DEFINER is safe here: as audit.restore_archive.
CREATE FUNCTION audit.check_archive(archive_id uuid) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.call_archiver(
        'check', audit_internal.archive_request(audit_internal.known_archive(archive_id)));
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit.check_archive(uuid) IS
    'Reads the files of an archive and verifies them: returns true, or raises an error that names what is '
    'wrong';

-- The lock keeps other sessions from changing the partition while it is read. Events that arrive
-- later wait in the overflow until the partition has been dropped.
CREATE FUNCTION audit_internal.archive_partition(partition text) RETURNS audit.archives
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET enable_sort = off
SET jit = off
AS $$
DECLARE
    archived audit.archives := audit_internal.archive_to_write(partition);
    lowest bigint;
    highest bigint;
    written jsonb;
BEGIN
    EXECUTE format('LOCK TABLE audit_internal.%I IN SHARE ROW EXCLUSIVE MODE', partition);
    EXECUTE format(
        'SELECT coalesce(min(e.context_id), 0), coalesce(max(e.context_id), 0) FROM audit_internal.%I e',
        partition)
    INTO lowest, highest;
    archived.archive_id := audit_internal.archive_id_of(partition);
    written := audit_internal.write_archive(
        audit_internal.write_request(archived),
        audit_internal.archive_queries(partition, lowest, highest));
    IF (written->'manifest'->>'events')::bigint IS DISTINCT FROM archived.events THEN
        RAISE EXCEPTION 'archive of partition "%" contains % events, but % were recorded at close',
            partition, written->'manifest'->>'events', archived.events
            USING ERRCODE = 'data_corrupted',
                  HINT = 'The partition was left unchanged. Find out what changed its events.';
    END IF;
    archived.bytes := (SELECT sum((f->>'bytes')::bigint)
                       FROM jsonb_array_elements(written->'manifest'->'files') f);
    archived.location := current_setting('audit.archive_location');
    archived.manifest := written->>'manifest_file';
    archived.manifest_sha256 := written->>'manifest_sha256';
    archived.files := written->'manifest'->'files';
    archived.encrypted := coalesce(current_setting('audit.archive_key_file'), '') <> '';
    archived.archived_at := audit_internal.clock();
    PERFORM audit_internal.upsert_config(archived);
    PERFORM audit_internal.emit(
        'retention.archive',
        parameters => jsonb_build_object(
            'archive_id', archived.archive_id,
            'events', archived.events,
            'since', archived.first_at,
            'until', archived.last_at,
            'bytes', archived.bytes,
            'location', archived.location),
        entity => 'audit_internal.' || partition);
    RETURN archived;
END;
$$;
COMMENT ON FUNCTION audit_internal.archive_partition(text) IS
    'Archives one closed partition and returns the row of audit.archives';

CREATE FUNCTION audit_internal.archive_to_write(partition text) RETURNS audit.archives
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    archived audit.archives;
BEGIN
    SELECT l.category, l.since, l.until, f.events, f.first_at, f.last_at, p.retention_id,
           pg_total_relation_size(l.partition)
    INTO STRICT archived.category, archived.since, archived.until, archived.events, archived.first_at,
           archived.last_at, archived.retention_id, archived.live_bytes
    FROM audit.partitions l
    JOIN audit_internal.partition_parents p ON p.parent = l.parent
    JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
    WHERE l.partition_name = archive_to_write.partition;
    archived.partition := partition;
    archived.entity := (SELECT s.entity
                        FROM audit_internal.retention_settings s
                        WHERE s.retention_id = archived.retention_id);
    archived.schema_version := 1;
    RETURN archived;
END;
$$;
COMMENT ON FUNCTION audit_internal.archive_to_write(text) IS
    'The row of audit.archives for a closed partition, as far as it is known before the files are written';

-- Stable across attempts: an attempt after a crash writes the same files again.
CREATE FUNCTION audit_internal.archive_id_of(partition text) RETURNS uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT encode(
        substr(
            sha256(convert_to(
                concat_ws('/', s.system_identifier, d.oid, c.oid, f.closed_at, partition), 'UTF8')),
            1, 16),
        'hex')::uuid
    FROM pg_control_system() s, pg_catalog.pg_database d, pg_catalog.pg_class c,
         audit_internal.partition_catalog f
    WHERE d.datname = current_database()
      AND c.oid = to_regclass(format('audit_internal.%I', partition))
      AND f.partition_name = archive_id_of.partition;
END;
COMMENT ON FUNCTION audit_internal.archive_id_of(text) IS
    'The id of the archive of a partition, which follows from the partition and the time when it closed';

CREATE FUNCTION audit_internal.known_archive(archive_id uuid) RETURNS audit.archives
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    archived audit.archives;
BEGIN
    SELECT a.* INTO archived FROM audit.archives a WHERE a.archive_id = known_archive.archive_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'archive % does not exist', coalesce(archive_id::text, 'null')
            USING ERRCODE = 'undefined_object', HINT = 'audit.archives lists the archives.';
    END IF;
    RETURN archived;
END;
$$;
COMMENT ON FUNCTION audit_internal.known_archive(uuid) IS
    'The row of audit.archives with this id; raises an error if there is none';

-- A hold on the time range of the archive keeps its files, whatever else limits the hold.
CREATE FUNCTION audit_internal.remove_archive() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    archived audit.archives;
BEGIN
    PERFORM audit_internal.lock('retention');
    SELECT a.* INTO archived
    FROM audit.archives a
    LEFT JOIN audit_internal.retention_settings c ON c.category = a.category AND c.lineage IS NULL
    LEFT JOIN audit_internal.retention_settings o ON o.retention_id = a.retention_id
    WHERE a.pruned_at IS NOT NULL
      AND a.restored_as IS NULL
      AND a.until <= audit_internal.clock() - coalesce(o.archive_keep, c.archive_keep)
      AND NOT EXISTS (SELECT FROM audit.holds h
                      WHERE coalesce(h.since <= a.last_at, true) AND coalesce(h.until > a.first_at, true))
    ORDER BY a.until
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM audit_internal.call_archiver('remove', audit_internal.archive_request(archived));
    PERFORM audit_internal.injection_point('archive.removed');
    PERFORM audit_internal.delete_config(archived);
    PERFORM audit_internal.record_pruned(
        archived.category, archived.partition, archived.events, archived.first_at, archived.last_at,
        'delete archive', 'its events are older than archives are kept', archived.archive_id);
    RETURN true;
EXCEPTION WHEN external_routine_exception OR io_error OR config_file_error THEN
    RAISE WARNING 'archive % was not deleted: %', archived.archive_id, sqlerrm;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.remove_archive() IS
    'Deletes the files of one archive that has been kept for archive_keep; returns whether it deleted one';
