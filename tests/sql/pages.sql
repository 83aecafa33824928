-- Reports as HTML pages: what is on them, that nothing on them is alive, and what they refuse. How they look is for tests/report.rs.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA page;
CREATE TABLE page.customer (id text PRIMARY KEY, v text);
SELECT audit.enable('page.customer');
SET audit.actor = 'ann "<b>" & co';
INSERT INTO page.customer VALUES ('</td><script>alert(1)</script>', E'<img src=x onerror=alert(1)>\nsecond line \u202Eback \u200B');
RESET audit.actor;
INSERT INTO page.customer VALUES ('plain', 'Łódź');
SELECT audit_internal.emit('access.denied', NULL, 'page.secret', NULL, NULL, 'failure') IS NOT NULL AS ok;
-- A time of its own, so that what other tests do is not on the page.
SELECT min(occurred_at) AS since, max(occurred_at) + interval '1 microsecond' AS until FROM audit.trail WHERE entity LIKE 'page.%' \gset
CREATE TEMP TABLE drawn AS SELECT r AS report, audit.report_html(r, :'since', :'until') AS html
FROM unnest(ARRAY['data_changes', 'user_access', 'security_events', 'exports', 'admin_activity', 'system_access']) r;
INSERT INTO drawn VALUES ('dashboard', audit.dashboard_html());

-- One document each, in ASCII, without anything that could act or load; the table has a heading for each print page.
SELECT report, html ~ '^<!DOCTYPE html>\n<html lang="en">.*</html>\n?$' AS whole, html ~ '^[\x01-\x7f]*$' AS ascii,
       html ~* '<(script|img|iframe|object|embed|link[^>]*stylesheet|form|a)[\s>]' AS has_tags, html ~* '<[^>]*\s(on[a-z]+|href|src)=(?!"data:,")' AS has_attributes,
       html ~ 'Content-Security-Policy' AS has_policy, html ~ '<svg' AS has_plot, html ~ '<thead>' AS has_table
FROM drawn ORDER BY report COLLATE "C";
-- What the trail holds is there, as text.
SELECT cell[1] AS style, cell[2] AS cell FROM drawn, regexp_matches(replace(html, '<wbr>', ''), '<td class="(name|value|text|word)">([^<]+)</td>', 'g') cell WHERE report = 'data_changes';
SELECT html ~ '⟨|⏎' AS raw, html ~ '&#10216;U\+202E&#10217;' AS direction_is_shown, html ~ '&#321;&#243;d&#378;' AS letters FROM drawn WHERE report = 'data_changes';
SELECT regexp_replace(m[1], '<[^>]*>', '', 'g') AS title, m[2] AS entries
FROM drawn, regexp_matches(html, '<h1>(.*?)</h1>.*<dt>Entries</dt><dd>(.*?)</dd>') m WHERE report IN ('data_changes', 'exports', 'security_events') ORDER BY report COLLATE "C";
-- Filtered by actors; nothing is said to be nothing.
SELECT html ~ 'Nothing was recorded' AS is_empty, html ~ '<svg' AS has_plot, html ~ 'nobody' AS names_them
FROM audit.report_html('data_changes', :'since', :'until', ARRAY['nobody', NULL]) html;
SELECT html ~ 'plain' AS others, html ~ 'onerror' AS own FROM audit.report_html('data_changes', :'since', :'until', ARRAY['ann "<b>" & co']) html;
-- A range with more than fits says so: counted in full, shown in part.
CREATE TABLE page.many (id integer PRIMARY KEY);
SELECT audit.enable('page.many', level => 'minimal');
SET audit.actor = 'bulk';
INSERT INTO page.many SELECT generate_series(1, 10001);
RESET audit.actor;
SELECT (regexp_match(html, '<p class="notice">(.*?)</p>'))[1] AS notice, (SELECT count(*) FROM regexp_matches(html, '<tr>', 'g')) AS table_rows
FROM audit.report_html('data_changes', now() - interval '1 day', now() + interval '1 day', ARRAY['bulk']) html \gx
-- Intervals by the length of the range, empty ones too, and long values cut with their length.
SELECT days, d->>'step' AS step, jsonb_array_length(d->'bars') AS bars, d->'bars'->0->>'label' AS first
FROM unnest(ARRAY[1, 3, 30, 365, 3000, 36500, 365000]) days
CROSS JOIN LATERAL audit_internal.report_document('exports', '2000-01-01', timestamptz '2000-01-01' + days * interval '1 day', NULL) d;
SELECT audit_internal.page_text(repeat('x', 11), 10), audit_internal.page_text('xx', 10), audit_internal.page_text(NULL, 10);

-- What is refused.
SELECT audit.report_html(NULL, now(), now());
SELECT audit.report_html('exports', NULL, now());
SELECT audit.report_html('exports', now(), NULL);
\echo :SQLSTATE
SELECT audit.report_html('everything', now() - interval '1 day', now());
SELECT audit.report_html('exports; DROP TABLE x', now() - interval '1 day', now());
\echo :SQLSTATE
SET timezone = 'UTC';
SELECT audit.report_html('exports', '2026-01-02', '2026-01-01');
SELECT audit.report_html('exports', '2026-01-02', '2026-01-02');
RESET timezone;
SELECT audit.report_html('exports', '-infinity', '2026-01-02');
SELECT audit.report_html('exports', '2026-01-01', 'infinity');
SELECT audit.report_html('exports', '2026-01-01', '2026-01-02', '{}');
\echo :SQLSTATE
SELECT audit_internal.render_report('nonsense');
SELECT audit_internal.render_dashboard('{}');

-- With the rights of whoever asks: a page shows nothing that he may not read.
CREATE ROLE regress_audit_nobody;
SET ROLE regress_audit_nobody;
SELECT audit.report_html('exports', now() - interval '1 day', now());
SELECT audit.dashboard_html();
SET ROLE audit_writer;
SELECT audit.report_html('exports', now() - interval '1 day', now());
SET ROLE audit_admin;
SELECT audit.report_html('exports', now() - interval '1 day', now());
-- Which table is refused first is PostgreSQL's affair.
\set VERBOSITY sqlstate
SELECT audit.dashboard_html();
\set VERBOSITY default
SET ROLE audit_reader;
SELECT audit.report_html('data_changes', now() - interval '1 day', now()) ~ 'Data changes' AS seen;
SELECT audit.dashboard_html() ~ 'Audit trail' AS seen;
-- Operators and functions of others' are not called.
RESET ROLE;
CREATE FUNCTION page.never(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE OPERATOR page.>= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = page.never);
SET search_path = page, pg_catalog;
SELECT audit.report_html('exports', pg_catalog.now() - interval '1 day', pg_catalog.now()) ~ 'Exports' AS seen;
RESET search_path;
DROP SCHEMA page CASCADE;
DROP ROLE regress_audit_nobody;
