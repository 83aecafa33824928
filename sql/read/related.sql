-- The events that belong to an event: of its row, its transaction and its trace.

-- SECURITY DEFINER is safe here: as audit.diff.
CREATE FUNCTION audit.related(event_id uuid) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_event audit.events := audit_internal.event_at(event_id);
    ids uuid[];
    times timestamptz[];
BEGIN
    SELECT array_agg(e.event_id), array_agg(e.occurred_at) INTO ids, times
    FROM audit_internal.related_events(of_event) e;
    IF ids IS NOT NULL THEN
        RETURN QUERY
        SELECT t.* FROM audit_internal.related_trail(of_event, ids, times) t
        ORDER BY t.occurred_at, t.event_id;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.related(uuid) IS
    'The previous and next change of an event''s row, and the events of its transaction and trace within an '
    'hour of it, at most the 1000 nearest of each, by time';

-- Of the events of a transaction or a trace the document has the number and the hundred nearest.
CREATE FUNCTION audit_internal.related_document(of_event audit.events) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    document jsonb;
BEGIN
    WITH related AS (
        SELECT e.*, row_number() OVER (
                   PARTITION BY e.relation
                   ORDER BY abs(extract(epoch FROM e.occurred_at - of_event.occurred_at)), e.event_id
               ) AS place
        FROM audit_internal.related_events(of_event) e
    ), notes AS (
        SELECT t.event_id,
               jsonb_build_object(
                   'event_id', t.event_id,
                   'occurred_at', t.occurred_at,
                   'event', t.event,
                   'actor', t.actor,
                   'entity', t.entity,
                   'entity_id', t.entity_id,
                   'summary', t.summary) AS note
        FROM (SELECT array_agg(e.event_id) AS ids, array_agg(e.occurred_at) AS times
              FROM related e WHERE e.place <= 100) s
        CROSS JOIN LATERAL audit_internal.related_trail(of_event, s.ids, s.times) t
        WHERE s.ids IS NOT NULL
    )
    SELECT jsonb_build_object(
        'previous', jsonb_agg(n.note) FILTER (WHERE e.relation = 'previous')->0,
        'next', jsonb_agg(n.note) FILTER (WHERE e.relation = 'next')->0,
        'transaction', jsonb_build_object(
            'count', count(*) FILTER (WHERE e.relation = 'transaction'),
            'events', coalesce(
                jsonb_agg(n.note ORDER BY e.occurred_at, e.event_id)
                    FILTER (WHERE e.relation = 'transaction' AND e.place <= 100),
                '[]')),
        'trace', jsonb_build_object(
            'count', count(*) FILTER (WHERE e.relation = 'trace'),
            'events', coalesce(
                jsonb_agg(n.note ORDER BY e.occurred_at, e.event_id)
                    FILTER (WHERE e.relation = 'trace' AND e.place <= 100),
                '[]')))
    INTO document
    FROM related e
    LEFT JOIN notes n ON n.event_id = e.event_id;
    RETURN document;
END;
$$;
COMMENT ON FUNCTION audit_internal.related_document(audit.events) IS
    'The related events of an event, for audit.event; internal';

-- Of a transaction and a trace, either of which may be long, those within an hour of the event, at most the
-- 1000 nearest.
CREATE FUNCTION audit_internal.related_events(of_event audit.events)
RETURNS TABLE (relation text, occurred_at timestamptz, event_id uuid, category text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    nearest text := format(
        'SELECT %%L, e.occurred_at, e.event_id, e.category
         FROM audit_internal.stored_events e
         WHERE e.occurred_at BETWEEN %L AND %L AND e.event_id <> %L AND %%s
         ORDER BY abs(extract(epoch FROM e.occurred_at - %L)), e.event_id
         LIMIT 1000',
        of_event.occurred_at - interval '1 hour',
        of_event.occurred_at + interval '1 hour',
        of_event.event_id,
        of_event.occurred_at);
    trace text := (
        SELECT c.trace_id FROM audit_internal.contexts c
        WHERE (c.node_id, c.context_id) = (of_event.node_id, of_event.context_id));
BEGIN
    IF of_event.event_id IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 'previous', n.occurred_at, n.event_id, n.category
    FROM audit_internal.adjacent_change(of_event, false) n WHERE n.event_id IS NOT NULL;
    RETURN QUERY
    SELECT 'next', n.occurred_at, n.event_id, n.category
    FROM audit_internal.adjacent_change(of_event, true) n WHERE n.event_id IS NOT NULL;
    RETURN QUERY EXECUTE format(
        nearest,
        'transaction',
        format('e.node_id = %s AND coalesce(e.subject_transaction_id, e.transaction_id) = %s',
               of_event.node_id, coalesce(of_event.subject_transaction_id, of_event.transaction_id)));
    IF trace IS NOT NULL THEN
        -- A session uses a context for at most a day, or to the end of a transaction that takes longer.
        RETURN QUERY EXECUTE format(
            nearest,
            'trace',
            format('(e.node_id, e.context_id) IN (
                        SELECT c.node_id, c.context_id FROM audit_internal.contexts c
                        WHERE c.trace_id = %L AND c.context_id BETWEEN %s AND %s)',
                   trace,
                   audit_internal.first_id(of_event.occurred_at - interval '2 days'),
                   audit_internal.first_id(of_event.occurred_at + interval '3 hours')));
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.related_events(audit.events) IS
    'The previous and next change of an event''s row, and the events nearest to it of its transaction and '
    'trace; internal';

