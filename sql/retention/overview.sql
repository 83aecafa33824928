-- View audit.retention: the policies, and what they apply to at present.

-- SECURITY DEFINER is safe here: it returns counts, sizes and times, and no event.
CREATE FUNCTION audit_internal.retention_overview()
RETURNS TABLE (
    category text,
    entity text,
    keep interval,
    archive boolean,
    archive_keep interval,
    max_bytes bigint,
    partition_interval interval,
    partitions integer,
    oldest_event timestamptz,
    events bigint,
    bytes bigint,
    next_due timestamptz,
    archives integer,
    archived_events bigint,
    archived_bytes bigint
)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
        SELECT p.category, p.entity, k.keep, p.archive, p.archive_keep, p.max_bytes,
               audit_internal.partition_interval(p.parent), s.partitions, s.oldest_event, s.events, s.bytes,
               s.next_due, a.archives::integer, a.events::bigint, a.bytes::bigint
        FROM audit_internal.policies() p
        CROSS JOIN LATERAL audit_internal.kept(p.parent) k (keep)
        CROSS JOIN LATERAL audit_internal.partition_summary(p.parent, k.keep) s
        CROSS JOIN LATERAL (
            SELECT count(*) AS archives, coalesce(sum(a.events), 0) AS events,
                   coalesce(sum(a.bytes), 0) AS bytes
            FROM audit.archives a
            WHERE a.category = p.category AND a.retention_id IS NOT DISTINCT FROM p.dedicated_id) a
        ORDER BY p.category, p.entity NULLS FIRST;
END;
$$;
COMMENT ON FUNCTION audit_internal.retention_overview() IS 'The rows of audit.retention';

CREATE VIEW audit.retention AS SELECT r.* FROM audit_internal.retention_overview() r;
COMMENT ON VIEW audit.retention IS
    'The retention of each category, and of each table that has its own, and what it applies to at present';
COMMENT ON COLUMN audit.retention.category IS 'The category of the events';
COMMENT ON COLUMN audit.retention.entity IS 'The table; null in the row of the whole category';
COMMENT ON COLUMN audit.retention.keep IS
    'How long events are kept; null means without limit. If it is not set for a table, that of the category';
COMMENT ON COLUMN audit.retention.archive IS 'Whether partitions are archived before they are deleted';
COMMENT ON COLUMN audit.retention.archive_keep IS
    'How long after the event its archive is kept; null means without limit';
COMMENT ON COLUMN audit.retention.max_bytes IS
    'The total size of the partitions beyond which the oldest are deleted; null means without limit';
COMMENT ON COLUMN audit.retention.partition_interval IS 'The time range of one partition';
COMMENT ON COLUMN audit.retention.partitions IS 'The number of partitions, those created ahead included';
COMMENT ON COLUMN audit.retention.oldest_event IS 'The time of the oldest event in a partition';
COMMENT ON COLUMN audit.retention.events IS
    'The number of events in partitions; in a large open partition estimated by the planner''s statistics';
COMMENT ON COLUMN audit.retention.bytes IS 'The size of the partitions with their indexes';
COMMENT ON COLUMN audit.retention.next_due IS 'When the oldest partition with events is due by its age';
COMMENT ON COLUMN audit.retention.archives IS 'The number of archives';
COMMENT ON COLUMN audit.retention.archived_events IS 'The number of events in archives';
COMMENT ON COLUMN audit.retention.archived_bytes IS 'The size of the files of the archives';

CREATE FUNCTION audit_internal.policies()
RETURNS TABLE (
    category text,
    entity text,
    dedicated_id integer,
    parent text,
    archive boolean,
    archive_keep interval,
    max_bytes bigint
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.category, NULL::text, NULL::integer, audit_internal.parent_of(c.category, NULL),
           coalesce(s.archive, false), s.archive_keep, s.max_bytes
    FROM unnest(ARRAY['data', 'read', 'security', 'schema', 'system', 'application']) c (category)
    LEFT JOIN audit_internal.retention_settings s ON s.category = c.category AND s.lineage IS NULL
    UNION ALL
    SELECT o.category, o.entity, o.retention_id, audit_internal.parent_of(o.category, o.retention_id),
           coalesce(o.archive, s.archive, false), coalesce(o.archive_keep, s.archive_keep), o.max_bytes
    FROM audit_internal.retention_settings o
    LEFT JOIN audit_internal.retention_settings s ON s.category = o.category AND s.lineage IS NULL
    WHERE o.lineage IS NOT NULL;
END;
COMMENT ON FUNCTION audit_internal.policies() IS
    'The policy of each category, and of each table that has its own; what a table does not set is that of '
    'its category';

CREATE FUNCTION audit_internal.partition_summary(
    parent text,
    keep interval,
    OUT partitions integer,
    OUT oldest_event timestamptz,
    OUT events bigint,
    OUT bytes bigint,
    OUT next_due timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    partition record;
BEGIN
    partitions := 0;
    events := 0;
    bytes := 0;
    FOR partition IN
        SELECT l.* FROM audit.partitions l WHERE l.parent = partition_summary.parent ORDER BY l.since
    LOOP
        partitions := partitions + 1;
        bytes := bytes + pg_total_relation_size(partition.partition);
        events := events + audit_internal.events_in(partition.partition, partition.partition_name);
        IF oldest_event IS NULL THEN
            EXECUTE format('SELECT min(e.occurred_at) FROM audit_internal.%I e', partition.partition_name)
            INTO oldest_event;
            next_due := CASE WHEN oldest_event IS NOT NULL THEN partition.until + keep END;
        END IF;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_summary(text, interval) IS
    'What the partitions of a parent contain, and when the oldest with events is due';

-- Closed partitions and small ones have an exact number, large open ones an estimate by the statistics of the
-- planner.
CREATE FUNCTION audit_internal.events_in(partition regclass, partition_name text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    events bigint := (SELECT f.events
                      FROM audit_internal.partition_catalog f
                      WHERE f.partition_name = events_in.partition_name AND f.state = 'closed');
    estimate record;
BEGIN
    IF events IS NOT NULL THEN
        RETURN events;
    END IF;
    SELECT c.reltuples, c.relpages,
           pg_relation_size(c.oid) / current_setting('block_size')::integer AS pages
    INTO estimate
    FROM pg_class c
    WHERE c.oid = partition;
    IF estimate.pages > 8192 AND estimate.relpages > 0 AND estimate.reltuples >= 0 THEN
        RETURN round(estimate.reltuples / estimate.relpages * estimate.pages);
    END IF;
    EXECUTE format('SELECT count(*) FROM audit_internal.%I', partition_name) INTO events;
    RETURN events;
END;
$$;
COMMENT ON FUNCTION audit_internal.events_in(regclass, text) IS
    'The number of events in a partition, estimated if it is open and large';
