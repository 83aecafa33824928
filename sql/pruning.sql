-- Letting events go: whole leaves where no hold is in the way, else row by row.

-- The closed leaves that retention wants to go, oldest first, each with why: its age, or the bytes of what is newer.
CREATE TYPE audit.due_leaf AS (category text, leaf text, parent text, retention_id integer, archive boolean, events bigint, bytes bigint,
                               first_at timestamptz, last_at timestamptz, pruned_at timestamptz, reason text);
COMMENT ON TYPE audit.due_leaf IS 'A closed leaf that retention wants to go, and why; internal';

CREATE FUNCTION audit.due_leaves() RETURNS SETOF audit.due_leaf
LANGUAGE sql STABLE
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT d.category, d.leaf_name, d.parent, d.retention_id, d.archive, d.events, d.bytes, d.first_at, d.last_at, d.pruned_at,
           CASE WHEN d.until <= audit.clock() - d.keep
                THEN format('its events are older than %s', d.keep)
                ELSE format('with what is newer it takes %s, more than %s', pg_size_pretty(d.newer_bytes), pg_size_pretty(d.max_bytes)) END
    FROM (SELECT l.leaf_name, l.parent, l.until, f.events, f.first_at, f.last_at, f.pruned_at, f.closed_at, s.bytes,
                 audit.category_of_parent(l.parent) AS category, audit.retention_of_parent(l.parent) AS retention_id,
                 audit.kept(l.parent) AS keep, p.max_bytes, coalesce(o.archive, c.archive, false) AS archive,
                 sum(s.bytes) OVER (PARTITION BY l.parent ORDER BY l.since DESC) AS newer_bytes
          FROM audit.leaves l
          CROSS JOIN LATERAL (SELECT pg_total_relation_size(l.leaf) AS bytes) s
          LEFT JOIN audit.leaf_facts f ON f.leaf_name = l.leaf_name
          LEFT JOIN audit.retention_settings c ON c.category = audit.category_of_parent(l.parent) AND c.lineage IS NULL
          LEFT JOIN audit.retention_settings o ON o.retention_id = audit.retention_of_parent(l.parent)
          CROSS JOIN LATERAL (SELECT CASE WHEN o.retention_id IS NULL THEN c.max_bytes ELSE o.max_bytes END AS max_bytes) p
          WHERE l.parent LIKE 'events\_%' AND l.since IS NOT NULL) d
    WHERE d.closed_at IS NOT NULL AND (d.until <= audit.clock() - d.keep OR d.newer_bytes > d.max_bytes)
    ORDER BY d.until, d.parent;
END;
COMMENT ON FUNCTION audit.due_leaves() IS 'Closed leaves that are to go by age or size; internal';

