-- One trail for many servers: each server publishes its own trail, and a central server subscribes to all of
-- them.

-- Subscribers receive each event once, when it is recorded. Moves within the trail are not decoded, and
-- deletions are not published: the central server keeps its events by its own retention. So retention_id,
-- which routes an event to the dedicated partitions of a server, is not published.
CREATE FUNCTION audit.publish(publication text DEFAULT 'audit', subscriber regrole DEFAULT NULL) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    own_node audit_internal.nodes;
    oldest timestamptz;
BEGIN
    PERFORM audit_internal.check_publishing(publication);
    PERFORM audit_internal.warn_of_wide_publications();
    PERFORM audit_internal.emit(
        'config.change',
        parameters => jsonb_build_object('setting', 'publication of the trail', 'value', publication),
        entity => 'publication ' || publication);
    PERFORM audit_internal.create_publication(publication, subscriber);
    SELECT n.* INTO own_node
    FROM audit_internal.nodes n JOIN audit_internal.local_nodes l ON l.node_id = n.node_id AND l.is_current;
    RAISE NOTICE 'the trail of database % on server % is published',
        quote_ident(current_database()), quote_literal(own_node.name)
        USING HINT = 'Servers are distinguished by audit.server_name. A subscriber that is disconnected '
                     'retains WAL on this server: max_slot_wal_keep_size limits it.';
    SELECT min(e.occurred_at) INTO oldest
    FROM audit_internal.stored_events e;
    RETURN format('SELECT audit.gather(%L);', oldest);
END;
$$;
COMMENT ON FUNCTION audit.publish(text, regrole) IS
    'Publishes the trail for subscription by a central server; grants subscriber, the role that it connects '
    'as, SELECT on what the first copy reads; returns the statement to run there first';

-- SECURITY DEFINER is safe here: only audit_admin may execute it; it creates empty partitions of the trail
-- and records config.change.
CREATE FUNCTION audit.gather(since timestamptz DEFAULT NULL) RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    -- Older events are accepted too, by way of the overflow.
    most_partitions CONSTANT integer := 120;
    now_here timestamptz := audit_internal.clock();
    settings audit_internal.gather_settings;
    parent text;
BEGIN
    IF gather.since > now_here THEN
        RAISE EXCEPTION 'since must not be in the future'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the time of the oldest event to gather, as audit.publish returns it.';
    END IF;
    settings.since := coalesce(gather.since, now_here);
    settings.prepared_at := now_here;
    PERFORM audit_internal.enter_maintenance();
    PERFORM audit_internal.create_partitions();
    PERFORM audit_internal.create_default_partitions();
    FOR parent IN
        SELECT p.parent FROM audit_internal.partition_parents p
        WHERE p.retention_id IS NULL AND p.parent <> 'events_overflow'
        ORDER BY p.parent
    LOOP
        PERFORM audit_internal.create_partitions_of(
            parent,
            greatest(settings.since,
                     now_here - most_partitions * audit_internal.partition_interval(parent),
                     now_here - audit_internal.kept(parent) - audit_internal.partition_interval(parent)),
            now_here);
    END LOOP;
    PERFORM audit_internal.delete_config(g)
    FROM audit_internal.gather_settings g
    WHERE g.prepared_at <= now_here - interval '1 day' AND NOT audit_internal.is_copying();
    PERFORM audit_internal.upsert_config(settings);
    PERFORM audit_internal.emit(
        'config.change',
        parameters => jsonb_build_object('setting', 'gathering of other servers',
                                         'value', jsonb_build_object('since', settings.since)),
        entity => 'audit.events');
    RETURN 'CREATE SUBSCRIPTION audit_NAME CONNECTION ''host=… dbname=… user=…'' PUBLICATION audit;';
END;
$$;
COMMENT ON FUNCTION audit.gather(timestamptz) IS
    'Prepares the trail for events of other servers that are as old as since; returns the statement to run '
    'next, once for each server';

CREATE VIEW audit.servers AS
SELECT
    n.name AS server,
    n.database_name,
    n.node_id,
    n.since,
    g.node_id IS NULL AS is_own,
    g.subscription
FROM audit_internal.nodes n LEFT JOIN audit_internal.remote_nodes g ON g.node_id = n.node_id;
COMMENT ON VIEW audit.servers IS
    'Databases whose events are in the trail; a restored, copied or promoted database has one row per '
    'incarnation';
COMMENT ON COLUMN audit.servers.server IS
    'The name of the server: audit.server_name, or else cluster_name or the name of the host';
COMMENT ON COLUMN audit.servers.database_name IS 'The name of the database when this incarnation began';
COMMENT ON COLUMN audit.servers.node_id IS 'The number of the incarnation in audit.events';
COMMENT ON COLUMN audit.servers.since IS 'When this incarnation recorded its first event';
COMMENT ON COLUMN audit.servers.is_own IS
    'Whether it is this database or one that this database was restored or copied from';
COMMENT ON COLUMN audit.servers.subscription IS 'The subscription that inserted the row; null if is_own';

-- The trail knows a table of another server by name only. The caller passes the key as the trail shows it, so
-- that it is compared as text. SECURITY DEFINER is safe here: only audit_reader may execute it, which may
-- read every event.
CREATE FUNCTION audit.server_history(server text, entity text, entity_id text) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation_ids integer[];
    nodes integer[];
