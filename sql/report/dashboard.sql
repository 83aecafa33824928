-- The page of the dashboard.

-- The events are found by their type before they are joined with their context and relation.
CREATE FUNCTION audit_internal.recent_alarms() RETURNS jsonb
LANGUAGE sql STABLE
SET jit = off
SET datestyle = 'ISO'
BEGIN ATOMIC
    SELECT coalesce(
        jsonb_agg(
            jsonb_build_array(
                to_char(h.occurred_at, 'YYYY-MM-DD HH24:MI:SS'),
                h.event,
                audit_internal.page_text(h.summary, 300),
                h.result)
            ORDER BY h.occurred_at DESC, h.event_id DESC),
        '[]')
    FROM (
        SELECT e.occurred_at, e.event_id
        FROM audit_internal.stored_events e
        WHERE e.event_type = ANY (ARRAY(SELECT t.event_type FROM audit.event_types t WHERE t.risk = 'high'))
          AND e.occurred_at >= date_trunc('day', now()) - interval '29 days'
        ORDER BY e.occurred_at DESC, e.event_id DESC LIMIT 20
    ) w
    CROSS JOIN LATERAL (
        SELECT e.* FROM audit_internal.trail_events e
        WHERE e.occurred_at = w.occurred_at AND e.event_id = w.event_id
    ) h;
END;
COMMENT ON FUNCTION audit_internal.recent_alarms() IS
    'The last twenty events of high risk within 30 days, for the dashboard; internal';

CREATE FUNCTION audit_internal.dashboard_document() RETURNS jsonb
LANGUAGE sql STABLE
SET jit = off
SET datestyle = 'ISO'
BEGIN ATOMIC
    WITH period AS (
        SELECT date_trunc('day', now()) - interval '29 days' AS since,
               date_trunc('day', now()) + interval '1 day' AS until
    ), counted AS MATERIALIZED (
        SELECT d.category,
               max(d.events) FILTER (WHERE d.period = 'all') AS events,
               max(d.failures) FILTER (WHERE d.period = 'all') AS failures,
               max(d.high_risk) FILTER (WHERE d.period = 'all') AS high_risk,
               max(d.events) FILTER (WHERE d.period = 'today') AS today,
               max(d.events) FILTER (WHERE d.period = 'this week') AS week,
               max(d.events) FILTER (WHERE d.period = 'this month') AS month,
               max(d.bytes) FILTER (WHERE d.period = 'all') AS bytes
        FROM audit.dashboard d
        GROUP BY d.category
    ), recent AS MATERIALIZED (
        SELECT date_trunc('day', e.occurred_at) AS since, e.category, e.context_id, e.node_id, e.relation_id,
               count(*) AS events
        FROM audit_internal.stored_events e
        WHERE e.occurred_at >= date_trunc('day', now()) - interval '29 days'
        GROUP BY 1, 2, 3, 4, 5
    )
    SELECT audit_internal.page_facts() || jsonb_build_object(
        'categories', (
            SELECT jsonb_agg(
                jsonb_build_object(
                    'name', k.name,
                    'events', coalesce(c.events, 0),
                    'failures', coalesce(c.failures, 0),
                    'high_risk', coalesce(c.high_risk, 0),
                    'today', coalesce(c.today, 0),
                    'week', coalesce(c.week, 0),
                    'month', coalesce(c.month, 0),
                    'size', pg_size_pretty(coalesce(c.bytes, 0)))
                ORDER BY k.place)
            FROM unnest(audit_internal.categories()) WITH ORDINALITY k (name, place)
            LEFT JOIN counted c ON c.category = k.name),
        'total', (SELECT coalesce(sum(c.events), 0) FROM counted c),
        'today', (SELECT coalesce(sum(c.today), 0) FROM counted c),
        'week', (SELECT coalesce(sum(c.week), 0) FROM counted c),
        'month', (SELECT coalesce(sum(c.month), 0) FROM counted c),
        'failures', (SELECT coalesce(sum(c.failures), 0) FROM counted c),
        'high_risk', (SELECT coalesce(sum(c.high_risk), 0) FROM counted c),
        'size', (SELECT pg_size_pretty(coalesce(sum(c.bytes), 0)) FROM counted c),
        'bars', (
            SELECT audit_internal.page_bars(
                (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM recent r), p.since, p.until, 'day')
            FROM period p),
        'actors', (
            SELECT coalesce(
                jsonb_agg(jsonb_build_array(audit_internal.page_text(a.actor, 100), a.events)
                          ORDER BY a.events DESC, a.actor),
                '[]')
            FROM (
                SELECT coalesce(c.actor, c.login, '?') AS actor, sum(r.events) AS events
                FROM recent r
                LEFT JOIN audit_internal.contexts c ON c.node_id = r.node_id AND c.context_id = r.context_id
                GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
            ) a),
        'tables', (
            SELECT coalesce(
                jsonb_agg(jsonb_build_array(audit_internal.page_text(a.entity, 100), a.events)
                          ORDER BY a.events DESC, a.entity),
                '[]')
            FROM (
                SELECT v.entity, sum(r.events) AS events
                FROM recent r
                JOIN audit_internal.relations v ON v.node_id = r.node_id AND v.relation_id = r.relation_id
                WHERE r.category IN ('data', 'read')
                GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
            ) a),
        'alarms', audit_internal.recent_alarms());
END;
COMMENT ON FUNCTION audit_internal.dashboard_document() IS
    'The document of the page of the dashboard; internal';

CREATE FUNCTION audit_internal.render_dashboard(document bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_render_dashboard';
COMMENT ON FUNCTION audit_internal.render_dashboard(bytea) IS
    'The page of the dashboard from its document, JSON in UTF-8; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event.
CREATE FUNCTION audit.dashboard_html() RETURNS text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT audit_internal.render_dashboard(audit_internal.page_bytes(audit_internal.dashboard_document()));
END;
COMMENT ON FUNCTION audit.dashboard_html() IS 'The state of the trail as one printable HTML page';
