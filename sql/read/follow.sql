-- Following: every event once, for exporters, in whatever order transactions commit.
--
-- Events are read in batches. A batch is the events of transactions from one id to another, all of which
-- below the upper id had ended when the batch began: it can never grow, so that it is read in the order of
-- time, along the indexes. The next batch begins where it ended. The events of a node that is not this
-- database's, as after a restore, are final: they are one batch.
--
-- The time at which a batch begins follows from a time at which the next transaction id was seen: higher ids
-- were assigned later. A cursor carries the last such observation that is known to precede its batch, and one
-- to come; a checkpoint is one too.

CREATE FUNCTION audit_internal.next_transaction_id() RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'audit_next_transaction_id';
COMMENT ON FUNCTION audit_internal.next_transaction_id() IS
    'The next transaction id, which no transaction has yet; internal';

CREATE TYPE audit_internal.follow_position AS (
    nodes       jsonb,
    upper_id    bigint,
    since       timestamptz,
    seen_at     timestamptz,
    seen_id     bigint,
    occurred_at timestamptz,
    event_id    uuid
);
COMMENT ON TYPE audit_internal.follow_position IS
    'The contents of a cursor: the batch as ranges of transaction ids by node, its upper id and the time at '
    'which it begins, a time and the next id then, and the last event that was read; internal';

CREATE VIEW audit_internal.local_nodes AS
SELECT n.node_id,
       i.is_local,
       i.is_local AND n.since = max(n.since) FILTER (WHERE i.is_local) OVER () AS is_current
FROM audit_internal.nodes n
CROSS JOIN LATERAL (
    SELECT n.system_identifier = (SELECT s.system_identifier FROM pg_control_system() s)
       AND n.database_oid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND NOT EXISTS (SELECT FROM audit_internal.remote_nodes g WHERE g.node_id = n.node_id) AS is_local
) i;
COMMENT ON VIEW audit_internal.local_nodes IS
    'The nodes of the trail, and whether each is this database, on an earlier or the present timeline; '
    'internal';

CREATE FUNCTION audit_internal.read_cursor(cursor_text text) RETURNS audit_internal.follow_position
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place audit_internal.follow_position;
BEGIN
    BEGIN
        place := jsonb_populate_record(NULL::audit_internal.follow_position, cursor_text::jsonb);
    EXCEPTION WHEN data_exception THEN
        place := NULL;
    END;
    IF jsonb_typeof(place.nodes) IS DISTINCT FROM 'object'
       OR num_nulls(place.upper_id, place.since, place.seen_at, place.seen_id, place.occurred_at,
                    place.event_id) > 0
       OR EXISTS (SELECT FROM jsonb_each(place.nodes) n
                  WHERE n.key !~ '^\d{1,10}$' OR jsonb_typeof(n.value) <> 'array' OR n.value->1 IS NULL
                     -- Both are null for a node that is not this database's and has been read.
                     OR n.value->0 = 'null' AND n.value->1 <> 'null'
                     OR EXISTS (SELECT FROM jsonb_array_elements_text(
                                    CASE WHEN jsonb_typeof(n.value) = 'array' THEN n.value END) b (bound)
                                WHERE b.bound !~ '^\d{1,18}$')) THEN
        RAISE EXCEPTION 'cursor was not returned by audit.follow'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the cursor of the last row that was read, or null to read from the beginning.';
    ELSIF EXISTS (SELECT FROM jsonb_object_keys(place.nodes) n (node)
                  WHERE NOT EXISTS (SELECT FROM audit_internal.nodes k WHERE k.node_id = n.node::bigint)) THEN
        RAISE EXCEPTION 'this cursor belongs to another trail'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass null to read from the beginning.';
    ELSIF EXISTS (SELECT FROM audit_internal.local_nodes n
                  WHERE n.is_current
                    AND (place.nodes->n.node_id::text->>1)::bigint
                        > pg_snapshot_xmin(pg_current_snapshot())::text::bigint) THEN
        RAISE EXCEPTION 'this cursor is ahead of the server'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'It was returned by a server that had recorded more. Wait until this server has '
                      'caught up, or pass null to read from the beginning.';
    END IF;
    RETURN place;
