-- audit.search: words, every filter alone and combined, order, continuation, wrong input.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT p.oid::regprocedure AS function, p.proargnames, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace AND p.proname = 'search';

CREATE SCHEMA search;
SET search_path = search;
CREATE TABLE client (id text PRIMARY KEY, name text, credit numeric(10, 2), vip boolean, born date, notes jsonb, secret text, hidden text, spare text);
CREATE TABLE parcel (id integer PRIMARY KEY, weight float8, customer text);
CREATE TABLE deep (id integer PRIMARY KEY, v text, w text);
SELECT audit.enable('client', label_column => 'name', redact => '{"secret": "mask", "hidden": "omit"}'), audit.enable('parcel'),
       audit.enable('deep', level => 'comprehensive');
SELECT audit.set_context(actor => 'ann@search.example', trace_id => 'search-trace-1', reason => 'Complaint 4711', local => false);
INSERT INTO client VALUES ('KX-1', 'Acme Größe', 1250, true, '2024-02-29', '{"colour": "Aquamarine", "sizes": [1, {"inner": "nested sapphire"}]}', 'topsecretword', 'omittedword');
INSERT INTO parcel VALUES (77001, 0.5, 'KX-1'), (77002, -3, '100%_sure\');
SELECT audit.set_context(actor => 'ben@search.example', trace_id => 'search-trace-2', reason => '', local => false);
UPDATE client SET credit = 99.90, name = 'Acme Ltd' WHERE id = 'KX-1';
UPDATE client SET id = 'KX-2';
DELETE FROM parcel WHERE id = 77002;
SELECT audit.set_context(actor => '', trace_id => '', local => false);
INSERT INTO deep VALUES (1, 'untouchedvalue', 'a');
UPDATE deep SET w = 'b';
TRUNCATE parcel;

-- A view of what is found, in the order of time.
CREATE FUNCTION pg_temp.find(query text) RETURNS TABLE (event text, entity text, key text) LANGUAGE sql AS $$
    SELECT s.event, s.entity, s.entity_id FROM audit.search(query, sort => 'event_id asc', max_rows => NULL) s WHERE s.entity LIKE 'search.%' AND s.category = 'data'
$$;
-- Words: in event names, entities, keys, labels, actors, logins and reasons, values; any order, any case, all of them.
SELECT * FROM pg_temp.find('search.parcel row.delete');
SELECT * FROM pg_temp.find('DELETE Parcel');
SELECT * FROM pg_temp.find('77001');
SELECT * FROM pg_temp.find('kx-2');
SELECT * FROM pg_temp.find('acme');
SELECT * FROM pg_temp.find('größe');
SELECT * FROM pg_temp.find('GRÖSSE');
SELECT * FROM pg_temp.find('GRÖßE KX');
SELECT * FROM pg_temp.find('ann@search.example');
SELECT * FROM pg_temp.find('complaint parcel');
SELECT * FROM pg_temp.find('ltd ben@');
SELECT * FROM pg_temp.find('ben@ ann@');
-- Values: numbers as they are typed, booleans, dates, what is nested, old ones too.
SELECT * FROM pg_temp.find('1250');
SELECT * FROM pg_temp.find('+1250.000');
SELECT * FROM pg_temp.find('99.9');
SELECT * FROM pg_temp.find('-3.0');
SELECT * FROM pg_temp.find('.5 parcel');
SELECT * FROM pg_temp.find('125');
SELECT * FROM pg_temp.find('2024-02-29');
SELECT * FROM pg_temp.find('true client');
SELECT * FROM pg_temp.find('aquamarine');
SELECT * FROM pg_temp.find('colour');
SELECT * FROM pg_temp.find('sapphire');
-- The whole row that level comprehensive keeps counts.
SELECT * FROM pg_temp.find('untouchedvalue');
-- A phrase, and wildcards that are none.
SELECT * FROM pg_temp.find('"nested sapphire"');
SELECT * FROM pg_temp.find('"sapphire nested"');
SELECT * FROM pg_temp.find('100%_sure\');
SELECT * FROM pg_temp.find('100_');
SELECT * FROM pg_temp.find('100%sure');
SELECT * FROM pg_temp.find('''; DROP TABLE client; --');
-- What is redacted is not found, nor what stands for it, nor the name of a column.
SELECT * FROM pg_temp.find('topsecretword');
SELECT * FROM pg_temp.find('omittedword');
SELECT * FROM pg_temp.find('$audit');
SELECT * FROM pg_temp.find('masked');
SELECT * FROM pg_temp.find('omitted');
SELECT * FROM pg_temp.find('born');
-- No word is no filter.
SELECT count(*) FROM audit.search(' ') UNION ALL SELECT count(*) FROM audit.search(NULL) UNION ALL SELECT count(*) FROM audit.search();

-- Filters.
CREATE TEMP TABLE moment AS SELECT min(t.occurred_at) FILTER (WHERE t.event = 'row.insert' AND t.entity = 'search.client') AS first_at,
       max(t.occurred_at) FILTER (WHERE t.event = 'row.delete') AS deleted_at FROM audit.trail t WHERE t.entity LIKE 'search.%';
SELECT event, entity, entity_id FROM audit.search(since => (SELECT deleted_at FROM moment), categories => '{data}', sort => 'event_id asc');
SELECT event, entity, entity_id FROM audit.search(since => (SELECT first_at FROM moment), until => (SELECT deleted_at FROM moment), sort => 'occurred_at asc');
SELECT count(*) FROM audit.search(since => (SELECT first_at FROM moment), until => (SELECT first_at FROM moment));
SELECT event, entity, entity_id FROM audit.search(events => '{row.delete,table.truncate}', since => (SELECT first_at FROM moment), sort => 'event_id asc');
SELECT event, entity FROM audit.search(events => '{config.enable}', entity => 'search.parcel');
SELECT event, entity FROM audit.search(categories => '{system}', entity => 'search.parcel');
SELECT count(*) FROM audit.search(categories => '{read}', entity => 'search.client');
SELECT count(*) FROM audit.search(categories => '{}');
SELECT event, entity_id FROM audit.search(actors => '{ben@search.example}', sort => 'event_id asc');
SELECT count(*) FROM audit.search(actors => '{ben@search.example,ann@search.example}');
SELECT count(*) FROM audit.search(actors => '{nobody}');
SELECT event, entity_id FROM audit.search(entity => 'search.client', categories => '{data}', sort => 'event_id asc');
SELECT count(*) FROM audit.search(entity => 'search.missing');
SELECT event, entity_id FROM audit.search(entity => 'search.client', entity_id => 'KX-2', sort => 'event_id asc');
SELECT event, entity_id FROM audit.search(entity => 'search.client', entity_id => 'KX-1', sort => 'event_id asc');
SELECT event, entity_id FROM audit.search(trace_id => 'search-trace-1', sort => 'event_id asc');
SELECT count(*) FROM audit.search(trace_id => 'search-trace-3');
SELECT count(*) FROM audit.search(results => '{failure}', entity => 'search.client');
SELECT count(*) FROM audit.search(results => '{success}', entity => 'search.client', categories => '{data}');
SELECT event, entity_id FROM audit.search('acme', since => (SELECT first_at FROM moment), until => now(), events => '{row.update}', categories => '{data}',
    actors => '{ben@search.example}', entity => 'search.client', entity_id => 'KX-1', trace_id => 'search-trace-2', results => '{success}', sort => 'event desc', max_rows => 5);
-- Contexts beyond what a statement lists.
SELECT audit.set_context(actor => 'many@search.example', local => false);
DO $$ BEGIN
    FOR i IN 1..1100 LOOP
        PERFORM set_config('audit.trace_id', 'many-' || i, true);
        INSERT INTO deep VALUES (1000 + i, 'many');
    END LOOP;
END $$;
SELECT audit.set_context(actor => '', local => false);
SELECT count(*), min(entity_id), max(actor) FROM audit.search(actors => '{many@search.example}', max_rows => NULL);
SELECT count(*), min(actor) FROM audit.search('many@search', max_rows => NULL);
SELECT entity_id, trace_id FROM audit.search('many@search 1500');
SELECT count(*) FROM audit.search(actors => '{many@search.example}', trace_id => 'many-7');

-- Order: any column, either way, nulls last, ties by id.
SELECT entity_id, entity_label FROM audit.search(entity => 'search.client', categories => '{data}', sort => 'entity_label');
SELECT entity_id, entity_label FROM audit.search(entity => 'search.client', categories => '{data}', sort => 'ENTITY_LABEL  Desc');
SELECT event, entity_id FROM audit.search(entity => 'search.parcel', sort => 'entity_id desc');
SELECT a.attname AS failed FROM pg_attribute a WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0
AND (SELECT count(*) FROM audit.search(sort => a.attname || ' desc', entity => 'search.client')) <> 4;
-- Continuation: pages of any order are the whole, in the same order, with events coming in between.
CREATE FUNCTION pg_temp.pages(sort text, page_rows integer, query text) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    last_event uuid; page uuid[]; seen uuid[] := '{}';
BEGIN
    LOOP
        page := ARRAY(SELECT s.event_id FROM audit.search(query, entity => 'search.deep', sort => sort, max_rows => page_rows, after => last_event) s);
        seen := seen || page;
        EXIT WHEN cardinality(page) = 0;
        last_event := page[cardinality(page)];
    END LOOP;
    RETURN seen;
END $$;
DELETE FROM deep WHERE id > 1020;
SELECT a.attname || d.direction AS failed
FROM pg_attribute a CROSS JOIN (VALUES (' asc'), (' desc')) d (direction)
WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0
  AND pg_temp.pages(a.attname || d.direction, 5, 'many row.insert 1011') IS DISTINCT FROM
      ARRAY(SELECT s.event_id FROM audit.search('many row.insert 1011', entity => 'search.deep', sort => a.attname || d.direction, max_rows => NULL) s);
SELECT cardinality(pg_temp.pages('changed_columns desc', 500, NULL)), cardinality(pg_temp.pages('occurred_at desc', 500, NULL)),
       (SELECT count(*) FROM audit.search(entity => 'search.deep', max_rows => NULL));
CREATE TEMP TABLE page AS SELECT s.event_id, s.entity_id FROM audit.search(entity => 'search.client', max_rows => 2) s;
INSERT INTO client VALUES ('KX-9');
SELECT s.event, s.entity_id FROM audit.search(entity => 'search.client', after => (SELECT p.event_id FROM page p ORDER BY p.event_id LIMIT 1)) s;
SELECT count(*) FROM audit.search(max_rows => 0);
-- All of the trail is what audit.trail has.
SELECT count(*) FROM (SELECT * FROM audit.search(max_rows => NULL) EXCEPT ALL SELECT * FROM audit.trail) d;
SELECT count(*) FROM (SELECT * FROM audit.trail EXCEPT ALL SELECT * FROM audit.search(max_rows => NULL)) d;

-- Wrong input.
\set VERBOSITY default
SELECT audit.search(sort => 'nonsense');
\echo :SQLSTATE
SELECT audit.search(sort => 'event sideways');
\echo :SQLSTATE
SELECT audit.search(sort => 'event; DROP TABLE client');
\echo :SQLSTATE
SELECT audit.search(sort => NULL);
\echo :SQLSTATE
SELECT audit.search(max_rows => -1);
\echo :SQLSTATE
SELECT audit.search(since => '2024-01-02', until => '2024-01-01');
\echo :SQLSTATE
SELECT audit.search(events => '{row.inserted}');
\echo :SQLSTATE
SELECT audit.search(events => '{row.insert,updated}');
\echo :SQLSTATE
SELECT audit.search(events => '{xyz}');
\echo :SQLSTATE
SELECT audit.search(events => '{NULL}');
\echo :SQLSTATE
SELECT audit.search(categories => '{data,date}');
\echo :SQLSTATE
SELECT audit.search(results => '{failed}');
\echo :SQLSTATE
SELECT audit.search(after => '00000000-0000-7000-8000-000000000000');
\echo :SQLSTATE
DROP SCHEMA search CASCADE;
