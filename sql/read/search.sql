-- Search: a page of the trail by words, filters and order.
--
-- The statement is composed for each call, with the filters as constants, so that the planner sees which
-- partitions it needs and which index has the order. Filters on dictionaries (event types, relations,
-- contexts) are looked up there first; events are then compared by key.

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; filters enter
-- the statement as literals and as names of columns of audit.trail.
CREATE FUNCTION audit.search(
    query text DEFAULT NULL,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    events text[] DEFAULT NULL,
    categories text[] DEFAULT NULL,
    actors text[] DEFAULT NULL,
    entity text DEFAULT NULL,
    entity_id text DEFAULT NULL,
    trace_id text DEFAULT NULL,
    results text[] DEFAULT NULL,
    sort text DEFAULT 'occurred_at desc',
    max_rows integer DEFAULT 100,
    after uuid DEFAULT NULL
) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SECURITY DEFINER
SET jit = off
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    key record;
    filter record;
    statement text;
BEGIN
    IF max_rows < 0 THEN
        RAISE EXCEPTION 'max_rows must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Null means all rows.';
    END IF;
    key := audit_internal.sort_key(sort);
    filter := audit_internal.search_conditions(
        query, since, until, events, categories, actors, entity, entity_id, trace_id, results);
    IF after IS NOT NULL THEN
        filter.partitions := filter.partitions
            || audit_internal.after_condition(after, key.sort_column, key.sort_type, key.is_descending);
    END IF;
    statement := audit_internal.search_statement(
        filter.partitions, filter.others, key.sort_column, key.is_descending);

    IF key.sort_column <> 'occurred_at' OR max_rows IS NULL THEN
        RETURN QUERY EXECUTE format(statement, 'true', coalesce(max_rows::text, 'ALL'));
    ELSE
        RETURN QUERY SELECT t.*
        FROM audit_internal.search_in_time_order(statement, filter.partitions, key.is_descending, max_rows) t;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.search(
    text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[], text, integer, uuid
) IS
    'A page of the trail: the events that match every filter and contain every word of query in entity, '
    'key, label, actor, reason, event or values';

-- A format of the statement: its arguments are a condition on the time and the number of rows.
CREATE FUNCTION audit_internal.search_statement(
    partitions text[],
    others text[],
    sort_column text,
    is_descending boolean
) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    direction CONSTANT text := CASE WHEN is_descending THEN 'DESC' ELSE 'ASC' END;
BEGIN
    -- OFFSET 0 around a filter makes the planner search by any index, with several workers, and sort the
    -- result. In the order of time alone it scans the index of the time instead. Times and ids are never
    -- null.
    RETURN format(
        'SELECT %s
         FROM (SELECT t.* FROM audit_internal.trail_events t WHERE %s AND %%s%s) t
         ORDER BY t.%I %s%s, t.event_id %s
         LIMIT %%s',
        audit_internal.trail_columns('t'),
        replace(audit_internal.all_of(partitions || others), '%', '%%'),
        CASE WHEN others <> '{}' AND sort_column = 'occurred_at' THEN ' OFFSET 0' END,
        sort_column,
        direction,
        CASE WHEN sort_column NOT IN ('occurred_at', 'event_id') THEN ' NULLS LAST' END,
        direction);
END;
$$;
COMMENT ON FUNCTION audit_internal.search_statement(text[], text[], text, boolean) IS
    'The statement of audit.search, a format of a condition on the time and a limit; internal';

-- In the order of time a page is mostly near its start: the first statement reads a small time range there,
-- the next one a range four times as wide, and so on.
CREATE FUNCTION audit_internal.search_in_time_order(
    statement text,
    partitions text[],
    is_descending boolean,
    max_rows integer
) RETURNS SETOF audit.trail
LANGUAGE plpgsql STABLE
SET jit = off
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    oldest timestamptz;
    newest timestamptz;
    range_start timestamptz;
    range_end timestamptz;
    width interval;
    time_range text;
    found_rows bigint;
    remaining bigint := max_rows;
