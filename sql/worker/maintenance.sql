-- Maintenance of the trail in steps: creates partitions ahead, empties the overflow, splits, closes, merges,
-- archives and drops partitions.

-- Every name is qualified: a procedure with SET may not commit.
CREATE PROCEDURE audit.maintain(max_duration interval DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    deadline timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) max_duration;
    failures jsonb := '[]';
    has_more boolean;
BEGIN
    LOOP
        SELECT s.failures, s.has_more INTO failures, has_more FROM audit.maintenance_step(failures) s;
        COMMIT;
        EXIT WHEN NOT has_more OR pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) deadline;
    END LOOP;
    PERFORM audit.maintenance_step(failures, is_end => true);
END;
$$;
COMMENT ON PROCEDURE audit.maintain(interval) IS
    'Runs all maintenance that the worker runs, committing after each step; at the end raises an error that '
    'names what failed';

-- Each step is a transaction. The kinds of work are independent of each other: one that fails is rolled back,
-- reported by a WARNING, added to `failures` and skipped in the following steps, which continue with the
-- others. Work that does not get a lock soon is left to the next run: a transaction that lasts for hours may
-- keep a partition from being split, but not others from being closed, archived and dropped. lock_timeout is
-- longer than deadlock_timeout, because autovacuum yields to a session that has waited for the latter.
-- SECURITY DEFINER is safe here: members of audit_admin choose when maintenance runs, and nothing else.
CREATE FUNCTION audit.maintenance_step(
    INOUT failures jsonb DEFAULT '[]',
    is_end boolean DEFAULT false,
    OUT has_more boolean)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '300ms'
SET deadlock_timeout = '100ms'
AS $$
DECLARE
    work text;
BEGIN
    PERFORM audit_internal.check_isolation();
    failures := coalesce(failures, '[]');
    has_more := false;
    IF is_end THEN
        PERFORM audit_internal.raise_failures(failures);
        RETURN;
    ELSIF NOT audit_internal.try_lock('maintenance') THEN
        RAISE NOTICE 'maintenance is running in another session';
        RETURN;
    END IF;
    FOREACH work IN ARRAY ARRAY[
        'create partitions',
        'set the rights of partitions',
        'empty the overflow',
        'move events to dedicated partitions',
        'split partitions',
        'close partitions',
        'prune partitions',
        'prune contexts and sessions',
        'delete expired archives',
        'merge partitions',
        'summarize partitions']
    LOOP
        CONTINUE WHEN failures @> jsonb_build_array(jsonb_build_object('work', work));
        BEGIN
            has_more := audit_internal.do_maintenance(work);
            IF has_more THEN
                RETURN;
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE NOTICE 'maintenance could not get a lock and will retry: %', sqlerrm;
            WHEN operator_intervention THEN
                -- The query was canceled or the session terminated.
                RAISE;
            WHEN OTHERS THEN
                RAISE WARNING 'maintenance could not %: %', work, sqlerrm USING ERRCODE = sqlstate;
                failures := failures || jsonb_build_array(
                    jsonb_build_object('work', work, 'code', sqlstate, 'message', sqlerrm));
        END;
        has_more := false;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.maintenance_step(jsonb, boolean) IS
    'One step of audit.maintain(), for schedulers that cannot CALL; skips the work that failures names, adds '
    'what fails to it, and returns whether there is more to do. With is_end, raises an error that names the '
    'failures';

CREATE FUNCTION audit_internal.do_maintenance(work text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE work
        WHEN 'create partitions' THEN RETURN audit_internal.create_partitions() > 0;
        WHEN 'set the rights of partitions' THEN PERFORM audit_internal.repair_rights();
        WHEN 'empty the overflow' THEN RETURN audit_internal.empty_overflow() > 0;
        WHEN 'move events to dedicated partitions' THEN RETURN audit_internal.move_to_dedicated() > 0;
        WHEN 'split partitions' THEN RETURN audit_internal.split_partition();
        WHEN 'close partitions' THEN RETURN audit_internal.close_partition();
        WHEN 'prune partitions' THEN RETURN audit_internal.prune_step();
        WHEN 'prune contexts and sessions' THEN RETURN audit_internal.prune_unused();
        WHEN 'delete expired archives' THEN RETURN audit_internal.remove_archive();
        WHEN 'merge partitions' THEN RETURN audit_internal.merge_partitions();
        WHEN 'summarize partitions' THEN PERFORM audit_internal.summarize_partitions();
    END CASE;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.do_maintenance(text) IS
    'Does a part of one kind of maintenance; returns whether there may be more of this kind';

CREATE FUNCTION audit_internal.raise_failures(failures jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    message text;
BEGIN
    SELECT string_agg(format('could not %s: %s', f.failure->>'work', f.failure->>'message'), '; '
                      ORDER BY f.place)
    INTO message
    FROM jsonb_array_elements(failures) WITH ORDINALITY f (failure, place);
    IF message IS NOT NULL THEN
        RAISE EXCEPTION '%', message
            USING ERRCODE = failures->0->>'code',
                  HINT = 'All other maintenance is done. The next run retries what failed.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.raise_failures(jsonb) IS
    'Raises an error that names the maintenance that failed, if any did';

-- pg_restore creates the extension first, then tables, loads them, and creates indexes and triggers last. A
-- worker that created, closed or pruned partitions meanwhile would conflict with it. Tables that are not
-- attached yet are recognized by column node_id, which all of them have.
CREATE FUNCTION audit_internal.is_being_restored() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'audit_internal'::regnamespace
          AND c.relkind = 'r'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::regclass
                            AND d.objid = c.oid
                            AND d.deptype = 'e')
          AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attname = 'node_id')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                          WHERE t.tgrelid = c.oid
                            AND t.tgfoid = 'audit_internal.reject_change'::regproc));
END;
COMMENT ON FUNCTION audit_internal.is_being_restored() IS
    'Whether there are partitions without protection, as while pg_restore is running';

-- One worker is enough: it keeps the lock until its session ends. Prepared transactions are not waited for,
-- because they may last for days.
CREATE FUNCTION audit_internal.maintenance_waits() RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'relation'
          AND l.mode = 'RowExclusiveLock'
          AND l.granted
          AND l.pid <> pg_catalog.pg_backend_pid()
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                            WHERE d.datname = pg_catalog.current_database())
          AND l.relation = pg_catalog.to_regclass('audit_internal.events_overflow_all')::oid)
       AND audit_internal.try_lock('overflow_waiter');
END;
COMMENT ON FUNCTION audit_internal.maintenance_waits() IS
    'Whether this worker is to wait for transactions that are writing to the overflow';
