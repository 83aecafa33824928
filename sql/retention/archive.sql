-- Partitions as files, and files as partitions. The files are written, read back and verified by the
-- executable audit-archive.

-- The executable that writes archives. Requests and answers are described in crates/audit-archive/README.md.

CREATE FUNCTION audit_internal.call_archiver(command text, request jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_call_archiver';
COMMENT ON FUNCTION audit_internal.call_archiver(text, jsonb) IS 'Runs a command of audit-archive and returns its answer; internal';

CREATE FUNCTION audit_internal.write_archive(request jsonb, queries text[]) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_write_archive';
COMMENT ON FUNCTION audit_internal.write_archive(jsonb, text[]) IS 'Sends the lines that queries return to audit-archive and returns the manifest; internal';

-- Stays the same when an archive is tried again after a crash, so that the same files are written once more.
CREATE FUNCTION audit_internal.archive_id_of(partition text) RETURNS uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT encode(substr(sha256(convert_to(concat_ws('/', s.system_identifier, d.oid, c.oid, f.closed_at, partition), 'UTF8')), 1, 16), 'hex')::uuid
    FROM pg_control_system() s, pg_catalog.pg_database d, pg_catalog.pg_class c, audit_internal.partition_catalog f
    WHERE d.datname = current_database() AND c.oid = to_regclass(format('audit_internal.%I', partition)) AND f.partition_name = archive_id_of.partition;
END;
COMMENT ON FUNCTION audit_internal.archive_id_of(text) IS 'The id that the archive of a partition has; internal';

-- What audit-archive is sent: the rows of the dictionaries that the partition's events refer to, then the
-- events as they are stored.
CREATE FUNCTION audit_internal.archive_queries(partition text, lowest bigint, highest bigint) RETURNS text[]
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT ARRAY[
        'SELECT convert_to(json_build_object(''node'', to_json(d))::text, ''UTF8'') FROM audit_internal.nodes d',
        'SELECT convert_to(json_build_object(''event_type'', to_json(d))::text, ''UTF8'') FROM audit.event_types d',
        format('SELECT convert_to(json_build_object(''relation'', to_json(d))::text, ''UTF8'') FROM audit_internal.relations d '
               'WHERE (d.node_id, d.relation_id) IN (SELECT e.node_id, e.relation_id FROM audit_internal.%I e)', partition),
        format('SELECT convert_to(json_build_object(''session'', to_json(d))::text, ''UTF8'') FROM audit_internal.sessions d '
               'WHERE (d.node_id, d.session_id) IN (SELECT k.node_id, k.session_id FROM audit_internal.contexts k '
               'WHERE k.context_id BETWEEN %s AND %s AND (k.node_id, k.context_id) IN (SELECT e.node_id, e.context_id FROM audit_internal.%I e))',
               lowest, highest, partition),
        format('SELECT convert_to(json_build_object(''context'', to_json(d))::text, ''UTF8'') FROM audit_internal.contexts d '
               'WHERE d.context_id BETWEEN %s AND %s AND (d.node_id, d.context_id) IN (SELECT e.node_id, e.context_id FROM audit_internal.%I e)',
               lowest, highest, partition),
        format('SELECT convert_to(json_build_array(e.occurred_at, e.event_id, e.transaction_id, e.context_id, e.node_id, e.event_type, '
               'e.relation_id, e.command_id, e.category, e.entity_id, e.changes, e.image, e.entity_label, e.parameters, e.new_entity_id, '
               'e.entity, e.result, e.subject_transaction_id)::text, ''UTF8'') FROM audit_internal.%I e ORDER BY e.occurred_at', partition)];
END;
COMMENT ON FUNCTION audit_internal.archive_queries(text, bigint, bigint) IS 'The queries whose lines make an archive; internal';

-- Writes the archive of one closed partition. Its lock keeps writers out meanwhile, and late events wait in
-- the overflow afterwards.
CREATE FUNCTION audit_internal.archive_partition(partition text) RETURNS audit.archives
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET enable_sort = off
SET jit = off
AS $$
DECLARE
    subject record;
    bounds record;
    written jsonb;
    archived audit.archives;
BEGIN
    SELECT l.*, f.events, f.first_at, f.last_at, p.retention_id, pg_total_relation_size(l.partition) AS bytes
    INTO STRICT subject
    FROM audit.partitions l
    JOIN audit_internal.partition_parents p ON p.parent = l.parent
    JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
    WHERE l.partition_name = archive_partition.partition;
    EXECUTE format('LOCK TABLE audit_internal.%I IN SHARE ROW EXCLUSIVE MODE', partition);
    EXECUTE format('SELECT coalesce(min(e.context_id), 0) AS lowest, coalesce(max(e.context_id), 0) AS highest FROM audit_internal.%I e', partition) INTO bounds;
    archived.archive_id := audit_internal.archive_id_of(partition);
    written := audit_internal.write_archive(jsonb_build_object(
        'archive_id', archived.archive_id, 'category', subject.category,
        'server', (SELECT n.name FROM audit_internal.nodes n JOIN pg_control_system() s ON s.system_identifier = n.system_identifier
                   WHERE n.database_name = current_database() ORDER BY n.since DESC LIMIT 1), 'database', current_database(),
        'partition', partition, 'since', subject.since, 'until', subject.until, 'schema_version', 1,
        'application', 'audit ' || (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'audit'),
        'columns', (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
                    FROM pg_attribute a WHERE a.attrelid = 'audit.events'::regclass AND a.attnum > 0 AND a.attname <> 'retention_id')),
        audit_internal.archive_queries(partition, bounds.lowest, bounds.highest));
    IF (written->'manifest'->>'events')::bigint IS DISTINCT FROM subject.events THEN
        RAISE EXCEPTION 'archive of partition "%" contains % events, but % were recorded at close', partition, written->'manifest'->>'events', subject.events
            USING ERRCODE = 'data_corrupted', HINT = 'The partition was left unchanged. Find out what changed its events.';
    END IF;
    archived := ROW(archived.archive_id, subject.category, partition, (SELECT s.entity FROM audit_internal.retention_settings s WHERE s.retention_id = subject.retention_id),
        subject.since, subject.until, subject.events, subject.first_at, subject.last_at,
        (SELECT sum((f->>'bytes')::bigint) FROM jsonb_array_elements(written->'manifest'->'files') f), subject.bytes,
        current_setting('audit.archive_location'), written->>'manifest_file', written->>'manifest_sha256', written->'manifest'->'files',
        coalesce(current_setting('audit.archive_key_file'), '') <> '', 1, audit_internal.clock(), subject.retention_id, NULL, NULL);
    PERFORM audit_internal.upsert_config(archived);
    PERFORM audit_internal.emit('retention.archive', jsonb_build_object('archive_id', archived.archive_id, 'events', archived.events, 'since', archived.first_at,
        'until', archived.last_at, 'bytes', archived.bytes, 'location', archived.location), 'audit_internal.' || partition, NULL, NULL, NULL);
    RETURN archived;
END;
$$;
COMMENT ON FUNCTION audit_internal.archive_partition(text) IS 'Archives one closed partition; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, choose what is archived; where to and by which
-- program, the server's configuration says.
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
        RAISE EXCEPTION 'category and before must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Closed partitions whose time ends by then are archived.';
    ELSIF archive.category NOT IN ('data', 'read', 'security', 'schema', 'system', 'application') THEN
        RAISE EXCEPTION 'unknown category "%"', archive.category
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The categories are data, read, security, schema, system and application.';
    ELSIF coalesce(current_setting('audit.archive_location', true), '') = '' THEN
        RAISE EXCEPTION 'audit.archive_location is not set' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Set it to a directory or an s3:// URL, and reload the configuration.';
    END IF;
    PERFORM audit_internal.enter_maintenance();
    FOR candidate IN
        SELECT l.partition_name, l.state
        FROM audit.partitions l LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
        WHERE l.category = archive.category AND l.until <= before
          AND f.events IS DISTINCT FROM 0
          AND NOT EXISTS (SELECT FROM audit.archives a WHERE a.partition = l.partition_name AND a.pruned_at IS NULL)
        ORDER BY l.since
    LOOP
        IF candidate.state <> 'closed' THEN
            RAISE NOTICE 'partition "%" has not closed yet and was not archived', candidate.partition_name;
            CONTINUE;
        END IF;
        BEGIN
            RETURN NEXT audit_internal.archive_partition(candidate.partition_name);
        EXCEPTION WHEN lock_not_available THEN
            RAISE NOTICE 'partition "%" is in use by another session and was not archived', candidate.partition_name;
        END;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.archive(text, timestamptz) IS 'Archives the closed partitions of a category whose time ends by then; their events stay until retention deletes them';

-- Where one archive is to be found.
CREATE FUNCTION audit_internal.archive_request(archived audit.archives) RETURNS jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('location', archived.location, 'manifest_file', archived.manifest, 'manifest_sha256', archived.manifest_sha256);
END;
COMMENT ON FUNCTION audit_internal.archive_request(audit.archives) IS 'Names an archive to audit-archive; internal';

CREATE FUNCTION audit_internal.known_archive(archive_id uuid) RETURNS audit.archives
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    archived audit.archives;
BEGIN
    SELECT a.* INTO archived FROM audit.archives a WHERE a.archive_id = known_archive.archive_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'archive % does not exist', coalesce(archive_id::text, 'null') USING ERRCODE = 'undefined_object', HINT = 'audit.archives lists them.';
    END IF;
    RETURN archived;
END;
$$;
COMMENT ON FUNCTION audit_internal.known_archive(uuid) IS 'The archive of this id, or an error; internal';

-- A restored archive is a partition of its own, beside the categories: it is part of the trail but not
-- subject to retention.
-- SECURITY DEFINER is safe here: its callers, members of audit_admin, name an archive that audit.archives lists, and read no
-- event by it.
CREATE FUNCTION audit.restore_archive(archive_id uuid) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET client_min_messages = warning
SET default_tablespace = ''
SET lock_timeout = '2s'
AS $$
DECLARE
    archived audit.archives;
    parent text;
    number integer;
    partition text;
    loaded bigint;
    known audit_internal.partition_catalog;
BEGIN
    PERFORM audit_internal.enter_maintenance();
    archived := audit_internal.known_archive(archive_id);
    IF archived.restored_as IS NOT NULL THEN
        RAISE EXCEPTION 'archive % is already restored', archive_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Its events are in the trail; audit.unload_archive removes them.';
    ELSIF archived.pruned_at IS NULL THEN
        RAISE EXCEPTION 'the events of archive % are still in the trail', archive_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'An archive can be restored once retention has deleted its events.';
    END IF;
    parent := audit_internal.parent_of(archived.category, NULL);
    number := 1 + coalesce((SELECT max(p.restored_number) FROM audit_internal.partition_catalog p WHERE p.state = 'restored'), 0);
    partition := 'events_archived_' || number;
    PERFORM audit_internal.use_tablespace();
    PERFORM audit_internal.create_partition_table('events', partition);
    EXECUTE format('COMMENT ON TABLE audit_internal.%I IS %L', partition, format('Archive %s of %s, restored', archive_id, archived.partition));
    loaded := audit_internal.read_archive(audit_internal.archive_request(archived), format('audit_internal.%I', partition)::regclass, -number);
    IF loaded <> archived.events THEN
        RAISE EXCEPTION 'archive % contains % events, but % were written', archive_id, loaded, archived.events
            USING ERRCODE = 'data_corrupted', HINT = 'Nothing was restored. Compare the files with a copy of them.';
    END IF;
    PERFORM audit_internal.injection_point('restore.loaded');
    EXECUTE format('CREATE INDEX %I ON audit_internal.%I (occurred_at) WITH (deduplicate_items = off)', partition || '_time', partition);
    PERFORM audit_internal.finish_partition(partition, parent, ARRAY(SELECT d.suffix FROM audit_internal.partition_indexes(parent) d WHERE NOT d.is_open));
    SELECT f.* INTO known FROM audit_internal.partition_catalog f WHERE f.partition_name = partition;
    known.parent := 'events';
    known.state := 'restored';
    known.restored_number := number;
    PERFORM audit_internal.upsert_config(known);
    -- The first check is the bound, the second is what the planner goes by.
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ADD CONSTRAINT retention_id CHECK (retention_id IS NOT NULL AND retention_id = %s), '
                   'ADD CONSTRAINT archived CHECK (category = %L AND occurred_at >= %L AND occurred_at < %L)',
                   partition, -number, archived.category, archived.since, archived.until));
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit.events ATTACH PARTITION audit_internal.%I FOR VALUES IN (%s)', partition, -number));
    archived.restored_as := partition;
    PERFORM audit_internal.upsert_config(archived);
    PERFORM audit_internal.emit('retention.restore', jsonb_build_object('archive_id', archive_id, 'events', loaded, 'since', archived.first_at, 'until', archived.last_at),
                       'audit_internal.' || archived.partition, NULL, NULL, NULL);
    RETURN loaded;
