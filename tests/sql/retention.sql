-- Retention. Sets the clock of the trail, which only a test build has.
LOAD 'audit';
SELECT count(*) = 1 AS is_test_build FROM pg_settings WHERE name = 'audit.test_clock_offset' \gset
\if :is_test_build
\else
\quit
\endif
-- In a database of its own, because years pass and retention deletes events.
SELECT current_database() AS home \gset
CREATE DATABASE regress_retention;
-- No worker, which would use another clock, runs in a template database.
ALTER DATABASE regress_retention IS_TEMPLATE true;
\c regress_retention
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE EXTENSION audit;
RESET client_min_messages;
CREATE FUNCTION pg_temp.set_clock(at timestamptz) RETURNS void LANGUAGE sql AS
    $$ SELECT set_config('audit.test_clock_offset', round(extract(epoch FROM at - clock_timestamp()))::integer::text, false) $$;
CREATE VIEW pg_temp.partitions AS
SELECT l.partition_name, l.since, l.until, f.events, f.closed_at IS NOT NULL AS is_closed
FROM audit.partitions l LEFT JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name
WHERE l.parent LIKE 'events%' AND l.since <= audit_internal.clock() ORDER BY l.parent, l.since;
SELECT pg_temp.set_clock('2030-01-15 12:00+00');
CREATE TABLE customer (id integer PRIMARY KEY, name text);
CREATE TABLE click (id integer PRIMARY KEY, page text);
CREATE TABLE plain (id integer);
SELECT audit.enable('customer'), audit.enable('click');

-- Bad input changes nothing.
\set SHOW_CONTEXT never
SELECT audit.set_retention(NULL, '1 year');
SELECT audit.set_retention('dta', '1 year');
SELECT audit.set_retention('data', interval '-1 day');
SELECT audit.set_retention('data', max_bytes => -1);
SELECT audit.set_retention('data', partition_interval => '10 minutes');
SELECT audit.set_retention('security', '1 year', target => 'customer');
SELECT audit.set_retention('data', '1 year', target => 'plain');
SELECT audit.set_retention('data', '1 year', archive => true);
SELECT audit.set_retention('data', '1 year', archive_keep => '1 month');
SELECT audit.hold(NULL, 'reason');
SELECT audit.hold('matter', NULL);
SELECT audit.hold('matter', 'reason', since => '2030-01-02', until => '2030-01-01');
SELECT audit.hold('matter', 'reason', entity_id => '1');
SELECT audit.release('matter');
SELECT * FROM audit.archive('data', NULL);
SELECT * FROM audit.archive('dta', '2030-01-01');
SELECT * FROM audit.archive('data', '2030-01-01');
SELECT audit.restore_archive('00000000-0000-0000-0000-000000000000');
SELECT audit.unload_archive(NULL);
SELECT count(*) FROM audit_internal.retention_settings;
SELECT count(*) FROM audit.holds;

-- Without a limit, events are kept. Events that a table had before it got dedicated partitions are moved there.
INSERT INTO click VALUES (1, 'before');
INSERT INTO customer VALUES (1, 'January');
SELECT audit.set_retention('data', '1 year');
SELECT audit.set_retention('data', '10 days', target => 'click');
INSERT INTO click VALUES (2, 'after');
CALL audit.maintain();
SELECT tableoid::regclass, entity_id, retention_id FROM audit.events WHERE category = 'data' ORDER BY occurred_at;
SELECT category, entity, keep, archive, partition_interval, partitions, events, next_due FROM audit.retention WHERE category = 'data';
SELECT event, entity, parameters FROM audit.trail WHERE event = 'config.change' ORDER BY occurred_at;

-- Null keeps the present value, zero removes the limit.
SELECT audit.set_retention('data', max_bytes => 1000000000);
SELECT keep, max_bytes FROM audit.retention WHERE category = 'data' AND entity IS NULL;
SELECT audit.set_retention('data', max_bytes => 0);
SELECT keep, max_bytes FROM audit.retention WHERE category = 'data' AND entity IS NULL;

