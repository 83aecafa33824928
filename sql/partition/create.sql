-- Partitions: the tables that contain evidence. They are created at run time and are not members of the
-- extension, so that pg_dump dumps them.

-- Written without logical replication.
SELECT audit_internal.upsert_config(ROW(p.parent, p.category, NULL)::audit_internal.partition_parents)
FROM (VALUES ('contexts', NULL), ('sessions', NULL), ('events_overflow', NULL)) p (parent, category);
SELECT audit_internal.upsert_config(
    ROW('events_' || c.category, c.category, NULL)::audit_internal.partition_parents)
FROM unnest(audit_internal.categories()) c (category);

CREATE FUNCTION audit_internal.partition_bounds(
    bound pg_node_tree,
    OUT since timestamptz,
    OUT until timestamptz,
    OUT is_default boolean)
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_partition_bounds';
COMMENT ON FUNCTION audit_internal.partition_bounds(pg_node_tree) IS
    'The time range of a partition by its partition bound, and whether it is the default partition; null '
    'for the bound of any other table';

-- The CASE keeps the planner from decoding the bounds of other tables. The default partitions of categories
-- are always empty and therefore not listed.
CREATE VIEW audit.partitions AS
SELECT k.parent, c.oid::regclass AS partition, c.relname::text AS partition_name, b.since, b.until,
       k.category, coalesce(f.state, 'open') AS state
FROM audit_internal.partition_parents k
JOIN pg_catalog.pg_class p ON p.relname = k.parent AND p.relnamespace = 'audit_internal'::regnamespace
JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = c.relname
CROSS JOIN LATERAL audit_internal.partition_bounds(
    CASE WHEN p.relnamespace = 'audit_internal'::regnamespace THEN c.relpartbound END) b
WHERE f.state IS DISTINCT FROM 'default';
COMMENT ON VIEW audit.partitions IS 'The partitions of the trail with the time range of each';
COMMENT ON COLUMN audit.partitions.parent IS 'The partitioned table, in schema audit_internal';
COMMENT ON COLUMN audit.partitions.partition IS 'The partition';
COMMENT ON COLUMN audit.partitions.partition_name IS 'Its name without the schema';
COMMENT ON COLUMN audit.partitions.since IS
    'The start of its time range, included; null if the partition covers all time';
COMMENT ON COLUMN audit.partitions.until IS
    'The end of its time range, excluded; null if the partition covers all time';
COMMENT ON COLUMN audit.partitions.category IS
    'The category of its events; null for contexts, sessions and the overflow';
COMMENT ON COLUMN audit.partitions.state IS 'open, splitting or closed';

-- SECURITY DEFINER is safe here: no role may execute it; it creates partitions of the trail and derives their
-- names.
CREATE FUNCTION audit_internal.create_partitions() RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    parent text;
    created integer := audit_internal.create_permanent_partitions();
    problem text;
    problem_code text;
BEGIN
    PERFORM audit_internal.ensure_parent('data', d.retention_id)
    FROM (SELECT DISTINCT (t.options->>'retention')::integer AS retention_id
          FROM audit_internal.table_settings t
          WHERE t.options->>'retention' ~ '^[1-9][0-9]{0,8}$') d;
    FOR parent IN
        SELECT p.parent
        FROM audit_internal.partition_parents p
        WHERE p.parent <> 'events_overflow'
          AND (p.retention_id IS NULL
               OR EXISTS (SELECT FROM audit_internal.table_settings t
                          WHERE t.options->'retention' = to_jsonb(p.retention_id)))
        ORDER BY p.parent
    LOOP
        BEGIN
            created := created + audit_internal.create_partitions_of(
                parent,
                audit_internal.clock(),
                audit_internal.clock() + 2 * audit_internal.partition_interval(parent));
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR operator_intervention THEN
                RAISE;
            WHEN OTHERS THEN
                -- Reported after the partitions of the other parents have been created.
                problem := coalesce(problem, format('%s: %s', parent, sqlerrm));
                problem_code := coalesce(problem_code, sqlstate);
        END;
    END LOOP;
    IF problem IS NOT NULL AND created = 0 THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = problem_code;
    ELSIF problem IS NOT NULL THEN
        RAISE WARNING 'could not create all partitions: %', problem USING ERRCODE = problem_code;
    END IF;
    RETURN created;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partitions() IS
    'Creates the missing partitions: the permanent ones, and those of every parent from now to two intervals '
    'ahead; returns how many. Raises an error if those of a parent cannot be created and no other was';

