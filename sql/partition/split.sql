-- Splitting partitions that are to end before their bound: because they have grown, or because a shorter
-- interval has been set.

-- Splits in three transactions, and a crash between them loses nothing: the first adds a constraint that the
-- partition ends at split_at, the second validates it while writers continue, the third exchanges the bounds,
-- where the constraint saves ATTACH PARTITION a scan of the partition.
-- SECURITY DEFINER is safe here: no role may execute it; ages and sizes determine where it splits.
CREATE FUNCTION audit_internal.split_partition() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    splitting record;
BEGIN
    FOR splitting IN SELECT * FROM audit_internal.partitions_to_split() LOOP
        CONTINUE WHEN splitting.ends IS NULL;
        IF splitting.is_validated IS NULL AND splitting.split_at IS NULL THEN
            splitting.ends := audit_internal.end_behind_events(
                splitting.partition_name, splitting.ends, splitting.until);
            CONTINUE WHEN splitting.ends IS NULL;
            PERFORM audit_internal.begin_split(splitting.partition_name, splitting.parent, splitting.ends);
        ELSIF splitting.is_validated IS NULL THEN
            -- The constraint is missing, as after a restore without it: the next step begins anew.
            PERFORM audit_internal.record_splitting(splitting.partition_name, splitting.parent, NULL);
        ELSIF audit_internal.is_filled_to(splitting.partition_name, splitting.ends) THEN
            -- Transactions may already be writing events behind the end.
            PERFORM audit_internal.end_split(splitting.partition_name);
        ELSIF NOT splitting.is_validated THEN
            PERFORM audit_internal.execute_permitted(format(
                'ALTER TABLE audit_internal.%I VALIDATE CONSTRAINT split', splitting.partition_name));
        ELSE
            PERFORM audit_internal.exchange_bounds(
                splitting.partition_name, splitting.parent, splitting.since, splitting.ends);
        END IF;
        RETURN true;
    END LOOP;
    RETURN audit_internal.drop_long_partition();
END;
$$;
COMMENT ON FUNCTION audit_internal.split_partition() IS
    'Takes one step towards partitions of the size and interval that are set; returns whether there may be '
    'more to do';

-- A partition that has grown to audit.partition_size ends in 15 minutes, which leaves time for the split; one
-- that is longer than the interval ends at the next bound of the grid.
CREATE FUNCTION audit_internal.target_end(
    parent text,
    since timestamptz,
    until timestamptz,
    bytes bigint
) RETURNS timestamptz
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN w.wanted >= audit_internal.clock() + interval '5 minutes'
                     AND w.wanted < until - interval '5 minutes'
                THEN w.wanted END
    FROM (SELECT least(
              CASE WHEN bytes >= pg_size_bytes(current_setting('audit.partition_size'))
                   THEN date_bin(interval '1 minute', audit_internal.clock(),
                                 timestamptz '2000-01-01 00:00:00+00') + interval '15 minutes' END,
              CASE WHEN until > audit_internal.partition_start(audit_internal.clock(), i.step) + i.step * 1.5
                   THEN audit_internal.partition_start(audit_internal.clock(), i.step) + i.step END) AS wanted
          FROM audit_internal.partition_interval(parent) i (step)) w;
END;
COMMENT ON FUNCTION audit_internal.target_end(text, timestamptz, timestamptz, bigint) IS
    'Where an open partition is to end; null if its bound is right';

CREATE FUNCTION audit_internal.partitions_to_split()
RETURNS TABLE (
    partition_name text,
    parent text,
    since timestamptz,
    until timestamptz,
    split_at timestamptz,
    is_validated boolean,
    ends timestamptz
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.partition_name, l.parent, l.since, l.until, f.split_at, k.convalidated,
           coalesce(f.split_at,
                    audit_internal.target_end(
                        l.parent, l.since, l.until, pg_total_relation_size(l.partition)))
    FROM audit.partitions l
    LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
    LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = l.partition::oid AND k.conname = 'split'
    WHERE l.category IS NOT NULL
      AND l.since <= audit_internal.clock()
      AND l.until > audit_internal.clock()
      AND l.state <> 'closed'
    ORDER BY l.parent;
END;
COMMENT ON FUNCTION audit_internal.partitions_to_split() IS
    'The partitions that are written to: how far the split of each is, and where it is to end, null if its '
    'bound is right';

-- Servers whose clocks are ahead may have written events that are later than the wanted end.
CREATE FUNCTION audit_internal.end_behind_events(
    partition_name text,
    wanted timestamptz,
    until timestamptz
) RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_at timestamptz := audit_internal.last_event_of(partition_name);
    behind timestamptz;
BEGIN
    IF last_at IS NULL OR last_at < wanted - interval '5 minutes' THEN
        RETURN wanted;
    END IF;
    behind := date_bin(interval '1 minute', last_at, timestamptz '2000-01-01 00:00:00+00')
            + interval '15 minutes';
    RETURN CASE WHEN behind < until - interval '5 minutes' THEN behind END;
END;
$$;
COMMENT ON FUNCTION audit_internal.end_behind_events(text, timestamptz, timestamptz) IS
    'The wanted end of a partition, moved behind its last event; null if that leaves it at its bound';

CREATE FUNCTION audit_internal.last_event_of(partition_name text) RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_at timestamptz;
BEGIN
    EXECUTE format('SELECT max(e.occurred_at) FROM audit_internal.%I e', partition_name) INTO last_at;
    RETURN last_at;
END;
$$;
COMMENT ON FUNCTION audit_internal.last_event_of(text) IS
    'The time of the last event of a partition, null if it is empty';

CREATE FUNCTION audit_internal.is_filled_to(partition_name text, ends timestamptz) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN greatest(audit_internal.clock(), audit_internal.last_event_of(partition_name)) >= ends;
END;
$$;
COMMENT ON FUNCTION audit_internal.is_filled_to(text, timestamptz) IS
    'Whether this time has passed, or the partition has an event at or after it';

CREATE FUNCTION audit_internal.begin_split(partition_name text, parent text, ends timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
BEGIN
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I '
        'ADD CONSTRAINT split CHECK ((%s) AND occurred_at < %L) NOT VALID',
        partition_name,
        pg_get_partition_constraintdef(audit_internal.relation_named(partition_name)),
        ends));
    -- The event writer does not check constraints. An event of another server, whose clock may be ahead,
    -- must not fail the constraint: the trigger writes it to the overflow.
    PERFORM audit_internal.execute_permitted(format(
        'CREATE TRIGGER split BEFORE INSERT ON audit_internal.%I '
        'FOR EACH ROW WHEN (NEW.occurred_at >= %L) '
        'EXECUTE FUNCTION audit_internal.accept_row(''split'')',
        partition_name, ends));
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER split', partition_name));
    PERFORM audit_internal.record_splitting(partition_name, parent, ends);
