-- Partitions: the tables that hold evidence, made at run time so that they are no members of the extension.

CREATE FUNCTION audit_internal.parent_of(category text, retention_id integer) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN retention_id IS NULL THEN 'events_' || category ELSE 'events_dedicated_' || retention_id END;
END;
COMMENT ON FUNCTION audit_internal.parent_of(text, integer) IS 'The parent of the partitions of a category, or of those dedicated to a retention; internal';

CREATE FUNCTION audit_internal.kept(parent text) RETURNS interval
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(own.keep, of_category.keep)
    FROM audit_internal.partition_parents p
    LEFT JOIN audit_internal.retention_settings own ON own.retention_id = p.retention_id
    LEFT JOIN audit_internal.retention_settings of_category ON of_category.category = p.category AND of_category.lineage IS NULL
    WHERE p.parent = kept.parent;
END;
COMMENT ON FUNCTION audit_internal.kept(text) IS 'How long events of this parent are kept, null without limit; internal';

-- What is set, or else what lets retention drop events in time: partitions of at most a quarter of what is kept, never
-- more than a month.
CREATE FUNCTION audit_internal.partition_interval(parent text) RETURNS interval
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(
        (SELECT s.partition_interval FROM audit_internal.partition_settings s WHERE s.parent = partition_interval.parent),
        (SELECT CASE WHEN k >= interval '120 days' THEN interval '1 month' WHEN k >= interval '28 days' THEN interval '7 days'
                     WHEN k >= interval '4 days' THEN interval '1 day' WHEN k >= interval '1 day' THEN interval '6 hours'
                     ELSE interval '1 hour' END
         FROM audit_internal.kept(partition_interval.parent) k WHERE k IS NOT NULL),
        interval '1 month');
END;
COMMENT ON FUNCTION audit_internal.partition_interval(text) IS 'How much time a partition of this parent holds';

-- The grid that partitions of an interval stand on: whole months and years by the calendar, all else from 2000 on.
CREATE FUNCTION audit_internal.partition_start(at timestamptz, partition_interval interval) RETURNS timestamptz
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN extract(year FROM partition_interval) * 12 + extract(month FROM partition_interval) > 0
        THEN date_trunc('month', timezone('UTC', at)) AT TIME ZONE 'UTC'
        ELSE date_bin(partition_interval, at, timestamptz '2000-01-01 00:00:00+00')
    END;
END;
COMMENT ON FUNCTION audit_internal.partition_start(timestamptz, interval) IS 'Where a partition that holds this time begins';

