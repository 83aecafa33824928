-- One event with all that belongs to it: the page that an application shows of it.

-- The change of the same row before or after an event, by the key that the row had then. It is mostly near, so that
-- partitions are read outwards.
CREATE FUNCTION audit_internal.neighbour(of_event audit.events, is_next boolean) RETURNS audit.events
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    key text := CASE WHEN is_next THEN coalesce(of_event.new_entity_id, of_event.entity_id) ELSE of_event.entity_id END;
    tables text;
    reach interval;
    found_event audit.events;
BEGIN
    IF of_event.category <> 'data' OR of_event.event_type NOT BETWEEN 1 AND 5 OR key IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(format('e.node_id = %s AND e.relation_id = ANY (%L)', v.node_id, v.relation_ids), ' OR ') INTO tables
    FROM (SELECT r.node_id, array_agg(r.relation_id) AS relation_ids FROM audit_internal.relations r
          WHERE r.lineage IN (SELECT o.lineage FROM audit_internal.relations o
                              WHERE (o.node_id, o.relation_id) = (of_event.node_id, of_event.relation_id))
          GROUP BY r.node_id) v;
    FOREACH reach IN ARRAY ARRAY[interval '1 hour', interval '30 days', NULL] LOOP
        -- The fence keeps the planner from going along the index of the time instead of that of the key.
        EXECUTE format('SELECT e.* FROM (
                            SELECT e.* FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
                            WHERE e.category = ''data'' AND e.event_type BETWEEN 1 AND 5 AND (%s) AND (%s)
                              AND (e.occurred_at, e.event_id) %s (%L, %L) AND e.occurred_at BETWEEN %L AND %L OFFSET 0) e
                        ORDER BY e.occurred_at %8$s, e.event_id %8$s LIMIT 1',
                       tables,
                       CASE WHEN is_next THEN format('e.entity_id = %L', key)
                            ELSE format('e.new_entity_id = %1$L OR e.entity_id = %1$L AND e.new_entity_id IS NULL', key) END,
                       CASE WHEN is_next THEN '>' ELSE '<' END, of_event.occurred_at, of_event.event_id,
                       CASE WHEN is_next THEN of_event.occurred_at ELSE coalesce(of_event.occurred_at - reach, '-infinity') END,
                       CASE WHEN is_next THEN coalesce(of_event.occurred_at + reach, 'infinity') ELSE of_event.occurred_at END,
                       CASE WHEN is_next THEN 'ASC' ELSE 'DESC' END)
        INTO found_event;
        EXIT WHEN found_event.event_id IS NOT NULL;
    END LOOP;
    RETURN found_event;
END;
$$;
COMMENT ON FUNCTION audit_internal.neighbour(audit.events, boolean) IS 'The next or the previous change of the row of an event; internal';

-- Of a transaction and a trace what is within an hour of the event, and the thousand nearest of that: both may be long.
CREATE FUNCTION audit_internal.related_events(of_event audit.events)
RETURNS TABLE (tie text, occurred_at timestamptz, event_id uuid, category text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    near text := format('e.occurred_at BETWEEN %L AND %L', of_event.occurred_at - interval '1 hour', of_event.occurred_at + interval '1 hour');
    nearest text := format('SELECT %%L, e.occurred_at, e.event_id, e.category
                            FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
                            WHERE %s AND e.event_id <> %L AND %%s
                            ORDER BY abs(extract(epoch FROM e.occurred_at - %L)), e.event_id LIMIT 1000',
                           near, of_event.event_id, of_event.occurred_at);
    trace text := (SELECT c.trace_id FROM audit_internal.contexts c WHERE (c.node_id, c.context_id) = (of_event.node_id, of_event.context_id));
BEGIN
    IF of_event.event_id IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT 'previous', n.occurred_at, n.event_id, n.category FROM audit_internal.neighbour(of_event, false) n WHERE n.event_id IS NOT NULL;
    RETURN QUERY SELECT 'next', n.occurred_at, n.event_id, n.category FROM audit_internal.neighbour(of_event, true) n WHERE n.event_id IS NOT NULL;
    RETURN QUERY EXECUTE format(nearest, 'transaction',
        format('e.node_id = %s AND coalesce(e.subject_transaction_id, e.transaction_id) = %s',
               of_event.node_id, coalesce(of_event.subject_transaction_id, of_event.transaction_id)));
    IF trace IS NOT NULL THEN
        -- A context is used for a day at most, but for the end of a transaction that takes longer.
        RETURN QUERY EXECUTE format(nearest, 'trace',
            format('(e.node_id, e.context_id) IN (SELECT c.node_id, c.context_id FROM audit_internal.contexts c
                                                  WHERE c.trace_id = %L AND c.context_id BETWEEN %s AND %s)', trace,
                   audit_internal.first_id(of_event.occurred_at - interval '2 days'), audit_internal.first_id(of_event.occurred_at + interval '3 hours')));
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.related_events(audit.events) IS
    'What an event is related to: previous and next change of its row, and the events nearest to it of its transaction and trace; internal';

