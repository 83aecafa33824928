-- How much happened: table_activity, user_activity, user_sessions, by day and hour, the dashboard.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT p.oid::regprocedure AS function, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace AND p.proname IN ('table_activity', 'user_activity', 'user_sessions', 'activity_by_day', 'activity_by_hour') ORDER BY p.proname;
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a WHERE a.attrelid = 'audit.dashboard'::regclass AND a.attnum > 0 ORDER BY a.attnum;
CREATE SCHEMA activity;
SET search_path = activity;
CREATE TABLE one (id integer PRIMARY KEY, v text);
CREATE TABLE two (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE two_1 PARTITION OF two FOR VALUES FROM (0) TO (100);
CREATE TABLE unaudited (id integer);
SELECT audit.set_context(actor => 'cas@activity.example', local => false);
SELECT audit.enable('one'), audit.enable('two');
INSERT INTO one SELECT i FROM generate_series(1, 5) i;
UPDATE one SET v = 'x' WHERE id < 4;
DELETE FROM one WHERE id = 5;
INSERT INTO two VALUES (1), (2);
TRUNCATE two;
SELECT audit_internal.emit('table.read', '{"rows": 3}', 'activity.one', NULL, NULL, NULL) IS NOT NULL, audit_internal.emit('data.export', '{"rows": 3}', 'activity.one', NULL, NULL, 'failure') IS NOT NULL,
       audit_internal.emit('session.login_failed', NULL, NULL, NULL, NULL, 'failure') IS NOT NULL, audit_internal.emit('execution.started', NULL, 'nightly', NULL, NULL, NULL) IS NOT NULL;
SELECT audit.set_context(actor => 'dee@activity.example', local => false);
ALTER TABLE one RENAME TO first;
UPDATE first SET v = 'y' WHERE id = 1;
SELECT audit.set_context(actor => '', local => false);

-- One table, under all its names.
SELECT event, actor, events, first_at <= last_at AS in_order, last_at <= clock_timestamp() AS is_past FROM audit.table_activity('first');
SELECT event, actor, events FROM audit.table_activity('two');
SELECT event, actor, events FROM audit.table_activity('two_1', since => now() - interval '1 hour');
SELECT count(*) FROM audit.table_activity('first', since => now() + interval '1 hour');
SELECT sum(events) FROM audit.table_activity('first', NULL);
SELECT count(*) FROM audit.table_activity('unaudited');
-- One user.
SELECT entity, created, modified, removed, viewed, exported, other, failures, last_at <= clock_timestamp() AS is_past FROM audit.user_activity('cas@activity.example', until => NULL);
SELECT entity, created, modified, removed, viewed, exported, other, failures FROM audit.user_activity('dee@activity.example', until => NULL);
SELECT count(*) FROM audit.user_activity('cas@activity.example', until => now() - interval '1 hour');
SELECT count(*) FROM audit.user_activity('nobody');
SELECT sessions, average_length > '0' AS average_length, failed_logins, first_at < last_at AS in_order FROM audit.user_sessions('cas@activity.example', until => NULL);
SELECT * FROM audit.user_sessions('nobody');
-- By day and hour: every one, every category.
SELECT count(*), count(DISTINCT day), min(day) = current_date - 3 AS begins, max(day) = current_date AS ends, count(DISTINCT category) FROM audit.activity_by_day(current_date - 3, now() + interval '1 second');
SELECT sum(events) = (SELECT count(*) FROM audit.trail) AS events, sum(failures) = (SELECT count(*) FROM audit.trail WHERE result = 'failure') AS failures,
       sum(high_risk) = (SELECT count(*) FROM audit.trail WHERE risk = 'high') AS high_risk, sum(failures) > 0 AS has_failures, sum(high_risk) > 0 AS has_high_risk
FROM audit.activity_by_day(until => clock_timestamp());
SELECT category, sum(events) = (SELECT count(*) FROM audit.trail t WHERE t.category = a.category) AS events FROM audit.activity_by_hour(now() - interval '5 hours', clock_timestamp()) a GROUP BY category ORDER BY category;
SET timezone = 'Asia/Tokyo';
SELECT * FROM audit.activity_by_day('2020-01-01', '2020-01-02 00:00:01') WHERE category IN ('data', 'read');
SELECT * FROM audit.activity_by_hour('2020-01-01 00:30', '2020-01-01 02:00') WHERE category = 'schema';
RESET timezone;
-- A day of 23 hours and its neighbours are days.
SET timezone = 'Europe/Berlin';
SELECT DISTINCT day FROM audit.activity_by_day('2021-03-27', '2021-03-30') ORDER BY day;
SELECT count(DISTINCT hour) FROM audit.activity_by_hour('2021-03-28', '2021-03-29');
RESET timezone;
SELECT count(*) FROM audit.activity_by_day('2020-01-01', '2020-01-01');
-- All in all.
SELECT DISTINCT period, count(*) FROM audit.dashboard GROUP BY period ORDER BY period;
SELECT d.category, d.events = count(t.event_id) AS events, d.failures = count(t.event_id) FILTER (WHERE t.result = 'failure') AS failures,
       d.high_risk = count(t.event_id) FILTER (WHERE t.risk = 'high') AS high_risk, d.bytes > 0 AS bytes
FROM audit.dashboard d LEFT JOIN audit.trail t ON t.category = d.category WHERE d.period = 'all' GROUP BY d.category, d.events, d.failures, d.high_risk, d.bytes ORDER BY d.category;
SELECT d.period, d.events = count(t.event_id) AS events FROM audit.dashboard d
LEFT JOIN audit.trail t ON t.category = d.category AND t.occurred_at >= date_trunc(CASE d.period WHEN 'today' THEN 'day' ELSE split_part(d.period, ' ', 2) END, now())
WHERE d.category = 'data' AND d.period <> 'all' GROUP BY d.period, d.events ORDER BY d.period;
SELECT sum(d.bytes) = (SELECT sum(pg_total_relation_size(l.partition)) FROM audit.partitions l WHERE l.parent ~ '^events_' AND l.parent <> 'events_overflow') AS all_bytes FROM audit.dashboard d WHERE d.period = 'all';
SELECT event, entity, actor FROM audit.recent_high_risk WHERE entity LIKE 'activity.%' ORDER BY event_id;
SELECT bool_and(risk = 'high') AS high, count(*) = (SELECT count(*) FROM audit.trail WHERE risk = 'high') AS all FROM audit.recent_high_risk;

-- Wrong input.
SELECT * FROM audit.table_activity(NULL);
\echo :SQLSTATE
SELECT * FROM audit.table_activity('missing');
\echo :SQLSTATE
SELECT * FROM audit.table_activity(4294967295::oid::regclass);
\echo :SQLSTATE
SELECT * FROM audit.user_activity('x', '2024-01-02', '2024-01-01');
\echo :SQLSTATE
SELECT * FROM audit.user_sessions('x', '2024-01-02', '2024-01-01');
\echo :SQLSTATE
SELECT * FROM audit.activity_by_day('2024-01-02', '2024-01-01');
\echo :SQLSTATE
SELECT * FROM audit.activity_by_day(NULL);
\echo :SQLSTATE
SELECT * FROM audit.activity_by_hour('2024-01-01', 'infinity');
\echo :SQLSTATE
DROP SCHEMA activity CASCADE;
