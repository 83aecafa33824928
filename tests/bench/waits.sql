-- What pgbench's backends wait for, looked at for so many seconds. psql variables: prefix, kind, seconds.
CREATE TEMPORARY TABLE sample (event text, backends bigint);
SELECT set_config('bench.until', (clock_timestamp() + make_interval(secs => :seconds))::text, false) \g /dev/null
DO $$
BEGIN
    WHILE clock_timestamp() < current_setting('bench.until')::timestamptz LOOP
        PERFORM pg_stat_clear_snapshot();
        INSERT INTO pg_temp.sample
        SELECT coalesce(a.wait_event_type || ' ' || a.wait_event, 'none'), count(*)
        FROM pg_stat_activity a WHERE a.application_name = 'pgbench' AND a.state = 'active' GROUP BY 1;
        PERFORM pg_sleep(0.005);
    END LOOP;
END $$;
SELECT :'prefix', :'kind' || ': ' || s.event, 100 * sum(s.backends) / nullif((SELECT sum(t.backends) FROM sample t), 0)
FROM sample s GROUP BY s.event;
