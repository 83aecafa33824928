-- Pruning: whole partitions where no hold covers their events, else row by row.

-- The closed partitions that are due, oldest first, each with the reason: its age, or the bytes of newer ones.
CREATE TYPE audit_internal.due_partition AS (category text, partition text, parent text, retention_id integer, archive boolean, events bigint, bytes bigint,
                               first_at timestamptz, last_at timestamptz, pruned_at timestamptz, reason text);
COMMENT ON TYPE audit_internal.due_partition IS 'A closed partition that is due for removal, and why; internal';

CREATE FUNCTION audit_internal.due_partitions() RETURNS SETOF audit_internal.due_partition
LANGUAGE sql STABLE
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT d.category, d.partition_name, d.parent, d.retention_id, d.archive, d.events, d.bytes, d.first_at, d.last_at, d.pruned_at,
           CASE WHEN d.until <= audit_internal.clock() - d.keep
                THEN format('its events are older than %s', d.keep)
                ELSE format('together with newer partitions it takes %s, more than %s', pg_size_pretty(d.newer_bytes), pg_size_pretty(d.max_bytes)) END
    FROM (SELECT l.partition_name, l.parent, l.until, l.state, l.category, k.retention_id, f.events, f.first_at, f.last_at, f.pruned_at, s.bytes,
                 audit_internal.kept(l.parent) AS keep, p.max_bytes, coalesce(o.archive, c.archive, false) AS archive,
                 sum(s.bytes) OVER (PARTITION BY l.parent ORDER BY l.since DESC) AS newer_bytes
          FROM audit.partitions l
          JOIN audit_internal.partition_parents k ON k.parent = l.parent
          CROSS JOIN LATERAL (SELECT pg_total_relation_size(l.partition) AS bytes) s
          LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
          LEFT JOIN audit_internal.retention_settings c ON c.category = l.category AND c.lineage IS NULL
          LEFT JOIN audit_internal.retention_settings o ON o.retention_id = k.retention_id
          CROSS JOIN LATERAL (SELECT CASE WHEN o.retention_id IS NULL THEN c.max_bytes ELSE o.max_bytes END AS max_bytes) p
          WHERE l.category IS NOT NULL) d
    WHERE d.state = 'closed' AND (d.until <= audit_internal.clock() - d.keep OR d.newer_bytes > d.max_bytes)
    ORDER BY d.until, d.parent;
END;
COMMENT ON FUNCTION audit_internal.due_partitions() IS 'Closed partitions that are due by age or size; internal';

