-- Old partitions are merged, so that a category never has more than the lock table and the planner bear.

-- The two neighbours to merge next, of a parent that has more than 24 partitions: the smallest pair of closed
-- partitions that together are not larger than audit.partition_size, and would not keep events much longer
-- than the retention says. What waits for its end after its archive was written is left alone. Partitions
-- whose time is over, but for legal holds, are merged whatever is between them: a hold of years would
-- otherwise leave one for each interval. Both are archived, or neither.
CREATE FUNCTION audit_internal.partitions_to_merge() RETURNS TABLE (parent text, first_partition text, second_partition text, since timestamptz, until timestamptz, events bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.parent, p.partition_name, p.next_partition, p.since, p.next_until, p.events + p.next_events
    FROM (SELECT l.parent, l.partition_name, l.since, l.until, f.events, pg_total_relation_size(l.partition) AS bytes,
                 lead(l.partition_name) OVER w AS next_partition, lead(l.since) OVER w AS next_since, lead(l.until) OVER w AS next_until,
                 lead(f.events) OVER w AS next_events, lead(pg_total_relation_size(l.partition)) OVER w AS next_bytes,
                 l.state = 'closed' AND lead(l.state) OVER w = 'closed' AS are_closed,
                 f.pruned_at IS NOT NULL AND lead(f.pruned_at) OVER w IS NOT NULL AS are_held,
                 a.is_archived, lead(a.is_archived) OVER w AS next_is_archived,
                 count(*) OVER (PARTITION BY l.parent) AS partitions
          FROM audit.partitions l LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
          CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM audit.archives x WHERE x.partition = l.partition_name AND x.pruned_at IS NULL) AS is_archived) a
          WHERE l.category IS NOT NULL
          WINDOW w AS (PARTITION BY l.parent ORDER BY l.since)) p
    WHERE p.partitions > 24 AND p.are_closed AND p.is_archived = p.next_is_archived
      AND p.bytes + p.next_bytes <= pg_size_bytes(current_setting('audit.partition_size'))
      AND (p.are_held OR NOT p.is_archived AND p.until = p.next_since
                         AND (audit_internal.kept(p.parent) IS NULL OR p.next_until - p.since <= audit_internal.kept(p.parent) / 10))
    ORDER BY p.bytes + p.next_bytes, p.since LIMIT 1;
END;
COMMENT ON FUNCTION audit_internal.partitions_to_merge() IS 'Two partitions that one may take the place of; internal';

-- Merges in two transactions: the first fills a table beside the trail and commits, the second exchanges it
-- for the two partitions, which takes the parent's lock for a moment and can be tried again without the work
-- of the first. True while there is more to do.
-- SECURITY DEFINER is safe here: no role may execute it; which partitions it merges follows from their ages and sizes.
CREATE FUNCTION audit_internal.merge_partitions() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET client_min_messages = warning
SET default_tablespace = ''
AS $$
DECLARE
    pair record;
    merged audit_internal.partition_catalog;
    name_of_both text;
    copied bigint;
BEGIN
    SELECT f.* INTO merged FROM audit_internal.partition_catalog f WHERE f.state = 'merging' LIMIT 1;
    IF FOUND THEN
        RETURN audit_internal.exchange_partitions(merged);
    END IF;
    SELECT m.* INTO pair FROM audit_internal.partitions_to_merge() m;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    name_of_both := audit_internal.partition_name(pair.parent, pair.since) || '_' || to_char(pair.until, 'YYYYMMDD_HH24MI');
    -- What a crash left of an earlier attempt, or a table of that name, is not part of the trail.
    PERFORM audit_internal.execute_permitted(format('DROP TABLE IF EXISTS audit_internal.%I CASCADE', name_of_both));
    EXECUTE format('LOCK TABLE audit_internal.%I, audit_internal.%I IN SHARE ROW EXCLUSIVE MODE', pair.first_partition, pair.second_partition);
    PERFORM audit_internal.create_partition_table(pair.parent, name_of_both);
    copied := audit_internal.copy_partition(format('audit_internal.%I', pair.first_partition)::regclass, format('audit_internal.%I', name_of_both)::regclass)
            + audit_internal.copy_partition(format('audit_internal.%I', pair.second_partition)::regclass, format('audit_internal.%I', name_of_both)::regclass);
    PERFORM audit_internal.injection_point('merge.copied');
    PERFORM audit_internal.use_tablespace();
    EXECUTE format('CREATE INDEX %I ON audit_internal.%I (occurred_at) WITH (deduplicate_items = off)', name_of_both || '_time', name_of_both);
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ADD CONSTRAINT merged CHECK (%s AND occurred_at >= %L AND occurred_at < %L)', name_of_both,
                   audit_internal.partition_check(pair.parent), pair.since, pair.until));
    PERFORM audit_internal.finish_partition(name_of_both, pair.parent, ARRAY(SELECT d.suffix FROM audit_internal.partition_indexes(pair.parent) d WHERE NOT d.is_open));
    SELECT f.* INTO merged FROM audit_internal.partition_catalog f WHERE f.partition_name = name_of_both;
    IF merged.events <> copied OR copied <> pair.events THEN
        RAISE EXCEPTION 'partitions "%" and "%" contain % events, but % were recorded at close', pair.first_partition, pair.second_partition, merged.events, pair.events
            USING ERRCODE = 'data_corrupted', HINT = 'They were left unchanged. Find out what changed their events.';
    END IF;
    merged.state := 'merging';
    merged.merged_from := ARRAY[pair.first_partition, pair.second_partition];
    PERFORM audit_internal.upsert_config(merged);
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit_internal.merge_partitions() IS 'Takes one step of merging two old partitions; false where nothing is to do; internal';

