-- What keeps the trail in order, step by step: leaves made ahead, the overflow emptied, leaves cut, closed, merged, archived and dropped.

-- One step of maintenance, in a transaction of its own: true while there is more to do. Whoever holds a lock that some work needs is
-- waited for a moment; that work is then left to the next call, and the rest is done: a transaction that lasts for hours may keep a
-- leaf from being cut, but not others from being closed, archived and dropped. Autovacuum, which gives way to whoever has waited for
-- deadlock_timeout, gives way in time.
CREATE FUNCTION audit.maintenance_step() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '300ms'
SET deadlock_timeout = '100ms'
AS $$
DECLARE
    has_more boolean;
BEGIN
    PERFORM audit.check_isolation();
    IF NOT audit.try_lock('maintenance') THEN
        RAISE NOTICE 'maintenance is running in another session';
        RETURN false;
    END IF;
    FOR work IN 1..8 LOOP
        BEGIN
            -- Rights are set all at once.
            has_more := CASE work WHEN 1 THEN audit.make_leaves() > 0
                                  WHEN 2 THEN audit.repair_rights() IS NULL
                                  WHEN 3 THEN audit.empty_overflow() > 0
                                  WHEN 4 THEN audit.gather_own() > 0
                                  WHEN 5 THEN audit.cut_leaf()
                                  WHEN 6 THEN audit.close_leaf()
                                  WHEN 7 THEN audit.prune_step()
                                  ELSE audit.merge_leaves() END;
            IF has_more THEN
                RETURN true;
            END IF;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RAISE NOTICE 'maintenance met a lock and does this next time: %', sqlerrm;
        END;
    END LOOP;
    PERFORM audit.summarize_leaves();
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit.maintenance_step() IS 'One step of audit.maintain(); internal';

-- Whether a leaf has no guard yet, as while pg_restore is at work: it makes the extension, then tables, loads them, and makes indexes
-- and triggers last. A worker that made leaves then, closed or pruned them, would be in its way.
CREATE FUNCTION audit.is_being_restored() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
                   WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind = 'r' AND c.relispartition
                     AND c.relname ~ '^(events|sessions|contexts|relations|nodes)_'
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'refuse_change'));
END;
COMMENT ON FUNCTION audit.is_being_restored() IS 'Whether leaves are still without their guards; internal';

-- Whether transactions that wrote to the overflow are under way, so that a worker has reason to stay. One worker is
-- enough: the lock is kept to the end of its session. Prepared transactions may stay for days and are not waited for.
CREATE FUNCTION audit.maintenance_waits() RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
                     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
                     AND l.relation = pg_catalog.to_regclass('audit.events_overflow_all')::oid)
       AND audit.try_lock('overflow_waiter');
END;
COMMENT ON FUNCTION audit.maintenance_waits() IS 'Whether a worker has to wait for writers of the overflow; internal';

CREATE PROCEDURE audit.maintain(max_duration interval DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    deadline timestamptz := pg_catalog.clock_timestamp() + max_duration;
    has_more boolean;
BEGIN
    LOOP
        has_more := audit.maintenance_step();
        COMMIT;
        EXIT WHEN NOT has_more OR pg_catalog.clock_timestamp() > deadline;
    END LOOP;
END;
$$;
COMMENT ON PROCEDURE audit.maintain(interval) IS 'All that the worker does: makes leaves ahead, empties the overflow, closes, merges, archives and drops leaves, committing after each';
