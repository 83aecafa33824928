-- How the trail is divided into partitions: their names, bounds and indexes. Reads only settings and the
-- catalogs, and changes nothing.

CREATE FUNCTION audit_internal.parent_of(category text, retention_id integer) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN retention_id IS NULL
                THEN 'events_' || category
                ELSE 'events_dedicated_' || retention_id END;
END;
COMMENT ON FUNCTION audit_internal.parent_of(text, integer) IS
    'The parent of the partitions of a category, or of those dedicated to a retention';

CREATE FUNCTION audit_internal.kept(parent text) RETURNS interval
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(own.keep, of_category.keep)
    FROM audit_internal.partition_parents p
    LEFT JOIN audit_internal.retention_settings own ON own.retention_id = p.retention_id
    LEFT JOIN audit_internal.retention_settings of_category
           ON of_category.category = p.category AND of_category.lineage IS NULL
    WHERE p.parent = kept.parent;
END;
COMMENT ON FUNCTION audit_internal.kept(text) IS
    'How long events of this parent are kept; null means without limit';

-- A quarter of the retention at most, so that an event is not kept much longer, and never more than a month.
CREATE FUNCTION audit_internal.partition_interval(parent text) RETURNS interval
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(
        (SELECT s.partition_interval
         FROM audit_internal.partition_settings s
         WHERE s.parent = partition_interval.parent),
        (SELECT CASE WHEN k >= interval '120 days' THEN interval '1 month'
                     WHEN k >= interval '28 days' THEN interval '7 days'
                     WHEN k >= interval '4 days' THEN interval '1 day'
                     WHEN k >= interval '1 day' THEN interval '6 hours'
                     ELSE interval '1 hour' END
         FROM audit_internal.kept(partition_interval.parent) k
         WHERE k IS NOT NULL),
        interval '1 month');
END;
COMMENT ON FUNCTION audit_internal.partition_interval(text) IS
    'The length of the time range of a partition of this parent: what is set, or else derived from the '
    'retention';

-- Intervals of months and years begin with a calendar month, all others are counted from 2000-01-01.
CREATE FUNCTION audit_internal.partition_start(at timestamptz, partition_interval interval)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN extract(year FROM partition_interval) * 12 + extract(month FROM partition_interval) > 0
        THEN date_trunc('month', timezone('UTC', at)) AT TIME ZONE 'UTC'
        ELSE date_bin(partition_interval, at, timestamptz '2000-01-01 00:00:00+00')
    END;
END;
COMMENT ON FUNCTION audit_internal.partition_start(timestamptz, interval) IS
    'The start of the partition that covers this time';