-- The part of a partition's partition constraint that its parent's place in the tree brings.
CREATE FUNCTION audit_internal.partition_check(parent text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN p.retention_id IS NULL
                THEN format('retention_id IS NULL AND category IS NOT NULL AND category = %L AND occurred_at IS NOT NULL', p.category)
                ELSE format('retention_id IS NOT NULL AND retention_id = %s AND occurred_at IS NOT NULL', p.retention_id) END
    FROM audit_internal.partition_parents p WHERE p.parent = partition_check.parent;
END;
COMMENT ON FUNCTION audit_internal.partition_check(text) IS 'What every event below this parent has in common, for a check; internal';

CREATE FUNCTION audit_internal.exchange_partitions(merged audit_internal.partition_catalog) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    bounds record;
    source text;
    archived audit.archives;
BEGIN
    -- Late events may have come to the two meanwhile, retention taken some away, and one been archived: then it is done again.
    SELECT min(l.since) AS since, max(l.until) AS until, sum(f.events) AS events, count(*) AS partitions, min(f.pruned_at) AS pruned_at,
           count(*) FILTER (WHERE EXISTS (SELECT FROM audit.archives a WHERE a.partition = l.partition_name AND a.pruned_at IS NULL)) AS archived
    INTO bounds
    FROM audit.partitions l JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name WHERE l.partition_name = ANY (merged.merged_from);
    IF bounds.partitions <> cardinality(merged.merged_from) OR bounds.events <> merged.events OR bounds.archived NOT IN (0, bounds.partitions)
       OR to_regclass(format('audit_internal.%I', merged.partition_name)) IS NULL THEN
        PERFORM audit_internal.execute_permitted(format('DROP TABLE IF EXISTS audit_internal.%I CASCADE', merged.partition_name));
        PERFORM audit_internal.delete_config(merged);
        RETURN true;
    END IF;
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', merged.parent);
    FOREACH source IN ARRAY merged.merged_from LOOP
        PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', source));
        PERFORM audit_internal.delete_config(f) FROM audit_internal.partition_catalog f WHERE f.partition_name = source;
    END LOOP;
    PERFORM audit_internal.injection_point('merge.dropped');
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I FOR VALUES FROM (%L) TO (%L)', merged.parent, merged.partition_name,
                   bounds.since, bounds.until));
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I DROP CONSTRAINT merged', merged.partition_name));
    FOR archived IN SELECT a.* FROM audit.archives a WHERE a.partition = ANY (merged.merged_from) AND a.pruned_at IS NULL LOOP
        archived.partition := merged.partition_name;
        PERFORM audit_internal.upsert_config(archived);
    END LOOP;
    merged.state := 'closed';
    merged.merged_from := NULL;
    merged.pruned_at := bounds.pruned_at;
    PERFORM audit_internal.upsert_config(merged);
    IF merged.events > 0 THEN
        PERFORM audit_internal.emit('evidence.move', jsonb_build_object('events', merged.events, 'since', bounds.since, 'until', bounds.until),
                           'audit_internal.' || merged.partition_name, NULL, NULL, NULL);
    END IF;
    RETURN true;
END;
$$;
COMMENT ON FUNCTION audit_internal.exchange_partitions(audit_internal.partition_catalog) IS 'Puts a merged partition in the place of those whose events it holds; internal';
