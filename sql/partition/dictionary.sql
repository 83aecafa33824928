-- Pruning contexts and sessions, by partition, once no event refers to them.

CREATE FUNCTION audit_internal.prune_unused() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.lock('retention');
    RETURN EXISTS (SELECT FROM audit_internal.prune_dictionaries(false) d WHERE d.action = 'drop');
END;
$$;
COMMENT ON FUNCTION audit_internal.prune_unused() IS
    'Drops the partitions of contexts and sessions that no event refers to; returns whether there were any';

-- Searches first and drops last: backends look for partitions of contexts and sessions, and would wait while
-- a parent is locked.
CREATE FUNCTION audit_internal.prune_dictionaries(dry_run boolean)
RETURNS TABLE (parent text, partition text, bytes bigint, action text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest bigint := audit_internal.lowest_context();
    contexts text[] := audit_internal.unused_contexts(lowest);
    sessions text[] := '{}';
    unused record;
BEGIN
    -- Sessions become unused with their contexts only, and searching them reads all contexts.
    IF contexts <> '{}' THEN
        sessions := audit_internal.unused_sessions(lowest);
    END IF;
    IF NOT dry_run THEN
        PERFORM audit_internal.empty_default_dictionaries(lowest);
    END IF;
    FOR unused IN
        SELECT 'contexts' AS parent, c.name, 1 AS place, c.ordinality
        FROM unnest(contexts) WITH ORDINALITY c (name, ordinality)
        UNION ALL
        SELECT 'sessions', s.name, 2, s.ordinality
        FROM unnest(sessions) WITH ORDINALITY s (name, ordinality)
        ORDER BY place, ordinality
    LOOP
        parent := unused.parent;
        partition := unused.name;
        bytes := pg_total_relation_size(audit_internal.relation_named(partition));
        action := 'drop';
        reason := 'no event refers to it';
        IF NOT dry_run THEN
            BEGIN
                EXECUTE format('LOCK TABLE audit_internal.%I IN ACCESS EXCLUSIVE MODE', parent);
                PERFORM audit_internal.execute_permitted(format(
                    'DROP TABLE audit_internal.%I CASCADE', partition));
            EXCEPTION WHEN lock_not_available THEN
                action := 'busy';
                reason := reason || ', but it is in use by another session';
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.prune_dictionaries(boolean) IS
    'Drops the partitions of contexts and sessions that no event refers to; with dry_run only reports them';

-- A backend writes its context again every day. An event therefore refers to a context that is at most two
-- days older, unless its statement lasted for days; for closed partitions the oldest context is recorded.
CREATE FUNCTION audit_internal.lowest_context() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest bigint := audit_internal.first_id(audit_internal.clock() - interval '2 days');
BEGIN
    -- The first copy of a subscription may insert contexts long before the events that refer to them.
    IF audit_internal.is_copying() THEN
        RETURN 0;
    END IF;
    RETURN least(
        lowest,
        (SELECT min(f.lowest_context_id) FROM audit_internal.partition_catalog f),
        (SELECT audit_internal.first_id(min(l.since) - interval '2 days')
         FROM audit.partitions l
         WHERE l.category IS NOT NULL AND l.state <> 'closed'),
        (SELECT audit_internal.first_id(min(o.occurred_at) - interval '2 days')
         FROM audit_internal.events_overflow o));
END;
$$;
COMMENT ON FUNCTION audit_internal.lowest_context() IS
    'No event refers to a context before this id, unless its statement lasted for days';

CREATE FUNCTION audit_internal.unused_contexts(lowest bigint) RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    candidate record;
    partitions text[] := '{}';
BEGIN
    FOR candidate IN
        SELECT l.partition_name, l.until
        FROM audit.partitions l
        WHERE l.parent = 'contexts' AND audit_internal.first_id(l.until) <= lowest
        ORDER BY l.until
    LOOP
        EXIT WHEN audit_internal.refers_before(audit_internal.first_id(candidate.until));
        partitions := partitions || candidate.partition_name;
    END LOOP;
    RETURN partitions;
END;
$$;
COMMENT ON FUNCTION audit_internal.unused_contexts(bigint) IS
    'The partitions of contexts that no event refers to, oldest first';

CREATE FUNCTION audit_internal.unused_sessions(lowest bigint) RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest_session bigint := (SELECT min(k.session_id)
                              FROM audit_internal.contexts k
                              WHERE k.context_id >= lowest);
BEGIN
    RETURN ARRAY(
        SELECT l.partition_name
        FROM audit.partitions l
        WHERE l.parent = 'sessions'
          AND lowest_session IS NOT NULL
          AND audit_internal.first_id(l.until) <= least(lowest, lowest_session)
        ORDER BY l.until);
END;
$$;
COMMENT ON FUNCTION audit_internal.unused_sessions(bigint) IS
    'The partitions of sessions that no context from this id on refers to, oldest first';

-- Whether dropping older contexts would still break a reference, which lowest_context() cannot tell for
-- statements that last for days.
CREATE FUNCTION audit_internal.refers_before(context_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    partition text;
    refers boolean;
BEGIN
    IF EXISTS (SELECT FROM pg_stat_activity a
               WHERE a.datname = current_database() AND a.xact_start < now() - interval '1 day') THEN
        RETURN true;
    END IF;
    FOR partition IN
        SELECT l.partition_name
        FROM audit.partitions l
        WHERE l.state <> 'closed'
          AND (l.parent = 'events_overflow'
               OR l.category IS NOT NULL AND l.since <= audit_internal.clock())
    LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM audit_internal.%I e WHERE e.context_id < $1)', partition)
        INTO refers
        USING context_id;
        IF refers THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit_internal.refers_before(bigint) IS
    'Whether an event outside of closed partitions, or a transaction in progress, may refer to a context '
    'before this id';

-- The default partitions contain rows that were written while the partition of their time was missing, and
-- those of restored archives. They are missing while another session creates the first partitions.
CREATE FUNCTION audit_internal.empty_default_dictionaries(lowest bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT audit_internal.relation_exists('contexts_default')
       OR NOT audit_internal.relation_exists('sessions_default') THEN
        RETURN;
    END IF;
    PERFORM audit_internal.delete_rows(
        'audit_internal.contexts_default',
        ARRAY(SELECT k.ctid
              FROM audit_internal.contexts_default k
              WHERE k.context_id < lowest
              LIMIT 50000));
    PERFORM audit_internal.delete_rows(
        'audit_internal.sessions_default',
        ARRAY(SELECT s.ctid
              FROM audit_internal.sessions_default s
              WHERE s.session_id < lowest
                AND NOT EXISTS (SELECT FROM audit_internal.contexts k
                                WHERE k.node_id = s.node_id AND k.session_id = s.session_id)
              LIMIT 50000));
END;
$$;
COMMENT ON FUNCTION audit_internal.empty_default_dictionaries(bigint) IS
    'Deletes a batch of contexts and sessions before this id from the default partitions';
