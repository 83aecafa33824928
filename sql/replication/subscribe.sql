-- Applying the events of other servers, which arrive by subscriptions: what maintenance and the apply workers
-- need.
--
-- PostgreSQL routes an event to the partition of its time, where trigger accept_row fires. If that partition
-- is closed, the trigger writes the event to the overflow instead, from where maintenance moves and counts it
-- like any late event. So it does in the default partition of each category, which an event without a
-- partition is routed to: default partitions stay empty.

CREATE FUNCTION audit_internal.accept_row() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_accept_row';
COMMENT ON FUNCTION audit_internal.accept_row() IS
    'Trigger on every partition: accepts each row of a subscription once, into a partition that is open';

CREATE FUNCTION audit_internal.refuse_applied() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_refuse_applied';
COMMENT ON FUNCTION audit_internal.refuse_applied() IS
    'Trigger on configuration tables: rejects changes by a subscription';

CREATE FUNCTION audit_internal.accepted_rows() RETURNS bigint[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_accepted_rows';
COMMENT ON FUNCTION audit_internal.accepted_rows() IS
    'How many rows the first copy of a subscription has inserted, and how many it skipped because they '
    'existed';

CREATE TABLE audit_internal.remote_nodes (
    node_id      integer PRIMARY KEY,
    subscription text,
    since        timestamptz NOT NULL
);
COMMENT ON TABLE audit_internal.remote_nodes IS
    'The nodes that are other servers: a subscription inserted their rows in audit_internal.nodes';
COMMENT ON COLUMN audit_internal.remote_nodes.since IS 'When the subscription inserted the node';

CREATE TABLE audit_internal.gather_settings (
    since       timestamptz PRIMARY KEY,
    prepared_at timestamptz NOT NULL
);
COMMENT ON TABLE audit_internal.gather_settings IS
    'The times that audit.gather was called with: partitions since then stay open for events of other '
    'servers';

ALTER TABLE audit_internal.remote_nodes    REPLICA IDENTITY NOTHING;
ALTER TABLE audit_internal.gather_settings REPLICA IDENTITY NOTHING;
SELECT pg_catalog.pg_extension_config_dump('audit_internal.remote_nodes', '');
SELECT pg_catalog.pg_extension_config_dump('audit_internal.gather_settings', '');

-- A node without a row is none of them: events may arrive before the row of their node does, or without it.
CREATE VIEW audit_internal.own_nodes AS
SELECT n.node_id
FROM audit_internal.nodes n
WHERE NOT EXISTS (SELECT FROM audit_internal.remote_nodes g WHERE g.node_id = n.node_id);
COMMENT ON VIEW audit_internal.own_nodes IS
    'The nodes that are this database, now or before it was restored, copied or promoted; internal';

CREATE FUNCTION audit_internal.is_copying() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_subscription_rel s JOIN pg_catalog.pg_class c ON c.oid = s.srrelid
        WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)
          AND s.srsubstate <> 'r');
END;
COMMENT ON FUNCTION audit_internal.is_copying() IS
    'Whether the first copy of a subscription to another trail is running or has yet to start';

-- Partitions for the past of another server stay open for one day, in which the subscription is to be
-- created, and until its first copy is complete.
CREATE FUNCTION audit_internal.awaits_events(since timestamptz, until timestamptz) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM audit_internal.gather_settings g
        WHERE g.since < awaits_events.until
          AND g.prepared_at > awaits_events.since
          AND (g.prepared_at > audit_internal.clock() - interval '1 day' OR audit_internal.is_copying()));
END;
COMMENT ON FUNCTION audit_internal.awaits_events(timestamptz, timestamptz) IS
    'Whether older events of another server may still arrive for a partition with these bounds';

CREATE FUNCTION audit_internal.create_default_partitions() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent text;
    default_partition text;
    described audit_internal.partition_catalog;
BEGIN
    FOR parent IN
        SELECT p.parent FROM audit_internal.partition_parents p
        WHERE p.category IS NOT NULL AND p.retention_id IS NULL
        ORDER BY p.parent
    LOOP
        default_partition := parent || '_default';
        CONTINUE WHEN to_regclass(format('audit_internal.%I', default_partition)) IS NOT NULL;
        PERFORM audit_internal.create_partition_table(parent, default_partition);
        -- Rejects rows as a closed partition does.
        EXECUTE format(
            'CREATE TRIGGER closed BEFORE INSERT ON audit_internal.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_insert()',
            default_partition);
        EXECUTE format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER closed', default_partition);
        described.partition_name := default_partition;
        described.parent := parent;
        described.state := 'default';
        PERFORM audit_internal.upsert_config(described);
        EXECUTE format(
            'COMMENT ON TABLE audit_internal.%I IS %L',
            default_partition,
            'Accepts events of other servers whose partition is missing and routes them to the overflow');
        PERFORM audit_internal.execute_permitted(format(
            'ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I DEFAULT',
            parent, default_partition));
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_default_partitions() IS
    'Creates the default partitions that accept events of other servers whose partition is missing';