END;
$$;
COMMENT ON FUNCTION audit_internal.begin_split(text, text, timestamptz) IS
    'First step of a split: adds the constraint that the partition ends at this time, not yet valid';

CREATE FUNCTION audit_internal.record_splitting(
    partition_name text,
    parent text,
    split_at timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    described audit_internal.partition_catalog;
BEGIN
    described.partition_name := partition_name;
    described.parent := parent;
    described.state := 'splitting';
    described.split_at := split_at;
    PERFORM audit_internal.upsert_config(described);
END;
$$;
COMMENT ON FUNCTION audit_internal.record_splitting(text, text, timestamptz) IS
    'Records a partition as splitting, and where it is to end';

CREATE FUNCTION audit_internal.end_split(partition_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I DROP CONSTRAINT split', partition_name));
    PERFORM audit_internal.execute_permitted(format(
        'DROP TRIGGER IF EXISTS split ON audit_internal.%I', partition_name));
    PERFORM audit_internal.forget_partition(partition_name);
END;
$$;
COMMENT ON FUNCTION audit_internal.end_split(text) IS
    'Returns a partition from splitting to open, within the bounds that it has';

-- The locks on the parent and the partition are kept until the transaction ends, which it does after this.
CREATE FUNCTION audit_internal.exchange_bounds(
    partition_name text,
    parent text,
    since timestamptz,
    ends timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
BEGIN
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', partition_name);
    IF audit_internal.is_filled_to(partition_name, ends) THEN
        -- An event arrived before the lock was granted: the next step gives the split up.
        RETURN;
    END IF;
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I DETACH PARTITION audit_internal.%I', parent, partition_name));
    PERFORM audit_internal.execute_permitted(format(
        'ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I FOR VALUES FROM (%L) TO (%L)',
        parent, partition_name, since, ends));
    PERFORM audit_internal.end_split(partition_name);
    PERFORM audit_internal.create_partitions_of(parent, ends, ends);
    PERFORM audit_internal.injection_point('split.attached');
END;
$$;
COMMENT ON FUNCTION audit_internal.exchange_bounds(text, text, timestamptz, timestamptz) IS
    'Last step of a split: attaches the partition with the shorter bound and creates the one that follows';

-- Future partitions that are longer than the interval are dropped if they are empty; maintenance creates
-- those of the new interval in their place.
CREATE FUNCTION audit_internal.drop_long_partition() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    long record;
BEGIN
    FOR long IN
        SELECT l.partition_name, l.parent
        FROM audit.partitions l
        WHERE l.category IS NOT NULL
          AND l.since > audit_internal.clock() + interval '5 minutes'
          AND l.until > l.since + audit_internal.partition_interval(l.parent) * 1.5
        ORDER BY l.since DESC
    LOOP
        -- Checked before the parent is locked: the lock is kept while the following work runs.
        CONTINUE WHEN NOT audit_internal.is_empty(long.partition_name);
        EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', long.parent);
        IF audit_internal.is_empty(long.partition_name) THEN
            PERFORM audit_internal.execute_permitted(format(
                'DROP TABLE audit_internal.%I CASCADE', long.partition_name));
        END IF;
        RETURN true;
    END LOOP;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.drop_long_partition() IS
    'Drops one empty future partition that is longer than the interval; returns whether there was one';

CREATE FUNCTION audit_internal.is_empty(partition_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    has_none boolean;
BEGIN
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM audit_internal.%I)', partition_name) INTO has_none;
    RETURN has_none;
END;
$$;
COMMENT ON FUNCTION audit_internal.is_empty(text) IS 'Whether a partition has no rows';

CREATE FUNCTION audit_internal.forget_partition(partition_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.delete_config(f)
    FROM audit_internal.partition_catalog f
    WHERE f.partition_name = forget_partition.partition_name;
END;
$$;
COMMENT ON FUNCTION audit_internal.forget_partition(text) IS
    'Deletes the row of partition_catalog of a partition that was dropped or is open again';