CREATE FUNCTION audit_internal.create_permanent_partitions() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    permanent record;
    created integer := 0;
BEGIN
    -- The lock serializes sessions that create partitions. It is taken only if one is missing: every CREATE
    -- TABLE in an audited schema runs this, and must not wait for other transactions that do the same.
    IF EXISTS (SELECT FROM audit_internal.permanent_partitions() p
               WHERE NOT audit_internal.relation_exists(p.partition_name)) THEN
        PERFORM audit_internal.lock('partitions');
    END IF;
    FOR permanent IN SELECT * FROM audit_internal.permanent_partitions() LOOP
        IF NOT audit_internal.relation_exists(permanent.partition_name) THEN
            PERFORM audit_internal.create_partition(
                permanent.parent, permanent.partition_name, permanent.bounds);
            created := created + 1;
        END IF;
    END LOOP;
    RETURN created;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_permanent_partitions() IS
    'Creates the missing partitions that cover all time; returns how many';

-- A partition covers one interval of the grid, cut off where an existing partition begins or ends.
-- SECURITY DEFINER is safe here: no role may execute it; it creates partitions of the trail only.
CREATE FUNCTION audit_internal.create_partitions_of(
    parent text,
    since timestamptz,
    until timestamptz
) RETURNS integer
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
    created integer := 0;
BEGIN
    WHILE next_time <= create_partitions_of.until LOOP
        SELECT l.until INTO upper_bound
        FROM audit.partitions l
        WHERE l.parent = create_partitions_of.parent AND l.since <= next_time AND l.until > next_time;
        IF NOT FOUND AND NOT is_locked THEN
            -- Look again: another session may have created it before this one got the lock.
            PERFORM audit_internal.lock('partitions');
            is_locked := true;
            CONTINUE;
        ELSIF NOT FOUND THEN
            SELECT greatest(audit_internal.partition_start(next_time, step), max(l.until))
            INTO lower_bound
            FROM audit.partitions l
            WHERE l.parent = create_partitions_of.parent AND l.until <= next_time;
            SELECT least(audit_internal.partition_start(next_time, step) + step, min(l.since))
            INTO upper_bound
            FROM audit.partitions l
            WHERE l.parent = create_partitions_of.parent AND l.since > next_time;
            PERFORM audit_internal.create_partition(
                parent,
                audit_internal.partition_name(parent, lower_bound),
                audit_internal.bounds_clause(parent, lower_bound, upper_bound));
            created := created + 1;
        END IF;
        next_time := upper_bound;
    END LOOP;
    RETURN created;
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partitions_of(text, timestamptz, timestamptz) IS
    'Creates the partitions of one parent that are missing between two times; returns how many';

-- Parents of categories are created by CREATE EXTENSION, those of a retention here.
CREATE FUNCTION audit_internal.ensure_parent(category text, retention_id integer) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    parent_name text := audit_internal.parent_of(category, retention_id);
    described audit_internal.partition_parents;
BEGIN
    IF EXISTS (SELECT FROM audit_internal.partition_parents p WHERE p.parent = parent_name)
       AND audit_internal.relation_exists(parent_name) THEN
        RETURN parent_name;
    END IF;
    PERFORM audit_internal.lock('partitions');
    described.parent := parent_name;
    described.category := category;
    described.retention_id := retention_id;
    PERFORM audit_internal.upsert_config(described);
    -- Another session may have created it meanwhile, or a restore that left out the configuration.
    IF audit_internal.relation_exists(parent_name) THEN
        RETURN parent_name;
    END IF;
    -- The constraint tells the planner what the partition bound of a category would.
    EXECUTE format(
        'CREATE TABLE audit_internal.%I ('
        '    LIKE audit.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS,'
        '    CONSTRAINT category CHECK (category = ''data'')'
        ') PARTITION BY RANGE (occurred_at)',
        parent_name);
    PERFORM audit_internal.reject_changes_of(audit_internal.relation_named(parent_name));
    PERFORM audit_internal.restrict_to_owner(audit_internal.relation_named(parent_name));
    EXECUTE format(
        'COMMENT ON TABLE audit_internal.%I IS %L',
        parent_name, 'Row changes of a table that has its own retention');
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit.events ATTACH PARTITION audit_internal.%I FOR VALUES IN (%s)',
        parent_name, retention_id));
    RETURN parent_name;
