-- Partitions that end before their time: because they have grown, or because a shorter interval was set.

-- Where an open partition ought to end, null where its bound is right: some minutes ahead for one that has
-- grown to audit.partition_size, which is the time that the split may take; at the next bound of the interval
-- for one that is longer than that.
CREATE FUNCTION audit_internal.target_end(parent text, since timestamptz, until timestamptz, bytes bigint) RETURNS timestamptz
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN w.wanted >= audit_internal.clock() + interval '5 minutes' AND w.wanted < until - interval '5 minutes' THEN w.wanted END
    FROM (SELECT least(
              CASE WHEN bytes >= pg_size_bytes(current_setting('audit.partition_size'))
                   THEN date_bin(interval '1 minute', audit_internal.clock(), timestamptz '2000-01-01 00:00:00+00') + interval '15 minutes' END,
              CASE WHEN until > audit_internal.partition_start(audit_internal.clock(), i.step) + i.step * 1.5
                   THEN audit_internal.partition_start(audit_internal.clock(), i.step) + i.step END) AS wanted
          FROM audit_internal.partition_interval(parent) i (step)) w;
END;
COMMENT ON FUNCTION audit_internal.target_end(text, timestamptz, timestamptz, bigint) IS 'Where an open partition is to end before its bound, null where it is not; internal';

-- Splits in three steps, each of which a crash may fall between: a check is added that the partition ends
-- there, validated while all go on, and then the bounds are exchanged, for which the check saves the search
-- of the partition. Done when true: there is more to do.
-- SECURITY DEFINER is safe here: no role may execute it; where it splits follows from ages and sizes.
CREATE FUNCTION audit_internal.split_partition() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    splitting record;
    is_empty boolean;
    last_at timestamptz;
BEGIN
    FOR splitting IN
        SELECT l.*, f.split_at, k.convalidated,
               coalesce(f.split_at, audit_internal.target_end(l.parent, l.since, l.until, pg_total_relation_size(l.partition))) AS ends
        FROM audit.partitions l
        LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
        LEFT JOIN pg_constraint k ON k.conrelid = l.partition::oid AND k.conname = 'split'
        WHERE l.category IS NOT NULL AND l.since <= audit_internal.clock() AND l.until > audit_internal.clock() AND l.state <> 'closed'
        ORDER BY l.parent
    LOOP
        CONTINUE WHEN splitting.ends IS NULL;
        IF splitting.convalidated IS NULL AND splitting.split_at IS NULL THEN
            -- Clocks that are ahead, as other servers' may be, have filled it further: it ends behind them, or not before its time.
            EXECUTE format('SELECT max(e.occurred_at) FROM audit_internal.%I e', splitting.partition_name) INTO last_at;
            IF last_at >= splitting.ends - interval '5 minutes' THEN
                splitting.ends := date_bin(interval '1 minute', last_at, timestamptz '2000-01-01 00:00:00+00') + interval '15 minutes';
                CONTINUE WHEN splitting.ends >= splitting.until - interval '5 minutes';
            END IF;
        END IF;
        IF splitting.convalidated IS NULL THEN
            IF splitting.split_at IS NULL THEN
                PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ADD CONSTRAINT split CHECK ((%s) AND occurred_at < %L) NOT VALID', splitting.partition_name,
                               pg_get_partition_constraintdef(splitting.partition), splitting.ends));
                -- The writer goes past the check; an event of another server, whose clock may be ahead, must not fail on it.
                PERFORM audit_internal.execute_permitted(format('CREATE TRIGGER split BEFORE INSERT ON audit_internal.%I FOR EACH ROW WHEN (NEW.occurred_at >= %L) EXECUTE FUNCTION audit_internal.accept_row(''split'')',
                               splitting.partition_name, splitting.ends));
                PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ENABLE ALWAYS TRIGGER split', splitting.partition_name));
            END IF;
            PERFORM audit_internal.upsert_config(ROW(splitting.partition_name, splitting.parent, 'splitting', NULL, NULL, NULL, NULL, NULL,
                                  CASE WHEN splitting.split_at IS NULL THEN splitting.ends END, NULL, NULL, NULL)::audit_internal.partition_catalog);
            RETURN true;
        END IF;
        EXECUTE format('SELECT max(e.occurred_at) FROM audit_internal.%I e', splitting.partition_name) INTO last_at;
        IF greatest(audit_internal.clock(), last_at) >= splitting.ends THEN
            -- Too late: transactions may be writing past the end already.
            PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I DROP CONSTRAINT split', splitting.partition_name));
            PERFORM audit_internal.execute_permitted(format('DROP TRIGGER IF EXISTS split ON audit_internal.%I', splitting.partition_name));
            PERFORM audit_internal.delete_config(f) FROM audit_internal.partition_catalog f WHERE f.partition_name = splitting.partition_name;
            RETURN true;
        ELSIF NOT splitting.convalidated THEN
            PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I VALIDATE CONSTRAINT split', splitting.partition_name));
            RETURN true;
        END IF;
        EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', splitting.parent);
        EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', splitting.partition_name);
        EXECUTE format('SELECT max(e.occurred_at) FROM audit_internal.%I e', splitting.partition_name) INTO last_at;
        IF greatest(audit_internal.clock(), last_at) >= splitting.ends THEN
            -- The transaction ends with this, and the lock on the parent with it.
            RETURN true;
        END IF;
        PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I DETACH PARTITION audit_internal.%I', splitting.parent, splitting.partition_name));
        PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I ATTACH PARTITION audit_internal.%I FOR VALUES FROM (%L) TO (%L)', splitting.parent, splitting.partition_name,
                       splitting.since, splitting.ends));
        PERFORM audit_internal.execute_permitted(format('ALTER TABLE audit_internal.%I DROP CONSTRAINT split', splitting.partition_name));
        PERFORM audit_internal.execute_permitted(format('DROP TRIGGER IF EXISTS split ON audit_internal.%I', splitting.partition_name));
        PERFORM audit_internal.delete_config(f) FROM audit_internal.partition_catalog f WHERE f.partition_name = splitting.partition_name;
        PERFORM audit_internal.create_partitions_of(splitting.parent, splitting.ends, splitting.ends);
        PERFORM audit_internal.injection_point('split.attached');
        RETURN true;
    END LOOP;

    -- Partitions ahead of a longer interval are dropped while they are empty; those of the new one are
    -- created in their place.
    FOR splitting IN
        SELECT l.* FROM audit.partitions l
        WHERE l.category IS NOT NULL AND l.since > audit_internal.clock() + interval '5 minutes'
          AND l.until > l.since + audit_internal.partition_interval(l.parent) * 1.5
        ORDER BY l.since DESC
    LOOP
        -- Looked at without the parent's lock, which would be kept while what comes next is done.
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM audit_internal.%I)', splitting.partition_name) INTO is_empty;
        CONTINUE WHEN NOT is_empty;
        EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', splitting.parent);
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM audit_internal.%I)', splitting.partition_name) INTO is_empty;
        IF is_empty THEN
            PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', splitting.partition_name));
        END IF;
        RETURN true;
    END LOOP;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.split_partition() IS 'Takes one step towards partitions of the size and interval that are set; false where nothing is to do; internal';
