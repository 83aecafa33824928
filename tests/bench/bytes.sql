-- Bytes of an update event of one column: one statement, one actor, trace and reason. psql variables: prefix, rows.
SET audit.actor = 'ann@example.org';
SET audit.trace_id = '4bf92f3577b34da6a3ce929d0e0e4736';
SET audit.reason = 'credit raised on request';
SELECT bench.trail_bytes() AS before \gset
UPDATE single SET credit = credit + 1;
SELECT :'prefix', 'bytes in one transaction', (bench.trail_bytes() - :before) / :rows;