END;
$$;
COMMENT ON FUNCTION audit_internal.ensure_parent(text, integer) IS
    'The parent of the partitions of a category, or of those dedicated to a retention, which is created if '
    'it is missing';

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
    IF audit_internal.contains_events(parent) THEN
        PERFORM audit_internal.create_time_index(partition);
        FOR wanted IN SELECT i.* FROM audit_internal.partition_indexes(parent) i WHERE i.is_open LOOP
            EXECUTE format(
                'CREATE INDEX %I ON audit_internal.%I %s',
                partition || wanted.suffix, partition, wanted.definition);
            IF wanted.definition LIKE 'USING brin%' THEN
                -- CREATE INDEX summarizes the first range of the empty table, and every insert would have to
                -- update this summary.
                PERFORM brin_desummarize_range(audit_internal.relation_named(partition || wanted.suffix), 0);
            END IF;
        END LOOP;
    ELSIF parent IN ('sessions', 'contexts', 'relations') THEN
        EXECUTE format(
            'CREATE INDEX %I ON audit_internal.%I (%I)',
            partition || '_id', partition, rtrim(parent, 's') || '_id');
    END IF;
    IF parent IN ('sessions', 'contexts') AND bounds <> 'DEFAULT' THEN
        PERFORM audit_internal.take_from_default(parent, partition, bounds);
    END IF;
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I %s', parent, partition, bounds));
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partition(text, text, text) IS
    'Creates a partition with its triggers and indexes and attaches it to its parent';

CREATE FUNCTION audit_internal.create_partition_table(parent text, partition text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET default_tablespace = ''
AS $$
DECLARE
    -- audit.events is the one parent that roles read, and therefore in the other schema.
    parent_table regclass :=
        CASE parent WHEN 'events' THEN 'audit.events' ELSE audit_internal.relation_named(parent) END;
BEGIN
    PERFORM audit_internal.use_tablespace();
    EXECUTE format(
        'CREATE TABLE audit_internal.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        partition, parent_table);
    -- Rows are never updated, and rows of a few kilobytes are faster to write inline than compressed.
    IF audit_internal.contains_events(parent) THEN
        EXECUTE format(
            'ALTER TABLE audit_internal.%I SET ('
            '    toast_tuple_target = 8160,'
            '    autovacuum_enabled = true,'
            '    autovacuum_vacuum_insert_scale_factor = 0.2)',
            partition);
    END IF;
    PERFORM audit_internal.reject_changes_of(audit_internal.relation_named(partition));
    -- An apply worker fires no statement triggers for single rows; inserts by other sessions pass this one.
    EXECUTE format(
        'CREATE TRIGGER accept_row BEFORE INSERT OR UPDATE OR DELETE ON audit_internal.%I '
        'FOR EACH ROW EXECUTE FUNCTION audit_internal.accept_row()',
        partition);
    EXECUTE format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER accept_row', partition);
    PERFORM audit_internal.restrict_to_owner(audit_internal.relation_named(partition));
    EXECUTE format(
        'COMMENT ON TABLE audit_internal.%I IS %L', partition, 'A partition of ' || parent_table);
END;
$$;
COMMENT ON FUNCTION audit_internal.create_partition_table(text, text) IS
    'Creates the table of a partition with its triggers, without indexes, and does not attach it';

CREATE FUNCTION audit_internal.reject_changes_of(evidence regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER reject_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit_internal.reject_change()',
        evidence);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER reject_change', evidence);
END;
$$;
COMMENT ON FUNCTION audit_internal.reject_changes_of(regclass) IS
    'Creates the trigger that rejects every statement that would change a table of evidence';

-- A statement fires the triggers of the table that it names: parents need this trigger as partitions do.
SELECT audit_internal.reject_changes_of(c.oid)
FROM pg_catalog.pg_class c
WHERE c.relkind = 'p' AND c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace);

CREATE FUNCTION audit_internal.create_time_index(partition text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE INDEX %I ON audit_internal.%I (occurred_at) WITH (deduplicate_items = off)',
        partition || '_time', partition);
END;
$$;
COMMENT ON FUNCTION audit_internal.create_time_index(text) IS
    'Creates the index over the time, which every partition of events has';

-- The name of the tablespace is a setting, the tablespace may be missing. Callers have a SET clause for
-- default_tablespace, which restores the previous value when they return.
CREATE FUNCTION audit_internal.use_tablespace() RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT set_config('default_tablespace', t.spcname, true)
    FROM pg_catalog.pg_tablespace t
    WHERE t.spcname = current_setting('audit.tablespace', true);
END;
COMMENT ON FUNCTION audit_internal.use_tablespace() IS
    'Sets default_tablespace to audit.tablespace, if a tablespace of this name exists';