-- Deletes at most so many events of a partly held partition; returns how many.
CREATE FUNCTION audit_internal.delete_unheld_rows(partition text, held text, max_rows bigint) RETURNS TABLE (deleted bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch tid[];
BEGIN
    EXECUTE format('SELECT array_agg(b.row), min(b.occurred_at), max(b.occurred_at) '
                   'FROM (SELECT e.ctid AS row, e.occurred_at FROM audit_internal.%I e WHERE (%s) IS NOT TRUE LIMIT $1) b', partition, held)
    INTO batch, first_at, last_at USING max_rows;
    deleted := coalesce(audit_internal.delete_rows(format('audit_internal.%I', partition)::regclass, batch), 0);
    RETURN NEXT;
END;
$$;
COMMENT ON FUNCTION audit_internal.delete_unheld_rows(text, text, bigint) IS 'Deletes a batch of events that no hold covers; internal';

-- What is to be done with one partition, and to how many of its events.
CREATE FUNCTION audit_internal.plan_partition(due audit_internal.due_partition, OUT events bigint, OUT action text, OUT reason text, OUT held text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    -- Empty partitions are not archived.
    archiving CONSTANT text := CASE WHEN due.archive AND due.events > 0
                                         AND NOT EXISTS (SELECT FROM audit.archives a WHERE a.partition = due.partition AND a.pruned_at IS NULL)
                                    THEN 'archive and ' ELSE '' END;
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
        EXECUTE format('SELECT count(*) FILTER (WHERE (%s) IS NOT TRUE) FROM audit_internal.%I e', held, due.partition) INTO events;
    END IF;
    IF events = 0 THEN
        action := 'keep';
        reason := reason || ', but all of it is under legal hold';
    ELSIF events < due.events THEN
        action := archiving || 'delete';
        reason := format('%s, but %s are under legal hold', reason, due.events - events);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.plan_partition(audit_internal.due_partition) IS 'What retention does to a partition that is due, and why; internal';

-- Drops a partition. The lock on its parent stays to the end of the transaction: what takes time comes before.
CREATE FUNCTION audit_internal.drop_partition(due audit_internal.due_partition, action text, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    archived audit.archives;
    archives integer := (SELECT count(*) FROM audit.archives a WHERE a.partition = due.partition AND a.pruned_at IS NULL);
    gone record;
BEGIN
    FOR archived IN SELECT a.* FROM audit.archives a WHERE a.partition = due.partition AND a.pruned_at IS NULL ORDER BY a.since LOOP
        SELECT due.events AS events, due.first_at AS first_at, due.last_at AS last_at INTO gone;
        -- Held partitions that were merged have the archive of each.
        IF archives > 1 THEN
            EXECUTE format('SELECT count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at '
                           'FROM audit_internal.%I e WHERE e.occurred_at >= $1 AND e.occurred_at < $2', due.partition) INTO gone USING archived.since, archived.until;
        END IF;
        archived.pruned_at := audit_internal.clock();
        PERFORM audit_internal.upsert_config(archived);
        PERFORM audit_internal.record_pruned(due.category, due.partition, gone.events, gone.first_at, gone.last_at, action, reason, archived.archive_id)
        WHERE gone.events > 0;
    END LOOP;
    PERFORM audit_internal.record_pruned(due.category, due.partition, due.events, due.first_at, due.last_at, action, reason, NULL)
    WHERE archives = 0 AND due.events > 0;
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', due.parent);
    PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', due.partition));
    PERFORM audit_internal.delete_config(f) FROM audit_internal.partition_catalog f WHERE f.partition_name = due.partition;
    PERFORM audit_internal.injection_point('prune.dropped');
END;
$$;
COMMENT ON FUNCTION audit_internal.drop_partition(audit_internal.due_partition, text, text) IS 'Drops a partition that is due; internal';

-- Deletes a batch of what no hold covers, of one archive at a time; returns how many events. A partition
-- without such is not looked at again before the holds change.
CREATE FUNCTION audit_internal.delete_unheld_batch(due audit_internal.due_partition, held text, action text, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    max_rows CONSTANT bigint := 50000;
    part record;
    gone record;
    known audit_internal.partition_catalog;
BEGIN
    IF action LIKE '%delete' THEN
        FOR part IN
            SELECT a.archive_id, a.since, a.until FROM audit.archives a WHERE a.partition = due.partition AND a.pruned_at IS NULL
            UNION ALL SELECT NULL, '-infinity', 'infinity' ORDER BY since DESC
        LOOP
            SELECT d.* INTO gone
            FROM audit_internal.delete_unheld_rows(due.partition, format('%s OR e.occurred_at < %L OR e.occurred_at >= %L', held, part.since, part.until), max_rows) d;
            CONTINUE WHEN gone.deleted = 0;
            PERFORM audit_internal.count_events(due.partition, -gone.deleted);
            PERFORM audit_internal.record_pruned(due.category, due.partition, gone.deleted, gone.first_at, gone.last_at, action, reason, part.archive_id);
            PERFORM audit_internal.injection_point('prune.dropped');
            RETURN gone.deleted;
        END LOOP;
    END IF;
    SELECT f.* INTO known FROM audit_internal.partition_catalog f WHERE f.partition_name = due.partition;
    known.pruned_at := audit_internal.clock();
    PERFORM audit_internal.upsert_config(known);
    RETURN 0;
END;
$$;
COMMENT ON FUNCTION audit_internal.delete_unheld_batch(audit_internal.due_partition, text, text, text) IS 'Deletes events of a partition that is partly held; internal';

CREATE FUNCTION audit_internal.record_pruned(category text, partition text, events bigint, since timestamptz, until timestamptz, action text, reason text, archive_id uuid)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT audit_internal.emit('retention.prune', jsonb_strip_nulls(jsonb_build_object('category', category, 'events', events, 'since', since, 'until', until,
        'action', action, 'reason', reason, 'archive_id', archive_id)), 'audit_internal.' || partition, NULL, NULL, NULL);
END;
COMMENT ON FUNCTION audit_internal.record_pruned(text, text, bigint, timestamptz, timestamptz, text, text, uuid) IS 'Records what retention deleted; internal';

-- Each partition stands for itself: one that is busy, or whose archive fails, is reported and left. The drops
-- come last, since the locks that they take stay to the end: writers and readers do not wait for the
-- counting, archiving and deleting before them.
-- SECURITY DEFINER is safe here: its callers, members of audit_admin, decide when; policies and holds decide what, and each
-- drop is an event.
CREATE FUNCTION audit.prune(dry_run boolean DEFAULT false)
RETURNS TABLE (category text, partition text, events bigint, bytes bigint, action text, reason text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '300ms'
SET deadlock_timeout = '100ms'
AS $$
DECLARE
    due audit_internal.due_partition;
    plan record;
    dictionary record;
    drops audit_internal.due_partition[] := '{}';
    plans jsonb := '{}';
    busy text[] := '{}';
BEGIN
    IF NOT dry_run THEN
        PERFORM audit_internal.enter_maintenance();
    END IF;
    FOR due IN SELECT * FROM audit_internal.due_partitions() LOOP
        category := due.category;
        partition := due.partition;
        bytes := due.bytes;
        BEGIN
            SELECT * INTO plan FROM audit_internal.plan_partition(due);
            events := plan.events;
            action := plan.action;
            reason := plan.reason;
            IF NOT dry_run THEN
                IF action LIKE 'archive%' THEN
                    PERFORM audit_internal.archive_partition(due.partition);
                    PERFORM audit_internal.injection_point('prune.archived');
                END IF;
                IF action LIKE '%drop' THEN
                    drops := drops || due;
                    plans := plans || jsonb_build_object(due.partition, plan.action);
                    CONTINUE;
                END IF;
                events := audit_internal.delete_unheld_batch(due, plan.held, plan.action, plan.reason);
            END IF;
        EXCEPTION
            WHEN lock_not_available THEN
                events := due.events;
                action := 'busy';
                reason := due.reason || ', but it is in use by another session: ' || sqlerrm;
            WHEN external_routine_exception OR io_error OR disk_full OR config_file_error OR data_corrupted THEN
                events := due.events;
                action := 'failed';
                reason := sqlerrm;
                RAISE WARNING 'partition "%" was not archived and is kept: %', due.partition, sqlerrm;
        END;
        RETURN NEXT;
    END LOOP;
    FOR dictionary IN SELECT * FROM audit_internal.prune_dictionaries(dry_run) LOOP
        category := dictionary.parent;
        partition := dictionary.partition;
        events := 0;
        bytes := dictionary.bytes;
        action := dictionary.action;
        reason := dictionary.reason;
        RETURN NEXT;
    END LOOP;
    FOREACH due IN ARRAY drops LOOP
        category := due.category;
        partition := due.partition;
        events := due.events;
        bytes := due.bytes;
        action := plans->>due.partition;
        reason := due.reason;
        BEGIN
            -- A waiting lock request blocks those behind it: wait once for each parent only.
            IF due.parent <> ALL (busy) THEN
                PERFORM audit_internal.drop_partition(due, action, reason);
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            busy := busy || due.parent;
        END;
        IF due.parent = ANY (busy) THEN
            action := 'busy';
            reason := due.reason || ', but audit_internal.' || due.parent || ' is in use by another session';
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.prune(boolean) IS 'Applies the retention policies in one pass, or with dry_run reports what would be deleted and why';

-- A transaction that goes on seeing the trail as it was would archive a partition without what came to it
-- since, and then drop it.
CREATE FUNCTION audit_internal.check_isolation() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'retention and maintenance cannot run in a % transaction', upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'invalid_transaction_state', HINT = 'Run it as READ COMMITTED, for example after SET default_transaction_isolation = ''read committed''.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_isolation() IS 'Refuses transactions that do not see what others have committed meanwhile; internal';

-- For sessions that do by hand what maintenance does.
CREATE FUNCTION audit_internal.enter_maintenance() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $$
BEGIN
    PERFORM audit_internal.check_isolation();
    PERFORM audit_internal.lock('maintenance');
    PERFORM audit_internal.lock('retention');
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'maintenance is running in another session'
        USING ERRCODE = 'lock_not_available', HINT = 'Try again when it has finished; audit.status() shows its state.';
END;
$$;
COMMENT ON FUNCTION audit_internal.enter_maintenance() IS 'Keeps other maintenance out to the end of the transaction; internal';

-- What the worker and audit.maintain() do of it: one partition, in its own transaction. True where another
-- call may find more. A partition that fails does not keep others from being pruned.
-- SECURITY DEFINER is safe here: no role may execute it; otherwise as audit.prune.
CREATE FUNCTION audit_internal.prune_step() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due audit_internal.due_partition;
    plan record;
    busy text[] := '{}';
    problem text;
    problem_code text;
BEGIN
    PERFORM audit_internal.lock('retention');
    FOR due IN SELECT * FROM audit_internal.due_partitions() d WHERE d.pruned_at IS NULL LOOP
        CONTINUE WHEN due.parent = ANY (busy);
        BEGIN
            SELECT * INTO plan FROM audit_internal.plan_partition(due);
            -- The archive is kept where the partition turns out to be busy: the next step, or a later call, drops it.
            IF plan.action LIKE 'archive%' THEN
                PERFORM audit_internal.archive_partition(due.partition);
                PERFORM audit_internal.injection_point('prune.archived');
            ELSIF plan.action = 'drop' THEN
                PERFORM audit_internal.drop_partition(due, plan.action, plan.reason);
            ELSE
                PERFORM audit_internal.delete_unheld_batch(due, plan.held, plan.action, plan.reason);
            END IF;
            RETURN true;
        EXCEPTION
            WHEN lock_not_available THEN
                busy := busy || due.parent;
            WHEN external_routine_exception OR io_error OR disk_full OR config_file_error OR data_corrupted THEN
                -- The next partition would fail alike; the next pass tries again.
                RAISE WARNING 'partition "%" was not archived and is kept: %', due.partition, sqlerrm;
                EXIT;
            WHEN deadlock_detected OR operator_intervention THEN
                RAISE;
            WHEN OTHERS THEN
                problem := coalesce(problem, format('partition %s: %s', due.partition, sqlerrm));
                problem_code := coalesce(problem_code, sqlstate);
        END;
    END LOOP;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = problem_code;
    END IF;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.prune_step() IS 'Prunes one partition; false where none is due; internal';