-- Rows that arrived before their partition was created, from a server whose clock was ahead or from before
-- the time that audit.gather was called with, are in the default partition. ATTACH PARTITION would fail
-- because of them.
CREATE FUNCTION audit_internal.take_from_default(parent text, partition text, bounds text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound text[] := regexp_match(bounds, $re$FROM \('(-?\d+)'\) TO \('(-?\d+)'\)$re$);
    default_partition text := parent || '_default';
    early tid[];
BEGIN
    -- ATTACH PARTITION takes the same lock.
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', default_partition);
    EXECUTE format(
        'SELECT array_agg(r.ctid) FROM audit_internal.%I r WHERE r.%I >= $1 AND r.%2$I < $2',
        default_partition, rtrim(parent, 's') || '_id')
    INTO early
    USING bound[1]::bigint, bound[2]::bigint;
    IF early IS NOT NULL THEN
        PERFORM audit_internal.move_rows(
            source => format('audit_internal.%I', default_partition)::regclass,
            rows => early,
            destination => format('audit_internal.%I', partition)::regclass,
            retention_id => NULL,
            replicates => false);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.take_from_default(text, text, text) IS
    'Moves rows of a dictionary from the default partition to their new partition';

CREATE FUNCTION audit_internal.own_subscription(OUT subscription text, OUT copied_table regclass)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT u.subname::text, s.relid::regclass
    FROM pg_catalog.pg_stat_get_subscription(NULL) s JOIN pg_catalog.pg_subscription u ON u.oid = s.subid
    WHERE s.pid = pg_catalog.pg_backend_pid();
END;
COMMENT ON FUNCTION audit_internal.own_subscription() IS
    'The subscription that this process is a worker of, and the table that it makes the first copy of';

-- Called by the protection of evidence. The worker of a first copy writes to that table alone, so that no
-- other code can use what it is permitted to do. SECURITY DEFINER is safe here: no role may execute it; its
-- result depends on the process that it runs in.
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
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT audit.gather(); the subscription then continues by itself.';
    END IF;
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit_internal.admit_copy(regclass) IS
    'Whether this process makes the first copy of a subscription to this table';

-- SECURITY DEFINER is safe here: no role may execute it; the trigger on audit_internal.nodes calls it with a
-- row that a subscription inserts.
CREATE FUNCTION audit_internal.record_remote_node(node_id integer) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    remote audit_internal.remote_nodes;
BEGIN
    remote.node_id := node_id;
    remote.subscription := (SELECT o.subscription FROM audit_internal.own_subscription() o);
    remote.since := audit_internal.clock();
    PERFORM audit_internal.upsert_config(remote);
END;
$$;
COMMENT ON FUNCTION audit_internal.record_remote_node(integer) IS 'Records that a node is another server';

-- The event is part of the transaction that copies the table.
-- SECURITY DEFINER is safe here: a trigger on tables of the trail, which writes an event.
CREATE FUNCTION audit_internal.record_copy() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    accepted bigint[] := audit_internal.accepted_rows();
BEGIN
    PERFORM audit_internal.emit(
        'evidence.load',
        parameters => jsonb_build_object(
            'subscription', (SELECT o.subscription FROM audit_internal.own_subscription() o),
            CASE tg_table_name WHEN 'events' THEN 'events' ELSE 'rows' END, accepted[1],
            'known', accepted[2]),
        entity => format('%I.%I', tg_table_schema, tg_table_name));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_copy() IS
    'Trigger on the tables of the trail: records the first copy that a subscription has made';

DO $$
DECLARE
    parent regclass;
BEGIN
    FOREACH parent IN ARRAY ARRAY[
        'audit.events',
        'audit_internal.nodes',
        'audit_internal.sessions',
        'audit_internal.contexts',
        'audit_internal.relations']::regclass[]
    LOOP
        EXECUTE format(
            'CREATE TRIGGER record_copy AFTER INSERT ON %s '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.record_copy()',
            parent);
        EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER record_copy', parent);
    END LOOP;
END $$;

-- Events that are applied after the first copy are counted when their partition closes; later ones pass
-- through the overflow and are counted when they leave it.
CREATE FUNCTION audit_internal.record_remote_counts(partition text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    counts record;
BEGIN
    IF NOT EXISTS (SELECT FROM audit_internal.remote_nodes)
       OR EXISTS (SELECT FROM audit_internal.partition_catalog f
                  WHERE f.partition_name = partition AND f.state = 'closed') THEN
        RETURN;
    END IF;
    FOR counts IN
        EXECUTE format(
            'SELECT n.name AS server, count(*) AS events, '
            '       min(e.occurred_at) AS since, max(e.occurred_at) AS until '
            'FROM audit_internal.%I e '
            'JOIN audit_internal.remote_nodes g ON g.node_id = e.node_id '
            'LEFT JOIN audit_internal.nodes n ON n.node_id = e.node_id '
            'GROUP BY e.node_id, n.name '
            'ORDER BY n.name, e.node_id',
            partition)
    LOOP
        PERFORM audit_internal.emit(
            'evidence.load',
            parameters => jsonb_build_object(
                'server', counts.server,
                'events', counts.events,
                'since', counts.since,
                'until', counts.until),
            entity => 'audit_internal.' || partition);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_remote_counts(text) IS
    'Records how many events of each other server are in a partition that is about to close';

-- Servers mostly agree on the number of an event type, which comes from its name. The first definition holds:
-- what another server sends changes no definition that exists here. DELETE is not published. SECURITY
-- DEFINER is safe here: a trigger on a table of the trail; it stores the row, checked, and runs no code of
-- the sender.
CREATE FUNCTION audit_internal.adopt_event_type() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The name at the server that defined the type, which a central server in between may have lengthened.
    defined_name text := regexp_replace(NEW.name, '#' || NEW.event_type || '$', '');
    known audit.event_types;
BEGIN
    PERFORM audit_internal.lock('event_types');
    SELECT t.* INTO known FROM audit.event_types t WHERE t.event_type = NEW.event_type;
    IF NEW IS NOT DISTINCT FROM known THEN
        RETURN NULL;
    END IF;
    PERFORM audit_internal.check_adopted_type(NEW.event_type, defined_name, NEW.category, NEW.risk);
    NEW.built_in := false;
    NEW.phrase := format('recorded %s of', defined_name);
    IF known.event_type IS NOT NULL THEN
        IF regexp_replace(known.name, '#' || known.event_type || '$', '') <> defined_name THEN
            RAISE WARNING
                'event type "%" of another server has the number of "%" and is shown under that name',
                NEW.name, known.name;
        ELSIF (NEW.category, NEW.risk, NEW.description)
              IS DISTINCT FROM (known.category, known.risk, known.description) THEN
            RAISE WARNING 'event type "%" of another server is defined otherwise here and stays as it is',
                NEW.name;
        END IF;
        RETURN NULL;
    ELSIF EXISTS (SELECT FROM audit.event_types t WHERE t.name = NEW.name) THEN
        NEW.name := defined_name || '#' || NEW.event_type;
    END IF;
    PERFORM audit_internal.upsert_config(NEW);
    PERFORM audit_internal.record_adoption(NEW.event_type, NEW.name, to_jsonb(NEW) - 'built_in');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_event_type() IS
    'Trigger that adopts event types of other servers that are not defined here';

-- Another server may define what audit.define_event_type does.
CREATE FUNCTION audit_internal.check_adopted_type(
    event_type integer,
    name text,
    category text,
    risk text
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    no_parameters CONSTANT jsonb := '{}';
    problem text;
BEGIN
    IF event_type IS NULL OR event_type < 1000 THEN
        problem := format('%s is not the number of an application''s event type',
                          coalesce(event_type::text, 'null'));
    ELSE
        BEGIN
            PERFORM audit_internal.check_event_type(name, category, risk, no_parameters);
        EXCEPTION WHEN null_value_not_allowed OR invalid_parameter_value OR reserved_name THEN
            problem := sqlerrm;
        END;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'a subscription cannot insert audit.event_types: %', problem
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop the subscription and check what the server publishes.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_adopted_type(integer, text, text, text) IS
    'Raises an error for an event type that no application of another server can have defined';

CREATE FUNCTION audit_internal.record_adoption(event_type integer, name text, definition jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.emit(
        'config.change',
        parameters => jsonb_build_object(
            'setting', 'event type of another server',
            'value', jsonb_strip_nulls(definition)),
        entity => 'event type ' || coalesce(name, event_type::text));
END;
$$;
COMMENT ON FUNCTION audit_internal.record_adoption(integer, text, jsonb) IS
    'Records that the definition of an event type came from another server';

-- A parameter may arrive before its event type, as the first copies of both tables run side by side. A
-- declaration that exists here changes in one way: the parameter becomes sensitive. It is never required, as
-- applications of this server have not agreed to that. SECURITY DEFINER is safe here: as
-- audit_internal.adopt_event_type.
CREATE FUNCTION audit_internal.adopt_event_parameter() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known audit.event_parameters;
    declared_type text := NEW.data_type;
BEGIN
    PERFORM audit_internal.lock('event_types');
    SELECT p.* INTO known
    FROM audit.event_parameters p
    WHERE p.event_type = NEW.event_type AND p.name = NEW.name;
    IF NEW IS NOT DISTINCT FROM known THEN
        RETURN NULL;
    ELSIF NEW.event_type IS NULL OR NEW.event_type < 1000
          OR EXISTS (SELECT FROM audit.event_types t WHERE t.event_type = NEW.event_type AND t.built_in)
          OR NEW.name IS NULL OR NEW.name = '' OR NEW.name LIKE '$%'
          OR NEW.data_type IS NULL OR NEW.sensitive IS NULL THEN
        RAISE EXCEPTION
            'a subscription cannot insert audit.event_parameters: '
            'parameter "%" of event type % is not one of an application''s event type',
            NEW.name, NEW.event_type
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop the subscription and check what the server publishes.';
    END IF;
    NEW.required := coalesce(known.required, false);
    BEGIN
        NEW.data_type := audit_internal.parameter_type(NEW.name, declared_type);
    EXCEPTION WHEN invalid_parameter_value THEN
        -- Values are checked where they are recorded. Here the declaration is for readers only.
        RAISE WARNING 'parameter "%" of event type % of another server stays undeclared here: %',
            NEW.name, NEW.event_type, sqlerrm;
        RETURN NULL;
    END;
    IF known.event_type IS NOT NULL THEN
        IF (NEW.data_type, NEW.description) IS DISTINCT FROM (known.data_type, known.description) THEN
            RAISE WARNING
                'parameter "%" of event type % of another server is declared otherwise here '
                'and stays as it is',
                NEW.name, NEW.event_type;
        END IF;
        IF known.sensitive OR NOT NEW.sensitive THEN
            RETURN NULL;
        END IF;
        known.sensitive := true;
        NEW := known;
    END IF;
    PERFORM audit_internal.upsert_config(NEW);
    PERFORM audit_internal.record_adoption(
        NEW.event_type,
        (SELECT t.name FROM audit.event_types t WHERE t.event_type = NEW.event_type),
        jsonb_build_object('parameter', to_jsonb(NEW) - 'event_type'));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_event_parameter() IS
    'Trigger that adopts the declared parameters of event types of other servers';

CREATE TRIGGER adopt BEFORE INSERT ON audit.event_types
    FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_event_type();
ALTER TABLE audit.event_types ENABLE REPLICA TRIGGER adopt;
CREATE TRIGGER adopt BEFORE INSERT ON audit.event_parameters
    FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_event_parameter();
ALTER TABLE audit.event_parameters ENABLE REPLICA TRIGGER adopt;

-- A subscription must not change the configuration, whatever the other server publishes under the names of
-- its tables. The triggers above insert event types and parameters.
DO $$
DECLARE
    configuration regclass;
    operations text;
BEGIN
    FOR configuration, operations IN
        SELECT c.oid,
               CASE WHEN c.oid IN ('audit.event_types'::regclass, 'audit.event_parameters'::regclass)
                    THEN 'UPDATE OR DELETE'
                    ELSE 'INSERT OR UPDATE OR DELETE' END
        FROM pg_class c
        WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind = 'r'
    LOOP
        EXECUTE format(
            'CREATE TRIGGER refuse_applied BEFORE %s ON %s '
            'FOR EACH ROW EXECUTE FUNCTION audit_internal.refuse_applied()',
            operations, configuration);
        EXECUTE format(
            'CREATE TRIGGER refuse_applied_truncate BEFORE TRUNCATE ON %s '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.refuse_applied()',
            configuration);
        EXECUTE format(
            'ALTER TABLE %s '
            '    ENABLE ALWAYS TRIGGER refuse_applied, '
            '    ENABLE ALWAYS TRIGGER refuse_applied_truncate',
            configuration);
    END LOOP;
END $$;