-- A partition closes when its time range has ended, and is dropped when all of its events are older than keep.
SELECT pg_temp.set_clock('2030-01-16 00:05+00');
CALL audit.maintain();
SELECT * FROM pg_temp.partitions WHERE partition_name LIKE '%dedicated%';
SELECT pg_temp.set_clock('2030-01-16 00:15+00');
CALL audit.maintain();
SELECT * FROM pg_temp.partitions WHERE partition_name LIKE '%dedicated%';
SELECT * FROM audit.prune(true);
-- Objects that depend on a partition, a view or a column of its row type, do not keep it from being dropped.
CREATE ROLE regress_audit_anybody;
CREATE SCHEMA anybody AUTHORIZATION regress_audit_anybody;
SET ROLE regress_audit_anybody;
CREATE VIEW anybody.looks AS SELECT event_id FROM audit_internal.events_dedicated_2_20300115;
CREATE TABLE anybody.copies (id integer, event audit_internal.events_dedicated_2_20300115);
RESET ROLE;
CREATE VIEW anybody.looks AS SELECT event_id FROM audit_internal.events_dedicated_2_20300115;
CREATE TABLE anybody.copies (id integer, event audit_internal.events_dedicated_2_20300115);
SELECT pg_temp.set_clock('2030-01-26 00:15+00');
SELECT category, partition, events, action, reason FROM audit.prune(true);
SELECT count(*) FROM audit.trail WHERE entity = 'public.click' AND category = 'data';
SELECT category, partition, events, action, reason FROM audit.prune();
SELECT count(*) FROM audit.trail WHERE entity = 'public.click' AND category = 'data';
SELECT entity, parameters - 'since' - 'until' AS parameters FROM audit.trail WHERE event = 'retention.prune';
SELECT c.relname, a.attname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'anybody'::regnamespace ORDER BY 1, 2;
SELECT count(*) FROM audit.trail WHERE entity = 'public.customer' AND category = 'data';

-- Holds override policies: on a row, an actor, a time, a table, everything; events that none covers are deleted.
INSERT INTO customer SELECT n, 'January' FROM generate_series(2, 10) n;
SET audit.actor = 'ann';
UPDATE customer SET name = 'Ann' WHERE id IN (3, 4);
RESET audit.actor;
SELECT audit.hold('row', 'case 1', entity => 'public.customer', entity_id => '2');
SELECT audit.hold('actor', 'case 2', actor => 'ann');
SELECT audit.hold('row', 'again');
SELECT audit.hold('unknown', 'case 3', entity => 'public.nothing');
SELECT name, reason, entity, entity_id, actor, placed_by = current_user FROM audit.holds ORDER BY name;
SELECT pg_temp.set_clock('2031-02-02 00:00+00');
CALL audit.maintain();
SELECT event, entity_id, actor = 'ann' AS is_held_by_actor FROM audit.trail WHERE entity = 'public.customer' AND category = 'data' ORDER BY occurred_at, event_id;
SELECT category, partition, events, action, reason FROM audit.prune(true);
SELECT category, partition, events, action, reason FROM audit.prune();
SELECT entity, parameters - 'since' - 'until' AS parameters FROM audit.trail WHERE event = 'retention.prune' AND parameters->>'action' = 'delete';
SELECT audit.release('actor', 'settled');
SELECT audit.hold('all', 'everything stops');
SELECT category, partition, events, action, reason FROM audit.prune(true);
SELECT audit.release('all');
SELECT category, partition, events, action, reason FROM audit.prune();
SELECT event, entity_id FROM audit.trail WHERE entity = 'public.customer' AND category = 'data';
SELECT audit.release('row'), audit.release('unknown');
SELECT category, partition, events, action, reason FROM audit.prune();
SELECT event, entity, parameters - 'placed_at' - 'placed_by' FROM audit.trail WHERE event LIKE 'retention.hold' OR event LIKE 'retention.release' ORDER BY occurred_at;

-- By size: the oldest closed partitions are dropped, never the open one.
INSERT INTO customer SELECT n, repeat('x', 100) FROM generate_series(100, 1000) n;
SELECT pg_temp.set_clock('2031-03-02 00:01+00');
INSERT INTO customer SELECT n, repeat('x', 100) FROM generate_series(1001, 2000) n;
CALL audit.maintain();
SELECT audit.set_retention('data', max_bytes => 100000);
SELECT category, partition, events, action, regexp_replace(reason, '\d+ kB', '… kB', 'g') AS reason FROM audit.prune();
SELECT partition_name, is_closed FROM pg_temp.partitions WHERE partition_name LIKE '%data%';