CREATE FUNCTION audit_internal.partition_name(parent text, since timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT parent || to_char(
        timezone('UTC', since),
        CASE WHEN date_trunc('day', timezone('UTC', since)) = timezone('UTC', since)
             THEN '_YYYYMMDD'
             ELSE '_YYYYMMDD_HH24MI' END);
END;
COMMENT ON FUNCTION audit_internal.partition_name(text, timestamptz) IS
    'The name of the partition that begins at this time';

-- The upper bits of the id of a session or context are the hours since 2000-01-01.
CREATE FUNCTION audit_internal.first_id(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN isfinite(at)
                THEN floor(extract(epoch FROM at - timestamptz '2000-01-01 00:00:00+00') / 3600)::bigint << 40
                END;
END;
COMMENT ON FUNCTION audit_internal.first_id(timestamptz) IS
    'The lowest id of a session or context of this hour';

CREATE FUNCTION audit_internal.bounds_clause(parent text, since timestamptz, until timestamptz) RETURNS text
LANGUAGE sql STABLE
SET timezone = 'UTC'
SET datestyle = 'ISO'
BEGIN ATOMIC
    SELECT CASE WHEN parent IN ('sessions', 'contexts')
                THEN format('FOR VALUES FROM (%L) TO (%L)',
                            audit_internal.first_id(since), audit_internal.first_id(until))
                ELSE format('FOR VALUES FROM (%L) TO (%L)', since, until) END;
END;
COMMENT ON FUNCTION audit_internal.bounds_clause(text, timestamptz, timestamptz) IS
    'The partition bounds of a time range as ATTACH PARTITION takes them';

CREATE FUNCTION audit_internal.contains_events(parent text) RETURNS boolean
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT parent NOT IN ('nodes', 'sessions', 'contexts', 'relations');
END;
COMMENT ON FUNCTION audit_internal.contains_events(text) IS
    'Whether the partitions of this parent contain events, not rows of a dictionary';

CREATE FUNCTION audit_internal.permanent_partitions()
RETURNS TABLE (parent text, partition_name text, bounds text)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    VALUES
        ('events_overflow', 'events_overflow_all', 'FOR VALUES FROM (MINVALUE) TO (MAXVALUE)'),
        ('nodes', 'nodes_all', 'FOR VALUES FROM (MINVALUE) TO (MAXVALUE)'),
        ('relations', 'relations_all', 'FOR VALUES FROM (MINVALUE) TO (MAXVALUE)'),
        ('sessions', 'sessions_default', 'DEFAULT'),
        ('contexts', 'contexts_default', 'DEFAULT');
END;
COMMENT ON FUNCTION audit_internal.permanent_partitions() IS
    'The partitions that cover all time, each with its parent and its bounds';

-- Every partition of events has the index over the time, which the writer inserts into first. For the history
-- of a row, partitions of row events have more. While the partition is open: a summary of the keys and ids of
-- each range of pages, which is created behind the writers, so that they only see that their range has none
-- yet; and an index over the few keys that updates changed. Once it is closed: a B-tree over the keys, which
-- would cost writers as much as the event itself. Partitions of other events get a summary of the ids, which
-- ascend with the pages, when they close. `otherwise` replaces a B-tree where a key is too long for it, which
-- must not fail any statement: a hash index takes a key of any length.
CREATE FUNCTION audit_internal.partition_indexes(parent text)
RETURNS TABLE (suffix text, definition text, otherwise text, is_open boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.suffix, i.definition, i.otherwise, i.is_open
    FROM (VALUES
        (true, '_key',
         'USING brin (entity_id text_bloom_ops (n_distinct_per_range = -0.2), event_id) '
         'WITH (pages_per_range = 32, autosummarize = on)',
         NULL, true),
        (true, '_renamed', 'USING hash (new_entity_id) WHERE new_entity_id IS NOT NULL', NULL, true),
        (true, '_row', '(entity_id, relation_id)', 'USING hash (entity_id)', false),
        (false, '_event', 'USING brin (event_id) WITH (pages_per_range = 32)', NULL, false)
    ) i (is_of_rows, suffix, definition, otherwise, is_open)
    JOIN audit_internal.partition_parents p
      ON p.parent = partition_indexes.parent AND i.is_of_rows = (p.category IS NOT DISTINCT FROM 'data');
END;
COMMENT ON FUNCTION audit_internal.partition_indexes(text) IS
    'The indexes of a partition of this parent besides the one over the time: the suffix of the name, the '
    'definition, another definition for long keys, and whether an open partition has it';

CREATE FUNCTION audit_internal.closed_indexes(parent text) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT ARRAY(SELECT i.suffix FROM audit_internal.partition_indexes(parent) i WHERE NOT i.is_open);
END;
COMMENT ON FUNCTION audit_internal.closed_indexes(text) IS
    'The suffixes of the indexes that a partition of this parent gets when it closes';

CREATE FUNCTION audit_internal.relation_named(name text) RETURNS regclass
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('audit_internal.%I', name)::regclass;
END;
COMMENT ON FUNCTION audit_internal.relation_named(text) IS
    'The relation of schema audit_internal that has this name; raises an error if it does not exist';

CREATE FUNCTION audit_internal.relation_exists(name text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT to_regclass(format('audit_internal.%I', name)) IS NOT NULL;
END;
COMMENT ON FUNCTION audit_internal.relation_exists(text) IS
    'Whether schema audit_internal has a relation of this name';
