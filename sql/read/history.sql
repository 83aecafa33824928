-- The history of a row and the changes of an event.

-- The first 48 bits of a UUID of version 7 are milliseconds since 1970.
CREATE FUNCTION audit_internal.event_time(event_id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT to_timestamp(('x' || translate(left(event_id::text, 13), '-', ''))::bit(48)::bigint / 1000.0);
END;
COMMENT ON FUNCTION audit_internal.event_time(uuid) IS
    'The time in the id of an event, to the millisecond; internal';

-- The time in an id is that of its event, or later where the clock stood still or was set back. So the search
-- reads backwards from it in ranges of growing width, each in the partitions of its time, and in the end all
-- partitions. Plans are custom, so that partitions are pruned by the values of the times.
CREATE FUNCTION audit_internal.event_at(event_id uuid) RETURNS audit.events
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
    wanted uuid := event_id;
    newest timestamptz := audit_internal.event_time(event_id) + interval '1 millisecond';
    oldest timestamptz;
    step interval;
    found_event audit.events;
BEGIN
    FOREACH step IN ARRAY ARRAY['2 milliseconds', '1 second', '1 minute', '1 hour', '1 day']::interval[] LOOP
        oldest := newest - step;
        SELECT e.* INTO found_event
        FROM audit_internal.stored_events e
        WHERE e.occurred_at >= oldest AND e.occurred_at < newest AND e.event_id = wanted;
        IF FOUND THEN
            RETURN found_event;
        END IF;
        newest := oldest;
    END LOOP;
    SELECT e.* INTO found_event
    FROM audit_internal.stored_events e
    WHERE e.event_id = wanted;
    RETURN found_event;
END;
$$;
COMMENT ON FUNCTION audit_internal.event_at(uuid) IS
    'The stored event of this id, found by the time in the id; null for an unknown id; internal';

CREATE FUNCTION audit_internal.event_row(event_id uuid) RETURNS audit.events
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_event audit.events := audit_internal.event_at(event_id);
BEGIN
    IF found_event.event_id IS NULL THEN
        RAISE EXCEPTION 'event % does not exist', coalesce(event_id::text, 'null')
            USING ERRCODE = 'no_data_found',
                  HINT = 'Event ids are in audit.trail; retention may have deleted this event.';
    END IF;
    RETURN found_event;
END;
$$;
COMMENT ON FUNCTION audit_internal.event_row(uuid) IS
    'The stored event of this id; an error for an unknown id; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; it takes an id.
CREATE FUNCTION audit.diff(event_id uuid)
RETURNS TABLE (column_name text, old_value jsonb, new_value jsonb)
LANGUAGE sql STABLE ROWS 5
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.column_name, d.old_value, d.new_value
    FROM audit_internal.event_row(event_id) e
    LEFT JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
    CROSS JOIN LATERAL audit_internal.column_changes(e.event_type, e.changes, r.recorded_columns) d;
END;
COMMENT ON FUNCTION audit.diff(uuid) IS
    'Changes of an event, one row per column; the side that an insert or delete lacks is null, a null '
    'column is JSON null';

CREATE FUNCTION audit_internal.ancestry(target regclass) RETURNS TABLE (relation regclass, depth bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT target, 0::bigint
    UNION ALL
    SELECT a.relid, a.depth - 1
    FROM pg_partition_ancestors(target) WITH ORDINALITY a (relid, depth)
    WHERE a.relid <> target;
END;
COMMENT ON FUNCTION audit_internal.ancestry(regclass) IS
    'A table and the tables that it is a partition of, nearest first; internal';

-- The function runs no code of the table's owner: no constraint of a domain, and functions in C only. It
-- computes the hash of a value for roles that may read the value in the table.
CREATE FUNCTION audit_internal.key_of(target regclass, entity_id text) RETURNS text
    LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'audit_key_of';
COMMENT ON FUNCTION audit_internal.key_of(regclass, text) IS
    'A key as the trail writes it, from text that the key''s type accepts: '' 7'' and ''007'' are 7 for an '
    'integer; internal';

-- A table is identified by its OID on this server, or by its name after a restore into a database that has
-- not recorded the table yet.
CREATE FUNCTION audit_internal.versions_of(target regclass) RETURNS SETOF audit_internal.relations
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH by_oid AS (
        SELECT DISTINCT r.lineage
        FROM audit_internal.relations r
        JOIN audit_internal.nodes n ON n.node_id = r.node_id
        JOIN pg_catalog.pg_database d ON d.oid = n.database_oid AND d.datname = current_database()
        WHERE r.relation_oid IN (SELECT a.relation FROM audit_internal.ancestry(target) a)
          AND n.system_identifier = (SELECT s.system_identifier FROM pg_control_system() s)
          AND n.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)
    ), by_name AS (
        SELECT r.lineage
        FROM audit_internal.relations r
        JOIN pg_catalog.pg_namespace n ON n.nspname = r.schema_name
        JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = r.table_name
        WHERE c.oid IN (SELECT a.relation FROM audit_internal.ancestry(target) a)
          AND r.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)
        ORDER BY r.since DESC LIMIT 1
    ), lineages AS (
        SELECT o.lineage FROM by_oid o
        UNION ALL
        SELECT b.lineage FROM by_name b WHERE NOT EXISTS (SELECT FROM by_oid)
    )
    SELECT r.*
    FROM audit_internal.relations r
    WHERE r.lineage IN (SELECT l.lineage FROM lineages l)
      AND r.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o);
