-- Merging old partitions, so that their number in a category stays within what the planner and the lock table
-- handle well.

-- Merges in two transactions. The first copies two partitions into a new table, which it does not attach. The
-- second puts it in their place, for which it locks the parent briefly; it can be repeated without copying.
-- SECURITY DEFINER is safe here: no role may execute it; ages and sizes determine which partitions it merges.
CREATE FUNCTION audit_internal.merge_partitions() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET client_min_messages = warning
AS $$
DECLARE
    pair record;
    merged audit_internal.partition_catalog;
BEGIN
    SELECT f.* INTO merged FROM audit_internal.partition_catalog f WHERE f.state = 'merging' LIMIT 1;
    IF FOUND THEN
        PERFORM audit_internal.exchange_partitions(merged);
        RETURN true;
    END IF;
    SELECT m.* INTO pair FROM audit_internal.partitions_to_merge() m;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM audit_internal.copy_partitions(
        pair.parent,
        ARRAY[pair.first_partition, pair.second_partition],
        pair.since,
        pair.until,
        pair.events);
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit_internal.merge_partitions() IS
    'Takes one step of merging two old partitions; returns whether there may be more to do';

-- Of a parent that has more than 24 partitions, the smallest pair of closed neighbours that together are not
-- larger than audit.partition_size and do not cover more than a tenth of the retention, lest events be kept
-- much longer. An archived partition is left alone: it is dropped next. Partitions that are due but partly
-- held are merged even if others are between them: a hold that lasts for years would otherwise leave one
-- partition for each interval. Of these, both are archived or neither is.
CREATE FUNCTION audit_internal.partitions_to_merge()
RETURNS TABLE (
    parent text,
    first_partition text,
    second_partition text,
    since timestamptz,
    until timestamptz,
    events bigint
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.parent, p.partition_name, p.next_partition, p.since, p.next_until, p.events + p.next_events
    FROM (SELECT l.parent, l.partition_name, l.since, l.until, f.events,
                 pg_total_relation_size(l.partition) AS bytes,
                 lead(l.partition_name) OVER w AS next_partition,
                 lead(l.since) OVER w AS next_since,
                 lead(l.until) OVER w AS next_until,
                 lead(f.events) OVER w AS next_events,
                 lead(pg_total_relation_size(l.partition)) OVER w AS next_bytes,
                 l.state = 'closed' AND lead(l.state) OVER w = 'closed' AS are_closed,
                 f.pruned_at IS NOT NULL AND lead(f.pruned_at) OVER w IS NOT NULL AS are_held,
                 a.is_archived,
                 lead(a.is_archived) OVER w AS next_is_archived,
                 count(*) OVER (PARTITION BY l.parent) AS partitions
          FROM audit.partitions l
          LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
          CROSS JOIN LATERAL (
              SELECT EXISTS (SELECT FROM audit.archives x
                             WHERE x.partition = l.partition_name AND x.pruned_at IS NULL) AS is_archived) a
          WHERE l.category IS NOT NULL
          WINDOW w AS (PARTITION BY l.parent ORDER BY l.since)) p
    WHERE p.partitions > 24
      AND p.are_closed
      AND p.is_archived = p.next_is_archived
      AND p.bytes + p.next_bytes <= pg_size_bytes(current_setting('audit.partition_size'))
      AND (p.are_held
           OR NOT p.is_archived
              AND p.until = p.next_since
              AND (audit_internal.kept(p.parent) IS NULL
                   OR p.next_until - p.since <= audit_internal.kept(p.parent) / 10))
    ORDER BY p.bytes + p.next_bytes, p.since
    LIMIT 1;
END;
COMMENT ON FUNCTION audit_internal.partitions_to_merge() IS
    'The two partitions to merge next, with their common time range and number of events';

CREATE FUNCTION audit_internal.copy_partitions(
    parent text,
    sources text[],
    since timestamptz,
    until timestamptz,
    events bigint
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET default_tablespace = ''
AS $$
DECLARE
    merged_name text := audit_internal.partition_name(parent, since) || to_char(until, '_YYYYMMDD_HH24MI');
    merged audit_internal.partition_catalog;
    source text;
    copied bigint := 0;
BEGIN
    -- A table of this name that an earlier attempt left after a crash is not part of the trail.
    PERFORM audit_internal.execute_permitted(format(
        'DROP TABLE IF EXISTS audit_internal.%I CASCADE', merged_name));
    EXECUTE format(
        'LOCK TABLE audit_internal.%I, audit_internal.%I IN SHARE ROW EXCLUSIVE MODE',
        sources[1], sources[2]);
    PERFORM audit_internal.create_partition_table(parent, merged_name);
    FOREACH source IN ARRAY sources LOOP
        copied := copied + audit_internal.copy_partition(
            audit_internal.relation_named(source), audit_internal.relation_named(merged_name));
    END LOOP;
    PERFORM audit_internal.injection_point('merge.copied');
    PERFORM audit_internal.use_tablespace();
    PERFORM audit_internal.create_time_index(merged_name);
    -- Saves ATTACH PARTITION a scan of the table while the parent is locked.
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I '
        'ADD CONSTRAINT merged CHECK (%s AND occurred_at >= %L AND occurred_at < %L)',
        merged_name, audit_internal.partition_check(parent), since, until));
    PERFORM audit_internal.finish_partition(merged_name, parent, audit_internal.closed_indexes(parent));
    SELECT f.* INTO merged FROM audit_internal.partition_catalog f WHERE f.partition_name = merged_name;
    IF merged.events <> copied OR copied <> copy_partitions.events THEN
        RAISE EXCEPTION 'partitions "%" and "%" contain % events, but % were recorded at close',
            sources[1], sources[2], merged.events, copy_partitions.events
            USING ERRCODE = 'data_corrupted',
                  HINT = 'They were left unchanged. Find out what changed their events.';
    END IF;
    merged.state := 'merging';
    merged.merged_from := sources;
    PERFORM audit_internal.upsert_config(merged);