END;
$$;
COMMENT ON FUNCTION audit_internal.read_cursor(text) IS 'The contents of a cursor, checked; internal';

-- The result has no position within the batch yet. Null where no transaction has ended since.
CREATE FUNCTION audit_internal.next_batch(previous audit_internal.follow_position)
RETURNS audit_internal.follow_position
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch audit_internal.follow_position := previous;
    horizon bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    -- Transactions that a standby has yet to replay ended after the last one that it has replayed.
    seen_at timestamptz := CASE
        WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), '-infinity')
        ELSE clock_timestamp() END;
    seen_id bigint := audit_internal.next_transaction_id();
    last_checkpoint record;
    has_more boolean;
BEGIN
    SELECT jsonb_object_agg(n.node_id, jsonb_build_array(r.from_id, r.to_id)),
           bool_or(r.from_id IS NOT NULL AND r.from_id IS DISTINCT FROM r.to_id)
    INTO batch.nodes, has_more
    FROM audit_internal.local_nodes n
    CROSS JOIN LATERAL (SELECT previous.nodes->n.node_id::text AS range) p
    CROSS JOIN LATERAL (SELECT CASE WHEN p.range IS NULL THEN 0 ELSE (p.range->>1)::bigint END AS from_id) f
    CROSS JOIN LATERAL (
        SELECT f.from_id, CASE WHEN n.is_local THEN greatest(horizon, f.from_id) END AS to_id
    ) r;
    IF has_more IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    SELECT split_part(c.next_xid, ':', 1)::bigint << 32 | split_part(c.next_xid, ':', 2)::bigint AS seen_id,
           c.checkpoint_time AS seen_at
    INTO last_checkpoint
    FROM pg_control_checkpoint() c;
    batch.since := coalesce(previous.since, '-infinity');
    IF last_checkpoint.seen_id <= previous.upper_id THEN
        batch.since := greatest(batch.since, last_checkpoint.seen_at);
    END IF;
    IF previous.seen_id <= previous.upper_id THEN
        batch.since := greatest(batch.since, previous.seen_at);
    END IF;
    IF previous.seen_id IS NULL OR previous.seen_id <= previous.upper_id THEN
        batch.seen_at := seen_at;
        batch.seen_id := seen_id;
    END IF;
    -- The clock may have been set back since.
    batch.since := least(batch.since, seen_at);
    batch.upper_id := horizon;
    batch.occurred_at := NULL;
    batch.event_id := NULL;
    RETURN batch;
END;
$$;
COMMENT ON FUNCTION audit_internal.next_batch(audit_internal.follow_position) IS
    'The batch of audit.follow that follows another one; internal';