END;
$$;
COMMENT ON FUNCTION audit.restore_archive(uuid) IS 'Restores the events of an archive to the trail, outside retention; returns how many';

-- SECURITY DEFINER is safe here: as audit.restore_archive; the archive keeps what is dropped.
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
        RAISE EXCEPTION 'archive % has not been restored', archive_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Column restored_as of audit.archives shows which archives are restored.';
    END IF;
    LOCK TABLE audit.events IN ACCESS EXCLUSIVE MODE;
    PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', partition));
    PERFORM audit_internal.delete_config(f) FROM audit_internal.partition_catalog f WHERE f.partition_name = partition;
    archived.restored_as := NULL;
    PERFORM audit_internal.upsert_config(archived);
    PERFORM audit_internal.emit('retention.unload', jsonb_build_object('archive_id', archive_id, 'events', archived.events, 'since', archived.first_at,
        'until', archived.last_at), 'audit_internal.' || archived.partition, NULL, NULL, NULL);
    RETURN archived.events;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'could not unload archive %: the trail is in use by another session', archive_id
        USING ERRCODE = 'lock_not_available', HINT = 'Try again.';
END;
$$;
COMMENT ON FUNCTION audit.unload_archive(uuid) IS 'Removes a restored archive from the trail; its files stay';

-- Deletes the files of one archive whose own time is over; false where there is none. A hold on its time keeps it, whatever it is on.
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
    WHERE a.pruned_at IS NOT NULL AND a.restored_as IS NULL
      AND a.until <= audit_internal.clock() - coalesce(o.archive_keep, c.archive_keep)
      AND NOT EXISTS (SELECT FROM audit.holds h WHERE coalesce(h.since <= a.last_at, true) AND coalesce(h.until > a.first_at, true))
    ORDER BY a.until LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM audit_internal.call_archiver('remove', audit_internal.archive_request(archived));
    PERFORM audit_internal.injection_point('archive.removed');
    PERFORM audit_internal.delete_config(archived);
    PERFORM audit_internal.record_pruned(archived.category, archived.partition, archived.events, archived.first_at, archived.last_at, 'delete archive',
                              'its events are older than archives are kept', archived.archive_id);
    RETURN true;
EXCEPTION WHEN external_routine_exception OR io_error OR config_file_error THEN
    RAISE WARNING 'archive % was not deleted: %', archived.archive_id, sqlerrm;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.remove_archive() IS 'Deletes one archive that has been kept long enough; internal';

-- SECURITY DEFINER is safe here: as audit.restore_archive.
CREATE FUNCTION audit.check_archive(archive_id uuid) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.call_archiver('check', audit_internal.archive_request(audit_internal.known_archive(archive_id)));
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit.check_archive(uuid) IS 'Reads an archive whole and verifies it: true, or an error that says what is wrong';