-- The rows of the trail for what an event is related to: what is near in one pass, what is not one by one.
CREATE FUNCTION audit_internal.related_trail(of_event audit.events, ids uuid[], times timestamptz[]) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    far record;
BEGIN
    RETURN QUERY EXECUTE format('SELECT t.* FROM audit.trail t WHERE t.occurred_at BETWEEN %L AND %L AND t.event_id = ANY (%L)',
                                of_event.occurred_at - interval '1 hour', of_event.occurred_at + interval '1 hour', ids);
    FOR far IN SELECT DISTINCT u.id, u.at FROM unnest(ids, times) u (id, at)
               WHERE u.at NOT BETWEEN of_event.occurred_at - interval '1 hour' AND of_event.occurred_at + interval '1 hour' LOOP
        RETURN QUERY EXECUTE format('SELECT t.* FROM audit.trail t WHERE t.occurred_at = %L AND t.event_id = %L', far.at, far.id);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.related_trail(audit.events, uuid[], timestamptz[]) IS 'These events as rows of the trail; internal';

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
    SELECT array_agg(e.event_id), array_agg(e.occurred_at) INTO ids, times FROM audit_internal.related_events(of_event) e;
    IF ids IS NOT NULL THEN
        RETURN QUERY SELECT t.* FROM audit_internal.related_trail(of_event, ids, times) t ORDER BY t.occurred_at, t.event_id;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.related(uuid) IS
    'The previous and next change of an event''s row, and the events of its transaction and trace within an hour of it, at most the 1000 nearest of each, by time';

