-- Searching, following and reading details of a large trail. psql variables: prefix; since and until, a month of the trail.
-- Every measure is milliseconds, the best of three.

CREATE FUNCTION pg_temp.best(statement text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    least_time numeric;
BEGIN
    FOR i IN 1..3 LOOP
        began := clock_timestamp();
        EXECUTE statement;
        least_time := least(least_time, extract(epoch FROM clock_timestamp() - began) * 1000);
    END LOOP;
    RETURN round(least_time, 1);
END;
$$;
-- Reads pages of 1000 from a cursor on and returns milliseconds a page.
CREATE FUNCTION pg_temp.pages(pages integer) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
    last_cursor text;
BEGIN
    FOR i IN 1..pages LOOP
        SELECT f.cursor INTO last_cursor FROM audit.follow(last_cursor) WITH ORDINALITY f ORDER BY f.ordinality DESC LIMIT 1;
    END LOOP;
    RETURN round(extract(epoch FROM clock_timestamp() - began) * 1000 / pages, 1);
END;
$$;

SELECT :'prefix', 'newest 100', pg_temp.best('SELECT count(*) FROM audit.search()');
SELECT :'prefix', 'common words, newest 100', pg_temp.best('SELECT count(*) FROM audit.search(''row.update shipped'')');
SELECT :'prefix', 'two rare words, a month', pg_temp.best(format('SELECT count(*) FROM audit.search(''zzzqq nothinghere'', %L, %L)', :'since', :'until'));
SELECT :'prefix', 'two rare words, all', pg_temp.best('SELECT count(*) FROM audit.search(''zzzqq nothinghere'')');
SELECT :'prefix', 'an actor, newest 100', pg_temp.best('SELECT count(*) FROM audit.search(actors => ARRAY(SELECT c.actor FROM audit.contexts c WHERE c.actor IS NOT NULL LIMIT 1))');
SELECT :'prefix', 'a month by actor', pg_temp.best(format('SELECT count(*) FROM audit.search(NULL, %L, %L, sort => ''actor'')', :'since', :'until'));
SELECT :'prefix', 'detail of an event', pg_temp.best(format('SELECT audit.event(%L)', s.event_id)) FROM audit.search(until => :'until', max_rows => 1) s;
SELECT :'prefix', 'related to an event', pg_temp.best(format('SELECT count(*) FROM audit.related(%L)', s.event_id)) FROM audit.search(until => :'until', max_rows => 1) s;
SELECT :'prefix', 'dashboard', pg_temp.best('SELECT count(*) FROM audit.dashboard');
SELECT :'prefix', 'activity by day', pg_temp.best('SELECT count(*) FROM audit.activity_by_day()');
SELECT :'prefix', 'a page of 1000 followed', pg_temp.pages(100);
