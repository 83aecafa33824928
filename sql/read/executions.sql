-- Runs of flows, jobs and queries, and the errors that applications report.

-- Contexts have the trace and, in the upper bits of their key, the hour in which their first event was
-- written: partitions of earlier hours are not read. SECURITY DEFINER is safe here: its callers, members of
-- audit_reader, may read every event; the trace is compared as text.
CREATE FUNCTION audit.execution(trace_id text)
RETURNS TABLE (
    event_id uuid,
    occurred_at timestamptz,
    part text,
    event text,
    run_id text,
    name text,
    kind text,
    path text,
    attempt integer,
    entity text,
    entity_id text,
    result text,
    duration interval,
    inputs jsonb,
    outputs jsonb,
    old_values jsonb,
    new_values jsonb,
    error text,
    message text,
    stack text,
    actor text,
    summary text
)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text := trace_id;
    context_ids bigint[];
    began_at timestamptz;
    parameterized CONSTANT integer[] := audit_internal.event_types(
        'execution.started', 'execution.step', 'execution.finished', 'execution.failed', 'function.call',
        'error.reported');
BEGIN
    IF coalesce(wanted, '') = '' THEN
        RAISE EXCEPTION 'trace_id must not be null or empty'
            USING ERRCODE = CASE WHEN wanted IS NULL THEN 'null_value_not_allowed'
                                 ELSE 'invalid_parameter_value' END,
                  HINT = 'Pass the trace_id that the run set; audit.trail shows it.';
    END IF;
    SELECT array_agg(c.context_id),
           min(timestamptz '2000-01-01 00:00:00+00' + (c.context_id >> 40) * interval '1 hour')
               - interval '1 hour'
    INTO context_ids, began_at
    FROM audit_internal.contexts c WHERE c.trace_id = wanted;

    RETURN QUERY
    SELECT e.event_id,
           e.occurred_at,
           CASE WHEN e.event IN ('execution.started', 'execution.finished', 'execution.failed') THEN 'run'
                WHEN e.event = 'execution.step' THEN 'step'
                WHEN e.event = 'error.reported' THEN 'error'
                WHEN e.category = 'data' THEN 'change'
                ELSE 'event' END,
           e.event,
           p.given->>'id',
           p.given->>'name',
           p.given->>'kind',
           p.given->>'path',
           audit_internal.parameter_number(p.given, 'attempt')::integer,
           e.entity,
           e.entity_id,
           e.result,
           -- A run without duration_ms began with its execution.started.
           coalesce(
               audit_internal.parameter_number(p.given, 'duration_ms')::float8 * interval '1 millisecond',
               CASE WHEN e.event IN ('execution.finished', 'execution.failed')
                    THEN e.occurred_at - max(e.occurred_at) FILTER (WHERE e.event = 'execution.started')
                        OVER (PARTITION BY p.given->>'id' ORDER BY e.occurred_at, e.event_id) END),
           p.given->'inputs',
           p.given->'outputs',
           e.old_values,
           e.new_values,
           p.given->>'error',
           p.given->>'message',
           p.given->>'stack',
           e.actor,
           e.summary
    FROM audit_internal.trail_events e
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.event_type = ANY (parameterized) THEN e.event_parameters END AS given
    ) p
    WHERE e.trace_id = wanted AND e.context_id = ANY (context_ids) AND e.occurred_at >= began_at
    ORDER BY e.occurred_at, e.event_id;
END;
$$;
COMMENT ON FUNCTION audit.execution(text) IS
    'A run in order: its start, steps, changes of data, errors and end, and all other events of its trace';

-- Equal errors differ in numbers, addresses and identifiers: a fingerprint leaves those out.
CREATE FUNCTION audit_internal.stack_fingerprint(stack text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT left(encode(sha256(convert_to(
        regexp_replace(regexp_replace(regexp_replace(regexp_replace(stack,
            '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '#', 'gi'),
            '(0x|@)[0-9a-f]+', '#', 'gi'),
            '[0-9]+', '#', 'g'),
            '\s+', ' ', 'g'), 'UTF8')), 'hex'), 16);
END;
COMMENT ON FUNCTION audit_internal.stack_fingerprint(text) IS
    'A digest of a stack without its numbers, addresses and identifiers; internal';

CREATE VIEW audit.error_groups AS
SELECT g.fingerprint,
       (array_agg(g.event ORDER BY g.occurred_at DESC, g.event_id DESC))[1] AS event,
       (array_agg(g.parameters->>'error' ORDER BY g.occurred_at DESC, g.event_id DESC))[1] AS error,
       (array_agg(g.parameters->>'message' ORDER BY g.occurred_at DESC, g.event_id DESC))[1] AS message,
       (array_agg(g.stack ORDER BY g.occurred_at DESC, g.event_id DESC))[1] AS stack,
       count(*) AS events,
       count(DISTINCT g.actor) AS actors,
       count(DISTINCT g.trace_id) AS traces,
       min(g.occurred_at) AS first_at,
       max(g.occurred_at) AS last_at,
       (array_agg(g.event_id ORDER BY g.occurred_at DESC, g.event_id DESC))[1] AS last_event_id
FROM (
    SELECT e.event_id, e.occurred_at, e.event, e.actor, e.trace_id,
           e.event_parameters AS parameters,
           e.event_parameters->>'stack' AS stack,
           audit_internal.stack_fingerprint(e.event_parameters->>'stack') AS fingerprint
    FROM audit_internal.trail_events e
    WHERE e.category = 'application' AND e.event_parameters->>'stack' <> ''
) g
GROUP BY g.fingerprint;
COMMENT ON VIEW audit.error_groups IS 'Errors recorded with a stack, one row per place of origin';
COMMENT ON COLUMN audit.error_groups.fingerprint IS
    'Digest of the stack without its numbers, addresses and identifiers';
COMMENT ON COLUMN audit.error_groups.event IS 'Event type of the latest error';
COMMENT ON COLUMN audit.error_groups.error IS 'Class or code of the latest error';
COMMENT ON COLUMN audit.error_groups.message IS 'Message of the latest error';
COMMENT ON COLUMN audit.error_groups.stack IS 'Stack of the latest error';
COMMENT ON COLUMN audit.error_groups.events IS 'Number of errors';
COMMENT ON COLUMN audit.error_groups.actors IS 'Number of actors with such an error';
COMMENT ON COLUMN audit.error_groups.traces IS 'Number of traces with such an error';
COMMENT ON COLUMN audit.error_groups.first_at IS 'Time of the oldest error';
COMMENT ON COLUMN audit.error_groups.last_at IS 'Time of the latest error';
COMMENT ON COLUMN audit.error_groups.last_event_id IS 'The event of the latest error, as in audit.trail';