-- The adjacent change is mostly near in time, so that ranges of growing width are read.
CREATE FUNCTION audit_internal.adjacent_change(of_event audit.events, is_next boolean) RETURNS audit.events
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    key text := CASE WHEN is_next THEN coalesce(of_event.new_entity_id, of_event.entity_id)
                     ELSE of_event.entity_id END;
    earliest timestamptz;
    latest timestamptz;
    tables text;
    width interval;
    found_event audit.events;
BEGIN
    IF of_event.category <> 'data'
       OR of_event.event_type <> ALL (audit_internal.row_event_types())
       OR key IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(
        format('e.node_id = %s AND e.relation_id = ANY (%L)', v.node_id, v.relation_ids), ' OR ')
    INTO tables
    FROM (
        SELECT r.node_id, array_agg(r.relation_id) AS relation_ids
        FROM audit_internal.relations r
        WHERE r.lineage IN (SELECT o.lineage FROM audit_internal.relations o
                            WHERE (o.node_id, o.relation_id) = (of_event.node_id, of_event.relation_id))
        GROUP BY r.node_id
    ) v;
    FOREACH width IN ARRAY ARRAY[interval '1 hour', interval '30 days', NULL] LOOP
        earliest := CASE WHEN is_next THEN of_event.occurred_at
                         ELSE coalesce(of_event.occurred_at - width, '-infinity') END;
        latest := CASE WHEN is_next THEN coalesce(of_event.occurred_at + width, 'infinity')
                       ELSE of_event.occurred_at END;
        -- OFFSET 0 keeps the planner from scanning the index of the time instead of that of the key.
        EXECUTE format(
            'SELECT e.*
             FROM (
                 SELECT e.* FROM audit_internal.stored_events e
                 WHERE e.category = ''data'' AND e.event_type = ANY (%L) AND (%s) AND (%s)
                   AND (e.occurred_at, e.event_id) %s (%L, %L) AND e.occurred_at BETWEEN %L AND %L
                 OFFSET 0
             ) e
             ORDER BY e.occurred_at %9$s, e.event_id %9$s LIMIT 1',
            audit_internal.row_event_types(),
            tables,
            CASE WHEN is_next THEN format('e.entity_id = %L', key)
                 ELSE format(
                     'e.new_entity_id = %1$L OR e.entity_id = %1$L AND e.new_entity_id IS NULL', key) END,
            CASE WHEN is_next THEN '>' ELSE '<' END,
            of_event.occurred_at,
            of_event.event_id,
            earliest,
            latest,
            CASE WHEN is_next THEN 'ASC' ELSE 'DESC' END)
        INTO found_event;
        EXIT WHEN found_event.event_id IS NOT NULL;
    END LOOP;
    RETURN found_event;
END;
$$;
COMMENT ON FUNCTION audit_internal.adjacent_change(audit.events, boolean) IS
    'The next or the previous change of the row of an event, by the key that the row had then; internal';

-- Events within an hour are read in one statement, each other one in a statement of its own.
CREATE FUNCTION audit_internal.related_trail(
    of_event audit.events,
    ids uuid[],
    times timestamptz[]
) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    earliest timestamptz := of_event.occurred_at - interval '1 hour';
    latest timestamptz := of_event.occurred_at + interval '1 hour';
    far record;
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.* FROM audit.trail t WHERE t.occurred_at BETWEEN %L AND %L AND t.event_id = ANY (%L)',
        earliest, latest, ids);
    FOR far IN
        SELECT DISTINCT u.id, u.at
        FROM unnest(ids, times) u (id, at)
        WHERE u.at NOT BETWEEN earliest AND latest
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT t.* FROM audit.trail t WHERE t.occurred_at = %L AND t.event_id = %L', far.at, far.id);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.related_trail(audit.events, uuid[], timestamptz[]) IS
    'Related events as rows of the trail; internal';