END;
$$;
COMMENT ON FUNCTION
    audit_internal.copy_partitions(text, text[], timestamptz, timestamptz, bigint) IS
    'First step of a merge: copies two partitions into a new table, which is closed but not attached';

-- The constraint that a partition has by the place of its parent in the tree.
CREATE FUNCTION audit_internal.partition_check(parent text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN p.retention_id IS NULL
                THEN format('retention_id IS NULL AND category IS NOT NULL AND category = %L '
                            'AND occurred_at IS NOT NULL', p.category)
                ELSE format('retention_id IS NOT NULL AND retention_id = %s '
                            'AND occurred_at IS NOT NULL', p.retention_id) END
    FROM audit_internal.partition_parents p
    WHERE p.parent = partition_check.parent;
END;
COMMENT ON FUNCTION audit_internal.partition_check(text) IS
    'The condition of a CHECK constraint that every event below this parent meets';

CREATE FUNCTION audit_internal.exchange_partitions(merged audit_internal.partition_catalog) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    present record;
    source text;
    archived audit.archives;
BEGIN
    SELECT min(l.since) AS since, max(l.until) AS until, sum(f.events) AS events, count(*) AS partitions,
           min(f.pruned_at) AS pruned_at,
           count(*) FILTER (WHERE EXISTS (SELECT FROM audit.archives a
                                          WHERE a.partition = l.partition_name
                                            AND a.pruned_at IS NULL)) AS archived
    INTO present
    FROM audit.partitions l
    JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
    WHERE l.partition_name = ANY (merged.merged_from);
    -- Since the copy, late events may have been moved to one of the two, retention may have deleted events,
    -- or one may have been archived: then merging begins anew.
    IF present.partitions <> cardinality(merged.merged_from)
       OR present.events <> merged.events
       OR present.archived NOT IN (0, present.partitions)
       OR NOT audit_internal.relation_exists(merged.partition_name) THEN
        PERFORM audit_internal.execute_permitted(format(
            'DROP TABLE IF EXISTS audit_internal.%I CASCADE', merged.partition_name));
        PERFORM audit_internal.delete_config(merged);
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', merged.parent);
    FOREACH source IN ARRAY merged.merged_from LOOP
        PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', source));
        PERFORM audit_internal.forget_partition(source);
    END LOOP;
    PERFORM audit_internal.injection_point('merge.dropped');
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I FOR VALUES FROM (%L) TO (%L)',
        merged.parent, merged.partition_name, present.since, present.until));
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I DROP CONSTRAINT merged', merged.partition_name));
    FOR archived IN
        SELECT a.* FROM audit.archives a WHERE a.partition = ANY (merged.merged_from) AND a.pruned_at IS NULL
    LOOP
        archived.partition := merged.partition_name;
        PERFORM audit_internal.upsert_config(archived);
    END LOOP;
    merged.state := 'closed';
    merged.merged_from := NULL;
    merged.pruned_at := present.pruned_at;
    PERFORM audit_internal.upsert_config(merged);
    IF merged.events > 0 THEN
        PERFORM audit_internal.record_move(
            merged.partition_name, merged.events, present.since, present.until);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.exchange_partitions(audit_internal.partition_catalog) IS
    'Second step of a merge: puts the merged partition in the place of the two, or drops it if they have '
    'changed';
