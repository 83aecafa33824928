-- Pruning: applies the policies to all partitions that are due, in one transaction or step by step.

-- A partition that another session uses, or whose archive fails, is reported and kept; the others are pruned.
-- Partitions are dropped last, because the locks on their parents are kept until the transaction ends:
-- readers and writers do not wait while this counts, archives and deletes.
-- SECURITY DEFINER is safe here: its callers, members of audit_admin, choose when; policies and holds
-- determine what, and each drop is recorded as an event.
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
    outcome record;
    drops audit_internal.due_partition[] := '{}';
    actions text[] := '{}';
BEGIN
    IF NOT dry_run THEN
        PERFORM audit_internal.enter_maintenance();
    END IF;
    FOR due IN SELECT * FROM audit_internal.due_partitions() LOOP
        SELECT * INTO outcome FROM audit_internal.prune_rows(due, dry_run);
        IF outcome.action LIKE '%drop' AND NOT dry_run THEN
            drops := drops || due;
            actions := actions || outcome.action;
        ELSE
            RETURN QUERY
                SELECT due.category, due.partition, outcome.events, due.bytes, outcome.action, outcome.reason;
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT d.parent, d.partition, 0::bigint, d.bytes, d.action, d.reason
        FROM audit_internal.prune_dictionaries(dry_run) d;
    RETURN QUERY SELECT * FROM audit_internal.drop_partitions(drops, actions);
END;
$$;
COMMENT ON FUNCTION audit.prune(boolean) IS
    'Applies the retention policies once, or with dry_run reports what would be deleted and why';

-- The worker and audit.maintain() call this. An archived partition is dropped by the next step, and stays
-- archived if it is in use then. A partition that cannot be pruned does not keep others from being pruned.
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
            WHEN external_routine_exception OR io_error OR disk_full OR config_file_error
                 OR data_corrupted THEN
                -- Archiving the next partition would fail too; the next run retries.
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
COMMENT ON FUNCTION audit_internal.prune_step() IS
    'Prunes one partition in a transaction of its own; returns whether there may be more to prune';

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
        USING ERRCODE = 'lock_not_available',
              HINT = 'Try again when it has finished; audit.status() shows its state.';
END;
$$;
COMMENT ON FUNCTION audit_internal.enter_maintenance() IS
    'Excludes maintenance by other sessions until the transaction ends; for sessions that prune or archive '
    'by hand';

-- With the snapshot of an earlier time, an archive would lack events that arrived since, and retention would
-- drop them.
CREATE FUNCTION audit_internal.check_isolation() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'retention and maintenance cannot run in a % transaction',
            upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'invalid_transaction_state',
                  HINT = 'Run it as READ COMMITTED, for example after '
                         'SET default_transaction_isolation = ''read committed''.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_isolation() IS
    'Raises an error in a transaction that does not see what others have committed since it began';

CREATE FUNCTION audit_internal.prune_rows(
    due audit_internal.due_partition,
    dry_run boolean,
    OUT events bigint,
    OUT action text,
    OUT reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan record;
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
        IF action NOT LIKE '%drop' THEN
            events := audit_internal.delete_unheld_batch(due, plan.held, plan.action, plan.reason);
        END IF;
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
$$;
COMMENT ON FUNCTION audit_internal.prune_rows(audit_internal.due_partition, boolean) IS
    'Prunes a partition up to its drop, which is left to the caller: archives it and deletes a batch of what '
    'no hold covers; with dry_run only plans. Returns what was done, or why the partition is kept';

CREATE FUNCTION audit_internal.drop_partitions(drops audit_internal.due_partition[], actions text[])
RETURNS TABLE (category text, partition text, events bigint, bytes bigint, action text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due audit_internal.due_partition;
    busy text[] := '{}';
BEGIN
    FOR place IN 1 .. cardinality(drops) LOOP
        due := drops[place];
        category := due.category;
        partition := due.partition;
        events := due.events;
        bytes := due.bytes;
        action := actions[place];
        reason := due.reason;
        BEGIN
            -- While a lock request waits, later requests wait behind it: for each parent wait only once.
            IF due.parent <> ALL (busy) THEN
                PERFORM audit_internal.drop_partition(due, action, reason);
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            busy := busy || due.parent;
        END;
        IF due.parent = ANY (busy) THEN
            action := 'busy';
            reason := format(
                '%s, but audit_internal.%s is in use by another session', due.reason, due.parent);
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.drop_partitions(audit_internal.due_partition[], text[]) IS
    'Drops partitions that are due and returns the rows of audit.prune about them';
