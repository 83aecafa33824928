-- Runs of flows, jobs and queries, and the errors that applications report.

-- Contexts know the trace, and the hour inside their ids is when the first of their events was written:
-- partitions before it are not read.
-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; the trace is compared as text.
CREATE FUNCTION audit.execution(trace_id text)
RETURNS TABLE (event_id uuid, occurred_at timestamptz, part text, event text, run_id text, name text, kind text, path text,
               attempt integer, entity text, entity_id text, result text, duration interval, inputs jsonb, outputs jsonb,
               old_values jsonb, new_values jsonb, error text, message text, stack text, actor text, summary text)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text := trace_id;
    context_ids bigint[];
    began_at timestamptz;
BEGIN
    IF coalesce(wanted, '') = '' THEN
        RAISE EXCEPTION 'trace_id must not be null or empty'
            USING ERRCODE = CASE WHEN wanted IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'Pass the trace_id that the run set; audit.trail shows it.';
    END IF;
    SELECT array_agg(c.context_id),
           min(timestamptz '2000-01-01 00:00:00+00' + ((c.context_id >> 40) * interval '1 hour')) - interval '1 hour'
    INTO context_ids, began_at FROM audit_internal.contexts c WHERE c.trace_id = wanted;

    RETURN QUERY
    SELECT e.event_id, e.occurred_at,
           CASE WHEN e.event_type IN (120, 122, 123) THEN 'run' WHEN e.event_type = 121 THEN 'step' WHEN e.event_type = 125 THEN 'error'
                WHEN e.category = 'data' THEN 'change' ELSE 'event' END,
           e.event, p.given->>'id', p.given->>'name', p.given->>'kind', p.given->>'path',
           audit_internal.parameter_number(p.given, 'attempt')::integer, e.entity, e.entity_id, e.result,
           -- A run that does not say how long it took began with its execution.started.
           coalesce(audit_internal.parameter_number(p.given, 'duration_ms')::double precision * interval '1 millisecond',
                    CASE WHEN e.event_type IN (122, 123)
                         THEN e.occurred_at - max(e.occurred_at) FILTER (WHERE e.event_type = 120)
                              OVER (PARTITION BY p.given->>'id' ORDER BY e.occurred_at, e.event_id) END),
           p.given->'inputs', p.given->'outputs', e.old_values, e.new_values,
           p.given->>'error', p.given->>'message', p.given->>'stack', e.actor, e.summary
    FROM audit_internal.trail_events e
    CROSS JOIN LATERAL (SELECT CASE WHEN e.event_type BETWEEN 120 AND 125 THEN e.event_parameters END AS given) p
    WHERE e.trace_id = wanted AND e.context_id = ANY (context_ids) AND e.occurred_at >= began_at
    ORDER BY e.occurred_at, e.event_id;
END;
$$;
COMMENT ON FUNCTION audit.execution(text) IS
    'One run in order: its start, steps, data changes, errors and end, and whatever else was done under its trace';

-- Where an error came from, whatever the order number, the address of an object or the line: equal fingerprints, one group.
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
    'What stacks of the same error have in common: a digest of the stack without its numbers, addresses and identifiers';

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
FROM (SELECT e.event_id, e.occurred_at, e.event, e.actor, e.trace_id, e.event_parameters AS parameters,
             e.event_parameters->>'stack' AS stack, audit_internal.stack_fingerprint(e.event_parameters->>'stack') AS fingerprint
      FROM audit_internal.trail_events e
      WHERE e.category = 'application' AND e.event_parameters->>'stack' <> '') g
GROUP BY g.fingerprint;
COMMENT ON VIEW audit.error_groups IS 'Errors that applications recorded with a stack, one row for those that come from the same place';
COMMENT ON COLUMN audit.error_groups.message IS 'What the latest of them says';
COMMENT ON COLUMN audit.error_groups.stack IS 'The stack of the latest of them';
COMMENT ON COLUMN audit.error_groups.actors IS 'How many actors met it';
