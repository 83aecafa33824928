-- Moving events to the partitions that they belong to: from the overflow, and from the partitions of a
-- category to those dedicated to a table.

-- Moves the oldest events first, by the index over the time. Events of a partition that is archived stay in
-- the overflow until retention has dropped the partition, because the archive would lack them. A parent whose
-- partition cannot be created or written to does not keep events of others in the overflow.
-- SECURITY DEFINER is safe here: no role may execute it; it moves events within the trail.
CREATE FUNCTION audit_internal.empty_overflow(max_rows bigint DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    oldest record;
    failed text[] := '{}';
    problem text;
    problem_code text;
BEGIN
    LOOP
        SELECT o.category, o.retention_id, o.occurred_at INTO oldest
        FROM audit_internal.events_overflow o
        WHERE NOT EXISTS (
                  SELECT FROM audit.partitions l
                  JOIN audit.archives a ON a.partition = l.partition_name AND a.pruned_at IS NULL
                  WHERE l.parent = audit_internal.parent_of(o.category, o.retention_id)
                    AND l.since <= o.occurred_at
                    AND l.until > o.occurred_at)
          AND audit_internal.parent_of(o.category, o.retention_id) <> ALL (failed)
        ORDER BY o.occurred_at
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        BEGIN
            RETURN audit_internal.move_from_overflow(
                oldest.category, oldest.retention_id, oldest.occurred_at, max_rows);
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR operator_intervention THEN
                RAISE;
            WHEN OTHERS THEN
                failed := failed || audit_internal.parent_of(oldest.category, oldest.retention_id);
                problem := coalesce(problem, format('%s: %s', failed[1], sqlerrm));
                problem_code := coalesce(problem_code, sqlstate);
        END;
    END LOOP;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = problem_code;
    END IF;
    RETURN 0;
END;
$$;
COMMENT ON FUNCTION audit_internal.empty_overflow(bigint) IS
    'Moves a batch of events from the overflow to their partition; returns how many';

-- Runs after the overflow has been emptied.
-- SECURITY DEFINER is safe here: no role may execute it; it moves events within the trail.
CREATE FUNCTION audit_internal.move_to_dedicated(max_rows bigint DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policy audit_internal.retention_settings;
    source text;
    moved bigint;
BEGIN
    FOR policy IN
        SELECT s.*
        FROM audit_internal.retention_settings s
        WHERE s.lineage IS NOT NULL AND NOT s.is_moved
        ORDER BY s.retention_id
    LOOP
        FOR source IN
            SELECT l.partition_name
            FROM audit.partitions l
            WHERE l.parent = audit_internal.parent_of(policy.category, NULL)
              AND l.since <= audit_internal.clock()
              AND NOT EXISTS (SELECT FROM audit.archives a
                              WHERE a.partition = l.partition_name AND a.pruned_at IS NULL)
            ORDER BY l.since
        LOOP
            moved := audit_internal.move_from_category(policy, source, max_rows);
            IF moved IS NOT NULL THEN
                RETURN moved;
            END IF;
        END LOOP;
        policy.is_moved := true;
        PERFORM audit_internal.upsert_config(policy);
    END LOOP;
    RETURN 0;
END;
$$;
COMMENT ON FUNCTION audit_internal.move_to_dedicated(bigint) IS
    'Moves a batch of events that a table had before it got dedicated partitions to these; returns how many';

CREATE FUNCTION audit_internal.move_from_overflow(
    category text,
    retention_id integer,
    occurred_at timestamptz,
    max_rows bigint
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target record;
    batch record;
    moved bigint;
BEGIN
    SELECT p.* INTO STRICT target
    FROM audit_internal.ensure_partition(category, retention_id, occurred_at) p;
    SELECT array_agg(b.row) AS rows, min(b.occurred_at) AS first_at, max(b.occurred_at) AS last_at,
           min(b.context_id) AS lowest
    INTO batch
    FROM (SELECT o.ctid AS row, o.occurred_at, o.context_id
          FROM audit_internal.events_overflow o
          WHERE o.category = move_from_overflow.category
            AND o.retention_id IS NOT DISTINCT FROM move_from_overflow.retention_id
            AND o.occurred_at >= target.since
            AND o.occurred_at < target.until
          ORDER BY o.occurred_at
          LIMIT max_rows) b;
    moved := audit_internal.move_into_partition(
        'audit_internal.events_overflow_all', batch.rows, target.partition_name, retention_id,
        replicates => true);
    PERFORM audit_internal.injection_point('move.moved');
    PERFORM audit_internal.count_events(
        target.partition_name, moved, batch.first_at, batch.last_at, batch.lowest);
    PERFORM audit_internal.record_move(target.partition_name, moved, target.since, target.until);
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION audit_internal.move_from_overflow(text, integer, timestamptz, bigint) IS
    'Moves a batch of events from the overflow to the partition of this time, which is created if it is '
    'missing; returns how many';

CREATE FUNCTION audit_internal.move_from_category(
    policy audit_internal.retention_settings,
    source text,
    max_rows bigint
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_table CONSTANT text :=
        '(e.node_id, e.relation_id) IN (SELECT r.node_id, r.relation_id FROM audit_internal.relations r '
        '                               WHERE r.lineage = $1)';
    found_at timestamptz;
    target record;
    batch record;
    moved bigint;
BEGIN
    EXECUTE format(
        'SELECT e.occurred_at FROM audit_internal.%I e WHERE %s LIMIT 1', source, of_table)
    INTO found_at
    USING policy.lineage;
    IF found_at IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT p.* INTO STRICT target
    FROM audit_internal.ensure_partition(policy.category, policy.retention_id, found_at) p;
    EXECUTE format(
        $query$
        SELECT array_agg(b.row) AS rows, min(b.occurred_at) AS first_at, max(b.occurred_at) AS last_at,
               min(b.context_id) AS lowest
        FROM (SELECT e.ctid AS row, e.occurred_at, e.context_id
              FROM audit_internal.%I e
              WHERE %s AND e.occurred_at >= $2 AND e.occurred_at < $3
              LIMIT $4) b
        $query$,
        source, of_table)
    INTO batch
    USING policy.lineage, target.since, target.until, max_rows;
    moved := audit_internal.move_into_partition(
        audit_internal.relation_named(source), batch.rows, target.partition_name, policy.retention_id,
        replicates => false);
    PERFORM audit_internal.count_events(source, -moved);
    PERFORM audit_internal.count_events(
        target.partition_name, moved, batch.first_at, batch.last_at, batch.lowest);
    PERFORM audit_internal.record_move(target.partition_name, moved, batch.first_at, batch.last_at);
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION
    audit_internal.move_from_category(audit_internal.retention_settings, text, bigint) IS
    'Moves a batch of events of a table from a partition of its category to a dedicated one; returns how '
    'many, or null if the partition has none';

CREATE FUNCTION audit_internal.ensure_partition(
    category text,
    retention_id integer,
    occurred_at timestamptz
) RETURNS SETOF audit.partitions
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent_name text := audit_internal.ensure_parent(category, retention_id);
BEGIN
    PERFORM audit_internal.create_partitions_of(parent_name, occurred_at, occurred_at);
    RETURN QUERY
        SELECT l.*
        FROM audit.partitions l
        WHERE l.parent = parent_name
          AND l.since <= ensure_partition.occurred_at
          AND l.until > ensure_partition.occurred_at;
END;
$$;
COMMENT ON FUNCTION audit_internal.ensure_partition(text, integer, timestamptz) IS
    'The partition of this time, which is created if it is missing';

CREATE FUNCTION audit_internal.move_into_partition(
    source regclass,
    batch tid[],
    partition_name text,
    retention_id integer,
    replicates boolean
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    destination regclass := audit_internal.relation_named(partition_name);
BEGIN
    RETURN audit_internal.move_rows(source, batch, destination, retention_id, replicates);
EXCEPTION WHEN program_limit_exceeded THEN
    -- A key is too long for the B-tree of the closed partition. Without it the partition is closed again,
    -- which creates the index that takes long keys.
    EXECUTE format('DROP INDEX IF EXISTS audit_internal.%I', partition_name || '_row');
    RETURN audit_internal.move_rows(source, batch, destination, retention_id, replicates);
END;
$$;
COMMENT ON FUNCTION audit_internal.move_into_partition(regclass, tid[], text, integer, boolean) IS
    'As move_rows, but drops the B-tree over the keys if a key is too long for it';

CREATE FUNCTION audit_internal.count_events(
    partition_name text,
    added bigint,
    first_at timestamptz DEFAULT NULL,
    last_at timestamptz DEFAULT NULL,
    lowest_context_id bigint DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known audit_internal.partition_catalog;
BEGIN
    SELECT f.* INTO known
    FROM audit_internal.partition_catalog f
    WHERE f.partition_name = count_events.partition_name AND f.state IN ('closed', 'restored');
    IF NOT FOUND THEN
        RETURN;
    END IF;
    known.events := known.events + added;
    known.first_at := least(known.first_at, first_at);
    known.last_at := greatest(known.last_at, last_at);
    known.lowest_context_id := least(known.lowest_context_id, lowest_context_id);
    known.pruned_at := NULL;
    PERFORM audit_internal.upsert_config(known);
END;
$$;
COMMENT ON FUNCTION audit_internal.count_events(text, bigint, timestamptz, timestamptz, bigint) IS
    'Adjusts the facts of a closed partition to events that were moved to it, or, with a negative number, '
    'away from it';

CREATE FUNCTION audit_internal.record_move(
    partition_name text,
    events bigint,
    since timestamptz,
    until timestamptz
) RETURNS void
LANGUAGE sql VOLATILE
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT audit_internal.emit(
        'evidence.move',
        parameters => jsonb_build_object('events', events, 'since', since, 'until', until),
        entity => 'audit_internal.' || partition_name);
END;
COMMENT ON FUNCTION audit_internal.record_move(text, bigint, timestamptz, timestamptz) IS
    'Records that events were moved to a partition';