BEGIN
    EXECUTE format(
        'SELECT min(t.occurred_at), max(t.occurred_at) FROM audit_internal.stored_events t WHERE %s',
        audit_internal.all_of(partitions)) INTO oldest, newest;
    range_start := CASE WHEN is_descending THEN newest ELSE oldest END;
    width := greatest((newest - oldest) / 4096, interval '1 second');
    WHILE remaining > 0 AND range_start IS NOT NULL LOOP
        range_end := CASE WHEN is_descending THEN range_start - width ELSE range_start + width END;
        IF range_end NOT BETWEEN oldest AND newest THEN
            range_end := NULL;
        END IF;
        time_range := format(
            CASE WHEN is_descending THEN 't.occurred_at <= %L' ELSE 't.occurred_at >= %L' END, range_start);
        IF range_end IS NOT NULL THEN
            time_range := time_range || format(
                CASE WHEN is_descending THEN ' AND t.occurred_at > %L' ELSE ' AND t.occurred_at < %L' END,
                range_end);
        END IF;
        RETURN QUERY EXECUTE format(statement, time_range, remaining);
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        remaining := remaining - found_rows;
        range_start := range_end;
        width := width * 4;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.search_in_time_order(text, text[], boolean, integer) IS
    'A page of audit.search in the order of time; internal';

CREATE FUNCTION audit_internal.all_of(conditions text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(string_agg(format('(%s)', c.condition), ' AND '), 'true')
    FROM unnest(conditions) c (condition);
END;
COMMENT ON FUNCTION audit_internal.all_of(text[]) IS 'The condition that all conditions hold; internal';

CREATE FUNCTION audit_internal.sort_key(
    sort text,
    OUT sort_column text,
    OUT sort_type text,
    OUT is_descending boolean
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(lower(sort), '^\s*([a-z_]+)(?:\s+(asc|desc))?\s*$');
BEGIN
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) INTO sort_column, sort_type
    FROM pg_attribute a
    WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0 AND a.attname = parts[1];
    IF NOT FOUND THEN
        RAISE EXCEPTION 'cannot sort by %', coalesce(quote_literal(sort), 'null')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Name one column, followed by asc or desc: %s.',
                                (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
                                 WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0));
    END IF;
    is_descending := parts[2] = 'desc' IS TRUE;
END;
$$;
COMMENT ON FUNCTION audit_internal.sort_key(text) IS
    'The column, its type and the direction that a sort argument names; internal';

-- The order is by the value of the sorted column, nulls last, then by id.
CREATE FUNCTION audit_internal.after_condition(
    after uuid,
    sort_column text,
    sort_type text,
    is_descending boolean
) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
AS $$
DECLARE
    last_event audit.events := audit_internal.event_at(after);
    last_value text;
    comparison text := CASE WHEN is_descending THEN '<' ELSE '>' END;
BEGIN
    IF last_event.event_id IS NULL THEN
        RAISE EXCEPTION 'event % given as after does not exist', after
            USING ERRCODE = 'no_data_found',
                  HINT = 'Start again without after: retention may have deleted that event.';
    END IF;
    EXECUTE format(
        'SELECT t.%I::text FROM audit_internal.trail_events t
         WHERE t.occurred_at = %L AND t.event_id = %L AND t.category = %L',
        sort_column, last_event.occurred_at, after, last_event.category) INTO last_value;
    RETURN CASE
        WHEN sort_column = 'occurred_at'
        THEN format('t.occurred_at %1$s= %2$L AND (t.occurred_at, t.event_id) %1$s (%2$L, %3$L)',
                    comparison, last_value, after)
        WHEN last_value IS NULL
        THEN format('t.%I IS NULL AND t.event_id %s %L', sort_column, comparison, after)
        ELSE format('t.%1$I %2$s %3$L::%4$s OR t.%1$I IS NULL
                     OR t.%1$I = %3$L::%4$s AND t.event_id %2$s %5$L',
                    sort_column, comparison, last_value, sort_type, after)
    END;
END;
$$;
COMMENT ON FUNCTION audit_internal.after_condition(uuid, text, text, boolean) IS
    'The condition of following an event in an order; internal';
