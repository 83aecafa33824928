-- Reports as pages: SQL reads a document, Rust renders it as HTML.

CREATE FUNCTION audit_internal.page_facts() RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'database', current_database(),
        'made_at', to_char(now(), 'YYYY-MM-DD HH24:MI:SS'),
        'made_by', session_user,
        'time_zone', current_setting('TimeZone'));
END;
COMMENT ON FUNCTION audit_internal.page_facts() IS
    'The database, time, time zone and session user of a page; internal';

-- counts is an array of {since, category, events}. Intervals without events have bars, too.
CREATE FUNCTION audit_internal.page_bars(
    counts jsonb,
    since timestamptz,
    until timestamptz,
    step text
) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH counted AS (
        SELECT c.since, c.category, sum(c.events) AS events
        FROM jsonb_to_recordset(counts) AS c (since timestamptz, category text, events bigint)
        GROUP BY c.since, c.category
    )
    SELECT coalesce(
        jsonb_agg(
            jsonb_build_object(
                'label', to_char(b.start, CASE step WHEN 'hour' THEN 'MM-DD HH24:MI'
                                                    WHEN 'month' THEN 'YYYY-MM'
                                                    WHEN 'day' THEN 'YYYY-MM-DD'
                                                    WHEN 'week' THEN 'YYYY-MM-DD'
                                                    ELSE 'YYYY' END),
                'counts', (SELECT coalesce(jsonb_object_agg(c.category, c.events), '{}')
                           FROM counted c WHERE c.since = b.start))
            ORDER BY b.start),
        '[]')
    FROM generate_series(date_trunc(step, since), until - interval '1 microsecond', ('1 ' || step)::interval)
         b (start);
END;
COMMENT ON FUNCTION audit_internal.page_bars(jsonb, timestamptz, timestamptz, text) IS
    'Events per interval and category, for the plot of a page; internal';

CREATE FUNCTION audit_internal.report_document(
    report text,
    since timestamptz,
    until timestamptz,
    actors text[]
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
AS $$
DECLARE
    step text;
    counts jsonb;
BEGIN
    PERFORM audit_internal.check_report(report, since, until, actors);
    step := CASE WHEN until - since <= interval '3 days' THEN 'hour'
                 WHEN until - since <= interval '100 days' THEN 'day'
                 WHEN until - since <= interval '730 days' THEN 'week'
                 WHEN until - since <= interval '7300 days' THEN 'month'
                 WHEN until - since <= interval '146000 days' THEN 'year'
                 ELSE 'century' END;
    EXECUTE format(
        'SELECT coalesce(jsonb_agg(to_jsonb(c)), ''[]'')
         FROM (
             SELECT date_trunc(%L, r.occurred_at) AS since, r.event, r.category, r.result, count(*) AS events
             %s
             GROUP BY 1, 2, 3, 4
         ) c',
        step, audit_internal.report_source(report)) INTO counts USING since, until, actors;
    RETURN audit_internal.page_facts() || jsonb_build_object(
        'title', CASE report WHEN 'data_changes' THEN 'Data changes'
                             WHEN 'user_access' THEN 'User access'
                             WHEN 'security_events' THEN 'Security events'
                             WHEN 'exports' THEN 'Exports'
                             WHEN 'admin_activity' THEN 'Administrative activity'
                             ELSE 'System access' END,
        'description', obj_description(('audit.report_' || report)::regclass, 'pg_class'),
        'since', to_char(since, 'YYYY-MM-DD HH24:MI:SS'),
        'until', to_char(until, 'YYYY-MM-DD HH24:MI:SS'),
        'actors', to_jsonb(array_remove(actors, NULL)),
        'total', (SELECT coalesce(sum((c->>'events')::bigint), 0) FROM jsonb_array_elements(counts) c),
        'failures', (SELECT coalesce(sum((c->>'events')::bigint), 0)
                     FROM jsonb_array_elements(counts) c
                     WHERE c->>'result' = 'failure'),
        'step', step,
        'bars', audit_internal.page_bars(counts, since, until, step),
        'kinds', (SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY k.events DESC, k.name), '[]')
                  FROM (
                      SELECT c->>'event' AS name, c->>'category' AS category,
                             sum((c->>'events')::bigint) AS events
                      FROM jsonb_array_elements(counts) c
                      GROUP BY 1, 2
                  ) k),
        'columns', (SELECT jsonb_agg(jsonb_build_object('title', c.title, 'kind', c.kind))
                    FROM audit_internal.report_columns(report) c),
        'rows', audit_internal.report_rows(report, since, until, actors));