-- The interval can be changed at any time: the open partition is split, future partitions are replaced.
SELECT audit.set_retention('data', partition_interval => '1 day', max_bytes => 0);
CALL audit.maintain();
SELECT l.partition_name, l.since, l.until FROM audit.partitions l WHERE l.parent = 'events_data' ORDER BY l.since;
SELECT audit.set_retention('data', partition_interval => '0');
CALL audit.maintain();
SELECT pg_temp.set_clock('2031-03-03 12:00+00');
INSERT INTO customer VALUES (3000, 'March');
CALL audit.maintain();
SELECT l.partition_name, l.since, l.until FROM audit.partitions l WHERE l.parent = 'events_data' ORDER BY l.since;

-- The clock is set back into the time of a closed partition: the event reaches it through the overflow, and is counted.
SELECT pg_temp.set_clock('2031-03-02 12:00+00');
INSERT INTO customer VALUES (3001, 'late');
SELECT count(*) FROM audit_internal.events_overflow;
SELECT pg_temp.set_clock('2031-03-03 12:01+00');
SELECT partition_name, events FROM pg_temp.partitions WHERE partition_name = 'events_data_20310302';
CALL audit.maintain();
SELECT partition_name, events, is_closed FROM pg_temp.partitions WHERE partition_name LIKE 'events_data%';
SELECT tableoid::regclass FROM audit.events WHERE entity_id = '3001';

-- The server is down for a month, and its first events are recorded before maintenance creates partitions.
SELECT pg_temp.set_clock('2031-06-15 12:00+00');
INSERT INTO customer VALUES (4000, 'June');
CALL audit.maintain();
SELECT tableoid::regclass FROM audit.events WHERE entity_id = '4000';

-- A table that is disabled and enabled again has the retention that it had.
SELECT audit.disable('click');
SELECT audit.enable('click');
INSERT INTO click VALUES (3, 'again');
CALL audit.maintain();
SELECT tableoid::regclass FROM audit.events WHERE category = 'data' AND entity_id = '3' AND retention_id IS NOT NULL;

-- If a category has too many partitions for the planner, closed ones are merged.
SELECT audit.set_retention('data', keep => '0', partition_interval => '1 hour');
DO $$
BEGIN
    FOR hour IN 1..30 LOOP
        PERFORM pg_temp.set_clock(timestamptz '2031-06-15 12:00+00' + hour * interval '1 hour');
        INSERT INTO customer VALUES (4000 + hour, 'hour');
        COMMIT;
        CALL audit.maintain();
    END LOOP;
END $$;
SELECT count(*) <= 24 AS are_few FROM audit.partitions l WHERE l.parent = 'events_data';
SELECT count(*), count(DISTINCT e.event_id) FROM audit.events e WHERE e.category = 'data' AND e.entity_id::integer > 4000;
SELECT sum(f.events) = (SELECT count(*) FROM audit_internal.events_data e WHERE e.tableoid IN (SELECT l.partition FROM audit.partitions l JOIN audit_internal.partition_catalog g ON g.partition_name = l.partition_name)) AS are_counted
FROM audit.partitions l JOIN audit_internal.partition_catalog f ON f.partition_name = l.partition_name WHERE l.parent = 'events_data';
SELECT count(*) FROM audit.history('customer', '4001');
EXPLAIN (COSTS off) SELECT FROM audit.events e WHERE e.category = 'security' AND e.occurred_at < '2030-02-01';

-- A snapshot that lasts for the transaction would not show events that a partition gets meanwhile.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT audit.prune();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM audit.maintenance_step();
ROLLBACK;

-- Privileges.
SET ROLE audit_admin;
SELECT category, entity IS NOT NULL AS is_table FROM audit.retention WHERE category = 'data';
SELECT count(*) FROM audit.prune(true);
RESET ROLE;
SET ROLE audit_reader;
SELECT audit.prune();
SELECT audit.hold('mine', 'because');
RESET ROLE;

\c :home
ALTER DATABASE regress_retention IS_TEMPLATE false;
DROP DATABASE regress_retention;
DROP ROLE regress_audit_anybody;
