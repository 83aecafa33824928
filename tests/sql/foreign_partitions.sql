-- The planner may evaluate the extension's functions on partitions for any table of the database, and the session may have any DateStyle:
-- retention, maintenance and audit.status once failed for good on names and bounds of other tables.
\pset null (null)
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA foreign_partitions;
SET search_path = foreign_partitions;

-- Bounds of all kinds.
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE listed (v text) PARTITION BY LIST (v);
CREATE TABLE listed_1 PARTITION OF listed FOR VALUES IN ('x', E'FROM (\'1\') TO (\'2\')');
CREATE TABLE listed_rest PARTITION OF listed DEFAULT;
CREATE TABLE hashed (v integer) PARTITION BY HASH (v);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE worded (v text) PARTITION BY RANGE (v);
CREATE TABLE worded_1 PARTITION OF worded FOR VALUES FROM ('a') TO ('b');
CREATE TABLE worded_rest PARTITION OF worded DEFAULT;
CREATE TABLE moody (v mood) PARTITION BY RANGE (v);
CREATE TABLE moody_1 PARTITION OF moody FOR VALUES FROM ('sad') TO ('glad');
CREATE TABLE numbered (v bigint) PARTITION BY RANGE (v);
CREATE TABLE numbered_1 PARTITION OF numbered FOR VALUES FROM (-9223372036854775808) TO (9223372036854775807);
CREATE TABLE numbered_2 PARTITION OF numbered FOR VALUES FROM (9223372036854775807) TO (MAXVALUE);
CREATE TABLE dated (v date) PARTITION BY RANGE (v);
CREATE TABLE dated_1 PARTITION OF dated FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE paired (v timestamptz, w integer) PARTITION BY RANGE (v, w);
CREATE TABLE paired_1 PARTITION OF paired FOR VALUES FROM ('2026-01-01', 1) TO ('2027-01-01', MAXVALUE);
CREATE TABLE endless (v timestamptz) PARTITION BY RANGE (v);
CREATE TABLE endless_1 PARTITION OF endless FOR VALUES FROM ('-infinity') TO ('2026-01-01');
CREATE TABLE endless_2 PARTITION OF endless FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE endless_3 PARTITION OF endless FOR VALUES FROM ('2027-01-01') TO ('294276-12-31');
CREATE TABLE endless_4 PARTITION OF endless FOR VALUES FROM ('294276-12-31') TO (MAXVALUE);
CREATE TABLE parent (v integer);
CREATE TABLE child () INHERITS (parent);
-- Tables with the names of the extension's tables.
CREATE TABLE events_dedicated_1 (v text) PARTITION BY RANGE (v);
CREATE TABLE events_dedicated_1_20261121 PARTITION OF events_dedicated_1 FOR VALUES FROM ('a') TO ('b');
CREATE INDEX events_dedicated_1_20261121_time ON events_dedicated_1_20261121 (v);
CREATE TABLE events_dedicated_99999999999 PARTITION OF events_dedicated_1 FOR VALUES FROM ('b') TO ('c');
CREATE TABLE "events_dedicated_" PARTITION OF events_dedicated_1 FOR VALUES FROM ('c') TO ('d');
CREATE TABLE "events_dedicated_-1" PARTITION OF events_dedicated_1 DEFAULT;
CREATE TABLE sessions (v text) PARTITION BY RANGE (v);
CREATE TABLE sessions_1 PARTITION OF sessions FOR VALUES FROM ('a') TO ('b');
CREATE TABLE contexts (v bigint) PARTITION BY RANGE (v);
CREATE TABLE contexts_1 PARTITION OF contexts FOR VALUES FROM (1) TO (1099511627776);
ANALYZE;

SELECT c.relname, b.* FROM pg_class c CROSS JOIN LATERAL audit_internal.partition_bounds(c.relpartbound) b
WHERE c.relnamespace = 'foreign_partitions'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname;
SELECT count(*) FROM audit.partitions l JOIN pg_class c ON c.oid = l.partition WHERE c.relnamespace <> 'audit_internal'::regnamespace;
-- Table partition_parents lists the parents of the trail; a name alone makes no table a parent.
SELECT n AS name, audit_internal.kept(n), audit_internal.partition_interval(n), audit_internal.partition_check(n)
FROM unnest(ARRAY['events_data', 'events_dedicated_1', 'events_dedicated_1_20261121_time', 'events_dedicated_', 'events_dedicated_99999999999',
                  'events_', 'events', 'sessions', '', 'o''clock', NULL]) n;
SELECT count(audit_internal.kept(c.relname::text)) >= 0 AS kept, count(audit_internal.partition_interval(c.relname::text)) = count(*) AS total FROM pg_class c;
SELECT DISTINCT parent, category, state FROM audit.partitions WHERE parent IN ('events_data', 'sessions', 'events_overflow', 'events_dedicated_1') AND state = 'open' ORDER BY parent;
SELECT audit_internal.first_id('infinity'), audit_internal.first_id('-infinity'), audit_internal.first_id(NULL), audit_internal.first_id('2000-01-01 01:00');

-- Bounds do not depend on the session's DateStyle and TimeZone.
CREATE TEMP TABLE known AS SELECT l.partition, extract(epoch FROM l.since) AS since, extract(epoch FROM l.until) AS until FROM audit.partitions l;
SELECT count(*) > 10 AS are_known FROM known;
CREATE FUNCTION pg_temp.partitions_that_differ(date_style text, time_zone text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    differing bigint;
BEGIN
    PERFORM set_config('datestyle', date_style, true), set_config('timezone', time_zone, true);
    SELECT count(*) INTO differing FROM (
        SELECT l.partition, extract(epoch FROM l.since), extract(epoch FROM l.until) FROM audit.partitions l EXCEPT ALL TABLE known) d;
    PERFORM count(*) FROM audit_internal.due_partitions();
    PERFORM count(*) FROM audit_internal.partitions_to_close();
    PERFORM count(*) FROM audit_internal.partitions_to_merge();
    PERFORM count(*) FROM audit.prune(true);
    PERFORM count(*) FROM audit.retention;
    IF (SELECT s.remarks <> '{}' FROM audit.status() s) THEN
        RAISE EXCEPTION 'status: %', (SELECT s.remarks FROM audit.status() s);
    END IF;
    RETURN differing;
END;
$$;
SELECT s AS date_style, z AS time_zone, pg_temp.partitions_that_differ(s, z) AS differing
FROM unnest(ARRAY['ISO', 'SQL, DMY', 'SQL, MDY', 'German', 'Postgres']) s, unnest(ARRAY['Asia/Jakarta', 'Asia/Kolkata', 'America/St_Johns', 'UTC']) z
ORDER BY s COLLATE "C", z COLLATE "C";

DROP SCHEMA foreign_partitions CASCADE;
