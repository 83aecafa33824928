-- A line a statement, from the results on standard input. psql variable: events.
CREATE TEMPORARY TABLE result (name text, goal double precision, repetition integer, milliseconds double precision, position integer GENERATED ALWAYS AS IDENTITY);
\copy result (name, goal, repetition, milliseconds) FROM pstdin WITH (NULL '-')
SELECT format(E'\nReading a trail of %s events over two years, %s partitions (%s): milliseconds, planning included', :'events',
              (SELECT count(*) FROM audit.partitions), pg_size_pretty(pg_database_size(current_database())));
SELECT rpad('', 40) || lpad('goal', 8) || lpad('median', 10) || '   least..greatest' || lpad('new connection', 18);
SELECT rpad(name, 40) || lpad(coalesce(max(goal)::text, ''), 8)
       || lpad(round(percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) FILTER (WHERE repetition > 0)::numeric, 1)::text, 10)
       || rpad('   ' || round((min(milliseconds) FILTER (WHERE repetition > 0))::numeric, 1) || '..'
               || round((max(milliseconds) FILTER (WHERE repetition > 0))::numeric, 1), 18)
       || lpad(round((min(milliseconds) FILTER (WHERE repetition = 0))::numeric, 1)::text, 18)
FROM result GROUP BY name ORDER BY min(position);
