-- What keeps the trail in order: leaves made ahead, the overflow emptied, leaves closed, summaries kept.

-- Moves events from the overflow to their leaves, making leaves for their time where there are none.
CREATE FUNCTION audit.empty_overflow(max_rows bigint DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    oldest record;
    leaf record;
    moved bigint;
BEGIN
    SELECT o.category, o.occurred_at INTO oldest FROM audit.events_overflow o ORDER BY o.occurred_at LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM audit.make_leaves_of('events_' || oldest.category, oldest.occurred_at, oldest.occurred_at);
    SELECT l.* INTO STRICT leaf FROM audit.leaves l
    WHERE l.parent = 'events_' || oldest.category AND l.since <= oldest.occurred_at AND l.until > oldest.occurred_at;
    BEGIN
        moved := audit.move_events('audit.events_overflow_all', oldest.category, leaf.since, leaf.until, leaf.leaf, max_rows);
    EXCEPTION WHEN program_limit_exceeded THEN
        -- A key too long for a B-tree of the closed leaf: closed again, it gets the other kind.
        EXECUTE format('DROP INDEX IF EXISTS audit.%I', leaf.leaf_name || '_row');
        moved := audit.move_events('audit.events_overflow_all', oldest.category, leaf.since, leaf.until, leaf.leaf, max_rows);
    END;
    PERFORM audit.emit('evidence.move', jsonb_build_object('events', moved, 'since', leaf.since, 'until', leaf.until),
                       'audit.' || leaf.leaf_name, NULL, NULL, NULL);
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION audit.empty_overflow(bigint) IS 'Moves a batch of events from the overflow to their leaf; returns how many';

-- Leaves of events whose time is over and that lack an index of closed leaves, oldest first. For some minutes more a clock that
-- is set right may still lead writers to them.
CREATE FUNCTION audit.leaves_to_close() RETURNS TABLE (leaf regclass, leaf_name text, parent text, suffixes text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.leaf, l.leaf_name, l.parent, array_agg(d.suffix ORDER BY d.suffix)
    FROM audit.leaves l CROSS JOIN LATERAL audit.leaf_indexes(l.parent) d
    WHERE l.parent LIKE 'events\_%' AND l.until < now() - interval '10 minutes'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                      WHERE i.indrelid = l.leaf::oid AND i.indisvalid AND c.relname = l.leaf_name || d.suffix)
    GROUP BY l.leaf, l.leaf_name, l.parent, l.until
    ORDER BY l.until, l.parent;
END;
COMMENT ON FUNCTION audit.leaves_to_close() IS 'Leaves whose time is over and the indexes that they lack; internal';

-- Closes one leaf: builds its indexes and takes its statistics, in one transaction. Readers go on. The lock that keeps late
-- writers out is taken only where nobody has to be waited for; a leaf that somebody still writes to is left to the next call.
CREATE FUNCTION audit.close_leaf() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closing record;
    wanted record;
BEGIN
    FOR closing IN SELECT * FROM audit.leaves_to_close() LOOP
        BEGIN
            EXECUTE format('LOCK TABLE audit.%I IN SHARE MODE NOWAIT', closing.leaf_name);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        FOR wanted IN
            SELECT d.*, closing.leaf_name || d.suffix AS index_name
            FROM audit.leaf_indexes(closing.parent) d WHERE d.suffix = ANY (closing.suffixes)
        LOOP
            BEGIN
                EXECUTE format('CREATE INDEX %I ON audit.%I %s', wanted.index_name, closing.leaf_name, wanted.definition);
            EXCEPTION WHEN program_limit_exceeded THEN
                EXECUTE format('CREATE INDEX %I ON audit.%I %s', wanted.index_name, closing.leaf_name, wanted.otherwise);
            END;
        END LOOP;
        EXECUTE format('ANALYZE audit.%I', closing.leaf_name);
        RETURN true;
    END LOOP;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit.close_leaf() IS 'Gives one leaf whose time is over the indexes of a closed one; false where there is none; internal';

-- Brings the summaries of open leaves up to date where autovacuum has not yet. Nobody is kept waiting. The range that is still
-- being filled stays without: every event that came to it would have to change its summary.
CREATE FUNCTION audit.summarize_leaves() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_leaf record;
    range_pages CONSTANT integer := 32;
    filled bigint;
BEGIN
    FOR open_leaf IN
        SELECT l.leaf, i.indexrelid AS index
        FROM audit.leaves l JOIN pg_index i ON i.indrelid = l.leaf::oid JOIN pg_class c ON c.oid = i.indexrelid
        WHERE l.parent LIKE 'events\_%' AND l.since <= now() AND l.until > now() AND c.relname = l.leaf_name || '_key' AND i.indisvalid
    LOOP
        filled := pg_relation_size(open_leaf.leaf) / current_setting('block_size')::integer / range_pages * range_pages;
        CONTINUE WHEN filled = 0;
        PERFORM brin_summarize_new_values(open_leaf.index);
        FOR page IN filled .. pg_relation_size(open_leaf.leaf) / current_setting('block_size')::integer BY range_pages LOOP
            PERFORM brin_desummarize_range(open_leaf.index, page);
        END LOOP;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.summarize_leaves() IS 'Summarises the pages of open leaves that are full; internal';

-- One step of maintenance, in a transaction of its own: true while there is more to do. Whoever holds a lock that a
-- step needs is waited for half a second; the step is then left to the next call.
CREATE FUNCTION audit.maintenance_step() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(1635083369, 1) THEN
        RAISE NOTICE 'maintenance is running in another session';
        RETURN false;
    END IF;
    IF audit.make_leaves() > 0 OR audit.empty_overflow() > 0 OR audit.close_leaf() THEN
        RETURN true;
    END IF;
    PERFORM audit.summarize_leaves();
    RETURN false;
EXCEPTION WHEN lock_not_available THEN
    RAISE NOTICE 'maintenance met a lock and goes on next time: %', sqlerrm;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit.maintenance_step() IS 'One step of audit.maintain(); internal';

-- Whether transactions that wrote to the overflow are under way, so that a worker has reason to stay. One worker is
-- enough: the lock is kept to the end of its session. Prepared transactions may stay for days and are not waited for.
CREATE FUNCTION audit.maintenance_waits() RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
                     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
                     AND l.relation = pg_catalog.to_regclass('audit.events_overflow_all')::oid)
       AND pg_catalog.pg_try_advisory_lock(1635083369, 2);
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
COMMENT ON PROCEDURE audit.maintain(interval) IS 'Makes leaves ahead, empties the overflow and closes leaves whose time is over, committing after each step';
