-- Pruning contexts and sessions that no event refers to any more.

-- Contexts and sessions are dropped by partition too, once no event refers to them any more. A backend writes its
-- context anew each day, so that, but for statements that last for days, an event's is at most two days older
-- than the event; of closed partitions it is known.
CREATE FUNCTION audit_internal.lowest_context() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest bigint := audit_internal.first_id(audit_internal.clock() - interval '2 days');
BEGIN
    -- Contexts of another server's past may come long before the events that refer to them.
    IF audit_internal.is_copying() THEN
        RETURN 0;
    END IF;
    lowest := least(lowest, (SELECT min(f.lowest_context_id) FROM audit_internal.partition_catalog f));
    lowest := least(lowest, (SELECT audit_internal.first_id(min(l.since) - interval '2 days') FROM audit.partitions l
                             WHERE l.category IS NOT NULL AND l.state <> 'closed'));
    RETURN least(lowest, (SELECT audit_internal.first_id(min(o.occurred_at) - interval '2 days') FROM audit_internal.events_overflow o));
END;
$$;
COMMENT ON FUNCTION audit_internal.lowest_context() IS 'No event refers to an older context, unless its statement lasted for days; internal';

-- Whether an event of a partition that has not closed, or a transaction under way, may refer to contexts
-- before this one after all.
CREATE FUNCTION audit_internal.refers_before(context_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    partition text;
    refers boolean;
BEGIN
    IF EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.xact_start < now() - interval '1 day') THEN
        RETURN true;
    END IF;
    FOR partition IN
        SELECT l.partition_name FROM audit.partitions l
        WHERE (l.parent = 'events_overflow' OR l.category IS NOT NULL AND l.since <= audit_internal.clock()) AND l.state <> 'closed'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM audit_internal.%I e WHERE e.context_id < $1)', partition) INTO refers USING context_id;
        IF refers THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.refers_before(bigint) IS 'Whether an event that is not in a closed partition may refer to an older context; internal';

-- Looks first and drops last: captures look for partitions of contexts and sessions, and wait while a parent is locked.
CREATE FUNCTION audit_internal.prune_dictionaries(dry_run boolean) RETURNS TABLE (parent text, partition text, bytes bigint, action text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest bigint := audit_internal.lowest_context();
    lowest_session bigint;
    candidate record;
    gone record;
    parents text[] := '{}';
    partitions text[] := '{}';
BEGIN
    FOR candidate IN
        SELECT l.* FROM audit.partitions l WHERE l.parent = 'contexts' AND audit_internal.first_id(l.until) <= lowest ORDER BY l.until
    LOOP
        EXIT WHEN audit_internal.refers_before(audit_internal.first_id(candidate.until));
        parents := parents || candidate.parent;
        partitions := partitions || candidate.partition_name;
    END LOOP;
    -- Where contexts go, their sessions may too; that is looked up in all contexts and therefore only then.
    IF partitions <> '{}' THEN
        lowest_session := (SELECT min(k.session_id) FROM audit_internal.contexts k WHERE k.context_id >= lowest);
        FOR candidate IN
            SELECT l.* FROM audit.partitions l
            WHERE l.parent = 'sessions' AND audit_internal.first_id(l.until) <= least(lowest, lowest_session) AND lowest_session IS NOT NULL ORDER BY l.until
        LOOP
            parents := parents || candidate.parent;
            partitions := partitions || candidate.partition_name;
        END LOOP;
    END IF;
    -- What found no partition, and what restored archives had brought; the partitions are missing where
    -- another session is about to create the first ones.
    IF NOT dry_run AND to_regclass('audit_internal.contexts_default') IS NOT NULL AND to_regclass('audit_internal.sessions_default') IS NOT NULL THEN
        PERFORM audit_internal.delete_rows('audit_internal.contexts_default', ARRAY(SELECT k.ctid FROM audit_internal.contexts_default k WHERE k.context_id < lowest LIMIT 50000));
        PERFORM audit_internal.delete_rows('audit_internal.sessions_default', ARRAY(
            SELECT s.ctid FROM audit_internal.sessions_default s
            WHERE s.session_id < lowest
              AND NOT EXISTS (SELECT FROM audit_internal.contexts k WHERE k.node_id = s.node_id AND k.session_id = s.session_id) LIMIT 50000));
    END IF;
    FOR gone IN SELECT g.* FROM unnest(parents, partitions) WITH ORDINALITY g (of_parent, partition_name, place) ORDER BY g.place LOOP
        parent := gone.of_parent;
        partition := gone.partition_name;
        bytes := pg_total_relation_size(format('audit_internal.%I', partition)::regclass);
        action := 'drop';
        reason := 'no event refers to it';
        IF NOT dry_run THEN
            BEGIN
                EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', parent);
                PERFORM audit_internal.execute_permitted(format('DROP TABLE audit_internal.%I CASCADE', partition));
            EXCEPTION WHEN lock_not_available THEN
                action := 'busy';
                reason := reason || ', but it is in use by another session';
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.prune_dictionaries(boolean) IS 'Drops the partitions of contexts and sessions that no event refers to; internal';

-- What maintenance does of it. True where another call may find more.
CREATE FUNCTION audit_internal.prune_unused() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.lock('retention');
    RETURN EXISTS (SELECT FROM audit_internal.prune_dictionaries(false) d WHERE d.action = 'drop');
END;
$$;
COMMENT ON FUNCTION audit_internal.prune_unused() IS 'Drops contexts and sessions that no event refers to; false where there are none; internal';
