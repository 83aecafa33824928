-- How auditing fares.

CREATE FUNCTION audit_internal.library_version() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_library_version';
COMMENT ON FUNCTION audit_internal.library_version() IS 'The release that the library of this session is of; internal';

-- It has an answer whatever is broken: what cannot be found out is null, and `remarks` says why. SECURITY DEFINER, because the worker's
-- kind shows in pg_stat_activity only to those who may see its sessions; it takes no argument and shows no value.
CREATE FUNCTION audit.status(
    OUT version text, OUT preloaded boolean, OUT enabled boolean, OUT node integer, OUT server text, OUT worker text, OUT queued bigint,
    OUT lost bigint, OUT overflow_events bigint, OUT partitions integer, OUT partitions_last_until timestamptz, OUT bytes bigint,
    OUT tables_audited integer, OUT schemas_audited integer, OUT publications text[], OUT worker_ran_at timestamptz, OUT worker_error text,
    OUT subscriptions text[], OUT partitions_due integer, OUT remarks text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    remarks := '{}';
    version := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'audit');
    IF version <> audit_internal.library_version() THEN
        remarks := remarks || format('library: it is of version %s, the extension of version %s; ALTER EXTENSION audit UPDATE renews the '
                                     'extension, a new connection the library, or where it is preloaded a restart', audit_internal.library_version(), version);
    END IF;
    preloaded := audit_internal.is_preloaded();
    -- The setting is defined when the library is loaded, which reading the line above has done.
    enabled := current_setting('audit.enabled')::boolean;
    -- Nothing is queued: every event is written by the transaction that it belongs to.
    queued := 0;
    BEGIN
        SELECT w.words, w.ran_at, w.error INTO worker, worker_ran_at, worker_error FROM audit_internal.worker_status() w;
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('worker: %s', sqlerrm);
    END;
    BEGIN
        SELECT n.node_id, n.name INTO node, server
        FROM audit_internal.nodes n JOIN pg_database d ON d.oid = n.database_oid AND d.datname = current_database()
        WHERE n.system_identifier = (SELECT c.system_identifier FROM pg_control_system() c)
          AND NOT EXISTS (SELECT FROM audit_internal.remote_nodes g WHERE g.node_id = n.node_id)
        ORDER BY n.since DESC LIMIT 1;
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('node: %s', sqlerrm);
    END;
    BEGIN
        -- Another server's events say what they like.
        lost := (SELECT coalesce(sum(audit_internal.parameter_number(e.parameters, 'events')), 0) FROM audit.events e
                 WHERE e.category = 'system' AND e.event_type = 84);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('lost: %s', sqlerrm);
    END;
    BEGIN
        overflow_events := (SELECT count(*) FROM audit_internal.events_overflow);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('overflow_events: %s', sqlerrm);
    END;
    BEGIN
        SELECT count(*), coalesce(sum(pg_total_relation_size(l.partition)), 0) INTO partitions, bytes FROM audit.partitions l;
        partitions_last_until := (SELECT min(p.until) FROM (SELECT max(l.until) AS until FROM audit.partitions l
                                                        WHERE l.category IS NOT NULL
                                                        GROUP BY l.parent) p);
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
        publications := ARRAY(
            SELECT p.pubname::text FROM pg_publication p
            WHERE p.puballtables
               OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid AND n.pnnspid IN ('audit'::regnamespace, 'audit_internal'::regnamespace))
               OR EXISTS (SELECT FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
                          WHERE r.prpubid = p.oid AND c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace))
            ORDER BY p.pubname);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('publications: %s', sqlerrm);
    END;
    BEGIN
        subscriptions := ARRAY(SELECT format('%s: %s', s.subscription, s.state) FROM audit_internal.gathering_subscriptions() s ORDER BY 1);
    EXCEPTION WHEN OTHERS THEN
        remarks := remarks || format('subscriptions: %s', sqlerrm);
    END;
END;
$$;
COMMENT ON FUNCTION audit.status() IS
    'The state of auditing in one row: library, worker, events waiting or lost, partitions and how long they last, publications that reach the trail, subscriptions that bring events of other servers, and what could not be found out';
