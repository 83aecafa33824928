-- Applying the events of other servers, which subscriptions bring: what maintenance and the apply workers need.
--
-- A worker routes an event to the partition of its time, where the trigger accept_row meets it. One whose
-- partition has closed goes to the overflow, from where it is moved and counted as any late event is. So does
-- one that has no partition: a default partition below each category accepts it and itself stays empty
-- for ever.

CREATE FUNCTION audit_internal.accept_row() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_accept_row';
COMMENT ON FUNCTION audit_internal.accept_row() IS 'Trigger on every partition: accepts what a subscription brings, once, into a partition that is open';

CREATE FUNCTION audit_internal.refuse_applied() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_refuse_applied';
COMMENT ON FUNCTION audit_internal.refuse_applied() IS 'Trigger on configuration tables: refuses what a subscription brings';

CREATE FUNCTION audit_internal.accepted_rows() RETURNS bigint[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_accepted_rows';
COMMENT ON FUNCTION audit_internal.accepted_rows() IS 'How many rows the first copy of a subscription has brought, and how many it left out because they were known; internal';

CREATE TABLE audit_internal.remote_nodes (
    node_id      integer PRIMARY KEY,
    subscription text,
    since        timestamptz NOT NULL
);
COMMENT ON TABLE audit_internal.remote_nodes IS 'The nodes that are other servers: their rows in audit_internal.nodes came by a subscription';
COMMENT ON COLUMN audit_internal.remote_nodes.since IS 'When the node became known here';

CREATE TABLE audit_internal.gather_settings (
    since       timestamptz PRIMARY KEY,
    prepared_at timestamptz NOT NULL
);
COMMENT ON TABLE audit_internal.gather_settings IS 'The times that audit.gather was called with: partitions back to them wait for events of other servers';

ALTER TABLE audit_internal.remote_nodes    REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.gather_settings REPLICA IDENTITY NOTHING;
SELECT pg_catalog.pg_extension_config_dump('audit_internal.remote_nodes', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.gather_settings', '');

-- Whether the first copy of a subscription to another trail is under way, or has yet to begin.
CREATE FUNCTION audit_internal.is_copying() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel s JOIN pg_catalog.pg_class c ON c.oid = s.srrelid
                   WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND s.srsubstate <> 'r');
END;
COMMENT ON FUNCTION audit_internal.is_copying() IS 'Whether a subscription has yet to copy what another server had recorded before; internal';

-- Partitions that were made for another server's past stay open for a day, in which the subscription is
-- created, and until all is copied.
CREATE FUNCTION audit_internal.awaits_events(since timestamptz, until timestamptz) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM audit_internal.gather_settings g
                   WHERE g.since < awaits_events.until AND g.prepared_at > awaits_events.since
                     AND (g.prepared_at > audit_internal.clock() - interval '1 day' OR audit_internal.is_copying()));
END;
COMMENT ON FUNCTION audit_internal.awaits_events(timestamptz, timestamptz) IS 'Whether events of another server''s past may still come to a partition; internal';

