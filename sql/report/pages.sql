-- Reports as pages. SQL reads what is on them with the rights of the caller, Rust draws it.

-- The columns of each report's page: title, how the cell is shown, expression over the view.
CREATE FUNCTION audit_internal.report_columns(report text) RETURNS TABLE (title text, kind text, expression text)
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    SELECT c.title, c.kind, c.expression FROM (VALUES
        ('data_changes', 1, 'When', 'time', 'r.occurred_at'),
        ('data_changes', 2, 'Who', 'name', 'r.actor'),
        ('data_changes', 3, 'Change', 'word', 'r.change'),
        ('data_changes', 4, 'Table', 'name', 'r.table_name'),
        ('data_changes', 5, 'Record', 'name', 'concat_ws('', '', r.record_id, r.record_name)'),
        ('data_changes', 6, 'Column', 'name', 'r.column_name'),
        ('data_changes', 7, 'Before', 'value', 'r.value_before'),
        ('data_changes', 8, 'After', 'value', 'r.value_after'),
        ('data_changes', 9, 'Reason', 'text', 'r.reason'),
        ('user_access', 1, 'When', 'time', 'r.occurred_at'),
        ('user_access', 2, 'Who', 'name', 'r.actor'),
        ('user_access', 3, 'Login', 'name', 'r.login'),
        ('user_access', 4, 'Access', 'word', 'r.access'),
        ('user_access', 5, 'Object', 'name', 'r.object'),
        ('user_access', 6, 'Record', 'name', 'concat_ws('', '', r.record_id, r.record_name)'),
        ('user_access', 7, 'Columns changed', 'text', 'r.columns_changed'),
        ('user_access', 8, 'Rows', 'number', 'r.row_count'),
        ('user_access', 9, 'Reason', 'text', 'r.reason'),
        ('user_access', 10, 'From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('user_access', 11, 'Result', 'result', 'r.result'),
        ('security_events', 1, 'When', 'time', 'r.occurred_at'),
        ('security_events', 2, 'Risk', 'risk', 'r.risk'),
        ('security_events', 3, 'Who', 'name', 'r.actor'),
        ('security_events', 4, 'Event', 'event', 'r.event'),
        ('security_events', 5, 'Object', 'name', 'r.object'),
        ('security_events', 6, 'Details', 'text', 'r.details'),
        ('security_events', 7, 'From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('security_events', 8, 'Result', 'result', 'r.result'),
        ('exports', 1, 'When', 'time', 'r.occurred_at'),
        ('exports', 2, 'Who', 'name', 'r.actor'),
        ('exports', 3, 'Object', 'name', 'r.object'),
        ('exports', 4, 'Record', 'name', 'r.record_id'),
        ('exports', 5, 'Rows', 'number', 'r.row_count'),
        ('exports', 6, 'Format', 'word', 'r.format'),
        ('exports', 7, 'Destination', 'text', 'r.destination'),
        ('exports', 8, 'Details', 'text', 'r.details'),
        ('exports', 9, 'From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('exports', 10, 'Result', 'result', 'r.result'),
        ('admin_activity', 1, 'When', 'time', 'r.occurred_at'),
        ('admin_activity', 2, 'Risk', 'risk', 'r.risk'),
        ('admin_activity', 3, 'Who', 'name', 'r.actor'),
        ('admin_activity', 4, 'Role', 'name', 'coalesce(r.role, r.login)'),
        ('admin_activity', 5, 'Event', 'event', 'r.event'),
        ('admin_activity', 6, 'Object', 'name', 'r.object'),
        ('admin_activity', 7, 'Details', 'text', 'r.details'),
        ('admin_activity', 8, 'From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('admin_activity', 9, 'Result', 'result', 'r.result'),
        ('system_access', 1, 'When', 'time', 'r.occurred_at'),
        ('system_access', 2, 'Who', 'name', 'r.actor'),
        ('system_access', 3, 'Access', 'word', 'r.access'),
        ('system_access', 4, 'Worked for', 'text', 'array_to_string(r.application_users, '', '')'),
        ('system_access', 5, 'From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('system_access', 6, 'Authentication', 'word', 'r.authentication'),
        ('system_access', 7, 'Ended', 'time', 'r.ended_at'),
        ('system_access', 8, 'Duration', 'word', 'date_trunc(''second'', r.duration)'),
        ('system_access', 9, 'Events', 'number', 'r.events'),
        ('system_access', 10, 'Result', 'result', 'r.result')) AS c (report, place, title, kind, expression)
    WHERE c.report = report_columns.report ORDER BY c.place;
END;
COMMENT ON FUNCTION audit_internal.report_columns(text) IS 'What the page of a report shows of its view; internal';

CREATE FUNCTION audit_internal.page_facts() RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('database', current_database(), 'made_at', to_char(now(), 'YYYY-MM-DD HH24:MI:SS'),
                              'made_by', session_user, 'time_zone', current_setting('TimeZone'));
END;
COMMENT ON FUNCTION audit_internal.page_facts() IS 'Where, when and by whom a page is made; internal';

-- The bars of a plot over time: every interval between two times, those in which nothing happened too. `counts` has the
-- members since, category and events.
CREATE FUNCTION audit_internal.page_bars(counts jsonb, since timestamptz, until timestamptz, step text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH counted AS (
        SELECT c.since, c.category, sum(c.events) AS events
        FROM jsonb_to_recordset(counts) AS c (since timestamptz, category text, events bigint) GROUP BY c.since, c.category
    )
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'label', to_char(b.start, CASE step WHEN 'hour' THEN 'MM-DD HH24:MI' WHEN 'month' THEN 'YYYY-MM'
                                         WHEN 'day' THEN 'YYYY-MM-DD' WHEN 'week' THEN 'YYYY-MM-DD' ELSE 'YYYY' END),
               'counts', (SELECT coalesce(jsonb_object_agg(c.category, c.events), '{}') FROM counted c WHERE c.since = b.start))
           ORDER BY b.start), '[]')
    FROM generate_series(date_trunc(step, since), until - interval '1 microsecond', ('1 ' || step)::interval) b (start);
END;
COMMENT ON FUNCTION audit_internal.page_bars(jsonb, timestamptz, timestamptz, text) IS 'Activity by interval for a plot; internal';

CREATE FUNCTION audit_internal.report_document(report text, since timestamptz, until timestamptz, actors text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
AS $$
DECLARE
    max_rows constant integer := 10000;
    max_characters constant integer := 500;
    source text;
    step text;
    counts jsonb;
    cells text;
    page_rows jsonb;
BEGIN
    IF report IS NULL OR since IS NULL OR until IS NULL THEN
        RAISE EXCEPTION 'report, since and until must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a report and the time that it covers.';
    ELSIF NOT EXISTS (SELECT FROM audit_internal.report_columns(report)) THEN
        RAISE EXCEPTION 'unknown report "%"', report
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The reports are data_changes, user_access, security_events, exports, admin_activity and system_access.';
    ELSIF NOT isfinite(since) OR NOT isfinite(until) THEN
        RAISE EXCEPTION 'since and until must be finite'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the time that the report covers.';
    ELSIF since >= until THEN
        RAISE EXCEPTION 'since (%) must be before until (%)', since, until
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Swap the two.';
    ELSIF actors = '{}' THEN
        RAISE EXCEPTION 'actors must not be empty'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Omit actors to include all of them.';
    END IF;
    step := CASE WHEN until - since <= interval '3 days' THEN 'hour' WHEN until - since <= interval '100 days' THEN 'day'
                 WHEN until - since <= interval '730 days' THEN 'week' WHEN until - since <= interval '7300 days' THEN 'month'
                 WHEN until - since <= interval '146000 days' THEN 'year' ELSE 'century' END;
    source := format('FROM audit.%I r WHERE r.occurred_at >= $1 AND r.occurred_at < $2 AND ($3 IS NULL OR r.actor = ANY ($3))',
                     'report_' || report);
    EXECUTE format('SELECT coalesce(jsonb_agg(to_jsonb(c)), ''[]'') FROM (SELECT date_trunc(%L, r.occurred_at) AS since, r.event, r.category, r.result, count(*) AS events %s GROUP BY 1, 2, 3, 4) c',
                   step, source) INTO counts USING since, until, actors;
    SELECT string_agg(CASE c.kind WHEN 'time' THEN format('to_char(%s, ''YYYY-MM-DD HH24:MI:SS'')', c.expression)
                                  ELSE format('audit_internal.page_text((%s)::text, %s)', c.expression, max_characters) END, ', ') INTO cells
    FROM audit_internal.report_columns(report) c;
    EXECUTE format('SELECT coalesce(jsonb_agg(to_jsonb(c.cells) ORDER BY c.number), ''[]'') FROM (SELECT row_number() OVER () AS number, p.cells FROM (SELECT ARRAY[%s] AS cells %s ORDER BY r.occurred_at, r.event_id%s LIMIT %s) p) c',
                   cells, source, CASE report WHEN 'data_changes' THEN ', r.column_name' ELSE '' END, max_rows) INTO page_rows USING since, until, actors;
    RETURN audit_internal.page_facts() || jsonb_build_object(
        'title', CASE report WHEN 'data_changes' THEN 'Data changes' WHEN 'user_access' THEN 'User access'
                             WHEN 'security_events' THEN 'Security events' WHEN 'exports' THEN 'Exports'
                             WHEN 'admin_activity' THEN 'Administrative activity' ELSE 'System access' END,
        'description', obj_description(('audit.report_' || report)::regclass, 'pg_class'),
        'since', to_char(since, 'YYYY-MM-DD HH24:MI:SS'), 'until', to_char(until, 'YYYY-MM-DD HH24:MI:SS'),
        'actors', to_jsonb(array_remove(actors, NULL)),
        'total', (SELECT coalesce(sum((c->>'events')::bigint), 0) FROM jsonb_array_elements(counts) c),
        'failures', (SELECT coalesce(sum((c->>'events')::bigint), 0) FROM jsonb_array_elements(counts) c WHERE c->>'result' = 'failure'),
        'step', step,
        'bars', audit_internal.page_bars(counts, since, until, step),
        'kinds', (SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY k.events DESC, k.name), '[]')
                  FROM (SELECT c->>'event' AS name, c->>'category' AS category, sum((c->>'events')::bigint) AS events
                        FROM jsonb_array_elements(counts) c GROUP BY 1, 2) k),
        'columns', (SELECT jsonb_agg(jsonb_build_object('title', c.title, 'kind', c.kind)) FROM audit_internal.report_columns(report) c),
        'rows', page_rows);
END;
$$;
COMMENT ON FUNCTION audit_internal.report_document(text, timestamptz, timestamptz, text[]) IS 'What is on the page of a report; internal';

CREATE FUNCTION audit_internal.page_text(value text, max_characters integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN length(value) > max_characters
                THEN left(value, max_characters) || ' ... (' || length(value) || ' characters)' ELSE value END;
END;
COMMENT ON FUNCTION audit_internal.page_text(text, integer) IS 'A text that fits into a cell; internal';

CREATE FUNCTION audit_internal.dashboard_document() RETURNS jsonb
LANGUAGE sql STABLE
SET jit = off
SET datestyle = 'ISO'
BEGIN ATOMIC
    WITH period AS (
        SELECT date_trunc('day', now()) - interval '29 days' AS since, date_trunc('day', now()) + interval '1 day' AS until
    ), counted AS MATERIALIZED (
        SELECT d.category, max(d.events) FILTER (WHERE d.period = 'all') AS events, max(d.failures) FILTER (WHERE d.period = 'all') AS failures,
               max(d.high_risk) FILTER (WHERE d.period = 'all') AS high_risk, max(d.events) FILTER (WHERE d.period = 'today') AS today,
               max(d.events) FILTER (WHERE d.period = 'this week') AS week, max(d.events) FILTER (WHERE d.period = 'this month') AS month,
               max(d.bytes) FILTER (WHERE d.period = 'all') AS bytes
        FROM audit.dashboard d GROUP BY d.category
    ), recent AS MATERIALIZED (
        SELECT date_trunc('day', e.occurred_at) AS since, e.category, e.context_id, e.node_id, e.relation_id, count(*) AS events
        FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
        WHERE e.occurred_at >= date_trunc('day', now()) - interval '29 days'
        GROUP BY 1, 2, 3, 4, 5
    )
    SELECT audit_internal.page_facts() || jsonb_build_object(
        'categories', (SELECT jsonb_agg(jsonb_build_object(
                'name', k.name, 'events', coalesce(c.events, 0), 'failures', coalesce(c.failures, 0),
                'high_risk', coalesce(c.high_risk, 0), 'today', coalesce(c.today, 0), 'week', coalesce(c.week, 0),
                'month', coalesce(c.month, 0), 'size', pg_size_pretty(coalesce(c.bytes, 0))) ORDER BY k.place)
            FROM unnest(ARRAY['data', 'read', 'security', 'schema', 'system', 'application']) WITH ORDINALITY k (name, place)
            LEFT JOIN counted c ON c.category = k.name),
        'total', (SELECT coalesce(sum(c.events), 0) FROM counted c),
        'today', (SELECT coalesce(sum(c.today), 0) FROM counted c),
        'week', (SELECT coalesce(sum(c.week), 0) FROM counted c),
        'month', (SELECT coalesce(sum(c.month), 0) FROM counted c),
        'failures', (SELECT coalesce(sum(c.failures), 0) FROM counted c),
        'high_risk', (SELECT coalesce(sum(c.high_risk), 0) FROM counted c),
        'size', (SELECT pg_size_pretty(coalesce(sum(c.bytes), 0)) FROM counted c),
        'bars', (SELECT audit_internal.page_bars((SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM recent r), p.since, p.until, 'day') FROM period p),
        'actors', (SELECT coalesce(jsonb_agg(jsonb_build_array(audit_internal.page_text(a.actor, 100), a.events) ORDER BY a.events DESC, a.actor), '[]')
                   FROM (SELECT coalesce(c.actor, c.login, '?') AS actor, sum(r.events) AS events
                         FROM recent r LEFT JOIN audit_internal.contexts c ON c.node_id = r.node_id AND c.context_id = r.context_id
                         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) a),
        'tables', (SELECT coalesce(jsonb_agg(jsonb_build_array(audit_internal.page_text(a.entity, 100), a.events) ORDER BY a.events DESC, a.entity), '[]')
                   FROM (SELECT v.entity, sum(r.events) AS events
                         FROM recent r JOIN audit_internal.relations v ON v.node_id = r.node_id AND v.relation_id = r.relation_id
                         WHERE r.category IN ('data', 'read') GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) a),
        'alarms', (SELECT coalesce(jsonb_agg(jsonb_build_array(to_char(h.occurred_at, 'YYYY-MM-DD HH24:MI:SS'), h.event,
                                                               audit_internal.page_text(h.summary, 300), h.result)
                                             ORDER BY h.occurred_at DESC, h.event_id DESC), '[]')
                   -- The last twenty are found by their type before anything is said about them.
                   FROM (SELECT e.occurred_at, e.event_id FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
                         WHERE e.event_type = ANY (ARRAY(SELECT t.event_type FROM audit.event_types t WHERE t.risk = 'high'))
                           AND e.occurred_at >= date_trunc('day', now()) - interval '29 days'
                         ORDER BY e.occurred_at DESC, e.event_id DESC LIMIT 20) w
                   CROSS JOIN LATERAL (SELECT e.* FROM audit_internal.trail_events e
                                       WHERE e.occurred_at = w.occurred_at AND e.event_id = w.event_id) h));
END;
COMMENT ON FUNCTION audit_internal.dashboard_document() IS 'What is on the dashboard; internal';

-- A database without an encoding converts nothing; what is no UTF-8 there is replaced when the page is drawn.
CREATE FUNCTION audit_internal.page_bytes(document jsonb) RETURNS bytea
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT convert_to(document::text, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END);
END;
COMMENT ON FUNCTION audit_internal.page_bytes(jsonb) IS 'The document of a page in UTF-8; internal';

CREATE FUNCTION audit_internal.render_report(document bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_render_report';
COMMENT ON FUNCTION audit_internal.render_report(bytea) IS 'The page of a report from its document, JSON in UTF-8; internal';

CREATE FUNCTION audit_internal.render_dashboard(document bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_render_dashboard';
COMMENT ON FUNCTION audit_internal.render_dashboard(bytea) IS 'The page of the dashboard from its document, JSON in UTF-8; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; the report is one of a list.
CREATE FUNCTION audit.report_html(report text, since timestamptz, until timestamptz, actors text[] DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT audit_internal.render_report(audit_internal.page_bytes(audit_internal.report_document(report, since, until, actors)));
END;
COMMENT ON FUNCTION audit.report_html(text, timestamptz, timestamptz, text[]) IS
    'A report as one printable HTML page; psql -At writes it to a file';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event.
CREATE FUNCTION audit.dashboard_html() RETURNS text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT audit_internal.render_dashboard(audit_internal.page_bytes(audit_internal.dashboard_document()));
END;
COMMENT ON FUNCTION audit.dashboard_html() IS 'The state of the trail as one printable HTML page';
