-- Deleting what is due: whole partitions, or the events that no hold covers. Each deletion is recorded.

-- The lock on the parent is kept until the transaction ends, and is therefore taken late.
CREATE FUNCTION audit_internal.drop_partition(
    due audit_internal.due_partition,
    action text,
    reason text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.record_drop(due, action, reason);
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', due.parent);
    PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', due.partition));
    PERFORM audit_internal.forget_partition(due.partition);
    PERFORM audit_internal.injection_point('prune.dropped');
END;
$$;
COMMENT ON FUNCTION audit_internal.drop_partition(audit_internal.due_partition, text, text) IS
    'Drops a partition that is due';

CREATE FUNCTION audit_internal.record_drop(
    due audit_internal.due_partition,
    action text,
    reason text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    archived audit.archives;
    archives integer := (SELECT count(*) FROM audit.archives a
                         WHERE a.partition = due.partition AND a.pruned_at IS NULL);
    deleted record;
BEGIN
    FOR archived IN
        SELECT a.* FROM audit.archives a
        WHERE a.partition = due.partition AND a.pruned_at IS NULL
        ORDER BY a.since
    LOOP
        SELECT due.events AS events, due.first_at AS first_at, due.last_at AS last_at INTO deleted;
        -- A partition that was merged from archived ones has the archive of each.
        IF archives > 1 THEN
            EXECUTE format(
                'SELECT count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at '
                'FROM audit_internal.%I e WHERE e.occurred_at >= $1 AND e.occurred_at < $2',
                due.partition)
            INTO deleted
            USING archived.since, archived.until;
        END IF;
        archived.pruned_at := audit_internal.clock();
        PERFORM audit_internal.upsert_config(archived);
        IF deleted.events > 0 THEN
            PERFORM audit_internal.record_pruned(
                due.category, due.partition, deleted.events, deleted.first_at, deleted.last_at, action,
                reason, archived.archive_id);
        END IF;
    END LOOP;
    IF archives = 0 AND due.events > 0 THEN
        PERFORM audit_internal.record_pruned(
            due.category, due.partition, due.events, due.first_at, due.last_at, action, reason);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_drop(audit_internal.due_partition, text, text) IS
    'Records that a partition is dropped: an event for each of its archives, or one if it has none';

-- Deletes the events of one archive at a time, so that each event names an archive. A partition in which only
-- held events are left is not checked again until a hold is placed or released.
CREATE FUNCTION audit_internal.delete_unheld_batch(
    due audit_internal.due_partition,
    held text,
    action text,
    reason text
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    max_rows CONSTANT bigint := 50000;
    part record;
    batch record;
    known audit_internal.partition_catalog;
BEGIN
    IF action LIKE '%delete' THEN
        FOR part IN
            SELECT a.archive_id, a.since, a.until
            FROM audit.archives a
            WHERE a.partition = due.partition AND a.pruned_at IS NULL
            UNION ALL
            SELECT NULL, '-infinity', 'infinity'
            ORDER BY since DESC
        LOOP
            SELECT d.* INTO batch
            FROM audit_internal.delete_unheld_rows(
                due.partition,
                format('%s OR e.occurred_at < %L OR e.occurred_at >= %L', held, part.since, part.until),
                max_rows) d;
            CONTINUE WHEN batch.deleted = 0;
            PERFORM audit_internal.count_events(due.partition, -batch.deleted);
            PERFORM audit_internal.record_pruned(
                due.category, due.partition, batch.deleted, batch.first_at, batch.last_at, action, reason,
                part.archive_id);
            PERFORM audit_internal.injection_point('prune.dropped');
            RETURN batch.deleted;
        END LOOP;
    END IF;
    SELECT f.* INTO known FROM audit_internal.partition_catalog f WHERE f.partition_name = due.partition;
    known.pruned_at := audit_internal.clock();
    PERFORM audit_internal.upsert_config(known);
    RETURN 0;
END;
$$;
COMMENT ON FUNCTION audit_internal.delete_unheld_batch(audit_internal.due_partition, text, text, text) IS
    'Deletes a batch of events that no hold covers from a partition that is partly held; returns how many';

CREATE FUNCTION audit_internal.delete_unheld_rows(partition text, held text, max_rows bigint)
RETURNS TABLE (deleted bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch tid[];
BEGIN
    EXECUTE format(
        'SELECT array_agg(b.row), min(b.occurred_at), max(b.occurred_at) '
        'FROM (SELECT e.ctid AS row, e.occurred_at FROM audit_internal.%I e '
        '      WHERE (%s) IS NOT TRUE LIMIT $1) b',
        partition, held)
    INTO batch, first_at, last_at
    USING max_rows;
    deleted := coalesce(
        audit_internal.delete_rows(audit_internal.relation_named(partition), batch), 0);
    RETURN NEXT;
END;
$$;
COMMENT ON FUNCTION audit_internal.delete_unheld_rows(text, text, bigint) IS
    'Deletes a batch of events that do not meet the condition; returns how many, and from when to when';

CREATE FUNCTION audit_internal.record_pruned(
    category text,
    partition text,
    events bigint,
    since timestamptz,
    until timestamptz,
    action text,
    reason text,
    archive_id uuid DEFAULT NULL
) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT audit_internal.emit(
        'retention.prune',
        parameters => jsonb_strip_nulls(jsonb_build_object(
            'category', category,
            'events', events,
            'since', since,
            'until', until,
            'action', action,
            'reason', reason,
            'archive_id', archive_id)),
        entity => 'audit_internal.' || partition);
END;
COMMENT ON FUNCTION
    audit_internal.record_pruned(text, text, bigint, timestamptz, timestamptz, text, text, uuid) IS
    'Records what retention deleted';
