-- Numbers of events: by table, by actor, by day and by hour.

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; the table is not
-- read.
CREATE FUNCTION audit.table_activity(target regclass, since timestamptz DEFAULT now() - interval '7 days')
RETURNS TABLE (event text, actor text, events bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a table.';
    ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = target) THEN
        RAISE EXCEPTION 'relation with OID % does not exist', target::oid
            USING ERRCODE = 'undefined_table',
                  HINT = 'Events of dropped tables are in audit.trail by entity.';
    END IF;
    RETURN QUERY
    SELECT t.name, coalesce(c.actor, c.login), sum(g.events)::bigint, min(g.first_at), max(g.last_at)
    FROM (
        SELECT e.node_id, e.context_id, e.event_type,
               count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
        FROM audit_internal.stored_events e
        WHERE e.occurred_at >= coalesce(since, '-infinity')
          AND (e.node_id, e.relation_id) IN (
              SELECT v.node_id, v.relation_id FROM audit_internal.versions_of(target) v)
        GROUP BY e.node_id, e.context_id, e.event_type
    ) g
    LEFT JOIN audit.event_types t ON t.event_type = g.event_type
    LEFT JOIN audit_internal.contexts c ON c.node_id = g.node_id AND c.context_id = g.context_id
    GROUP BY t.name, coalesce(c.actor, c.login)
    ORDER BY sum(g.events) DESC, t.name, coalesce(c.actor, c.login);
END;
$$;
COMMENT ON FUNCTION audit.table_activity(regclass, timestamptz) IS
    'Events of a table since a time (null for all), one row per event type and actor, the most frequent '
    'first';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event.
CREATE FUNCTION audit.user_activity(
    actor text,
    since timestamptz DEFAULT now() - interval '30 days',
    until timestamptz DEFAULT now()
)
RETURNS TABLE (
    entity text,
    created bigint,
    modified bigint,
    removed bigint,
    viewed bigint,
    exported bigint,
    other bigint,
    failures bigint,
    last_at timestamptz
)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text := actor;
BEGIN
    PERFORM audit_internal.check_range(since, until);
    RETURN QUERY
    SELECT g.entity,
           coalesce(sum(g.events) FILTER (WHERE k.column_name = 'created'), 0)::bigint,
           coalesce(sum(g.events) FILTER (WHERE k.column_name = 'modified'), 0)::bigint,
           coalesce(sum(g.events) FILTER (WHERE k.column_name = 'removed'), 0)::bigint,
           coalesce(sum(g.events) FILTER (WHERE k.column_name = 'viewed'), 0)::bigint,
           coalesce(sum(g.events) FILTER (WHERE k.column_name = 'exported'), 0)::bigint,
           coalesce(sum(g.events) FILTER (WHERE k.column_name = 'other'), 0)::bigint,
           coalesce(sum(g.events) FILTER (WHERE g.result = 'failure'), 0)::bigint,
           max(g.last_at)
    FROM (
        SELECT coalesce(e.entity, r.entity) AS entity, e.event_type, e.result,
               count(*) AS events, max(e.occurred_at) AS last_at
        FROM audit_internal.stored_events e
        JOIN audit_internal.contexts c ON c.node_id = e.node_id AND c.context_id = e.context_id
        LEFT JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
        WHERE e.occurred_at >= coalesce(since, '-infinity')
          AND e.occurred_at < coalesce(until, 'infinity')
          AND coalesce(c.actor, c.login) = wanted
        GROUP BY coalesce(e.entity, r.entity), e.event_type, e.result
    ) g
    LEFT JOIN audit.event_types t ON t.event_type = g.event_type
    CROSS JOIN LATERAL (
        SELECT CASE t.name
            WHEN 'row.insert' THEN 'created'
            WHEN 'row.update' THEN 'modified'
            WHEN 'row.delete' THEN 'removed'
            WHEN 'row.truncate' THEN 'removed'
            WHEN 'table.truncate' THEN 'removed'
            WHEN 'table.read' THEN 'viewed'
            WHEN 'data.export' THEN 'exported'
            ELSE 'other' END AS column_name
    ) k
    GROUP BY g.entity
    ORDER BY g.entity;
END;
$$;
COMMENT ON FUNCTION audit.user_activity(text, timestamptz, timestamptz) IS
    'What an actor did in a time range, per entity: rows created, modified and removed, reads, exports, '
    'other events, failures';

-- A session ends with its logout or, where that was not captured, with the last event that it wrote.
-- SECURITY DEFINER is safe here: as audit.user_activity.
CREATE FUNCTION audit.user_sessions(
    actor text,
    since timestamptz DEFAULT now() - interval '30 days',
    until timestamptz DEFAULT now()
)
RETURNS TABLE (
    sessions bigint,
    average_length interval,
    failed_logins bigint,
    first_at timestamptz,
    last_at timestamptz
)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted text := actor;
    login_failed CONSTANT integer := audit_internal.event_type('session.login_failed');
