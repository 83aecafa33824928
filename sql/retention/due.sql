-- Which partitions are due for deletion, and what retention is to do with each.

CREATE TYPE audit_internal.due_partition AS (
    category text,
    partition text,
    parent text,
    retention_id integer,
    archive boolean,
    events bigint,
    bytes bigint,
    first_at timestamptz,
    last_at timestamptz,
    pruned_at timestamptz,
    reason text
);
COMMENT ON TYPE audit_internal.due_partition IS 'A closed partition that is due for deletion, and why';

CREATE FUNCTION audit_internal.due_partitions() RETURNS SETOF audit_internal.due_partition
LANGUAGE sql STABLE
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT d.category, d.partition_name, d.parent, d.retention_id, d.archive, d.events, d.bytes, d.first_at,
           d.last_at, d.pruned_at,
           CASE WHEN d.until <= audit_internal.clock() - d.keep
                THEN format('its events are older than %s', d.keep)
                ELSE format('it and the newer partitions take %s, more than %s',
                            pg_size_pretty(d.newer_bytes), pg_size_pretty(d.max_bytes)) END
    FROM (SELECT l.partition_name, l.parent, l.until, l.state, l.category, k.retention_id, f.events,
                 f.first_at, f.last_at, f.pruned_at, s.bytes, p.max_bytes,
                 audit_internal.kept(l.parent) AS keep,
                 coalesce(o.archive, c.archive, false) AS archive,
                 sum(s.bytes) OVER (PARTITION BY l.parent ORDER BY l.since DESC) AS newer_bytes
          FROM audit.partitions l
          JOIN audit_internal.partition_parents k ON k.parent = l.parent
          CROSS JOIN LATERAL (SELECT pg_total_relation_size(l.partition) AS bytes) s
          LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
          LEFT JOIN audit_internal.retention_settings c ON c.category = l.category AND c.lineage IS NULL
          LEFT JOIN audit_internal.retention_settings o ON o.retention_id = k.retention_id
          CROSS JOIN LATERAL (
              SELECT CASE WHEN o.retention_id IS NULL
                          THEN c.max_bytes
                          ELSE o.max_bytes END AS max_bytes) p
          WHERE l.category IS NOT NULL) d
    WHERE d.state = 'closed' AND (d.until <= audit_internal.clock() - d.keep OR d.newer_bytes > d.max_bytes)
    ORDER BY d.until, d.parent;
END;
COMMENT ON FUNCTION audit_internal.due_partitions() IS
    'The closed partitions that are due by age or size, oldest first, each with the reason';

CREATE FUNCTION audit_internal.plan_partition(
    due audit_internal.due_partition,
    OUT events bigint,
    OUT action text,
    OUT reason text,
    OUT held text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    -- Empty partitions are not archived.
    archiving CONSTANT text :=
        CASE WHEN due.archive
                  AND due.events > 0
                  AND NOT EXISTS (SELECT FROM audit.archives a
                                  WHERE a.partition = due.partition AND a.pruned_at IS NULL)
             THEN 'archive and '
             ELSE '' END;
BEGIN
    reason := due.reason;
    events := due.events;
    action := archiving || 'drop';
    held := CASE WHEN due.events > 0 THEN audit_internal.held(due.first_at, due.last_at) END;
    IF held IS NULL THEN
        RETURN;
    ELSIF held = 'true' THEN
        events := 0;
    ELSE
        EXECUTE format(
            'SELECT count(*) FILTER (WHERE (%s) IS NOT TRUE) FROM audit_internal.%I e', held, due.partition)
        INTO events;
    END IF;
    IF events = 0 THEN
        action := 'keep';
        reason := reason || ', but legal holds cover all of its events';
    ELSIF events < due.events THEN
        action := archiving || 'delete';
        reason := format('%s, but legal holds cover %s of its events', reason, due.events - events);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.plan_partition(audit_internal.due_partition) IS
    'What retention does with a partition that is due, with how many of its events, and why; and the '
    'condition for events that holds cover';
