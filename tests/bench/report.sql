-- One table a subject, from the results on standard input. psql variables: rows, wide_rows, documents, rounds, cores.
CREATE TEMPORARY TABLE result (subject text, contender text, round integer, measure text, value double precision);
\copy result FROM pstdin
CREATE TEMPORARY TABLE contender (position integer, name text, label text);
INSERT INTO contender VALUES (1, 'unaudited', 'not audited'), (2, 'minimal', 'audit, minimal'), (3, 'standard', 'audit, standard'),
    (4, 'comprehensive', 'audit, comprehensive'), (5, 'floor', 'floor: raw images'), (6, 'plpgsql', 'PL/pgSQL, to_jsonb'),
    (7, 'table_log', 'table_log'), (8, 'preloaded', 'audit preloaded');

-- Medians, and ratios to the unaudited database in the same round.
CREATE TEMPORARY VIEW summary AS
SELECT r.subject, r.contender, r.measure,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY r.value) AS value,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY r.value / nullif(u.value, 0)) AS ratio,
       min(r.value / nullif(u.value, 0)) AS least, max(r.value / nullif(u.value, 0)) AS most
FROM result r JOIN result u ON (u.subject, u.round, u.measure, u.contender) = (r.subject, r.round, r.measure, 'unaudited')
GROUP BY 1, 2, 3;

-- A ratio with three significant digits; where so many are asked for, with more.
CREATE FUNCTION pg_temp.short(ratio double precision, decimals integer) RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT round(ratio::numeric, CASE WHEN decimals > 2 THEN decimals WHEN ratio >= 100 THEN 0 WHEN ratio >= 10 THEN 1 ELSE 2 END)::text;
END;

-- `1234.5  1.32  1.28..1.40`
CREATE FUNCTION pg_temp.cell(subject text, contender text, measure text, decimals integer, scale double precision, ratio_decimals integer)
RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT rpad(coalesce((
        SELECT lpad(round((s.value / cell.scale)::numeric, decimals)::text, 7) || lpad(pg_temp.short(s.ratio, ratio_decimals), 5 + ratio_decimals)
               || CASE WHEN s.least < s.most THEN format('  %s..%s', pg_temp.short(s.least, ratio_decimals), pg_temp.short(s.most, ratio_decimals)) ELSE '' END
        FROM pg_temp.summary s WHERE (s.subject, s.contender, s.measure) = (cell.subject, cell.contender, cell.measure)), ''), 26);
END;

-- A title, a line of column headings and a line a contender. Nothing for a subject that was not measured.
CREATE FUNCTION pg_temp.print(subject text, title text, measures text[], decimals integer, scale double precision = 1,
                              ratio_decimals integer = 2) RETURNS SETOF text LANGUAGE sql
BEGIN ATOMIC
    SELECT line FROM (
        SELECT -2 AS position, E'\n' || title AS line
        UNION ALL
        SELECT -1, rtrim(repeat(' ', 20) || (SELECT string_agg(rpad('   ' || h, 26), '' ORDER BY n)
                                             FROM unnest(measures) WITH ORDINALITY u (h, n)))
        UNION ALL
        SELECT c.position, rtrim(rpad(CASE WHEN print.subject = 'instructions' AND c.name = 'unaudited' THEN 'without audit' ELSE c.label END, 20) || (SELECT string_agg(pg_temp.cell(print.subject, c.name, m, decimals, scale, ratio_decimals), '' ORDER BY n)
                                                       FROM unnest(measures) WITH ORDINALITY u (m, n)))
        FROM pg_temp.contender c WHERE EXISTS (SELECT FROM pg_temp.result r WHERE (r.subject, r.contender) = (print.subject, c.name))
    ) lines
    WHERE EXISTS (SELECT FROM pg_temp.result r WHERE r.subject = print.subject)
    ORDER BY position;
END;

SELECT format(E'PostgreSQL %s, %s cores, shared_buffers %s, synchronous_commit off, %s rounds (at most 3 for other widths).\n'
              'The median, and the ratio to "not audited" in the same round: median, least..greatest.',
              split_part(current_setting('server_version'), ' ', 1), :'cores', current_setting('shared_buffers'), :'rounds');
SELECT pg_temp.print('bulk', format('One statement, %s rows of 20 columns, 350 bytes; the update sets 4 columns: milliseconds', :'rows'),
                     '{insert,update,delete}', 0);
SELECT pg_temp.print('narrow', format('The same, %s rows of 5 columns; the update sets 2', :'rows'), '{insert,update,delete}', 0);
SELECT pg_temp.print('wide', format('The same, %s rows of 100 columns; the update sets 4', :'wide_rows'), '{insert,update,delete}', 0);
SELECT pg_temp.print('toast', format('%s rows beside a TOASTed value of 100 kB that does not change: milliseconds', :'documents'), '{update}', 1);
SELECT pg_temp.print('single', 'Prepared statements of one row of 20 columns, 1 client: a second', '{update,insert}', 0);
SELECT pg_temp.print('tpcb', 'TPC-B of pgbench, prepared, all four tables audited: transactions a second',
                     (SELECT array_agg(m ORDER BY split_part(m, ' ', 1)::integer) FROM (SELECT DISTINCT measure AS m FROM result WHERE subject = 'tpcb') t), 0);
SELECT pg_temp.print('writers', '16 clients, transactions of one inserted row: a second', '{one table,sixteen tables}', 0);
SELECT E'\nWhat these clients wait for, percent of the times that one was at work, where it is 1 or more\n' || string_agg(line, E'\n' ORDER BY position, kind)
FROM (SELECT c.position, w.kind, rpad(c.label, 20) || '   ' || rpad(w.kind, 17)
             || string_agg(format('%s %s', w.event, round(w.share)), ', ' ORDER BY w.share DESC) AS line
      FROM (SELECT contender, split_part(measure, ': ', 1) AS kind, split_part(measure, ': ', 2) AS event,
                   percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS share FROM result WHERE subject = 'waits' GROUP BY 1, 2, 3) w
      JOIN contender c ON c.name = w.contender WHERE w.share >= 1 GROUP BY 1, 2, c.label) lines
HAVING count(*) > 0;
SELECT pg_temp.print('volume', format('WAL of the update of 4 of 20 columns of %s rows: MB', :'rows'), '{wal,"wal after a checkpoint"}', 1, 1048576);

SELECT E'\nTrail bytes an update event of one column, with indexes, actor, trace and reason\n' || rpad('', 20)
       || '   all in one transaction   one transaction and one trace each'
WHERE EXISTS (SELECT FROM result WHERE subject = 'volume');
SELECT rpad(c.label, 20) || lpad(round(one.value)::text, 7) || lpad(round(each.value)::text, 25)
FROM contender c JOIN result one ON (one.contender, one.measure) = (c.name, 'bytes in one transaction')
JOIN result each ON (each.contender, each.measure) = (c.name, 'bytes in one transaction each')
WHERE c.name <> 'unaudited' ORDER BY c.position;

SELECT pg_temp.print('memory', 'Private memory of the backend at the end of a COPY: MB',
                     (SELECT array_agg(m ORDER BY split_part(m, ' ', 1)::integer) FROM (SELECT DISTINCT measure AS m FROM result WHERE subject = 'memory') t), 1);
SELECT pg_temp.print('instructions', 'Instructions a statement where nothing is audited', '{select,update}', 0, 1, 4);
