-- The statements to time, one a line: goal in milliseconds, name, statement. A case is a row here; the goal may be null.
SELECT to_char(m.since + interval '9 days', 'YYYY-MM-DD') AS closed_day, to_char(m.since + interval '10 days', 'YYYY-MM-DD') AS after_closed_day
FROM bench.month m WHERE m.month = 12 \gset
SELECT m.since AS month, m.until AS after_month FROM bench.month m WHERE m.month = 12 \gset
SELECT to_char(m.since + (m.until - m.since) / 2, 'YYYY-MM-DD') AS open_day, to_char(m.since + (m.until - m.since) / 2 + interval '1 day', 'YYYY-MM-DD') AS after_open_day
FROM bench.month m WHERE m.month = 24 \gset
SELECT (SELECT e.event_id FROM audit.events e, bench.month m WHERE m.month = 12 AND e.category = 'data' AND e.occurred_at >= m.since + interval '9 days' ORDER BY e.occurred_at LIMIT 1) AS closed_id,
       (SELECT e.event_id FROM audit.events e, bench.month m WHERE m.month = 24 AND e.category = 'data' AND e.occurred_at >= m.since ORDER BY e.occurred_at LIMIT 1) AS open_id \gset
SELECT c.*
FROM (VALUES
    (10, 'newest 100 of the trail', 'SELECT * FROM audit.trail ORDER BY occurred_at DESC LIMIT 100'),
    (5, 'an event by id, closed partition', format('SELECT * FROM audit.diff(%L)', :'closed_id')),
    (5, 'an event by id, open partition', format('SELECT * FROM audit.diff(%L)', :'open_id')),
    (NULL, 'the trail by id, all partitions', format('SELECT * FROM audit.trail WHERE event_id = %L', :'closed_id')),
    (20, 'a row in closed partitions', format('SELECT * FROM audit.trail WHERE category = ''data'' AND occurred_at < %L AND entity = ''public.customer'' AND entity_id = ''1234''',
                                          (SELECT since FROM bench.month WHERE month = 24))),
    (100, 'history of a row, open partition included', 'SELECT * FROM audit.history(''customer'', ''1234'')'),
    (300, 'a day by actor, closed partitions', format('SELECT * FROM audit.trail WHERE occurred_at >= %L AND occurred_at < %L AND actor = ''user17@example.org''', :'closed_day', :'after_closed_day')),
    (300, 'a day by actor, open partitions', format('SELECT * FROM audit.trail WHERE occurred_at >= %L AND occurred_at < %L AND actor = ''user17@example.org''', :'open_day', :'after_open_day')),
    (300, 'a day by event, closed partitions', format('SELECT * FROM audit.trail WHERE occurred_at >= %L AND occurred_at < %L AND event = ''row.delete''', :'closed_day', :'after_closed_day')),
    (300, 'a day by event, open partitions', format('SELECT * FROM audit.trail WHERE occurred_at >= %L AND occurred_at < %L AND event = ''row.delete''', :'open_day', :'after_open_day')),
    (NULL, 'search: newest 100', 'SELECT * FROM audit.search()'),
    (NULL, 'search: two common words', 'SELECT * FROM audit.search(''row.update lisbon'')'),
    (2000, 'search: two words in a month', format('SELECT * FROM audit.search(''nowhere tobefound'', %L, %L)', :'month', :'after_month')),
    (20000, 'search: two words in all', 'SELECT * FROM audit.search(''nowhere tobefound'')'),
    (NULL, 'search: an actor', 'SELECT * FROM audit.search(actors => ''{user17@example.org}'')'),
    (NULL, 'search: a trace', format('SELECT * FROM audit.search(trace_id => %L)', md5('4711'))),
    (NULL, 'search: a month by entity', format('SELECT * FROM audit.search(NULL, %L, %L, sort => ''entity'')', :'month', :'after_month')),
    (NULL, 'detail of an event', format('SELECT audit.event(%L)', :'closed_id')),
    (NULL, 'related to an event', format('SELECT * FROM audit.related(%L)', :'closed_id')),
    (NULL, 'a page of 1000 followed', 'SELECT * FROM audit.follow(NULL, 1000)'),
    (NULL, 'dashboard', 'SELECT * FROM audit.dashboard'),
    (NULL, 'activity by day, 30 days', 'SELECT * FROM audit.activity_by_day()')
) c (goal, name, statement);