END;
COMMENT ON FUNCTION audit_internal.versions_of(regclass) IS
    'Rows of audit_internal.relations that are versions of this table; internal';

CREATE TYPE audit_internal.row_step AS (
    occurred_at    timestamptz,
    event_id       uuid,
    node_id        integer,
    transaction_id bigint,
    command_id     integer,
    event_type     integer,
    entity_id      text,
    new_entity_id  text,
    place          bigint
);
COMMENT ON TYPE audit_internal.row_step IS
    'The columns of a row event that order and identify it; place is its position in time; internal';

-- Keys change: a row whose key was changed is followed to its new key, and later events of the old key are
-- those of another row.
CREATE FUNCTION audit_internal.same_rows(steps audit_internal.row_step[], key text) RETURNS uuid[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step audit_internal.row_step;
    previous audit_internal.row_step;
    -- Numbers of the rows that have a key: after the events read so far, and before the command of the
    -- present event. All changes of one command see the keys as they were before it.
    row_of_key jsonb := '{}';
    row_of_key_before jsonb := '{}';
    wanted_rows integer[] := '{}';
    row_numbers integer[] := '{}';
    row_number integer;
    rows_seen integer := 0;
    row_insert CONSTANT integer := audit_internal.event_type('row.insert');
    -- After these the row has the key, unless an update changed it.
    keeping_types CONSTANT integer[] :=
        audit_internal.event_types('row.insert', 'row.update', 'row.baseline');
BEGIN
    FOREACH step IN ARRAY steps LOOP
        IF (step.node_id, step.transaction_id, step.command_id)
           IS DISTINCT FROM (previous.node_id, previous.transaction_id, previous.command_id) THEN
            row_of_key_before := row_of_key;
        END IF;
        previous := step;
        row_number := CASE WHEN step.event_type <> row_insert
                           THEN (row_of_key_before->>step.entity_id)::integer END;
        IF row_number IS NULL THEN
            rows_seen := rows_seen + 1;
            row_number := rows_seen;
        END IF;
        row_numbers := row_numbers || row_number;
        IF key IN (step.entity_id, step.new_entity_id) THEN
            wanted_rows := wanted_rows || row_number;
        END IF;
        IF step.new_entity_id IS NULL AND step.event_type = ANY (keeping_types) THEN
            row_of_key := row_of_key || jsonb_build_object(step.entity_id, row_number);
        ELSE
            IF row_of_key->step.entity_id = to_jsonb(row_number) THEN
                row_of_key := row_of_key - step.entity_id;
            END IF;
            IF step.new_entity_id IS NOT NULL THEN
                row_of_key := row_of_key || jsonb_build_object(step.new_entity_id, row_number);
            END IF;
        END IF;
    END LOOP;
    RETURN ARRAY(SELECT s.event_id FROM unnest(steps) WITH ORDINALITY s
                 WHERE row_numbers[s.ordinality] = ANY (wanted_rows) ORDER BY s.ordinality);
END;
$$;
COMMENT ON FUNCTION audit_internal.same_rows(audit_internal.row_step[], text) IS
    'Ids of those events, given in order, whose row had a key at some time; internal';

-- The order is that of transactions by their first event on the row, as each locks the row until it ends;
-- within a transaction that of commands, as a user's AFTER trigger that fires earlier may change the row
-- again.
CREATE FUNCTION audit_internal.row_steps(
    relation_ids integer[],
    nodes integer[],
    key text
) RETURNS audit_internal.row_step[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    keys text[] := ARRAY[key];
    new_keys text[] := keys;
    steps audit_internal.row_step[] := '{}';
    more audit_internal.row_step[];
    wanted uuid[];
BEGIN
    -- Events of the key, then of every key that it was changed from or to.
    WHILE new_keys <> '{}' LOOP
        SELECT array_agg(
                   ROW(e.occurred_at, e.event_id, e.node_id, e.transaction_id, e.command_id, e.event_type,
                       e.entity_id, e.new_entity_id, NULL)::audit_internal.row_step)
        INTO more
        FROM (
            SELECT s.* FROM audit_internal.stored_events s WHERE s.entity_id = ANY (new_keys)
            UNION ALL
            SELECT s.* FROM audit_internal.stored_events s WHERE s.new_entity_id = ANY (new_keys)
        ) e
        WHERE e.category = 'data'
          AND e.event_type = ANY (audit_internal.row_event_types())
          AND e.relation_id = ANY (relation_ids)
          AND EXISTS (SELECT FROM unnest(relation_ids, nodes) v (relation_id, node_id)
                      WHERE (v.relation_id, v.node_id) = (e.relation_id, e.node_id));
        steps := steps || more;
        SELECT coalesce(array_agg(DISTINCT k.key), '{}') INTO new_keys
        FROM unnest(more) s
        CROSS JOIN LATERAL (VALUES (s.entity_id), (s.new_entity_id)) k (key)
        WHERE k.key <> ALL (keys);
        keys := keys || new_keys;
    END LOOP;

    SELECT coalesce(
               array_agg(
                   ROW(o.occurred_at, o.event_id, o.node_id, o.transaction_id, o.command_id, o.event_type,
                       o.entity_id, o.new_entity_id, o.place)::audit_internal.row_step
                   ORDER BY o.place),
               '{}')
    INTO steps
    FROM (
        SELECT d.*, row_number() OVER (
                   ORDER BY d.began_at, d.node_id, d.transaction_id, d.command_id, d.event_id) AS place
        FROM (
            SELECT DISTINCT s.occurred_at, s.event_id, s.node_id, s.transaction_id, s.command_id,
                   s.event_type, s.entity_id, s.new_entity_id,
                   min(s.occurred_at) OVER (PARTITION BY s.node_id, s.transaction_id) AS began_at
            FROM unnest(steps) s
        ) d
    ) o;
    IF cardinality(keys) > 1 THEN
        wanted := audit_internal.same_rows(steps, key);
        steps := ARRAY(SELECT s FROM unnest(steps) s WHERE s.event_id = ANY (wanted) ORDER BY s.place);
    END IF;
    RETURN steps;
END;
$$;
COMMENT ON FUNCTION audit_internal.row_steps(integer[], integer[], text) IS
    'The events of the rows that had a key, in order, of a table whose versions are these relations of '
    'these nodes; internal';

CREATE FUNCTION audit_internal.row_trail(steps audit_internal.row_step[]) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT t.*
    FROM unnest(steps) s
    JOIN audit.trail t ON t.occurred_at = s.occurred_at AND t.event_id = s.event_id AND t.category = 'data'
    ORDER BY s.place;
END;
$$;
COMMENT ON FUNCTION audit_internal.row_trail(audit_internal.row_step[]) IS
    'Events of a row as rows of the trail, in their order; internal';

-- SECURITY DEFINER is safe here: audit.history alone calls it, whose callers may read every event; the key
-- has been formed with the caller's rights, and the table is not read.
CREATE FUNCTION audit_internal.row_history(target regclass, entity_id text, key text)
RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    relation_ids integer[];
    nodes integer[];
BEGIN
    IF target IS NULL OR entity_id IS NULL THEN
        RAISE EXCEPTION 'target and entity_id must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a table and the key of a row.';
    ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = target) THEN
        RAISE EXCEPTION 'relation with OID % does not exist', target::oid
            USING ERRCODE = 'undefined_table',
                  HINT = 'Events of dropped tables are in audit.trail by entity.';
    END IF;
    SELECT array_agg(v.relation_id), array_agg(v.node_id) INTO relation_ids, nodes
    FROM audit_internal.versions_of(target) v;
    RETURN QUERY
    SELECT t.* FROM audit_internal.row_trail(audit_internal.row_steps(relation_ids, nodes, key)) t;
END;
$$;
COMMENT ON FUNCTION audit_internal.row_history(regclass, text, text) IS
    'The rows of audit.history, for a key as the trail writes it; internal';

CREATE FUNCTION audit.history(target regclass, entity_id text) RETURNS SETOF audit.trail
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT h.*
    FROM audit_internal.row_history(
        target,
        entity_id,
        CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = target)
             THEN audit_internal.key_of(target, entity_id) END) h;
END;
COMMENT ON FUNCTION audit.history(regclass, text) IS
    'The events of a row, oldest first, under all names of its table and through all changes of its key';