-- The condition on the transactions of a batch and the position within it, over the alias t, and the time
-- from which to read. The condition is null for a batch without transactions, the time for a trail without
-- events.
CREATE FUNCTION audit_internal.batch_range(
    batch audit_internal.follow_position,
    OUT condition text,
    OUT begins_at timestamptz
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
BEGIN
    SELECT format('(%s)', string_agg(
               format('t.node_id = %s AND t.writer_transaction_id >= %s', n.key, n.value->>0)
                   || coalesce(' AND t.writer_transaction_id < ' || (n.value->>1), ''),
               ' OR ')),
           -- The clocks of transactions that begin at the same time may differ, and the clock may be set
           -- back.
           CASE WHEN min((n.value->>0)::bigint) > 0 THEN batch.since - interval '10 minutes'
                ELSE '-infinity' END
    INTO condition, begins_at
    FROM jsonb_each(batch.nodes) n
    WHERE n.value->0 <> 'null' AND n.value->0 <> n.value->1;
    IF batch.event_id IS NOT NULL THEN
        begins_at := batch.occurred_at;
        condition := condition
            || format(' AND (t.occurred_at, t.event_id) > (%L, %L)', batch.occurred_at, batch.event_id);
    ELSIF begins_at = '-infinity' THEN
        begins_at := (SELECT min(e.occurred_at) FROM audit_internal.stored_events e);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.batch_range(audit_internal.follow_position) IS
    'A batch of audit.follow as a condition and a time to read from; internal';

CREATE FUNCTION audit_internal.follow_from(cursor_text text, max_rows integer)
RETURNS TABLE (next_cursor text, event_id uuid, document jsonb)
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    batch audit_internal.follow_position;
    range record;
    ends_at timestamptz;
    time_range text;
    found_rows bigint;
    remaining bigint := max_rows;
    end_of_page CONSTANT text :=
        'SELECT max(p.occurred_at)
         FROM (
             SELECT t.occurred_at
             FROM (SELECT e.occurred_at, e.event_id, e.node_id, e.transaction_id AS writer_transaction_id
                   FROM audit_internal.stored_events e) t
             WHERE %s AND %s
             ORDER BY t.occurred_at, t.event_id LIMIT %s
         ) p';
    page text := format(
        'SELECT ($1 || jsonb_build_object(''occurred_at'', r.occurred_at, ''event_id'', r.event_id))::text,
                r.event_id,
                to_jsonb(r)
         FROM (
             SELECT %s FROM audit_internal.trail_events t
             WHERE %%s AND %%s AND t.occurred_at <= %%L
             ORDER BY t.occurred_at, t.event_id LIMIT %%s
         ) r
         ORDER BY r.occurred_at, r.event_id', audit_internal.trail_columns('t'));
BEGIN
    IF max_rows < 0 THEN
        RAISE EXCEPTION 'max_rows must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Null means all rows.';
    ELSIF EXISTS (SELECT FROM pg_subscription_rel s JOIN pg_class c ON c.oid = s.srrelid
                  WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace)
                    AND c.relname LIKE 'events%') THEN
        RAISE EXCEPTION
            'this trail receives events of other servers by subscription, which have no order here'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Follow the trail of each server on that server.';
    END IF;
    batch := CASE WHEN cursor_text IS NULL THEN audit_internal.next_batch(NULL)
                  ELSE audit_internal.read_cursor(cursor_text) END;
    WHILE batch.upper_id IS NOT NULL LOOP
        range := audit_internal.batch_range(batch);
        -- A month has few partitions to plan for and mostly the whole page. The end of the page is found
        -- first: the planner then knows how little there is to join.
        FOREACH time_range IN ARRAY ARRAY[
            format('t.occurred_at >= %L AND t.occurred_at < %L',
                   range.begins_at, range.begins_at + interval '1 month'),
            format('t.occurred_at >= %L', range.begins_at + interval '1 month')]
        LOOP
            EXIT WHEN remaining = 0 OR range.begins_at IS NULL OR range.condition IS NULL;
            EXECUTE format(end_of_page, range.condition, time_range, coalesce(remaining::text, 'ALL'))
                INTO ends_at;
            CONTINUE WHEN ends_at IS NULL;
            RETURN QUERY EXECUTE
                format(page, range.condition, time_range, ends_at, coalesce(remaining::text, 'ALL'))
                USING to_jsonb(batch);
            GET DIAGNOSTICS found_rows = ROW_COUNT;
            remaining := remaining - found_rows;
        END LOOP;
        EXIT WHEN remaining = 0;
        batch := audit_internal.next_batch(batch);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.follow_from(text, integer) IS 'The rows of audit.follow; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; the cursor is
-- checked.
CREATE FUNCTION audit.follow(cursor text DEFAULT NULL, max_rows integer DEFAULT 1000)
RETURNS TABLE (cursor text, event_id uuid, document jsonb)
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.next_cursor, f.event_id, f.document FROM audit_internal.follow_from(cursor, max_rows) f;
END;
COMMENT ON FUNCTION audit.follow(text, integer) IS
    'Every event once, each with a cursor that continues after it; events of transactions below the oldest '
    'one in progress only, so that none that commits later is missed';
