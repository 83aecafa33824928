-- Closing partitions: a closed partition has the indexes of readers and exact facts, and rejects inserts.
-- And the summaries of open partitions.

-- Closes one partition in one transaction, without blocking readers. SHARE ROW EXCLUSIVE keeps late writers
-- out; it is taken with NOWAIT, because waiting for a transaction that still writes would block other writers
-- behind this request. Such a partition is left to the next call. A partition that cannot be closed does not
-- keep others from being closed.
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
            EXECUTE format(
                'LOCK TABLE audit_internal.%I IN SHARE ROW EXCLUSIVE MODE NOWAIT', closing.partition_name);
            PERFORM audit_internal.record_remote_counts(closing.partition_name);
            PERFORM audit_internal.finish_partition(
                closing.partition_name, closing.parent, closing.suffixes);
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
COMMENT ON FUNCTION audit_internal.close_partition() IS
    'Closes one partition whose time range has ended; returns whether it closed one';

-- Ten minutes after the end of its time range: until then a clock that is set back may lead writers to it.
CREATE FUNCTION audit_internal.partitions_to_close()
RETURNS TABLE (partition regclass, partition_name text, parent text, suffixes text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.partition, l.partition_name, l.parent,
           array_agg(d.suffix ORDER BY d.suffix) FILTER (WHERE m.is_missing)
    FROM audit.partitions l
    CROSS JOIN LATERAL audit_internal.partition_indexes(l.parent) d
    CROSS JOIN LATERAL (
        SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                           WHERE i.indrelid = l.partition::oid
                             AND i.indisvalid
                             AND c.relname = l.partition_name || d.suffix) AS is_missing) m
    WHERE l.category IS NOT NULL
      AND l.until < audit_internal.clock() - interval '10 minutes'
      AND NOT audit_internal.awaits_events(l.since, l.until)
    GROUP BY l.partition, l.partition_name, l.parent, l.until, l.state
    HAVING l.state <> 'closed' OR bool_or(m.is_missing)
    ORDER BY l.until, l.parent;
END;
COMMENT ON FUNCTION audit_internal.partitions_to_close() IS
    'The partitions whose time range has ended and that are not closed or lack an index, oldest first, with '
    'the suffixes of the missing indexes';

CREATE FUNCTION audit_internal.finish_partition(partition_name text, parent text, suffixes text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.create_indexes(partition_name, parent, suffixes);
    EXECUTE format('ANALYZE audit_internal.%I', partition_name);
    IF EXISTS (SELECT FROM audit_internal.partition_catalog f
               WHERE f.partition_name = finish_partition.partition_name AND f.state = 'closed') THEN
        RETURN;
    END IF;
    PERFORM audit_internal.reject_inserts_into(partition_name);
    PERFORM audit_internal.record_closed(partition_name, parent);
END;
$$;
COMMENT ON FUNCTION audit_internal.finish_partition(text, text, text[]) IS
    'Closes a partition that the caller has locked: creates indexes, collects statistics, rejects further '
    'inserts and records the facts';

CREATE FUNCTION audit_internal.create_indexes(partition_name text, parent text, suffixes text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_tablespace = ''
AS $$
DECLARE
    wanted record;
BEGIN
    PERFORM audit_internal.use_tablespace();
    FOR wanted IN
        SELECT d.*, create_indexes.partition_name || d.suffix AS index_name
        FROM audit_internal.partition_indexes(parent) d
        WHERE d.suffix = ANY (suffixes)
    LOOP
        BEGIN
            EXECUTE format(
                'CREATE INDEX %I ON audit_internal.%I %s',
                wanted.index_name, partition_name, wanted.definition);
        EXCEPTION WHEN program_limit_exceeded THEN
            EXECUTE format(
                'CREATE INDEX %I ON audit_internal.%I %s',
                wanted.index_name, partition_name, wanted.otherwise);
        END;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_indexes(text, text, text[]) IS
    'Creates the indexes of a closed partition that have these suffixes';

CREATE FUNCTION audit_internal.reject_inserts_into(partition_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The event writer finds this trigger in the relation cache and writes to the overflow instead; any other
    -- INSERT is rejected, as reject_change already rejects UPDATE and DELETE.
    PERFORM audit_internal.execute_permitted(format(
        'CREATE OR REPLACE TRIGGER closed BEFORE INSERT ON audit_internal.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_insert()',
        partition_name));
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER closed', partition_name));
    -- The next vacuum freezes all rows and is the last one that has work to do.
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I SET ('
        '    autovacuum_freeze_min_age = 0,'
        '    autovacuum_vacuum_insert_threshold = 0,'
        '    autovacuum_vacuum_insert_scale_factor = 0)',
        partition_name));
END;
$$;
COMMENT ON FUNCTION audit_internal.reject_inserts_into(text) IS
    'Creates the trigger of a closed partition, and has autovacuum freeze its rows';

CREATE FUNCTION audit_internal.record_closed(partition_name text, parent text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closed audit_internal.partition_catalog;
BEGIN
    EXECUTE format(
        'SELECT count(*), min(e.occurred_at), max(e.occurred_at), min(e.context_id) FROM audit_internal.%I e',
        partition_name)
    INTO closed.events, closed.first_at, closed.last_at, closed.lowest_context_id;
    closed.partition_name := partition_name;
    closed.parent := parent;
    closed.state := 'closed';
    closed.closed_at := audit_internal.clock();
    PERFORM audit_internal.upsert_config(closed);
END;
$$;
COMMENT ON FUNCTION audit_internal.record_closed(text, text) IS
    'Records a partition as closed, with its exact facts';

-- For open partitions that autovacuum has not summarized yet; other sessions are not blocked. The range that
-- writers are filling stays without a summary, because each further event would have to update it.
CREATE FUNCTION audit_internal.summarize_partitions() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_partition record;
    block_size CONSTANT integer := current_setting('block_size');
    range_pages CONSTANT integer := 32;
    filled bigint;
BEGIN
    FOR open_partition IN
        SELECT l.partition, i.indexrelid AS index
        FROM audit.partitions l
        JOIN pg_index i ON i.indrelid = l.partition::oid
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE l.category = 'data'
          AND l.since <= audit_internal.clock()
          AND l.until > audit_internal.clock()
          AND c.relname = l.partition_name || '_key'
          AND i.indisvalid
    LOOP
        filled := pg_relation_size(open_partition.partition) / block_size / range_pages * range_pages;
        CONTINUE WHEN filled = 0;
        PERFORM brin_summarize_new_values(open_partition.index);
        FOR page IN
            filled .. pg_relation_size(open_partition.partition) / block_size BY range_pages
        LOOP
            PERFORM brin_desummarize_range(open_partition.index, page);
        END LOOP;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.summarize_partitions() IS
    'Summarizes the full page ranges of open partitions of row events';