-- The hour since 2000 in the upper bits of an id, which partitions of sessions and contexts are divided by.
CREATE FUNCTION audit_internal.first_id(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN isfinite(at) THEN floor(extract(epoch FROM at - timestamptz '2000-01-01 00:00:00+00') / 3600)::bigint << 40 END;
END;
COMMENT ON FUNCTION audit_internal.first_id(timestamptz) IS 'The lowest session or context id of the hour';

-- The indexes of a partition of events. All have that of the time, which the writer inserts into first. A
-- row's history needs more of row events: while the partition is open, a summary of the keys and ids of each
-- range of pages, made behind the writers, who only see that their range has none yet, and the few keys that
-- updates changed; a B-tree over the keys, which would cost writers as much as the event itself, when it has
-- closed. Of other events the id, which ascends with the pages, is summarised when they close. A key may be
-- too long for a B-tree, which must fail no statement: a hash index is over any.
CREATE FUNCTION audit_internal.partition_indexes(parent text) RETURNS TABLE (suffix text, definition text, otherwise text, is_open boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.suffix, i.definition, i.otherwise, i.is_open
    FROM (VALUES
        (true, '_key', 'USING brin (entity_id text_bloom_ops (n_distinct_per_range = -0.2), event_id) WITH (pages_per_range = 32, autosummarize = on)',
         NULL, true),
        (true, '_renamed', 'USING hash (new_entity_id) WHERE new_entity_id IS NOT NULL', NULL, true),
        (true, '_row', '(entity_id, relation_id)', 'USING hash (entity_id)', false),
        (false, '_event', 'USING brin (event_id) WITH (pages_per_range = 32)', NULL, false)
    ) i (is_of_rows, suffix, definition, otherwise, is_open)
    JOIN audit_internal.partition_parents p ON p.parent = partition_indexes.parent AND i.is_of_rows = (p.category IS NOT DISTINCT FROM 'data');
END;
COMMENT ON FUNCTION audit_internal.partition_indexes(text) IS 'What a partition of this parent has beside the index over the time: the end of the name, the definition, another one for long keys, and whether from the beginning; internal';

-- New partitions and their indexes go to audit.tablespace, where there is one of that name. For functions
-- that set default_tablespace, so that it is as before when they are done.
CREATE FUNCTION audit_internal.use_tablespace() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT set_config('default_tablespace', t.spcname, true) FROM pg_catalog.pg_tablespace t
    WHERE t.spcname = current_setting('audit.tablespace', true);
END;
COMMENT ON FUNCTION audit_internal.use_tablespace() IS 'Makes the tablespace of the trail the default one; internal';

-- The table of a partition with its triggers, without indexes and in no tree yet.
CREATE FUNCTION audit_internal.create_partition_table(parent text, partition text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET default_tablespace = ''
AS $$
DECLARE
    -- The one parent that people read is in the other schema.
    parent_table regclass := CASE parent WHEN 'events' THEN 'audit.events' ELSE format('audit_internal.%I', parent) END;
BEGIN
    PERFORM audit_internal.use_tablespace();
    EXECUTE format('CREATE TABLE audit_internal.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, parent_table);
    -- Rows are never updated, and rows of a few kilobytes are better off inline than compressed by the writer.
    IF parent NOT IN ('nodes', 'sessions', 'contexts', 'relations') THEN
        EXECUTE format('ALTER TABLE audit_internal.%I SET (toast_tuple_target = 8160, autovacuum_enabled = true, '
                       'autovacuum_vacuum_insert_scale_factor = 0.2)', partition);
    END IF;
    EXECUTE format('CREATE TRIGGER reject_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_internal.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_change()', partition);
    EXECUTE format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER reject_change', partition);
    -- For what a subscription brings, which meets no statement trigger; all else that may insert passes.
    EXECUTE format('CREATE TRIGGER accept_row BEFORE INSERT OR UPDATE OR DELETE ON audit_internal.%I FOR EACH ROW EXECUTE FUNCTION audit_internal.accept_row()', partition);
    EXECUTE format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER accept_row', partition);
    PERFORM audit_internal.restrict_to_owner(format('audit_internal.%I', partition)::regclass);
    EXECUTE format('COMMENT ON TABLE audit_internal.%I IS %L', partition, 'A partition of ' || parent_table);
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partition_table(text, text) IS 'Creates the table of a partition, not yet attached; internal';

CREATE FUNCTION audit_internal.create_partition(parent text, partition text, bounds text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET default_tablespace = ''
AS $$
DECLARE
    wanted record;
BEGIN
    PERFORM audit_internal.use_tablespace();
    PERFORM audit_internal.create_partition_table(parent, partition);
    IF parent NOT IN ('nodes', 'sessions', 'contexts', 'relations') THEN
        EXECUTE format('CREATE INDEX %I ON audit_internal.%I (occurred_at) WITH (deduplicate_items = off)', partition || '_time', partition);
        FOR wanted IN SELECT i.* FROM audit_internal.partition_indexes(parent) i WHERE i.is_open LOOP
            EXECUTE format('CREATE INDEX %I ON audit_internal.%I %s', partition || wanted.suffix, partition, wanted.definition);
            IF wanted.definition LIKE 'USING brin%' THEN
                -- The first range of an empty table has a summary, which each event to come would change.
                PERFORM brin_desummarize_range(format('audit_internal.%I', partition || wanted.suffix)::regclass, 0);
            END IF;
        END LOOP;
    ELSIF parent IN ('sessions', 'contexts', 'relations') THEN
        EXECUTE format('CREATE INDEX %I ON audit_internal.%I (%I)', partition || '_id', partition, rtrim(parent, 's') || '_id');
    END IF;
    IF parent IN ('sessions', 'contexts') AND bounds <> 'DEFAULT' THEN
        PERFORM audit_internal.take_from_default(parent, partition, bounds);
    END IF;
    EXECUTE format('ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I %s', parent, partition, bounds);
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partition(text, text, text) IS 'Creates one partition; internal';

-- The parent of a category exists since the installation; that of a retention is created here, once.
CREATE FUNCTION audit_internal.ensure_parent(category text, retention_id integer) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    parent_name text := audit_internal.parent_of(category, retention_id);
BEGIN
    IF EXISTS (SELECT FROM audit_internal.partition_parents p WHERE p.parent = parent_name)
       AND to_regclass(format('audit_internal.%I', parent_name)) IS NOT NULL THEN
        RETURN parent_name;
    END IF;
    PERFORM audit_internal.lock('partitions');
    PERFORM audit_internal.upsert_config(ROW(parent_name, category, retention_id)::audit_internal.partition_parents);
    -- Another session may have created it meanwhile, or a restore without the rows of configuration.
    IF to_regclass(format('audit_internal.%I', parent_name)) IS NOT NULL THEN
        RETURN parent_name;
    END IF;
    -- The check tells the planner what the category's partition bound would.
    EXECUTE format('CREATE TABLE audit_internal.%I (LIKE audit.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS, '
                   'CONSTRAINT category CHECK (category = ''data'')) PARTITION BY RANGE (occurred_at)', parent_name);
    EXECUTE format('CREATE TRIGGER reject_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_internal.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_change()', parent_name);
    EXECUTE format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER reject_change', parent_name);
    PERFORM audit_internal.restrict_to_owner(format('audit_internal.%I', parent_name)::regclass);
    EXECUTE format('COMMENT ON TABLE audit_internal.%I IS %L', parent_name, 'Changes of rows of a table with a retention of its own');
    EXECUTE format('ALTER TABLE audit.events ATTACH PARTITION audit_internal.%I FOR VALUES IN (%s)', parent_name, retention_id);
    RETURN parent_name;
END;
$$;
COMMENT ON FUNCTION audit_internal.ensure_parent(text, integer) IS 'The parent of the partitions of a category, or of those dedicated to a retention, which it creates where it is missing; internal';

CREATE FUNCTION audit_internal.partition_bounds(bound pg_node_tree, OUT since timestamptz, OUT until timestamptz, OUT is_default boolean)
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_partition_bounds';
COMMENT ON FUNCTION audit_internal.partition_bounds(pg_node_tree) IS
    'The time that a partition holds by its partition bound, and whether it is the default partition; null for the bound of anything else; internal';

-- A statement on a parent meets the parent's trigger, one on a partition the partition's.
DO $$
DECLARE
    parent pg_catalog.regclass;
BEGIN
    FOR parent IN
        SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.relkind = 'p' AND c.relnamespace IN ('audit'::pg_catalog.regnamespace, 'audit_internal'::pg_catalog.regnamespace)
    LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER reject_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                                  'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_change()', parent);
        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER reject_change', parent);
    END LOOP;
END $$;

-- The bounds of other tables are not even looked at, and the default partitions of categories hold nothing.
CREATE VIEW audit.partitions AS
SELECT k.parent, c.oid::regclass AS partition, c.relname::text AS partition_name, b.since, b.until, k.category,
       coalesce(f.state, 'open') AS state
FROM audit_internal.partition_parents k
JOIN pg_catalog.pg_class p ON p.relname = k.parent AND p.relnamespace = 'audit_internal'::regnamespace
JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = c.relname
CROSS JOIN LATERAL audit_internal.partition_bounds(CASE WHEN p.relnamespace = 'audit_internal'::regnamespace THEN c.relpartbound END) b
WHERE f.state IS DISTINCT FROM 'default';
COMMENT ON VIEW audit.partitions IS 'The partitions of the trail with the time that each covers';
COMMENT ON COLUMN audit.partitions.since IS 'Where its time begins; null where a partition covers all time';
COMMENT ON COLUMN audit.partitions.category IS 'The category of its events; null for contexts, sessions and the overflow';
COMMENT ON COLUMN audit.partitions.state IS 'open, splitting or closed';

-- Creates what is missing: the partitions that never end, and for each parent partitions from now to two
-- intervals ahead.
-- SECURITY DEFINER is safe here: no role may execute it; it creates partitions of the trail under names that it makes itself.
CREATE FUNCTION audit_internal.create_partitions() RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    parent text;
    made integer := 0;
    problem text;
    problem_code text;
BEGIN
    -- Other sessions that create partitions wait, but only where one is missing: this runs with every CREATE TABLE
    -- in an audited schema, and must not wait for the end of transactions that did the same.
    IF to_regclass('audit_internal.events_overflow_all') IS NULL OR to_regclass('audit_internal.nodes_all') IS NULL OR to_regclass('audit_internal.relations_all') IS NULL
       OR to_regclass('audit_internal.sessions_default') IS NULL OR to_regclass('audit_internal.contexts_default') IS NULL THEN
        PERFORM audit_internal.lock('partitions');
    END IF;
    FOREACH parent IN ARRAY ARRAY['events_overflow', 'nodes', 'relations'] LOOP
        IF to_regclass(format('audit_internal.%I', parent || '_all')) IS NULL THEN
            PERFORM audit_internal.create_partition(parent, parent || '_all', 'FOR VALUES FROM (MINVALUE) TO (MAXVALUE)');
            made := made + 1;
        END IF;
    END LOOP;
    FOREACH parent IN ARRAY ARRAY['sessions', 'contexts'] LOOP
        IF to_regclass(format('audit_internal.%I', parent || '_default')) IS NULL THEN
            PERFORM audit_internal.create_partition(parent, parent || '_default', 'DEFAULT');
            made := made + 1;
        END IF;
    END LOOP;
    PERFORM audit_internal.ensure_parent('data', d.retention_id)
    FROM (SELECT DISTINCT (t.options->>'retention')::integer AS retention_id
          FROM audit_internal.table_settings t WHERE t.options->>'retention' ~ '^[1-9][0-9]{0,8}$') d;
    FOR parent IN
        SELECT p.parent FROM audit_internal.partition_parents p
        WHERE p.parent <> 'events_overflow'
          AND (p.retention_id IS NULL OR EXISTS (SELECT FROM audit_internal.table_settings t WHERE t.options->'retention' = to_jsonb(p.retention_id)))
        ORDER BY p.parent
    LOOP
        BEGIN
            made := made + audit_internal.create_partitions_of(parent, audit_internal.clock(), audit_internal.clock() + 2 * audit_internal.partition_interval(parent));
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR operator_intervention THEN
                RAISE;
            WHEN OTHERS THEN
                -- The other parents get theirs first.
                problem := coalesce(problem, format('%s: %s', parent, sqlerrm));
                problem_code := coalesce(problem_code, sqlstate);
        END;
    END LOOP;
    IF problem IS NOT NULL AND made = 0 THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = problem_code;
    ELSIF problem IS NOT NULL THEN
        RAISE WARNING 'could not create all partitions: %', problem USING ERRCODE = problem_code;
    END IF;
    RETURN made;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partitions() IS 'Makes the partitions that will be needed next; returns how many; an error where those of a parent cannot be made and no other was';

-- Creates the partitions of one parent that are missing between two times. A partition stands on the grid of
-- its interval, but never over one that is there.
-- SECURITY DEFINER is safe here: no role may execute it; parents are those of the trail.
CREATE FUNCTION audit_internal.create_partitions_of(parent text, since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    step interval := audit_internal.partition_interval(parent);
    next_time timestamptz := since;
    lower_bound timestamptz;
    upper_bound timestamptz;
    is_locked boolean := false;
    made integer := 0;
BEGIN
    WHILE next_time <= create_partitions_of.until LOOP
        SELECT l.until INTO upper_bound FROM audit.partitions l
        WHERE l.parent = create_partitions_of.parent AND l.since <= next_time AND l.until > next_time;
        IF NOT FOUND AND NOT is_locked THEN
            -- Another session may have created it meanwhile.
            PERFORM audit_internal.lock('partitions');
            is_locked := true;
            CONTINUE;
        ELSIF NOT FOUND THEN
            SELECT greatest(audit_internal.partition_start(next_time, step), max(l.until)) INTO lower_bound
            FROM audit.partitions l WHERE l.parent = create_partitions_of.parent AND l.until <= next_time;
            SELECT least(audit_internal.partition_start(next_time, step) + step, min(l.since)) INTO upper_bound
            FROM audit.partitions l WHERE l.parent = create_partitions_of.parent AND l.since > next_time;
            PERFORM audit_internal.create_partition(parent, audit_internal.partition_name(parent, lower_bound),
                CASE WHEN parent IN ('sessions', 'contexts')
                     THEN format('FOR VALUES FROM (%L) TO (%L)', audit_internal.first_id(lower_bound), audit_internal.first_id(upper_bound))
                     ELSE format('FOR VALUES FROM (%L) TO (%L)', lower_bound, upper_bound) END);
            made := made + 1;
        END IF;
        next_time := upper_bound;
    END LOOP;
    RETURN made;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partitions_of(text, timestamptz, timestamptz) IS 'Creates the partitions of one parent that are missing between two times; internal';

CREATE FUNCTION audit_internal.partition_name(parent text, since timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT parent || to_char(timezone('UTC', since), CASE
        WHEN date_trunc('day', timezone('UTC', since)) = timezone('UTC', since) THEN '_YYYYMMDD'
        ELSE '_YYYYMMDD_HH24MI' END);
END;
COMMENT ON FUNCTION audit_internal.partition_name(text, timestamptz) IS 'The name of the partition that begins at a time';
