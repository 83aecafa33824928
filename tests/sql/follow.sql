-- audit.follow: pages, continuation, documents, wrong cursors. Transactions under way are in the isolation specs.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT p.oid::regprocedure AS function, p.proargnames, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace AND p.proname = 'follow';
CREATE SCHEMA follow;
SET search_path = follow;
CREATE TABLE item (id integer PRIMARY KEY, v text);
SELECT audit.enable('item');

-- From the beginning, all at once and in pages: the same, each event once, and all that is committed.
CREATE FUNCTION pg_temp.pages(page_rows integer) RETURNS TABLE (event_id uuid) LANGUAGE plpgsql AS $$
DECLARE
    last_cursor text; page record; found_rows integer;
BEGIN
    LOOP
        found_rows := 0;
        FOR page IN SELECT * FROM audit.follow(last_cursor, page_rows) LOOP
            found_rows := found_rows + 1;
            last_cursor := page.cursor;
            event_id := page.event_id;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN found_rows = 0;
    END LOOP;
END $$;
SELECT count(*) = (SELECT count(*) FROM audit.trail) AS is_all, count(*) = count(DISTINCT f.event_id) AS is_once FROM audit.follow(NULL, NULL) f;
SELECT ARRAY(SELECT p.event_id FROM pg_temp.pages(1000) p) = ARRAY(SELECT f.event_id FROM audit.follow(max_rows => NULL) f) AS is_same;
SELECT count(*) AS default_page FROM audit.follow() HAVING count(*) <= 1000;

-- What comes later follows on the last cursor, again and again.
CREATE TEMP TABLE reader (step integer, cursor text, event_id uuid, document jsonb);
INSERT INTO reader SELECT 0, f.* FROM audit.follow(NULL, NULL) f;
CREATE FUNCTION pg_temp.poll(step integer, page_rows integer DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    WITH last AS (SELECT r.cursor FROM reader r ORDER BY r.step DESC, (r.cursor::jsonb)->>'occurred_at' DESC, r.event_id DESC LIMIT 1),
    read AS (INSERT INTO reader SELECT step, f.* FROM last l CROSS JOIN LATERAL audit.follow(l.cursor, page_rows) f RETURNING 1)
    SELECT count(*) FROM read
$$;
SELECT pg_temp.poll(1);
INSERT INTO item VALUES (1, 'a'), (2, 'b');
UPDATE item SET v = 'c' WHERE id = 1;
SELECT pg_temp.poll(2);
SELECT pg_temp.poll(3);
BEGIN;
INSERT INTO item VALUES (3, 'own');
-- Not one's own either, before they are committed.
SELECT pg_temp.poll(4);
COMMIT;
SELECT pg_temp.poll(5);
BEGIN;
SAVEPOINT a;
INSERT INTO item VALUES (4, 'released');
RELEASE a;
SAVEPOINT b;
INSERT INTO item VALUES (5, 'rolled back');
ROLLBACK TO b;
COMMIT;
DELETE FROM item WHERE id < 4;
SELECT pg_temp.poll(6, 1), pg_temp.poll(7, 2), pg_temp.poll(8, 2);
SELECT r.step, r.document->>'event' AS event, r.document->>'entity_id' AS entity_id FROM reader r WHERE r.step > 0 ORDER BY r.step, r.event_id;
-- A document has every column of the trail.
SELECT d.key, d.value FROM reader r CROSS JOIN LATERAL jsonb_each(r.document) d
WHERE r.step = 2 AND r.document->>'event' = 'row.update' AND d.key IN ('event', 'category', 'risk', 'result', 'entity', 'entity_id', 'changed_columns', 'old_values', 'new_values', 'trace_id') ORDER BY d.key;
SELECT a.attname AS missing FROM pg_attribute a, (SELECT r.document FROM reader r LIMIT 1) r WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0 AND NOT r.document ? a.attname;
SELECT count(*) AS wrong FROM reader r WHERE r.document->>'event_id' <> r.event_id::text;
SET timezone = 'Asia/Tokyo';
SELECT f.document->>'occurred_at' ~ '\+00:00$' AS is_utc FROM audit.follow(NULL, 1) f;
RESET timezone;
-- Each row's cursor continues after that row.
SELECT count(*) AS wrong FROM (SELECT r.cursor, lead(r.event_id) OVER (ORDER BY r.event_id) AS next_event FROM reader r WHERE r.step = 2) r
CROSS JOIN LATERAL (SELECT f.event_id FROM audit.follow(r.cursor, 1) f) f WHERE f.event_id <> r.next_event;
SELECT count(*) FROM audit.follow(NULL, 0);

-- Wrong input.
SELECT count(*) FROM audit.follow('nonsense');
\echo :SQLSTATE
SELECT count(*) FROM audit.follow('');
\echo :SQLSTATE
SELECT count(*) FROM audit.follow('{}');
\echo :SQLSTATE
-- A range without a beginning.
SELECT jsonb_set(f.cursor::jsonb, ARRAY['nodes', (SELECT min(k) FROM jsonb_object_keys(f.cursor::jsonb->'nodes') k), '0'], 'null') AS without_beginning
FROM audit.follow(max_rows => 1) f \gset
SELECT count(*) FROM audit.follow(:'without_beginning');
\echo :SQLSTATE
SELECT count(*) FROM audit.follow('[1]');
\echo :SQLSTATE
SELECT f.* FROM (SELECT jsonb_set(r.cursor::jsonb, '{nodes}', '{"1": [0, "x"]}')::text AS cursor FROM reader r LIMIT 1) r CROSS JOIN LATERAL audit.follow(r.cursor) f;
\echo :SQLSTATE
SELECT f.* FROM (SELECT jsonb_set(r.cursor::jsonb, '{nodes}', '{"x; DROP TABLE item": [0, 1]}')::text AS cursor FROM reader r LIMIT 1) r CROSS JOIN LATERAL audit.follow(r.cursor) f;
\echo :SQLSTATE
SELECT f.* FROM (SELECT jsonb_set(r.cursor::jsonb, '{event_id}', '"y"')::text AS cursor FROM reader r LIMIT 1) r CROSS JOIN LATERAL audit.follow(r.cursor) f;
\echo :SQLSTATE
SELECT f.* FROM (SELECT jsonb_set(r.cursor::jsonb, '{nodes}', '{"2": [0, 1]}')::text AS cursor FROM reader r LIMIT 1) r CROSS JOIN LATERAL audit.follow(r.cursor) f;
\echo :SQLSTATE
SELECT f.* FROM (SELECT jsonb_set(r.cursor::jsonb, '{nodes}', (SELECT jsonb_object_agg(n.key, '[0, 4000000000000]'::jsonb) FROM jsonb_each(r.cursor::jsonb->'nodes') n))::text AS cursor
                 FROM reader r LIMIT 1) r CROSS JOIN LATERAL audit.follow(r.cursor) f;
\echo :SQLSTATE
SELECT count(*) FROM audit.follow(max_rows => -1);
\echo :SQLSTATE
DROP SCHEMA follow CASCADE;
