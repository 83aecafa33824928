-- The state of auditing.

-- Returns a row whatever is broken: a value that cannot be determined is null, and `remarks` contains the
-- error. SECURITY DEFINER is safe here: it takes no argument and returns no recorded value; pg_stat_activity
-- shows the backend type of other sessions to privileged roles only.
CREATE FUNCTION audit.status(
    OUT version text,
    OUT preloaded boolean,
    OUT enabled boolean,
    OUT node integer,
    OUT server text,
    OUT worker text,
    OUT queued bigint,
    OUT lost bigint,
    OUT overflow_events bigint,
    OUT partitions integer,
    OUT partitions_last_until timestamptz,
    OUT bytes bigint,
    OUT tables_audited integer,
    OUT schemas_audited integer,
    OUT publications text[],
    OUT worker_ran_at timestamptz,
    OUT worker_error text,
    OUT subscriptions text[],
    OUT partitions_due integer,
    OUT remarks text[])
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    remarks := '{}';
    version := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'audit');
    remarks := remarks || audit_internal.library_remark(version);
    -- Loads the library, which defines the setting.
    preloaded := audit_internal.is_preloaded();
    enabled := current_setting('audit.enabled')::boolean;
    -- No event is queued: the transaction of each event writes it.
    queued := 0;
    BEGIN
        SELECT w.words, w.ran_at, w.error INTO worker, worker_ran_at, worker_error
        FROM audit_internal.worker_status() w;
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('worker: %s', sqlerrm);
    END;
    BEGIN
        SELECT n.node_id, n.name INTO node, server FROM audit_internal.newest_node() n;
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('node: %s', sqlerrm);
    END;
    BEGIN
        lost := audit_internal.lost_events();
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('lost: %s', sqlerrm);
    END;
    BEGIN
        overflow_events := (SELECT count(*) FROM audit_internal.events_overflow);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('overflow_events: %s', sqlerrm);
    END;
    BEGIN
        SELECT t.partitions, t.last_until, t.bytes INTO partitions, partitions_last_until, bytes
        FROM audit_internal.partition_totals() t;
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('partitions: %s', sqlerrm);
    END;
    BEGIN
        partitions_due := (SELECT count(*) FROM audit_internal.due_partitions() d WHERE d.pruned_at IS NULL);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('partitions_due: %s', sqlerrm);
    END;
    BEGIN
        tables_audited := (SELECT count(*) FROM audit_internal.table_settings);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('tables_audited: %s', sqlerrm);
    END;
    BEGIN
        schemas_audited := (SELECT count(*) FROM audit_internal.schema_settings);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('schemas_audited: %s', sqlerrm);
    END;
    BEGIN
        publications := audit_internal.publications_of_trail();
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('publications: %s', sqlerrm);
    END;
    BEGIN
        subscriptions := ARRAY(
            SELECT format('%s: %s', s.subscription, s.state)
            FROM audit_internal.gathering_subscriptions() s
            ORDER BY 1);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('subscriptions: %s', sqlerrm);
    END;
END;
$$;
COMMENT ON FUNCTION audit.status() IS
    'The state of auditing in one row: library, worker, events that are queued or lost, partitions and how '
    'far ahead they reach, publications that include the trail, subscriptions to the trails of other '
    'servers, and in remarks the error for each value that could not be determined';

CREATE FUNCTION audit_internal.library_version() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_library_version';
COMMENT ON FUNCTION audit_internal.library_version() IS
    'The version of the library that this session has loaded';

CREATE FUNCTION audit_internal.library_remark(extension_version text) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    library_version text := audit_internal.library_version();
BEGIN
    IF library_version <> extension_version THEN
        RETURN ARRAY[format(
            'library: it is of version %s, the extension of version %s; ALTER EXTENSION audit UPDATE updates '
            'the extension, a new connection or, where it is preloaded, a restart loads the new library',
            library_version, extension_version)];
    END IF;
    RETURN '{}';
END;
$$;
COMMENT ON FUNCTION audit_internal.library_remark(text) IS
    'A remark of audit.status() if the versions of library and extension differ, else an empty array';

CREATE FUNCTION audit_internal.newest_node(OUT node_id integer, OUT name text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT n.node_id, n.name INTO newest_node.node_id, newest_node.name
    FROM audit_internal.nodes n
    JOIN pg_database d ON d.oid = n.database_oid AND d.datname = current_database()
    WHERE n.system_identifier = (SELECT c.system_identifier FROM pg_control_system() c)
      AND NOT EXISTS (SELECT FROM audit_internal.remote_nodes g WHERE g.node_id = n.node_id)
    ORDER BY n.since DESC
    LIMIT 1;
END;
$$;
COMMENT ON FUNCTION audit_internal.newest_node() IS
    'The node of this database, of several incarnations the newest; null before the first event';

CREATE FUNCTION audit_internal.lost_events() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Events of another server may have parameters of any type.
    RETURN (
        SELECT coalesce(sum(audit_internal.parameter_number(e.parameters, 'events')), 0)
        FROM audit.events e
        WHERE e.category = 'system'
          AND e.event_type = (SELECT t.event_type FROM audit.event_types t WHERE t.name = 'audit.lost'));
END;
$$;
COMMENT ON FUNCTION audit_internal.lost_events() IS 'How many events audit.lost events report as lost';

CREATE FUNCTION audit_internal.partition_totals(
    OUT partitions integer,
    OUT last_until timestamptz,
    OUT bytes bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT count(*), coalesce(sum(pg_total_relation_size(p.partition)), 0) INTO partitions, bytes
    FROM audit.partitions p;
    SELECT min(e.until) INTO last_until
    FROM (SELECT max(p.until) AS until
          FROM audit.partitions p
          WHERE p.category IS NOT NULL
          GROUP BY p.parent) e;
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_totals() IS
    'The number and size of partitions, and the time until which every parent of events has partitions';

CREATE FUNCTION audit_internal.publications_of_trail() RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ours CONSTANT oid[] := ARRAY['audit'::regnamespace, 'audit_internal'::regnamespace]::oid[];
BEGIN
    RETURN ARRAY(
        SELECT p.pubname::text
        FROM pg_publication p
        WHERE p.puballtables
           OR EXISTS (SELECT FROM pg_publication_namespace n
                      WHERE n.pnpubid = p.oid AND n.pnnspid = ANY (ours))
           OR EXISTS (SELECT FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
                      WHERE r.prpubid = p.oid AND c.relnamespace = ANY (ours))
        ORDER BY p.pubname);
END;
$$;
COMMENT ON FUNCTION audit_internal.publications_of_trail() IS
    'The publications that include a table of the extension';