BEGIN
    PERFORM audit_internal.check_range(since, until);
    RETURN QUERY
    SELECT count(*) FILTER (WHERE g.acts > 0),
           avg(g.last_at - s.began_at) FILTER (WHERE g.acts > 0),
           coalesce(sum(g.failed_logins), 0)::bigint,
           min(g.first_at),
           max(g.last_at)
    FROM (
        SELECT c.node_id, c.session_id, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at,
               count(*) FILTER (WHERE e.event_type <> login_failed) AS acts,
               count(*) FILTER (WHERE e.event_type = login_failed) AS failed_logins
        FROM audit_internal.stored_events e
        JOIN audit_internal.contexts c ON c.node_id = e.node_id AND c.context_id = e.context_id
        WHERE e.occurred_at >= coalesce(since, '-infinity')
          AND e.occurred_at < coalesce(until, 'infinity')
          AND coalesce(c.actor, c.login) = wanted
        GROUP BY c.node_id, c.session_id
    ) g
    LEFT JOIN audit_internal.sessions s ON s.node_id = g.node_id AND s.session_id = g.session_id;
END;
$$;
COMMENT ON FUNCTION audit.user_sessions(text, timestamptz, timestamptz) IS
    'Sessions of an actor with activity in a time range, their average duration (start to last event), and '
    'failed logins';

CREATE FUNCTION audit_internal.activity_in_steps(since timestamptz, until timestamptz, step text)
RETURNS TABLE (begins_at timestamptz, category text, events bigint, failures bigint, high_risk bigint)
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    high_types integer[] := ARRAY(SELECT t.event_type FROM audit.event_types t WHERE t.risk = 'high');
BEGIN
    PERFORM audit_internal.check_range(since, until);
    IF since IS NULL OR until IS NULL OR NOT isfinite(since) OR NOT isfinite(until) THEN
        RAISE EXCEPTION 'since and until must be finite'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Each day or hour of the range has a row, so that the range needs both bounds.';
    END IF;
    RETURN QUERY
    WITH counted AS (
        SELECT date_trunc(step, e.occurred_at) AS begins_at, e.category, count(*) AS events,
               count(*) FILTER (WHERE e.result = 'failure') AS failures,
               count(*) FILTER (WHERE e.event_type = ANY (high_types)) AS high_risk
        FROM audit_internal.stored_events e
        WHERE e.occurred_at >= since AND e.occurred_at < until
        GROUP BY 1, 2
    )
    SELECT d.begins_at, k.category, coalesce(c.events, 0), coalesce(c.failures, 0), coalesce(c.high_risk, 0)
    FROM generate_series(date_trunc(step, since), until, ('1 ' || step)::interval) d (begins_at)
    CROSS JOIN unnest(audit_internal.categories()) WITH ORDINALITY k (category, place)
    LEFT JOIN counted c ON c.begins_at = d.begins_at AND c.category = k.category
    WHERE d.begins_at < until
    ORDER BY d.begins_at, k.place;
END;
$$;
COMMENT ON FUNCTION audit_internal.activity_in_steps(timestamptz, timestamptz, text) IS
    'Events per day or hour and category; internal';

-- SECURITY DEFINER is safe here: as audit.user_activity.
CREATE FUNCTION audit.activity_by_day(
    since timestamptz DEFAULT now() - interval '30 days',
    until timestamptz DEFAULT now()
)
RETURNS TABLE (day date, category text, events bigint, failures bigint, high_risk bigint)
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.begins_at::date, a.category, a.events, a.failures, a.high_risk
    FROM audit_internal.activity_in_steps(since, until, 'day') a;
END;
COMMENT ON FUNCTION audit.activity_by_day(timestamptz, timestamptz) IS
    'Events per day (in the session''s time zone) and category, with rows for days without events';

-- SECURITY DEFINER is safe here: as audit.user_activity.
CREATE FUNCTION audit.activity_by_hour(
    since timestamptz DEFAULT now() - interval '1 day',
    until timestamptz DEFAULT now()
)
RETURNS TABLE (hour timestamptz, category text, events bigint, failures bigint, high_risk bigint)
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.begins_at, a.category, a.events, a.failures, a.high_risk
    FROM audit_internal.activity_in_steps(since, until, 'hour') a;
END;
COMMENT ON FUNCTION audit.activity_by_hour(timestamptz, timestamptz) IS
    'Events per hour and category, with rows for hours without events';
