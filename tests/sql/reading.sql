-- Reading a long trail: closed partitions have indexes, an event is found by its id, plans meet the partitions of their time and category alone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA reading;
CREATE TABLE reading.t (id text PRIMARY KEY, note text);
SELECT audit.enable('reading.t');
INSERT INTO reading.t VALUES ('first', 'now');

-- Events of 2021 in partitions of their own, loaded as a superuser may: like the event above, at another time and under another key.
SELECT audit_internal.create_partitions_of(p, '2021-03-10', '2021-05-10') FROM unnest('{events_data,events_read}'::text[]) p;
CREATE FUNCTION reading.id_at(at timestamptz, noise text) RETURNS uuid LANGUAGE sql
RETURN (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000a' || left(md5(noise), 15))::uuid;
CREATE FUNCTION reading.load(at timestamptz, event_id uuid, key text, new_key text DEFAULT NULL, target regclass DEFAULT 'audit.events') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit_internal.execute_permitted(format('INSERT INTO %s SELECT (jsonb_populate_record(e, %L)).* FROM audit.events e
                    WHERE e.entity_id = ''first'' AND e.category = ''data'' AND e.occurred_at > now() - interval ''1 day'' LIMIT 1', target,
        jsonb_build_object('occurred_at', load.at, 'event_id', load.event_id, 'entity_id', key, 'new_entity_id', new_key,
                           'event_type', CASE WHEN new_key IS NULL THEN 1 ELSE 2 END)));
END;
$$;
SELECT reading.load(at, reading.id_at(at, at::text), 'key ' || n % 100)
FROM generate_series(0, 999) n, LATERAL (SELECT timestamptz '2021-03-10 00:00:00+00' + n * interval '1 hour') a (at) \g (format=unaligned tuples_only=on) /dev/null
SELECT reading.load('2021-03-11 10:30:00+00', reading.id_at('2021-03-11 10:30:00+00', 'renamed'), 'key 5', 'key renamed');

-- Partitions whose time is over are closed, one a step; a second call finds nothing to do.
SELECT l.partition_name, l.suffixes FROM audit_internal.partitions_to_close() l WHERE l.partition_name ~ '_2021';
CALL audit.maintain();
SELECT count(*) FROM audit_internal.partitions_to_close();
SELECT indexdef FROM pg_indexes WHERE schemaname = 'audit_internal' AND indexname ~ '^events_(data|read)_202103' ORDER BY 1;
-- One that is open, or ahead, has none that costs its writers much.
SELECT count(*) AS others FROM audit.partitions l JOIN pg_index i ON i.indrelid = l.partition
WHERE l.parent = 'events_data' AND l.until > now() AND i.indexrelid::regclass::text !~ '_(time|key|renamed)$';
-- An index that is gone comes back.
DROP INDEX audit_internal.events_data_20210301_row;
CALL audit.maintain();
SELECT count(*) FROM pg_indexes WHERE indexname = 'events_data_20210301_row';

-- They are used through the view.
SET enable_seqscan = off;
CREATE FUNCTION reading.plan(query text) RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        line := substring(line FROM '(?:using|on) (events\S+(?: on \S+)?)');
        IF line IS NOT NULL THEN RETURN NEXT; END IF;
    END LOOP;
END;
$$;
SELECT * FROM reading.plan($$SELECT * FROM audit.trail WHERE category = 'data' AND occurred_at < '2021-04-01' AND occurred_at >= '2021-03-01' AND entity_id = 'key 7'$$);
RESET enable_seqscan;
SELECT count(*), min(occurred_at), max(occurred_at) FROM audit.history('reading.t', 'key 7');
SELECT count(*), min(occurred_at) FROM audit.history('reading.t', 'key renamed');

-- A late row reaches a closed partition and all its indexes, from the overflow too; a key too long for a B-tree changes its kind.
SELECT reading.load('2021-03-12 10:30:00+00', reading.id_at('2021-03-12 10:30:00+00', 'late'), 'key late', 'key later', 'audit_internal.events_overflow');
CALL audit.maintain();
SELECT (SELECT count(*) FROM audit_internal.events_overflow), count(*) FROM audit.history('reading.t', 'key later');
SELECT reading.load('2021-03-12 11:30:00+00', reading.id_at('2021-03-12 11:30:00+00', 'long'), string_agg(md5(n::text), ''), NULL, 'audit_internal.events_overflow')
FROM generate_series(1, 300) n;
CALL audit.maintain();
SELECT indexdef FROM pg_indexes WHERE schemaname = 'audit_internal' AND indexname ~ '^events_data_20210301_row' ORDER BY 1;
SELECT (SELECT count(*) FROM audit_internal.events_overflow), count(*) FROM audit.history('reading.t', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n));

-- An event by its id: at the time of the id, before it where the clock stood or stepped back, and, where somebody else made the id, after it.
SELECT reading.load('2021-04-15 12:00:00.123456+00', reading.id_at('2021-04-15 12:00:00.123456+00'::timestamptz + ahead, ahead::text), 'ahead by ' || ahead)
FROM unnest('{0,3 milliseconds,900 milliseconds,30 seconds,20 minutes,5 hours,3 days,70 days,-1 hour}'::interval[]) ahead \g (format=unaligned tuples_only=on) /dev/null
SELECT (audit_internal.event_row(reading.id_at('2021-04-15 12:00:00.123456+00'::timestamptz + ahead, ahead::text))).entity_id
FROM unnest('{0,3 milliseconds,900 milliseconds,30 seconds,20 minutes,5 hours,3 days,70 days,-1 hour}'::interval[]) ahead;
SELECT count(*) FROM audit.diff(reading.id_at('2021-04-15 12:00:00.123456+00', (interval '0')::text));
SELECT audit_internal.event_row('01785e3f-0000-7000-a000-000000000000');

-- Which partitions a query locks is what its plan meets: of its time and category, also inside functions.
CREATE FUNCTION reading.met() RETURNS TABLE (partition text) LANGUAGE sql
RETURN (SELECT string_agg(regexp_replace(c.relname, '^(contexts|sessions)_.*', '\1'), ' ' ORDER BY c.relname) FROM pg_locks k JOIN pg_class c ON c.oid = k.relation
        WHERE k.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relname ~ '^(events_(?!types)|contexts_|sessions_)');
BEGIN;
SELECT count(*) FROM audit.trail WHERE occurred_at >= '2021-03-12' AND occurred_at < '2021-03-13' AND category = 'data' AND trace_id IS NULL;
SELECT * FROM reading.met();
ROLLBACK;
BEGIN;
SELECT count(*) FROM audit.trail WHERE occurred_at >= '2021-03-12' AND occurred_at < '2021-03-13';
SELECT * FROM reading.met();
ROLLBACK;
BEGIN;
SELECT (audit_internal.event_row(reading.id_at('2021-04-15 12:00:00.123456+00', (interval '0')::text))).entity_id;
SELECT * FROM reading.met();
ROLLBACK;
-- A time relative to now is known when the plan begins to run.
SELECT count(*) > 0 AS met, bool_and(l.parent = 'events_data' AND l.until > now() - interval '1 day') AS of_the_day
FROM reading.plan($$SELECT * FROM audit.trail WHERE category = 'data' AND occurred_at > now() - interval '1 day'$$) p
JOIN audit.partitions l ON p.line ~ (l.partition_name || '$') WHERE l.parent <> 'events_overflow';

-- The dictionaries are read past permissions, by whoever may read a view over the trail: nobody can call the function by name.
SELECT has_schema_privilege(r, 'audit_internal', 'USAGE') FROM unnest('{audit_reader,audit_admin,audit_writer}'::text[]) r;
