-- audit.status(): one row.
\pset null (null)
SET client_min_messages = warning;
CREATE SCHEMA status;
SET search_path = status;
CREATE TABLE item (id integer PRIMARY KEY);
SELECT p.proargnames FROM pg_proc p WHERE p.oid = 'audit.status()'::regprocedure;
\x on
SELECT s.version = e.extversion AS version, s.preloaded = ('audit' = ANY (string_to_array(current_setting('shared_preload_libraries'), ','))) AS preloaded,
       s.enabled, s.queued, s.lost, s.overflow_events, s.partitions > 10 AS partitions, s.partitions_last_until > now() + interval '1 month' AS partitions_last,
       s.bytes > 0 AS bytes, s.tables_audited, s.schemas_audited, s.publications, s.worker IS NOT NULL AS worker, s.remarks
FROM audit.status() s, pg_extension e WHERE e.extname = 'audit';
\x off
SELECT audit.enable('item');
INSERT INTO item VALUES (1);
SELECT audit.enable_schema('status');
SET audit.enabled = off;
SELECT s.enabled, s.tables_audited, s.schemas_audited, s.node = n.node_id AS node, s.server = n.name AS server
FROM audit.status() s, audit_internal.nodes n;
RESET audit.enabled;
-- Publications that carry the trail to their subscribers.
SET client_min_messages = error;
CREATE PUBLICATION regress_audit_one FOR TABLE item;
CREATE PUBLICATION regress_audit_all FOR ALL TABLES;
SELECT publications FROM audit.status();
DROP PUBLICATION regress_audit_one, regress_audit_all;
-- It returns a row whatever is broken.
BEGIN;
CREATE OR REPLACE FUNCTION audit_internal.due_partitions() RETURNS SETOF audit_internal.due_partition LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no partition is due''; END';
CREATE OR REPLACE FUNCTION audit_internal.worker_status(OUT words text, OUT ran_at timestamptz, OUT error text) LANGUAGE plpgsql AS 'BEGIN PERFORM 1 / 0; END';
ALTER TABLE audit_internal.schema_settings RENAME TO elsewhere;
SELECT s.worker, s.partitions_due, s.schemas_audited, s.partitions > 10 AS partitions, s.overflow_events, s.remarks FROM audit.status() s;
ROLLBACK;
-- Maintenance finds nothing to do where enable has just made what was missing, and can be called again.
CALL audit.maintain();
CALL audit.maintain(interval '1 second');
-- Partitions of a parent lie side by side, from now to two intervals ahead, without a hole.
SELECT parent, bool_and(before IS NULL OR before = since) AS without_hole, min(since) <= now() AS holds_now, max(until) > now() + interval '2 months' AS ahead
FROM (SELECT parent, since, until, lag(until) OVER (PARTITION BY parent ORDER BY since) AS before FROM audit.partitions WHERE since IS NOT NULL) l
GROUP BY parent ORDER BY parent;
DROP SCHEMA status CASCADE;
