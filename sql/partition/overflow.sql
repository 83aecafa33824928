-- Moving events to the partitions that they belong to.

-- The order of the overflow is that of its index over the time. Events of an archived partition wait until
-- the partition has been pruned: the archive would lack them. Those of a parent whose partition cannot be
-- made, or not be written to, keep no others waiting.
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
        WHERE NOT EXISTS (SELECT FROM audit.partitions l JOIN audit.archives a ON a.partition = l.partition_name AND a.pruned_at IS NULL
                          WHERE l.parent = audit_internal.parent_of(o.category, o.retention_id)
                            AND l.since <= o.occurred_at AND l.until > o.occurred_at)
          AND audit_internal.parent_of(o.category, o.retention_id) <> ALL (failed)
        ORDER BY o.occurred_at LIMIT 1;
        EXIT WHEN NOT FOUND;
        BEGIN
            RETURN audit_internal.move_from_overflow(oldest.category, oldest.retention_id, oldest.occurred_at, max_rows);
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
COMMENT ON FUNCTION audit_internal.empty_overflow(bigint) IS 'Moves a batch of events from the overflow to their partition; returns how many';

CREATE FUNCTION audit_internal.move_from_overflow(category text, retention_id integer, occurred_at timestamptz, max_rows bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    of_parent text := audit_internal.ensure_parent(category, retention_id);
    partition record;
    batch record;
    moved bigint;
BEGIN
    PERFORM audit_internal.create_partitions_of(of_parent, occurred_at, occurred_at);
    SELECT l.* INTO STRICT partition FROM audit.partitions l
    WHERE l.parent = of_parent AND l.since <= move_from_overflow.occurred_at AND l.until > move_from_overflow.occurred_at;
    SELECT array_agg(b.row) AS rows, min(b.occurred_at) AS first_at, max(b.occurred_at) AS last_at, min(b.context_id) AS lowest INTO batch
    FROM (SELECT o.ctid AS row, o.occurred_at, o.context_id FROM audit_internal.events_overflow o
          WHERE o.category = move_from_overflow.category AND o.retention_id IS NOT DISTINCT FROM move_from_overflow.retention_id
            AND o.occurred_at >= partition.since AND o.occurred_at < partition.until
          ORDER BY o.occurred_at LIMIT max_rows) b;
    BEGIN
        moved := audit_internal.move_rows('audit_internal.events_overflow_all', batch.rows, partition.partition, retention_id, true);
    EXCEPTION WHEN program_limit_exceeded THEN
        -- A key too long for a B-tree of the closed partition: closed again, it gets the other kind.
        EXECUTE format('DROP INDEX IF EXISTS audit_internal.%I', partition.partition_name || '_row');
        moved := audit_internal.move_rows('audit_internal.events_overflow_all', batch.rows, partition.partition, retention_id, true);
    END;
    PERFORM audit_internal.injection_point('move.moved');
    PERFORM audit_internal.count_events(partition.partition_name, moved, batch.first_at, batch.last_at, batch.lowest);
    PERFORM audit_internal.emit('evidence.move', jsonb_build_object('events', moved, 'since', partition.since, 'until', partition.until),
                       'audit_internal.' || partition.partition_name, NULL, NULL, NULL);
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION audit_internal.move_from_overflow(text, integer, timestamptz, bigint) IS
    'Moves events from the overflow to the partition of a time, which it makes if need be; returns how many; internal';

-- Keeps what is known of a closed partition right when events come to it, or, below zero, go.
CREATE FUNCTION audit_internal.count_events(partition_name text, added bigint, first_at timestamptz DEFAULT NULL, last_at timestamptz DEFAULT NULL,
                                   lowest_context_id bigint DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT audit_internal.upsert_config(ROW(f.partition_name, f.parent, f.state, f.closed_at, f.events + added, least(f.first_at, count_events.first_at),
                         greatest(f.last_at, count_events.last_at), least(f.lowest_context_id, count_events.lowest_context_id),
                         f.split_at, f.merged_from, NULL, f.restored_number)::audit_internal.partition_catalog)
    FROM audit_internal.partition_catalog f WHERE f.partition_name = count_events.partition_name AND f.state IN ('closed', 'restored');
END;
COMMENT ON FUNCTION audit_internal.count_events(text, bigint, timestamptz, timestamptz, bigint) IS 'Adjusts the facts of a closed partition; internal';

-- Events that a table had before it got dedicated partitions follow it there, a batch at a time, the overflow
-- having been emptied first.
-- SECURITY DEFINER is safe here: no role may execute it; it moves events within the trail.
CREATE FUNCTION audit_internal.move_to_dedicated(max_rows bigint DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    policy audit_internal.retention_settings;
    source record;
    target record;
    batch record;
    found_at timestamptz;
    of_policy text;
    moved bigint;
    versions CONSTANT text := '(e.node_id, e.relation_id) IN (SELECT r.node_id, r.relation_id FROM audit_internal.relations r WHERE r.lineage = $1)';
BEGIN
    FOR policy IN SELECT s.* FROM audit_internal.retention_settings s WHERE s.lineage IS NOT NULL AND NOT s.is_moved ORDER BY s.retention_id LOOP
        FOR source IN
            SELECT l.* FROM audit.partitions l
            WHERE l.parent = audit_internal.parent_of(policy.category, NULL) AND l.since <= audit_internal.clock()
              AND NOT EXISTS (SELECT FROM audit.archives a WHERE a.partition = l.partition_name AND a.pruned_at IS NULL)
            ORDER BY l.since
        LOOP
            EXECUTE format('SELECT e.occurred_at FROM audit_internal.%I e WHERE %s LIMIT 1', source.partition_name, versions) INTO found_at USING policy.lineage;
            CONTINUE WHEN found_at IS NULL;
            of_policy := audit_internal.ensure_parent(policy.category, policy.retention_id);
            PERFORM audit_internal.create_partitions_of(of_policy, found_at, found_at);
            SELECT l.* INTO STRICT target FROM audit.partitions l
            WHERE l.parent = of_policy AND l.since <= found_at AND l.until > found_at;
            EXECUTE format('SELECT array_agg(b.row) AS rows, min(b.occurred_at) AS first_at, max(b.occurred_at) AS last_at, '
                           'min(b.context_id) AS lowest '
                           'FROM (SELECT e.ctid AS row, e.occurred_at, e.context_id FROM audit_internal.%I e '
                           'WHERE %s AND e.occurred_at >= $2 AND e.occurred_at < $3 LIMIT $4) b', source.partition_name, versions)
            INTO batch USING policy.lineage, target.since, target.until, max_rows;
            BEGIN
                moved := audit_internal.move_rows(source.partition, batch.rows, target.partition, policy.retention_id, false);
            EXCEPTION WHEN program_limit_exceeded THEN
                EXECUTE format('DROP INDEX IF EXISTS audit_internal.%I', target.partition_name || '_row');
                moved := audit_internal.move_rows(source.partition, batch.rows, target.partition, policy.retention_id, false);
            END;
            PERFORM audit_internal.count_events(source.partition_name, -moved);
            PERFORM audit_internal.count_events(target.partition_name, moved, batch.first_at, batch.last_at, batch.lowest);
            PERFORM audit_internal.emit('evidence.move', jsonb_build_object('events', moved, 'since', batch.first_at, 'until', batch.last_at),
                               'audit_internal.' || target.partition_name, NULL, NULL, NULL);
            RETURN moved;
        END LOOP;
        policy.is_moved := true;
        PERFORM audit_internal.upsert_config(policy);
    END LOOP;
    RETURN 0;
END;
$$;
COMMENT ON FUNCTION audit_internal.move_to_dedicated(bigint) IS 'Moves a batch of a table''s earlier events to its dedicated partitions; returns how many';
