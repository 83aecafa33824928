-- The counts of an overview.

-- Counts of one partition since each of three times, and of all its events. A large partition that ended
-- before the first of them is not read: its number of events, and their types and results, are the statistics
-- of ANALYZE. Other partitions are counted.
CREATE FUNCTION audit_internal.partition_counts(
    partition regclass,
    of_category text,
    ends_at timestamptz,
    moments timestamptz[]
)
RETURNS TABLE (
    category text,
    period integer,
    events double precision,
    failures double precision,
    high_risk double precision
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    high_types integer[] := ARRAY(SELECT t.event_type FROM audit.event_types t WHERE t.risk = 'high');
    estimated double precision := (SELECT c.reltuples FROM pg_class c WHERE c.oid = partition);
BEGIN
    IF estimated > 20000 AND ends_at <= least(moments[1], moments[2], moments[3]) THEN
        RETURN QUERY
        SELECT of_category,
               4,
               estimated,
               coalesce(
                   (SELECT estimated * (1 - s.null_frac)
                    FROM pg_stats s
                    WHERE s.schemaname = 'audit_internal'
                      AND s.tablename = c.relname
                      AND s.attname = 'result'),
                   0),
               coalesce(
                   (SELECT estimated * sum(f.frequency)
                    FROM pg_stats s
                    CROSS JOIN LATERAL unnest(s.most_common_vals::text::integer[], s.most_common_freqs)
                                    f (event_type, frequency)
                    WHERE s.schemaname = 'audit_internal'
                      AND s.tablename = c.relname
                      AND s.attname = 'event_type'
                      AND f.event_type = ANY (high_types)),
                   0)
        FROM pg_class c WHERE c.oid = partition;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT g.category, p.period, sum(g.events)::float8, sum(g.failures)::float8, sum(g.high_risk)::float8
         FROM (
             SELECT e.category,
                    (e.occurred_at >= $1[1])::integer AS in_1,
                    (e.occurred_at >= $1[2])::integer AS in_2,
                    (e.occurred_at >= $1[3])::integer AS in_3,
                    count(*) AS events,
                    count(*) FILTER (WHERE e.result = ''failure'') AS failures,
                    count(*) FILTER (WHERE e.event_type = ANY ($2)) AS high_risk
             FROM %s e
             GROUP BY 1, 2, 3, 4
         ) g
         CROSS JOIN LATERAL (VALUES (1, g.in_1), (2, g.in_2), (3, g.in_3), (4, 1)) p (period, is_in)
         WHERE p.is_in = 1
         GROUP BY g.category, p.period', partition) USING moments, high_types;
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_counts(regclass, text, timestamptz, timestamptz[]) IS
    'Counts of one partition for audit.dashboard; internal';

-- SECURITY DEFINER is safe here: it is called through audit.dashboard alone, whose readers may read what it
-- returns.
CREATE FUNCTION audit_internal.figures()
RETURNS TABLE (
    period text,
    category text,
    events bigint,
    failures bigint,
    high_risk bigint,
    bytes bigint
)
LANGUAGE sql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH partitions AS (
        SELECT l.partition, l.category, l.until,
               pg_total_relation_size(l.partition) AS bytes
        FROM audit.partitions l
        WHERE l.category IS NOT NULL OR l.parent = 'events_overflow'
    ), counted AS (
        -- The bytes of a partition are divided by events; a partition without events has bytes, too.
        SELECT coalesce(f.category, l.category) AS category,
               coalesce(f.period, 4) AS period,
               f.events, f.failures, f.high_risk,
               CASE WHEN f.period IS NULL THEN l.bytes
                    ELSE l.bytes * f.events / nullif(
                        sum(f.events) FILTER (WHERE f.period = 4) OVER (PARTITION BY l.partition), 0)
               END AS bytes
        FROM partitions l
        LEFT JOIN LATERAL audit_internal.partition_counts(
            l.partition,
            l.category,
            l.until,
            ARRAY[date_trunc('day', now()), date_trunc('week', now()), date_trunc('month', now())]) f ON true
    )
    SELECT p.period, k.category,
           coalesce(round(sum(c.events)), 0)::bigint,
           coalesce(round(sum(c.failures)), 0)::bigint,
           coalesce(round(sum(c.high_risk)), 0)::bigint,
           coalesce(round(sum(c.bytes)), 0)::bigint
    FROM unnest(ARRAY['today', 'this week', 'this month', 'all']) WITH ORDINALITY p (period, place)
    CROSS JOIN unnest(audit_internal.categories()) WITH ORDINALITY k (category, place)
    LEFT JOIN counted c ON c.period = p.place AND c.category = k.category
    GROUP BY p.period, p.place, k.category, k.place
    ORDER BY p.place, k.place;
END;
COMMENT ON FUNCTION audit_internal.figures() IS 'The rows of audit.dashboard; internal';

CREATE VIEW audit.dashboard AS
SELECT f.period, f.category, f.events, f.failures, f.high_risk, f.bytes FROM audit_internal.figures() f;
COMMENT ON VIEW audit.dashboard IS
    'Events, failures, events of high risk and bytes, one row per period and category; for large partitions '
    'of earlier months from the planner''s statistics';
COMMENT ON COLUMN audit.dashboard.period IS
    'today, this week or this month, in the session''s time zone, or all';
COMMENT ON COLUMN audit.dashboard.category IS 'data, read, security, schema, system or application';
COMMENT ON COLUMN audit.dashboard.events IS 'Number of events';
COMMENT ON COLUMN audit.dashboard.failures IS 'Number of events whose result is failure';
COMMENT ON COLUMN audit.dashboard.high_risk IS
    'Number of events of high risk; for large partitions of earlier months without those of rare types';
COMMENT ON COLUMN audit.dashboard.bytes IS
    'Bytes on disk, with indexes; a part of a partition counts by its share of the events';

CREATE VIEW audit.recent_high_risk AS
SELECT e.event_id,
       e.occurred_at,
       e.event,
       e.category,
       e.risk,
       e.result,
       e.summary,
       e.actor,
       e.login,
       e.client_addr,
       e.entity,
       e.entity_id,
       e.reason
FROM audit_internal.trail_events e
WHERE e.event_type = ANY (ARRAY(SELECT t.event_type FROM audit.event_types t WHERE t.risk = 'high'))
  AND e.occurred_at >= now() - interval '30 days'
ORDER BY e.occurred_at DESC, e.event_id DESC;
COMMENT ON VIEW audit.recent_high_risk IS
    'Events of high risk in the last 30 days, one row per event, the newest first';