CREATE FUNCTION audit_internal.create_default_partitions() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent text;
    default_partition text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['events_data', 'events_read', 'events_security', 'events_schema', 'events_system', 'events_application'] LOOP
        default_partition := parent || '_default';
        CONTINUE WHEN to_regclass(format('audit_internal.%I', default_partition)) IS NOT NULL;
        PERFORM audit_internal.create_partition_table(parent, default_partition);
        -- As a closed partition it takes nothing.
        EXECUTE format('CREATE TRIGGER closed BEFORE INSERT ON audit_internal.%I FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_insert()', default_partition);
        EXECUTE format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER closed', default_partition);
        PERFORM audit_internal.upsert_config(
            ROW(default_partition, parent, 'default', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::audit_internal.partition_catalog);
        EXECUTE format('COMMENT ON TABLE audit_internal.%I IS %L', default_partition, 'Accepts events of other servers whose partition is missing and routes them to the overflow');
        EXECUTE format('ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I DEFAULT', parent, default_partition);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_default_partitions() IS 'Creates the default partitions that accept events of other servers without a partition; internal';

-- What came before its partition, from a server whose clock was ahead or whose past audit.gather had not
-- prepared for, is in the default partition, which would keep the new partition from being attached.
CREATE FUNCTION audit_internal.take_from_default(parent text, partition text, bounds text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound text[] := regexp_match(bounds, $re$FROM \('(-?\d+)'\) TO \('(-?\d+)'\)$re$);
    early tid[];
BEGIN
    -- Attaching takes the same lock.
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    EXECUTE format('SELECT array_agg(r.ctid) FROM audit_internal.%I r WHERE r.%I >= $1 AND r.%2$I < $2', parent || '_default', rtrim(parent, 's') || '_id')
    INTO early USING bound[1]::bigint, bound[2]::bigint;
    IF early IS NOT NULL THEN
        PERFORM audit_internal.move_rows(format('audit_internal.%I', parent || '_default')::regclass, early, format('audit_internal.%I', partition)::regclass, NULL, false);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.take_from_default(text, text, text) IS 'Moves rows of a dictionary from the default partition to their new partition; internal';

-- The worker that this is, if it belongs to a subscription.
CREATE FUNCTION audit_internal.own_subscription(OUT subscription text, OUT copied_table regclass)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT u.subname::text, s.relid::regclass
    FROM pg_catalog.pg_stat_get_subscription(NULL) s JOIN pg_catalog.pg_subscription u ON u.oid = s.subid
    WHERE s.pid = pg_catalog.pg_backend_pid();
END;
COMMENT ON FUNCTION audit_internal.own_subscription() IS 'The subscription that this process works for, and the table whose first copy it makes; internal';

-- Asked by the protection of the evidence. The worker of a first copy touches no other table, so that no
-- other code runs in it.
-- SECURITY DEFINER is safe here: no role may execute it; it answers a question about the process it runs in.
CREATE FUNCTION audit_internal.admit_copy(target regclass) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF target IS DISTINCT FROM (SELECT o.copied_table FROM audit_internal.own_subscription() o) THEN
        RETURN false;
    ELSIF to_regclass('audit_internal.events_data_default') IS NULL THEN
        RAISE EXCEPTION 'this trail is not prepared for events of other servers'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT audit.gather(); the subscription then continues by itself.';
    END IF;
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit_internal.admit_copy(regclass) IS 'Whether this process makes the first copy of a subscription to this table; internal';

-- SECURITY DEFINER is safe here: no role may execute it; the trigger on audit_internal.nodes calls it with what a subscription brought.
CREATE FUNCTION audit_internal.record_remote_node(node_id integer) RETURNS void
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT audit_internal.upsert_config(ROW(node_id, (SELECT o.subscription FROM audit_internal.own_subscription() o), audit_internal.clock())::audit_internal.remote_nodes);
END;
COMMENT ON FUNCTION audit_internal.record_remote_node(integer) IS 'Records that a node is another server; internal';

-- The first copy of each table is an event in the transaction that copies it.
-- SECURITY DEFINER is safe here: a trigger of the trail's own tables, which writes an event.
CREATE FUNCTION audit_internal.record_copy() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    accepted bigint[] := audit_internal.accepted_rows();
BEGIN
    PERFORM audit_internal.emit('evidence.load', jsonb_build_object('subscription', (SELECT o.subscription FROM audit_internal.own_subscription() o),
        CASE tg_table_name WHEN 'events' THEN 'events' ELSE 'rows' END, accepted[1], 'known', accepted[2]), format('%I.%I', tg_table_schema, tg_table_name), NULL, NULL, NULL);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_copy() IS 'Trigger on the tables of the trail: records the first copy that a subscription has made';

DO $$
DECLARE
    parent regclass;
BEGIN
    FOREACH parent IN ARRAY ARRAY['audit.events', 'audit_internal.nodes', 'audit_internal.sessions', 'audit_internal.contexts',
                                  'audit_internal.relations']::regclass[] LOOP
        EXECUTE format('CREATE TRIGGER record_copy AFTER INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.record_copy()', parent);
        EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER record_copy', parent);
    END LOOP;
END $$;

-- What is applied afterwards is counted when its partition closes. What comes later still goes by way of the
-- overflow and is counted there.
CREATE FUNCTION audit_internal.record_remote_counts(partition text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gathered record;
BEGIN
    IF NOT EXISTS (SELECT FROM audit_internal.remote_nodes)
       OR EXISTS (SELECT FROM audit_internal.partition_catalog f WHERE f.partition_name = partition AND f.state = 'closed') THEN
        RETURN;
    END IF;
    FOR gathered IN
        EXECUTE format('SELECT n.name, count(*) AS events, min(e.occurred_at) AS since, max(e.occurred_at) AS until FROM audit_internal.%I e '
                       'JOIN audit_internal.remote_nodes g ON g.node_id = e.node_id LEFT JOIN audit_internal.nodes n ON n.node_id = e.node_id '
                       'GROUP BY e.node_id, n.name ORDER BY n.name, e.node_id', partition)
    LOOP
        PERFORM audit_internal.emit('evidence.load', jsonb_build_object('server', gathered.name, 'events', gathered.events, 'since', gathered.since,
            'until', gathered.until), 'audit_internal.' || partition, NULL, NULL, NULL);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_remote_counts(text) IS 'Records how many events of other servers a partition that closes holds; internal';

-- Event types that applications of other servers define. The number comes from the name, so that the servers mostly agree; the last one
-- to define a type is believed. Publications carry no removal: a parameter that is no longer declared stays.
-- SECURITY DEFINER is safe here: a trigger of the trail's own table; it stores the row and runs no code that came with it.
CREATE FUNCTION audit_internal.adopt_event_type() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known audit.event_types;
BEGIN
    PERFORM audit_internal.lock('event_types');
    SELECT t.* INTO known FROM audit.event_types t WHERE t.event_type = NEW.event_type;
    IF known.name <> NEW.name AND known.name <> NEW.name || '#' || NEW.event_type THEN
        RAISE WARNING 'event type "%" of another server has the number of "%" and is shown as such', NEW.name, known.name;
        RETURN NULL;
    ELSIF EXISTS (SELECT FROM audit.event_types t WHERE t.name = NEW.name AND t.event_type <> NEW.event_type) THEN
        NEW.name := NEW.name || '#' || NEW.event_type;
    END IF;
    IF NEW IS DISTINCT FROM known AND known.built_in IS NOT TRUE THEN
        PERFORM audit_internal.upsert_config(NEW);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_event_type() IS 'Trigger: takes over event types of other servers, where a type may be known already';

-- SECURITY DEFINER is safe here: as audit_internal.adopt_event_type.
CREATE FUNCTION audit_internal.adopt_event_parameter() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.lock('event_types');
    IF NOT EXISTS (SELECT FROM audit.event_parameters p WHERE p = NEW) THEN
        PERFORM audit_internal.upsert_config(NEW);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_event_parameter() IS 'Trigger: takes over declared parameters of other servers'' event types';

CREATE TRIGGER adopt BEFORE INSERT ON audit.event_types FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_event_type();
ALTER TABLE audit.event_types ENABLE REPLICA TRIGGER adopt;
CREATE TRIGGER adopt BEFORE INSERT ON audit.event_parameters FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_event_parameter();
ALTER TABLE audit.event_parameters ENABLE REPLICA TRIGGER adopt;

-- Whatever else a server publishes under the names of our tables is refused. Event types and parameters are inserted
-- by the triggers above.
DO $$
DECLARE
    configuration regclass;
    operations text;
BEGIN
    FOR configuration, operations IN
        SELECT c.oid, CASE WHEN c.oid IN ('audit.event_types'::regclass, 'audit.event_parameters'::regclass)
                           THEN 'UPDATE OR DELETE' ELSE 'INSERT OR UPDATE OR DELETE' END
        FROM pg_class c WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind = 'r'
    LOOP
        EXECUTE format('CREATE TRIGGER refuse_applied BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION audit_internal.refuse_applied()',
                       operations, configuration);
        EXECUTE format('CREATE TRIGGER refuse_applied_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                       'EXECUTE FUNCTION audit_internal.refuse_applied()', configuration);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_applied, ENABLE ALWAYS TRIGGER refuse_applied_truncate', configuration);
    END LOOP;
END $$;
