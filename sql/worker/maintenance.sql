-- Maintenance of the trail, step by step: creates partitions ahead, empties the overflow, splits, closes,
-- merges, archives and drops partitions.

-- One step of maintenance, in a transaction of its own. Each kind of work is independent: one that fails is
-- rolled back, reported by a WARNING and skipped in the steps that follow, which are given `failures`, while
-- the others continue. A lock that some work needs is waited for briefly; that work is then left to the next
-- call: a transaction that lasts for hours may keep a partition from being split, but not others from being
-- closed, archived and dropped. Autovacuum, which yields to a session that has waited for deadlock_timeout,
-- yields in time. SECURITY DEFINER is safe here: members of audit_admin decide when this is done and nothing
-- else.
CREATE FUNCTION audit.maintenance_step(INOUT failures jsonb DEFAULT '[]', is_end boolean DEFAULT false, OUT has_more boolean)
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
    IF is_end AND failures <> '[]' THEN
        RAISE EXCEPTION '%', (SELECT string_agg(format('could not %s: %s', f.failure->>'work', f.failure->>'message'), '; ' ORDER BY f.place)
                              FROM jsonb_array_elements(failures) WITH ORDINALITY f (failure, place))
            USING ERRCODE = failures->0->>'code', HINT = 'All other maintenance is done. The next run retries what failed.';
    ELSIF is_end THEN
        RETURN;
    END IF;
    IF NOT audit_internal.try_lock('maintenance') THEN
        RAISE NOTICE 'maintenance is running in another session';
        RETURN;
    END IF;
    FOREACH work IN ARRAY ARRAY['create partitions', 'set the rights of partitions', 'empty the overflow', 'move events to dedicated partitions', 'split partitions',
                                'close partitions', 'prune partitions', 'prune contexts and sessions', 'delete expired archives', 'merge partitions',
                                'summarize partitions'] LOOP
        CONTINUE WHEN failures @> jsonb_build_array(jsonb_build_object('work', work));
        BEGIN
            CASE work
                WHEN 'create partitions' THEN has_more := audit_internal.create_partitions() > 0;
                WHEN 'set the rights of partitions' THEN PERFORM audit_internal.repair_rights();
                WHEN 'empty the overflow' THEN has_more := audit_internal.empty_overflow() > 0;
                WHEN 'move events to dedicated partitions' THEN has_more := audit_internal.move_to_dedicated() > 0;
                WHEN 'split partitions' THEN has_more := audit_internal.split_partition();
                WHEN 'close partitions' THEN has_more := audit_internal.close_partition();
                WHEN 'prune partitions' THEN has_more := audit_internal.prune_step();
                WHEN 'prune contexts and sessions' THEN has_more := audit_internal.prune_unused();
                WHEN 'delete expired archives' THEN has_more := audit_internal.remove_archive();
                WHEN 'merge partitions' THEN has_more := audit_internal.merge_partitions();
                WHEN 'summarize partitions' THEN PERFORM audit_internal.summarize_partitions();
            END CASE;
            IF has_more THEN
                RETURN;
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE NOTICE 'maintenance could not get a lock and will retry: %', sqlerrm;
            WHEN operator_intervention THEN
                -- Cancelled, or the end of the session.
                RAISE;
            WHEN OTHERS THEN
                RAISE WARNING 'maintenance could not %: %', work, sqlerrm USING ERRCODE = sqlstate;
                failures := failures || jsonb_build_array(jsonb_build_object('work', work, 'code', sqlstate, 'message', sqlerrm));
        END;
        has_more := false;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.maintenance_step(jsonb, boolean) IS
    'One step of audit.maintain(), for schedulers that cannot CALL: skips the work that failures names, returns what has failed and whether there is more to do; with is_end raises an error for what has failed';

-- Whether a partition is not protected yet, as while pg_restore is at work: it makes the extension, then tables,
-- loads them, and makes indexes and triggers last. A worker that made partitions then, closed or pruned them,
-- would be in its way. A table that is not yet in its place is told by a column that all of them have.
CREATE FUNCTION audit_internal.is_being_restored() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
                   WHERE c.relnamespace = 'audit_internal'::regnamespace AND c.relkind = 'r'
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
                     AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'node_id')
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = 'audit_internal.reject_change'::regproc));
END;
COMMENT ON FUNCTION audit_internal.is_being_restored() IS 'Whether partitions are still without protection; internal';

-- Whether transactions that wrote to the overflow are under way, so that a worker has reason to stay. One worker is
-- enough: the lock is kept to the end of its session. Prepared transactions may stay for days and are not waited for.
CREATE FUNCTION audit_internal.maintenance_waits() RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
                     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
                     AND l.relation = pg_catalog.to_regclass('audit_internal.events_overflow_all')::oid)
       AND audit_internal.try_lock('overflow_waiter');
END;
COMMENT ON FUNCTION audit_internal.maintenance_waits() IS 'Whether a worker has to wait for writers of the overflow; internal';

-- Without SET, under which a procedure may not commit: it calls nothing by an unqualified name.
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
    'All that the worker does: creates partitions ahead, empties the overflow, closes, merges, archives and drops partitions, committing after each step; ends with an error where something failed, when all else is done';