-- The values of a row event by column, in the order of the table: all that are known, whether they changed or not.
CREATE FUNCTION audit_internal.change_table(event_type integer, changes jsonb, old_row jsonb, columns jsonb, recorded_columns jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_agg(jsonb_build_object('column', v.name, 'type', c.definition->'type', 'before', v.old_value, 'after', v.new_value,
                                        'changed', v.is_changed)
                     ORDER BY (c.definition->'number')::integer, v.name)
    FROM (
        SELECT d.column_name AS name, d.old_value, d.new_value, true AS is_changed FROM audit_internal.column_changes(event_type, changes, recorded_columns) d
        UNION ALL
        SELECT i.key, i.value, i.value, false
        FROM jsonb_each(old_row) i
        WHERE (changes ? i.key) IS NOT TRUE
    ) v
    LEFT JOIN jsonb_array_elements(columns) c (definition) ON c.definition->>'name' = v.name;
END;
COMMENT ON FUNCTION audit_internal.change_table(integer, jsonb, jsonb, jsonb, jsonb) IS 'The values of a row event by column; internal';

-- SECURITY DEFINER is safe here: as audit.diff.
CREATE FUNCTION audit.event(event_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored audit.events := audit_internal.event_at(event_id);
    shown record;
    related jsonb;
BEGIN
    IF stored.event_id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT t.*, c.session_id AS session, r.columns INTO STRICT shown
    FROM audit_internal.trail_events t
    LEFT JOIN audit_internal.contexts c ON c.node_id = t.node_id AND c.context_id = t.context_id
    LEFT JOIN audit_internal.relations r ON r.node_id = t.node_id AND r.relation_id = t.relation_id
    WHERE t.occurred_at = stored.occurred_at AND t.event_id = stored.event_id AND t.category = stored.category;

    WITH ties AS (
        SELECT e.*, row_number() OVER (PARTITION BY e.tie ORDER BY abs(extract(epoch FROM e.occurred_at - stored.occurred_at)), e.event_id) AS place
        FROM audit_internal.related_events(stored) e
    ), notes AS (
        SELECT t.event_id, jsonb_build_object('event_id', t.event_id, 'occurred_at', t.occurred_at, 'event', t.event, 'actor', t.actor,
                                              'entity', t.entity, 'entity_id', t.entity_id, 'summary', t.summary) AS note
        FROM (SELECT array_agg(e.event_id) AS ids, array_agg(e.occurred_at) AS times FROM ties e WHERE e.place <= 100) s
        CROSS JOIN LATERAL audit_internal.related_trail(stored, s.ids, s.times) t
        WHERE s.ids IS NOT NULL
    )
    SELECT jsonb_build_object(
        'previous', jsonb_agg(n.note) FILTER (WHERE e.tie = 'previous')->0,
        'next', jsonb_agg(n.note) FILTER (WHERE e.tie = 'next')->0,
        'transaction', jsonb_build_object('count', count(*) FILTER (WHERE e.tie = 'transaction'),
            'events', coalesce(jsonb_agg(n.note ORDER BY e.occurred_at, e.event_id) FILTER (WHERE e.tie = 'transaction' AND e.place <= 100), '[]')),
        'trace', jsonb_build_object('count', count(*) FILTER (WHERE e.tie = 'trace'),
            'events', coalesce(jsonb_agg(n.note ORDER BY e.occurred_at, e.event_id) FILTER (WHERE e.tie = 'trace' AND e.place <= 100), '[]')))
    INTO related
    FROM ties e LEFT JOIN notes n ON n.event_id = e.event_id;

    RETURN jsonb_build_object(
        'event_id', shown.event_id, 'occurred_at', shown.occurred_at, 'event', shown.event, 'category', shown.category,
        'risk', shown.risk, 'result', shown.result, 'summary', shown.summary, 'server', shown.server,
        'transaction_id', shown.transaction_id, 'trace_id', shown.trace_id, 'reason', shown.reason, 'context', shown.context,
        'who', jsonb_build_object(
            'actor', shown.actor, 'actor_source', shown.actor_source, 'login', shown.login, 'role', shown.role,
            'effective_role', shown.effective_role, 'application_name', shown.application_name, 'client_addr', shown.client_addr,
            'session', (SELECT jsonb_build_object('session_id', s.token, 'began_at', s.began_at, 'authentication', s.authentication,
                                                  'client_port', s.client_port, 'backend_type', s.backend_type)
                        FROM audit_internal.sessions s WHERE s.node_id = shown.node_id AND s.session_id = shown.session)),
        'what', jsonb_build_object('entity', shown.entity, 'entity_id', shown.entity_id, 'new_entity_id', shown.new_entity_id,
                                   'entity_label', shown.entity_label),
        'changes', coalesce(audit_internal.change_table(shown.event_type, shown.changes, CASE WHEN shown.image IS NOT NULL THEN shown.old_values END,
                                                        shown.columns, shown.recorded_columns), '[]'),
        'parameters', shown.parameters, 'statement', shown.statement, 'related', related);
END;
$$;
COMMENT ON FUNCTION audit.event(uuid) IS
    'An event as one document: its fields, who, what, every known column before and after, and what it is related to; null for an unknown id';
