-- Closing partitions: the indexes of readers, the facts, the state; and the summaries of open ones.

-- Partitions of events whose time is over and that have not closed, or lack an index of closed partitions,
-- oldest first. For some minutes more a clock that is set right may still lead writers to them.
CREATE FUNCTION audit_internal.partitions_to_close() RETURNS TABLE (partition regclass, partition_name text, parent text, suffixes text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.partition, l.partition_name, l.parent, array_agg(d.suffix ORDER BY d.suffix) FILTER (WHERE m.is_missing)
    FROM audit.partitions l
    CROSS JOIN LATERAL audit_internal.partition_indexes(l.parent) d
    CROSS JOIN LATERAL (
        SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                           WHERE i.indrelid = l.partition::oid AND i.indisvalid AND c.relname = l.partition_name || d.suffix) AS is_missing) m
    WHERE l.category IS NOT NULL AND l.until < audit_internal.clock() - interval '10 minutes' AND NOT audit_internal.awaits_events(l.since, l.until)
    GROUP BY l.partition, l.partition_name, l.parent, l.until, l.state
    HAVING l.state <> 'closed' OR bool_or(m.is_missing)
    ORDER BY l.until, l.parent;
END;
COMMENT ON FUNCTION audit_internal.partitions_to_close() IS 'Partitions whose time is over and the indexes that they lack; internal';

-- Closes one partition in one transaction, without blocking readers. The lock that keeps late writers out is
-- taken only where it need not be waited for; a partition that a transaction still writes to is left to the
-- next call. A partition that cannot be closed does not keep others open.
CREATE FUNCTION audit_internal.close_partition() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closing record;
    problem text;
    problem_code text;
BEGIN
    FOR closing IN SELECT * FROM audit_internal.partitions_to_close() LOOP
        BEGIN
            EXECUTE format('LOCK TABLE audit_internal.%I IN SHARE ROW EXCLUSIVE MODE NOWAIT', closing.partition_name);
            PERFORM audit_internal.record_remote_counts(closing.partition_name);
            PERFORM audit_internal.finish_partition(closing.partition_name, closing.parent, closing.suffixes);
            PERFORM audit_internal.injection_point('close.finished');
            RETURN true;
        EXCEPTION
            WHEN lock_not_available THEN
                CONTINUE;
            WHEN deadlock_detected OR operator_intervention THEN
                RAISE;
            WHEN OTHERS THEN
                problem := coalesce(problem, format('partition %s: %s', closing.partition_name, sqlerrm));
                problem_code := coalesce(problem_code, sqlstate);
        END;
    END LOOP;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = problem_code;
    END IF;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.close_partition() IS 'Closes one partition whose time is over; false where there is none; internal';

-- Gives a partition the indexes of a closed one, its statistics, its state and its facts.
CREATE FUNCTION audit_internal.finish_partition(partition_name text, parent text, suffixes text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_tablespace = ''
AS $$
DECLARE
    wanted record;
    known record;
BEGIN
    PERFORM audit_internal.use_tablespace();
    FOR wanted IN
        SELECT d.*, finish_partition.partition_name || d.suffix AS index_name
        FROM audit_internal.partition_indexes(parent) d WHERE d.suffix = ANY (suffixes)
    LOOP
        BEGIN
            EXECUTE format('CREATE INDEX %I ON audit_internal.%I %s', wanted.index_name, partition_name, wanted.definition);
        EXCEPTION WHEN program_limit_exceeded THEN
            EXECUTE format('CREATE INDEX %I ON audit_internal.%I %s', wanted.index_name, partition_name, wanted.otherwise);
        END;
    END LOOP;
    EXECUTE format('ANALYZE audit_internal.%I', partition_name);
    IF EXISTS (SELECT FROM audit_internal.partition_catalog f WHERE f.partition_name = finish_partition.partition_name AND f.state = 'closed') THEN
        RETURN;
    END IF;
    -- The state as the relation cache has it: backends that open the partition from now on write to the overflow instead.
    PERFORM audit_internal.execute_permitted(format('CREATE OR REPLACE TRIGGER closed BEFORE INSERT ON audit_internal.%I FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_insert()', partition_name));
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER closed', partition_name));
    -- The next vacuum is the last: it freezes rows that never change again.
    PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I SET (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_threshold = 0, '
                   'autovacuum_vacuum_insert_scale_factor = 0)', partition_name));
    EXECUTE format('SELECT count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at, min(e.context_id) AS lowest '
                   'FROM audit_internal.%I e', partition_name) INTO known;
    PERFORM audit_internal.upsert_config(ROW(partition_name, parent, 'closed', audit_internal.clock(), known.events, known.first_at, known.last_at, known.lowest, NULL, NULL, NULL, NULL)::audit_internal.partition_catalog);
END;
$$;
COMMENT ON FUNCTION audit_internal.finish_partition(text, text, text[]) IS 'Gives a partition what a closed one has; the caller has locked it; internal';

-- Brings the summaries of open partitions up to date where autovacuum has not yet, without blocking other sessions.
-- The range that is still being filled stays without: every event that came to it would have to change its
-- summary.
CREATE FUNCTION audit_internal.summarize_partitions() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_partition record;
    range_pages CONSTANT integer := 32;
    filled bigint;
BEGIN
    FOR open_partition IN
        SELECT l.partition, i.indexrelid AS index
        FROM audit.partitions l JOIN pg_index i ON i.indrelid = l.partition::oid JOIN pg_class c ON c.oid = i.indexrelid
        WHERE l.category = 'data' AND l.since <= audit_internal.clock() AND l.until > audit_internal.clock() AND c.relname = l.partition_name || '_key' AND i.indisvalid
    LOOP
        filled := pg_relation_size(open_partition.partition) / current_setting('block_size')::integer / range_pages * range_pages;
        CONTINUE WHEN filled = 0;
        PERFORM brin_summarize_new_values(open_partition.index);
        FOR page IN filled .. pg_relation_size(open_partition.partition) / current_setting('block_size')::integer BY range_pages LOOP
            PERFORM brin_desummarize_range(open_partition.index, page);
        END LOOP;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.summarize_partitions() IS 'Summarises the pages of open partitions that are full; internal';

