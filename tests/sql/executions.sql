-- Runs of flows, jobs and queries with their steps, data changes and errors, joined by their trace.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA flow;
CREATE TABLE flow.customer (id integer PRIMARY KEY, credit numeric);
SELECT audit.enable('flow.customer');
SELECT p.data_type, count(*) FROM audit.event_parameters p JOIN audit.event_types t USING (event_type)
WHERE t.name ~ '^(execution|error)\.' GROUP BY p.data_type ORDER BY p.data_type;

-- A run as an orchestrator records it: each part in a transaction of its own.
SET audit.trace_id = 'run-1';
SET audit.actor = 'scheduler';
SELECT audit.record('execution.started', '{"name": "nightly", "kind": "flow", "id": "r1", "path": "flows/nightly.py", "attempt": 2, "inputs": {"day": "2026-01-31"}}', 'nightly') IS NOT NULL AS ok;
SELECT audit.record('execution.step', '{"name": "extract", "id": "r1", "duration_ms": 12.5, "outputs": {"rows": 2}}', 'nightly') IS NOT NULL AS ok;
INSERT INTO flow.customer VALUES (1, 10);
UPDATE flow.customer SET credit = 20;
SELECT audit.record('execution.step', '{"name": "load", "id": "r1", "duration_ms": "1500", "error": "ValueError", "message": "bad row 17", "stack": "load.py, line 17\n  at 0x7f3a"}', 'nightly', result => 'failure') IS NOT NULL AS ok;
SELECT audit.record('error.reported', '{"message": "bad row 18", "error": "ValueError", "stack": "load.py, line 18\n  at 0x7f3b", "id": "r1", "details": {"row": 18}}') IS NOT NULL AS ok;
SELECT audit.record('execution.failed', '{"name": "nightly", "id": "r1", "error": "ValueError", "message": "bad row 17"}', 'nightly') IS NOT NULL AS ok;
SET audit.trace_id = 'run-2';
SELECT audit.record('execution.started', '{"name": "other"}') IS NOT NULL AS ok;
SELECT audit.record('execution.finished', '{"duration_ms": 3, "outputs": [1]}') IS NOT NULL AS ok;
RESET audit.trace_id;
RESET audit.actor;

SELECT part, event, run_id, name, kind, path, attempt, entity, entity_id, result, actor FROM audit.execution('run-1');
SELECT name, inputs, outputs, old_values, new_values, error, message, stack FROM audit.execution('run-1');
-- Said, or from the start of the run to its end.
SELECT part, name, CASE WHEN part = 'run' THEN (duration >= '0')::text ELSE duration::text END AS duration FROM audit.execution('run-1');
SELECT part, event, duration, outputs FROM audit.execution('run-2');
SELECT count(*) FROM audit.execution('no such run');
SELECT * FROM audit.execution(NULL);
SELECT * FROM audit.execution('');
\echo :SQLSTATE
-- What failed is a failure, whatever the caller says.
SELECT event, result FROM audit.trail WHERE trace_id = 'run-1' AND event IN ('execution.failed', 'error.reported') ORDER BY event;
-- Declared: what is missing or of another kind is refused.
SELECT audit.record('execution.started', '{"kind": "flow"}');
SELECT audit.record('execution.step', '{"name": "x", "duration_ms": "soon"}');
SELECT audit.record('error.reported', '{"stack": "x"}');
SELECT audit.record('execution.started', '{"name": "x", "inputs": 5, "colour": 1}');
-- Numbers that are beyond an interval break no listing.
SET audit.trace_id = 'run-3';
SELECT audit.record('execution.finished', '{"duration_ms": "NaN"}') IS NOT NULL AS ok;
SELECT audit.record('execution.finished', '{"duration_ms": 1e200, "attempt": -1}') IS NOT NULL AS ok;
RESET audit.trace_id;
SELECT event, duration, attempt FROM audit.execution('run-3');

-- Errors by where they come from: numbers, addresses and identifiers do not tell them apart.
SELECT audit_internal.stack_fingerprint(E'a.py, line 1\n at 0x7F00') = audit_internal.stack_fingerprint(E'a.py, line 22\n  at 0xabc1') AS numbers,
       audit_internal.stack_fingerprint('Order@1a2b 00000000-0000-7000-8000-000000000000') = audit_internal.stack_fingerprint('Order@ffff 0123ABCD-0000-7000-8000-00000000000a') AS identifiers,
       audit_internal.stack_fingerprint('a.py, line 1') = audit_internal.stack_fingerprint('b.py, line 1') AS files,
       audit_internal.stack_fingerprint(NULL) AS nothing;
SELECT audit.define_event_type('page.crashed', parameters => '{"stack": "text", "message": "text"}');
SELECT audit.record('page.crashed', '{"stack": "main.js:10:5", "message": "first"}') IS NOT NULL AS ok;
SELECT audit.record('page.crashed', '{"stack": "main.js:12:7", "message": "second"}') IS NOT NULL AS ok;
SELECT audit.record('page.crashed', '{"message": "without a stack"}') IS NOT NULL AS ok;
SELECT event, error, message, stack, events, actors, traces, first_at <= last_at AS ordered,
       last_event_id = (SELECT max(t.event_id::text)::uuid FROM audit.trail t WHERE t.parameters->>'message' = g.message) AS is_latest
FROM audit.error_groups g ORDER BY events DESC, event;
DROP SCHEMA flow CASCADE;