-- Deletes at most so many events of a partly held leaf; returns how many.
CREATE FUNCTION audit.delete_unheld(leaf text, held text, max_rows bigint) RETURNS TABLE (deleted bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch tid[];
BEGIN
    EXECUTE format('SELECT array_agg(b.row), min(b.occurred_at), max(b.occurred_at) '
                   'FROM (SELECT e.ctid AS row, e.occurred_at FROM audit.%I e WHERE (%s) IS NOT TRUE LIMIT $1) b', leaf, held)
    INTO batch, first_at, last_at USING max_rows;
    deleted := coalesce(audit.delete_rows(format('audit.%I', leaf)::regclass, batch), 0);
    RETURN NEXT;
END;
$$;
COMMENT ON FUNCTION audit.delete_unheld(text, text, bigint) IS 'Deletes a batch of events that no hold covers; internal';

-- Lets go what one leaf has to. Whoever calls holds the maintenance lock.
CREATE FUNCTION audit.prune_leaf(due audit.due_leaf, dry_run boolean, OUT events bigint, OUT action text, OUT reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    held text := CASE WHEN due.events > 0 THEN audit.held(due.first_at, due.last_at) END;
    max_rows CONSTANT bigint := 50000;
    archived audit.archives;
    gone record;
    known audit.leaf_facts;
BEGIN
    reason := due.reason;
    events := due.events;
    SELECT a.* INTO archived FROM audit.archives a WHERE a.leaf = due.leaf AND a.pruned_at IS NULL;
    action := CASE WHEN due.archive AND archived.archive_id IS NULL THEN 'archive and drop' ELSE 'drop' END;
    IF held IS NOT NULL THEN
        IF held = 'true' THEN
            events := 0;
        ELSE
            EXECUTE format('SELECT count(*) FILTER (WHERE (%s) IS NOT TRUE) FROM audit.%I e', held, due.leaf) INTO events;
        END IF;
        IF events = 0 THEN
            action := 'keep';
            reason := reason || ', but all of it is under legal hold';
        ELSIF events < due.events THEN
            action := CASE WHEN due.archive AND archived.archive_id IS NULL THEN 'archive and delete' ELSE 'delete' END;
            reason := format('%s, but %s are under legal hold', reason, due.events - events);
        END IF;
    END IF;
    IF dry_run THEN
        RETURN;
    END IF;
    IF action IN ('keep', 'delete') AND events = 0 THEN
        SELECT f.* INTO known FROM audit.leaf_facts f WHERE f.leaf_name = due.leaf;
        known.pruned_at := audit.clock();
        PERFORM audit.put(known);
        RETURN;
    END IF;
    IF action LIKE 'archive%' THEN
        archived := audit.archive_leaf(due.leaf);
        PERFORM audit.reached('prune.archived');
    END IF;
    PERFORM audit.permit_removal();
    IF action LIKE '%drop' THEN
        EXECUTE format('LOCK TABLE audit.%I IN ACCESS EXCLUSIVE MODE', due.parent);
        EXECUTE format('DROP TABLE audit.%I', due.leaf);
        PERFORM audit.remove(f) FROM audit.leaf_facts f WHERE f.leaf_name = due.leaf;
        gone := ROW(due.events, due.first_at, due.last_at);
        IF archived.archive_id IS NOT NULL THEN
            archived.pruned_at := audit.clock();
            PERFORM audit.put(archived);
        END IF;
        IF due.events > 0 THEN
            PERFORM audit.note_pruned(due.category, due.leaf, due.events, due.first_at, due.last_at, action, reason, archived.archive_id);
        END IF;
    ELSE
        SELECT d.* INTO gone FROM audit.delete_unheld(due.leaf, held, max_rows) d;
        PERFORM audit.count_events(due.leaf, -gone.deleted);
        events := gone.deleted;
        PERFORM audit.note_pruned(due.category, due.leaf, gone.deleted, gone.first_at, gone.last_at, action, reason, archived.archive_id);
    END IF;
    PERFORM audit.reached('prune.dropped');
END;
$$;
COMMENT ON FUNCTION audit.prune_leaf(audit.due_leaf, boolean) IS 'Drops a leaf, or deletes a batch of its events, or says what would be done; internal';

CREATE FUNCTION audit.note_pruned(category text, leaf text, events bigint, since timestamptz, until timestamptz, action text, reason text, archive_id uuid)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT audit.emit('retention.prune', jsonb_strip_nulls(jsonb_build_object('category', category, 'events', events, 'since', since, 'until', until,
        'action', action, 'reason', reason, 'archive_id', archive_id)), 'audit.' || leaf, NULL, NULL, NULL);
END;
COMMENT ON FUNCTION audit.note_pruned(text, text, bigint, timestamptz, timestamptz, text, text, uuid) IS 'Writes the event of what retention let go; internal';

-- Each leaf stands for itself: one that is busy, or whose archive fails, is reported and left.
CREATE FUNCTION audit.prune(dry_run boolean DEFAULT false)
RETURNS TABLE (category text, leaf text, events bigint, bytes bigint, action text, reason text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    due audit.due_leaf;
    done record;
    dictionary record;
BEGIN
    IF NOT dry_run THEN
        PERFORM audit.enter_maintenance();
    END IF;
    FOR due IN SELECT * FROM audit.due_leaves() LOOP
        category := due.category;
        leaf := due.leaf;
        bytes := due.bytes;
        BEGIN
            SELECT * INTO done FROM audit.prune_leaf(due, dry_run);
            events := done.events;
            action := done.action;
            reason := done.reason;
        EXCEPTION
            WHEN lock_not_available THEN
                events := due.events;
                action := 'busy';
                reason := due.reason || ', but somebody is reading or writing it: ' || sqlerrm;
            WHEN external_routine_exception OR io_error OR disk_full OR config_file_error OR data_corrupted THEN
                events := due.events;
                action := 'failed';
                reason := sqlerrm;
                RAISE WARNING 'leaf % was not archived and stays: %', due.leaf, sqlerrm;
        END;
        RETURN NEXT;
    END LOOP;
    FOR dictionary IN SELECT * FROM audit.prune_dictionaries(dry_run) LOOP
        category := dictionary.parent;
        leaf := dictionary.leaf;
        events := 0;
        bytes := dictionary.bytes;
        action := dictionary.action;
        reason := dictionary.reason;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.prune(boolean) IS 'Lets go what the retention says, one pass, or with dry_run says what would go and why';

-- For whoever does by hand what maintenance does.
CREATE FUNCTION audit.enter_maintenance() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1635083369, 1);
    PERFORM pg_advisory_xact_lock(1635083369, 5);
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'maintenance is at work in another session'
        USING ERRCODE = 'lock_not_available', HINT = 'Try again when it is done; audit.status() says what it does.';
END;
$$;
COMMENT ON FUNCTION audit.enter_maintenance() IS 'Keeps other maintenance out to the end of the transaction; internal';

-- What the worker and audit.maintain() do of it: one leaf, in its own transaction. True where another call may find more.
CREATE FUNCTION audit.prune_step() RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due audit.due_leaf;
    done record;
BEGIN
    PERFORM pg_advisory_xact_lock(1635083369, 5);
    FOR due IN SELECT * FROM audit.due_leaves() d WHERE d.pruned_at IS NULL LOOP
        BEGIN
            SELECT * INTO done FROM audit.prune_leaf(due, false);
            RETURN true;
        EXCEPTION
            WHEN lock_not_available THEN
                RAISE DEBUG 'leaf % is busy', due.leaf;
            WHEN external_routine_exception OR io_error OR disk_full OR config_file_error OR data_corrupted THEN
                -- The next leaf would fail alike; the next pass tries again.
                RAISE WARNING 'leaf % was not archived and stays: %', due.leaf, sqlerrm;
                EXIT;
        END;
    END LOOP;
    RETURN EXISTS (SELECT FROM audit.prune_dictionaries(false) d WHERE d.action = 'drop') OR audit.remove_archive();
END;
$$;
COMMENT ON FUNCTION audit.prune_step() IS 'Lets one leaf go; false where none is to go; internal';

-- Contexts and sessions go by leaves too, once no event refers to them any more. A backend writes its context anew each day, so that,
-- but for statements that last for days, an event's is at most two days older than the event; of closed leaves it is known.
CREATE FUNCTION audit.lowest_context() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest bigint := audit.first_id(audit.clock() - interval '2 days');
BEGIN
    -- Contexts of another server's past may come long before the events that refer to them.
    IF audit.is_copying() THEN
        RETURN 0;
    END IF;
    lowest := least(lowest, (SELECT min(f.lowest_context_id) FROM audit.leaf_facts f WHERE f.closed_at IS NOT NULL));
    lowest := least(lowest, (SELECT audit.first_id(min(l.since) - interval '2 days') FROM audit.leaves l
                             WHERE l.parent LIKE 'events\_%' AND NOT EXISTS (
                                 SELECT FROM audit.leaf_facts f WHERE f.leaf_name = l.leaf_name AND f.closed_at IS NOT NULL)));
    RETURN least(lowest, (SELECT audit.first_id(min(o.occurred_at) - interval '2 days') FROM audit.events_overflow o));
END;
$$;
COMMENT ON FUNCTION audit.lowest_context() IS 'No event refers to an older context, unless its statement lasted for days; internal';

-- Whether an event of a leaf that has not closed, or a transaction under way, may refer to contexts before this one after all.
CREATE FUNCTION audit.refers_before(context_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    leaf text;
    refers boolean;
BEGIN
    IF EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.xact_start < now() - interval '1 day') THEN
        RETURN true;
    END IF;
    FOR leaf IN
        SELECT l.leaf_name FROM audit.leaves l
        WHERE l.parent LIKE 'events\_%' AND (l.since IS NULL OR l.since <= audit.clock())
          AND NOT EXISTS (SELECT FROM audit.leaf_facts f WHERE f.leaf_name = l.leaf_name AND f.closed_at IS NOT NULL)
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM audit.%I e WHERE e.context_id < $1)', leaf) INTO refers USING context_id;
        IF refers THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION audit.refers_before(bigint) IS 'Whether an event that is not in a closed leaf may refer to an older context; internal';

CREATE FUNCTION audit.prune_dictionaries(dry_run boolean) RETURNS TABLE (parent text, leaf text, bytes bigint, action text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lowest bigint := audit.lowest_context();
    lowest_session bigint;
    candidate record;
BEGIN
    -- Where contexts go, their sessions may too; that is looked up in all contexts and therefore only then.
    FOREACH parent IN ARRAY ARRAY['contexts', 'sessions'] LOOP
        FOR candidate IN
            SELECT l.*, pg_total_relation_size(l.leaf) AS size FROM audit.leaves l
            WHERE l.parent = prune_dictionaries.parent AND audit.first_id(l.until) <= lowest ORDER BY l.until
        LOOP
            IF parent = 'sessions' THEN
                EXIT WHEN lowest_session IS NULL;
                CONTINUE WHEN audit.first_id(candidate.until) > lowest_session;
            END IF;
            leaf := candidate.leaf_name;
            bytes := candidate.size;
            action := 'drop';
            reason := 'no event refers to it';
            EXIT WHEN parent = 'contexts' AND audit.refers_before(audit.first_id(candidate.until));
            IF NOT dry_run THEN
                BEGIN
                    PERFORM audit.permit_removal();
                    EXECUTE format('LOCK TABLE audit.%I IN ACCESS EXCLUSIVE MODE', parent);
                    EXECUTE format('DROP TABLE audit.%I', leaf);
                EXCEPTION WHEN lock_not_available THEN
                    action := 'busy';
                    reason := reason || ', but somebody is reading it';
                END;
            END IF;
            RETURN NEXT;
            IF parent = 'contexts' THEN
                lowest_session := (SELECT min(k.session_id) FROM audit.contexts k WHERE k.context_id >= lowest);
            END IF;
        END LOOP;
        IF NOT dry_run THEN
            -- What found no leaf, and what restored archives had brought.
            PERFORM audit.delete_rows(format('audit.%I', parent || '_rest')::regclass, ARRAY(
                SELECT k.ctid FROM audit.contexts_rest k WHERE prune_dictionaries.parent = 'contexts' AND k.context_id < lowest LIMIT 50000));
        END IF;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.prune_dictionaries(boolean) IS 'Drops the leaves of contexts and sessions that no event refers to; internal';
