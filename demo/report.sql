-- What the demonstration shows in the end, on two screens.
\set ON_ERROR_STOP on
\pset footer off
\pset null ''

\echo
\echo 'THE TRAIL: what the office did last (audit.trail)'
SELECT to_char(occurred_at, 'HH24:MI:SS.MS') AS time, left(summary, 58) AS summary, left(reason, 22) AS reason
FROM (SELECT * FROM audit.trail WHERE category = 'data' AND entity LIKE 'shop.%' ORDER BY occurred_at DESC, event_id DESC LIMIT 12) latest
ORDER BY occurred_at, event_id;

\echo 'ONE DIFF: a web request; its trace was in the comment of the statement (audit.diff)'
SELECT t.actor, left(t.trace_id, 8) || '…' AS trace, d.path, left(d.old_value::text, 20) AS old_value, left(d.new_value::text, 30) AS new_value
FROM audit.trail t, audit.diff(t.old_values, t.new_values) d
WHERE t.entity = 'shop.customers' AND t.entity_id = 'C-1008' AND t.changed_columns @> '{contact}';

\echo 'ONE HISTORY: customer C-1008 (audit.history)'
SELECT to_char(occurred_at, 'HH24:MI:SS.MS') AS time, event, left(actor, 16) AS actor, effective_role AS role,
       left(array_to_string(changed_columns, ', '), 24) AS changed, left(reason, 14) AS reason
FROM audit.history('shop.customers', 'C-1008');

\echo 'RETENTION: how long events are kept, and when the first of them go (audit.retention); pgbench_history has dedicated partitions'
SELECT category, entity, keep, partition_interval, partitions, events, pg_size_pretty(bytes) AS size, next_due::date AS next_due,
       (SELECT string_agg(format('%s %s', p.action, p.partition), ', ') FROM audit.prune(dry_run => true) p WHERE p.category = r.category) AS due_now
FROM audit.retention r WHERE r.keep IS NOT NULL;
SELECT name AS "legal hold", reason, entity, entity_id FROM audit.holds;

\echo 'COST AND RECONCILIATION: the events of each table, replayed and compared with it both ways'
CREATE TEMP TABLE audited AS
SELECT s.relation_oid::regclass AS target, e.bytes AS event_bytes
FROM audit_internal.table_settings s LEFT JOIN
     (SELECT r.relation_oid, avg(pg_column_size(e.*)) AS bytes
      FROM audit.events e JOIN audit_internal.relations r USING (node_id, relation_id) WHERE e.category = 'data' GROUP BY 1) e USING (relation_oid);
CREATE FUNCTION pg_temp.row_bytes(target regclass, OUT bytes numeric) LANGUAGE plpgsql
AS $$ BEGIN EXECUTE format('SELECT avg(pg_column_size(t.*)) FROM %s t', target) INTO bytes; END $$;
CREATE TEMP TABLE reconciled AS
SELECT a.target, r.events, round(a.event_bytes) AS "B/event", round(b.bytes) AS "B/row",
       round(a.event_bytes / b.bytes, 1) AS ratio, r.live AS rows, r.missing, r.unexpected, r.problems
FROM audited a, LATERAL reconcile.replay(a.target) r, LATERAL pg_temp.row_bytes(a.target) b;
SELECT target AS "table", events, "B/event", "B/row", ratio, rows, missing, unexpected, cardinality(problems) AS problems
FROM reconciled ORDER BY events DESC;

SELECT format('%s events take %s with indexes, %s bytes each; the audited tables %s: ratio %s.',
              events, pg_size_pretty(trail), trail / events, pg_size_pretty(data), round(trail::numeric / data, 2)) AS line
FROM (SELECT count(*) AS events FROM audit.events) e,
     (SELECT sum(pg_total_relation_size(relid))::bigint AS trail FROM pg_partition_tree('audit.events')) t,
     (SELECT sum(pg_total_relation_size(relid))::bigint AS data FROM (SELECT target AS relid FROM audited UNION SELECT p.relid FROM audited, pg_partition_tree(target) p) parts) d \gset
\echo :line
SELECT count(*) > 0 AND bool_and(problems = '{}') AS reconciled FROM reconciled \gset
\if :reconciled
\echo 'Reconciled: every row of every table is what its events make it.'
\else
SELECT target, unnest(problems) AS problem FROM reconciled LIMIT 20;
\endif

\echo
\echo 'THE PROOF of the check: shop.orders reconciled from a trail that was tampered with'
SELECT tampering, problems AS "problems found" FROM reconcile.proof('shop.orders');
\if :reconciled
\else
DO $$ BEGIN RAISE 'the trail does not explain the tables'; END $$;
\endif