BEGIN
    IF server IS NULL OR entity IS NULL OR entity_id IS NULL THEN
        RAISE EXCEPTION 'server, entity and entity_id must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Name a server, a table as audit.trail shows it, and the key of a row.';
    END IF;
    SELECT array_agg(r.relation_id), array_agg(r.node_id) INTO relation_ids, nodes
    FROM audit_internal.relations r
    WHERE r.lineage IN (
        SELECT o.lineage
        FROM audit_internal.relations o JOIN audit_internal.nodes n ON n.node_id = o.node_id
        WHERE o.entity = server_history.entity
          AND server_history.server IN (n.name, n.name || '/' || n.database_name));
    IF relation_ids IS NULL THEN
        RAISE EXCEPTION 'server "%" has no events of %', server, entity
            USING ERRCODE = 'undefined_object',
                  HINT = 'audit.servers lists the servers; '
                         'for one of several databases of a server, write server/database.';
    END IF;
    RETURN QUERY
        SELECT t.* FROM audit_internal.row_trail(audit_internal.row_steps(relation_ids, nodes, entity_id)) t;
END;
$$;
COMMENT ON FUNCTION audit.server_history(text, text, text) IS
    'audit.history for a row of another server: its events, oldest first';

CREATE FUNCTION audit_internal.check_publishing(publication text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Loads the library, which defines the setting.
    PERFORM audit_internal.clock();
    IF coalesce(publication, '') = '' THEN
        RAISE EXCEPTION 'publication must not be null or empty'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Omit the argument for the name audit.';
    ELSIF current_setting('wal_level') <> 'logical' THEN
        RAISE EXCEPTION 'wal_level is %, which does not support logical replication',
            current_setting('wal_level')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set wal_level = logical and restart the server.';
    ELSIF NOT EXISTS (
        SELECT FROM pg_settings s
        WHERE s.name = 'audit.replicate' AND s.setting = 'on'
          AND s.source IN ('configuration file', 'command line', 'environment variable', 'database'))
    THEN
        -- With a setting of this session or role, events of other sessions would not be published.
        RAISE EXCEPTION 'audit.replicate must be on for all sessions: publications would not carry the trail'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run ALTER SYSTEM SET audit.replicate = on and SELECT pg_reload_conf(), '
                         'then call audit.publish again.';
    ELSIF EXISTS (SELECT FROM pg_publication p WHERE p.pubname = publication) THEN
        RAISE EXCEPTION 'publication "%" already exists', publication
            USING ERRCODE = 'duplicate_object',
                  HINT = 'A publication serves any number of subscribers; '
                         'to create another one, pass another name.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_publishing(text) IS
    'Raises an error if the trail cannot be published under this name';

CREATE FUNCTION audit_internal.warn_of_wide_publications() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others text;
BEGIN
    SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname) INTO others
    FROM pg_publication p
    WHERE p.puballtables
       OR EXISTS (SELECT FROM pg_publication_namespace n
                  WHERE n.pnpubid = p.oid
                    AND n.pnnspid IN ('audit'::regnamespace, 'audit_internal'::regnamespace));
    IF others IS NOT NULL THEN
        RAISE WARNING 'publications that include every table now publish the trail too: %', others
            USING HINT = 'Subscribers without the extension will fail. '
                         'Publish the tables that they need by name instead.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.warn_of_wide_publications() IS
    'Warns of publications that include the trail without naming it';

CREATE FUNCTION audit_internal.create_publication(publication text, subscriber regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) INTO columns
    FROM pg_attribute a
    WHERE a.attrelid = 'audit.events'::regclass
      AND a.attnum > 0
      AND NOT a.attisdropped
      AND a.attname <> 'retention_id';
    EXECUTE format(
        'CREATE PUBLICATION %I FOR TABLE '
        '    audit.events (%s), '
        '    audit_internal.nodes, '
        '    audit_internal.sessions, '
        '    audit_internal.contexts, '
        '    audit_internal.relations, '
        '    audit.event_types WHERE (NOT built_in), '
        '    audit.event_parameters WHERE (event_type >= 1000) '
        'WITH (publish = ''insert'', publish_via_partition_root = true)',
        publication, columns);
    IF subscriber IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA audit_internal TO %s', subscriber);
        EXECUTE format(
            'GRANT SELECT ON '
            '    audit.events, '
            '    audit_internal.nodes, '
            '    audit_internal.sessions, '
            '    audit_internal.contexts, '
            '    audit_internal.relations, '
            '    audit.event_types, '
            '    audit.event_parameters '
            'TO %s', subscriber);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_publication(text, regrole) IS
    'Creates the publication of the trail and grants a role what the first copy of a subscription reads';

-- SECURITY DEFINER is safe here: it returns names and states of subscriptions, no connection strings.
CREATE FUNCTION audit_internal.gathering_subscriptions() RETURNS TABLE (subscription text, state text)
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.subname::text,
           CASE WHEN NOT s.subenabled THEN 'disabled'
                WHEN r.waiting > 0 THEN format('copying, %s of %s tables to go', r.waiting, r.tables)
                WHEN EXISTS (SELECT FROM pg_stat_get_subscription(s.oid) w
                             WHERE w.pid IS NOT NULL AND w.received_lsn IS NOT NULL) THEN 'following'
                ELSE 'not connected' END
    FROM pg_subscription s
    CROSS JOIN LATERAL (
        SELECT count(*) AS tables, count(*) FILTER (WHERE l.srsubstate <> 'r') AS waiting
        FROM pg_subscription_rel l JOIN pg_class c ON c.oid = l.srrelid
        WHERE l.srsubid = s.oid
          AND c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)) r
    WHERE r.tables > 0
      AND s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
END;
COMMENT ON FUNCTION audit_internal.gathering_subscriptions() IS
    'The subscriptions to the trails of other servers, and their states';