END;
$$;
COMMENT ON FUNCTION audit_internal.report_document(text, timestamptz, timestamptz, text[]) IS
    'The document of the page of a report; internal';

CREATE FUNCTION audit_internal.check_report(
    report text,
    since timestamptz,
    until timestamptz,
    actors text[]
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF report IS NULL OR since IS NULL OR until IS NULL THEN
        RAISE EXCEPTION 'report, since and until must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a report and the time that it covers.';
    ELSIF NOT EXISTS (SELECT FROM audit_internal.report_columns(report)) THEN
        RAISE EXCEPTION 'unknown report "%"', report
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The reports are data_changes, user_access, security_events, exports, '
                      'admin_activity and system_access.';
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
END;
$$;
COMMENT ON FUNCTION audit_internal.check_report(text, timestamptz, timestamptz, text[]) IS
    'Raises an error for arguments that audit.report_html does not accept; internal';

-- $1 and $2 are the time range, $3 the actors.
CREATE FUNCTION audit_internal.report_source(report text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT format('FROM audit.%I r
                   WHERE r.occurred_at >= $1 AND r.occurred_at < $2 AND ($3 IS NULL OR r.actor = ANY ($3))',
                  'report_' || report);
END;
COMMENT ON FUNCTION audit_internal.report_source(text) IS 'The FROM and WHERE clauses of a report; internal';

CREATE FUNCTION audit_internal.report_rows(
    report text,
    since timestamptz,
    until timestamptz,
    actors text[]
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    max_rows CONSTANT integer := 10000;
    max_characters CONSTANT integer := 500;
    cells text;
    page_rows jsonb;
BEGIN
    SELECT string_agg(
               CASE c.kind
                   WHEN 'time' THEN format('to_char(%s, ''YYYY-MM-DD HH24:MI:SS'')', c.expression)
                   ELSE format('audit_internal.page_text((%s)::text, %s)', c.expression, max_characters) END,
               ', ')
    INTO cells
    FROM audit_internal.report_columns(report) c;
    EXECUTE format(
        'SELECT coalesce(jsonb_agg(to_jsonb(c.cells) ORDER BY c.number), ''[]'')
         FROM (
             SELECT row_number() OVER () AS number, p.cells
             FROM (
                 SELECT ARRAY[%s] AS cells
                 %s
                 ORDER BY r.occurred_at, r.event_id%s LIMIT %s
             ) p
         ) c',
        cells,
        audit_internal.report_source(report),
        CASE report WHEN 'data_changes' THEN ', r.column_name' END,
        max_rows) INTO page_rows USING since, until, actors;
    RETURN page_rows;
END;
$$;
COMMENT ON FUNCTION audit_internal.report_rows(text, timestamptz, timestamptz, text[]) IS
    'The rows of the page of a report, as arrays of cells; internal';

CREATE FUNCTION audit_internal.page_text(value text, max_characters integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN length(value) > max_characters
                THEN left(value, max_characters) || ' ... (' || length(value) || ' characters)'
                ELSE value END;
END;
COMMENT ON FUNCTION audit_internal.page_text(text, integer) IS
    'A text cut to the length of a cell, with the number of its characters; internal';

-- A database of encoding SQL_ASCII converts nothing; bytes that are not UTF-8 are replaced when the page is
-- rendered.
CREATE FUNCTION audit_internal.page_bytes(document jsonb) RETURNS bytea
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT convert_to(
        document::text,
        CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END);
END;
COMMENT ON FUNCTION audit_internal.page_bytes(jsonb) IS 'The document of a page in UTF-8; internal';

CREATE FUNCTION audit_internal.render_report(document bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_render_report';
COMMENT ON FUNCTION audit_internal.render_report(bytea) IS
    'The page of a report from its document, JSON in UTF-8; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; the report is
-- one of a list.
CREATE FUNCTION audit.report_html(
    report text,
    since timestamptz,
    until timestamptz,
    actors text[] DEFAULT NULL
) RETURNS text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT audit_internal.render_report(
        audit_internal.page_bytes(audit_internal.report_document(report, since, until, actors)));
END;
COMMENT ON FUNCTION audit.report_html(text, timestamptz, timestamptz, text[]) IS
    'A report as one printable HTML page; psql -At writes it to a file';
