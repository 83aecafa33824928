-- Search: a page of the trail by words, filters and order.
--
-- The statement is put together for every call from the filters that are given, as constants, so that the planner sees
-- which partitions it needs and which order an index has. What filters say about dictionaries (event types, relations,
-- contexts) is looked up in those first, and events are compared by id.

CREATE FUNCTION audit_internal.contains_word(word text, text_1 text, text_2 text, text_3 text, text_4 text,
                            values_1 jsonb, values_2 jsonb, values_3 jsonb) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'audit_contains_word';
COMMENT ON FUNCTION audit_internal.contains_word(text, text, text, text, text, jsonb, jsonb, jsonb) IS
    'Whether one of these texts or objects contains a word, in any case; of objects the values, not their names; internal';

CREATE FUNCTION audit_internal.words(query text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(DISTINCT coalesce(m.word[1], m.word[2])) FROM regexp_matches(query, '"([^"]+)"|(\S+)', 'g') m (word);
END;
COMMENT ON FUNCTION audit_internal.words(text) IS 'The words of a search; double quotes group several to one phrase; internal';

CREATE FUNCTION audit_internal.check_range(since timestamptz, until timestamptz) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF since > until THEN
        RAISE EXCEPTION 'since must not be later than until' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'The range includes since and excludes until.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_range(timestamptz, timestamptz) IS 'Refuses a range of time that is the wrong way round; internal';

CREATE FUNCTION audit_internal.check_choice(argument text, chosen text[], choices text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    SELECT coalesce(quote_literal(c.choice), 'null') INTO wrong
    FROM unnest(chosen) WITH ORDINALITY c (choice, place) WHERE (c.choice = ANY (choices)) IS NOT TRUE ORDER BY c.place LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invalid value % for argument %', wrong, argument USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Valid values are %s.', array_to_string(choices, ', '));
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_choice(text, text[], text[]) IS 'Refuses what is not among the choices; internal';

-- Event types by name. An unknown name is an error: the hint names those that share a part with it.
CREATE FUNCTION audit_internal.event_types_named(events text[]) RETURNS SETOF audit.event_types
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
    near text;
BEGIN
    SELECT coalesce(quote_literal(n.name), 'null'), string_agg(t.name, ', ' ORDER BY t.event_type) INTO wrong, near
    FROM unnest(events) WITH ORDINALITY n (name, place)
    CROSS JOIN LATERAL (SELECT split_part(lower(n.name), '.', 1) AS family, nullif(split_part(lower(n.name), '.', 2), '') AS kind) g
    LEFT JOIN audit.event_types t
      ON split_part(t.name, '.', 1) = g.family OR starts_with(split_part(t.name, '.', 2), left(coalesce(g.kind, nullif(g.family, '')), 4))
    WHERE NOT EXISTS (SELECT FROM audit.event_types k WHERE k.name = n.name)
    GROUP BY n.name, n.place ORDER BY n.place LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event type % does not exist', wrong USING ERRCODE = 'undefined_object',
            HINT = coalesce('Perhaps you meant ' || near || '.', 'audit.event_types lists them.');
    END IF;
    RETURN QUERY SELECT t.* FROM audit.event_types t WHERE t.name = ANY (events);
END;
$$;
COMMENT ON FUNCTION audit_internal.event_types_named(text[]) IS 'Event types by name; internal';

-- A condition on dictionary rows, over the alias d, as one on the events that refer to them, over the alias t. Keys are
-- unique within a node only. Null where more rows fit than a statement should list.
CREATE FUNCTION audit_internal.reference_condition(dictionary regclass, key_column text, condition text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 1000;
    found_rows bigint;
    by_key text;
BEGIN
    EXECUTE format(
        'SELECT coalesce(sum(n.number), 0), string_agg(format(''t.node_id = %%s AND t.%2$I = ANY (%%L)'', n.node_id, n.keys), '' OR '')
         FROM (SELECT f.node_id, array_agg(f.%2$I) AS keys, count(*) AS number
               FROM (SELECT d.node_id, d.%2$I FROM %1$s d WHERE %3$s LIMIT %4$s) f GROUP BY f.node_id) n',
        dictionary, key_column, condition, most + 1) INTO found_rows, by_key;
    RETURN CASE WHEN found_rows = 0 THEN 'false' WHEN found_rows <= most THEN by_key END;
END;
$$;
COMMENT ON FUNCTION audit_internal.reference_condition(regclass, text, text) IS
    'A condition on rows of a dictionary as one on the events that refer to them; internal';

CREATE FUNCTION audit_internal.word_condition(word text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event_types integer[] := ARRAY(SELECT t.event_type FROM audit.event_types t
                                   WHERE audit_internal.contains_word(word, t.name, NULL, NULL, NULL, NULL, NULL, NULL));
    relations text := audit_internal.reference_condition('audit_internal.relations', 'relation_id',
        format('audit_internal.contains_word(%L, d.entity, NULL, NULL, NULL, NULL, NULL, NULL)', word));
    contexts text := audit_internal.reference_condition('audit_internal.contexts', 'context_id',
        format('audit_internal.contains_word(%L, d.actor, d.login, d.reason, NULL, d.statement_parameters, NULL, NULL)', word));
BEGIN
    relations := coalesce(relations, format('audit_internal.contains_word(%L, t.entity, NULL, NULL, NULL, NULL, NULL, NULL)', word));
    contexts := coalesce(contexts, format('audit_internal.contains_word(%L, t.actor, t.login, t.reason, NULL, t.parameters, NULL, NULL)', word));
    RETURN concat_ws(' OR ',
        CASE WHEN event_types <> '{}' THEN format('t.event_type = ANY (%L)', event_types) END,
        CASE WHEN relations <> 'false' THEN format('t.own_entity IS NULL AND (%s)', relations) END,
        CASE WHEN contexts <> 'false' THEN contexts END,
        format('audit_internal.contains_word(%L, t.own_entity, t.entity_id, t.new_entity_id, t.entity_label, t.changes, t.image, t.event_parameters)', word));
END;
$$;
COMMENT ON FUNCTION audit_internal.word_condition(text) IS 'The condition that an event contains a word, over audit_internal.trail_events t; internal';

CREATE FUNCTION audit_internal.context_condition(on_contexts text, on_trail text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- An event that has no context fits no such condition: then the join need not keep it.
    SELECT coalesce(audit_internal.reference_condition('audit_internal.contexts', 'context_id', on_contexts), 't.login IS NOT NULL AND ' || on_trail);
END;
COMMENT ON FUNCTION audit_internal.context_condition(text, text) IS
    'A condition on contexts d as one on events, by their ids or, where they are many, by what audit_internal.trail_events t shows; internal';

-- Conditions over audit_internal.trail_events t: first those on time and category, which choose partitions, then all others.
CREATE FUNCTION audit_internal.search_conditions(query text, since timestamptz, until timestamptz, events text[], categories text[],
                                        actors text[], entity text, entity_id text, trace_id text, results text[],
                                        OUT partitions text[], OUT others text[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event_types integer[];
    own_categories text[];
    word text;
BEGIN
    PERFORM audit_internal.check_range(since, until);
    PERFORM audit_internal.check_choice('categories', categories, '{data,read,security,schema,system,application}');
    PERFORM audit_internal.check_choice('results', results, '{success,failure}');
    partitions := ARRAY[format('t.occurred_at >= %L', since), format('t.occurred_at < %L', until), format('t.category = ANY (%L)', categories)];
    partitions := ARRAY(SELECT c FROM unnest(partitions, ARRAY[since IS NULL, until IS NULL, categories IS NULL]) u (c, is_absent) WHERE NOT is_absent);
    others := '{}';
    IF events IS NOT NULL THEN
        -- The category of a type of our own never changes.
        SELECT coalesce(array_agg(t.event_type), '{}'), CASE WHEN bool_and(t.built_in) THEN array_agg(DISTINCT t.category) END
        INTO event_types, own_categories FROM audit_internal.event_types_named(events) t;
        others := others || format('t.event_type = ANY (%L)', event_types);
        IF own_categories IS NOT NULL THEN
            partitions := partitions || format('t.category = ANY (%L)', own_categories);
        END IF;
    END IF;
    IF results IS NOT NULL THEN
        others := others || format('t.result = ANY (%L)', results);
    END IF;
    IF entity IS NOT NULL THEN
        others := others || format('t.own_entity = %L OR t.own_entity IS NULL AND (%s)', entity,
            coalesce(audit_internal.reference_condition('audit_internal.relations', 'relation_id', format('d.entity = %L', entity)), format('t.entity = %L', entity)));
    END IF;
    IF entity_id IS NOT NULL THEN
        others := others || format('t.entity_id = %1$L OR t.new_entity_id = %1$L', entity_id);
    END IF;
    IF actors IS NOT NULL THEN
        others := others || audit_internal.context_condition(format('coalesce(d.actor, d.login) = ANY (%L)', actors), format('t.actor = ANY (%L)', actors));
    END IF;
    IF trace_id IS NOT NULL THEN
        others := others || audit_internal.context_condition(format('d.trace_id = %L', trace_id), format('t.trace_id = %L', trace_id));
    END IF;
    FOREACH word IN ARRAY coalesce(audit_internal.words(query), '{}') LOOP
        others := others || audit_internal.word_condition(word);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.search_conditions(text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[]) IS
    'The filters of audit.search as conditions over audit_internal.trail_events t; internal';

CREATE FUNCTION audit_internal.sort_key(sort text, OUT sort_column text, OUT sort_type text, OUT is_descending boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(lower(sort), '^\s*([a-z_]+)(?:\s+(asc|desc))?\s*$');
BEGIN
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) INTO sort_column, sort_type
    FROM pg_attribute a WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0 AND a.attname = parts[1];
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
COMMENT ON FUNCTION audit_internal.sort_key(text) IS 'The column, its type and the direction that a sort argument names; internal';

-- What comes after an event in an order: by the value of the sorted column, nulls last, then by id.
CREATE FUNCTION audit_internal.after_condition(after uuid, sort_column text, sort_type text, is_descending boolean) RETURNS text
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
            USING ERRCODE = 'no_data_found', HINT = 'Start again without after: retention may have deleted that event.';
    END IF;
    EXECUTE format('SELECT t.%I::text FROM audit_internal.trail_events t WHERE t.occurred_at = %L AND t.event_id = %L AND t.category = %L',
                   sort_column, last_event.occurred_at, after, last_event.category) INTO last_value;
    RETURN CASE
        WHEN sort_column = 'occurred_at'
        THEN format('t.occurred_at %1$s= %2$L AND (t.occurred_at, t.event_id) %1$s (%2$L, %3$L)', comparison, last_value, after)
        WHEN last_value IS NULL
        THEN format('t.%I IS NULL AND t.event_id %s %L', sort_column, comparison, after)
        ELSE format('t.%1$I %2$s %3$L::%4$s OR t.%1$I IS NULL OR t.%1$I = %3$L::%4$s AND t.event_id %2$s %5$L',
                    sort_column, comparison, last_value, sort_type, after)
    END;
END;
$$;
COMMENT ON FUNCTION audit_internal.after_condition(uuid, text, text, boolean) IS 'The condition of coming after an event in an order; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_reader, may read every event; filters enter the statement as
-- literals and names of columns of audit.trail.
CREATE FUNCTION audit.search(query text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
                             events text[] DEFAULT NULL, categories text[] DEFAULT NULL, actors text[] DEFAULT NULL,
                             entity text DEFAULT NULL, entity_id text DEFAULT NULL, trace_id text DEFAULT NULL,
                             results text[] DEFAULT NULL, sort text DEFAULT 'occurred_at desc', max_rows integer DEFAULT 100,
                             after uuid DEFAULT NULL) RETURNS SETOF audit.trail
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
    condition text;
    oldest timestamptz;
    newest timestamptz;
    nearest timestamptz;
    until_here timestamptz;
    width interval;
    found_rows bigint;
    remaining bigint := max_rows;
BEGIN
    IF max_rows < 0 THEN
        RAISE EXCEPTION 'max_rows must not be negative' USING ERRCODE = 'invalid_parameter_value', HINT = 'Null means all rows.';
    END IF;
    key := audit_internal.sort_key(sort);
    filter := audit_internal.search_conditions(query, since, until, events, categories, actors, entity, entity_id, trace_id, results);
    IF after IS NOT NULL THEN
        filter.partitions := filter.partitions || audit_internal.after_condition(after, key.sort_column, key.sort_type, key.is_descending);
    END IF;
    SELECT string_agg(format('(%s)', c.condition), ' AND ') INTO condition FROM unnest(filter.partitions || filter.others) c (condition);

    -- The fence around a filter makes the planner look for what fits in any way, with several workers, and sort what it
    -- finds. In the order of time alone it goes along the index instead. Times and ids are never null.
    SELECT format('SELECT %s FROM (SELECT t.* FROM audit_internal.trail_events t WHERE %s AND %%s%s) t ORDER BY t.%I %s, t.event_id %s LIMIT %%s',
                  string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum), replace(coalesce(condition, 'true'), '%', '%%'),
                  CASE WHEN filter.others <> '{}' AND key.sort_column = 'occurred_at' THEN ' OFFSET 0' END, key.sort_column,
                  CASE WHEN key.is_descending THEN 'DESC' ELSE 'ASC' END
                      || CASE WHEN key.sort_column IN ('occurred_at', 'event_id') THEN '' ELSE ' NULLS LAST' END,
                  CASE WHEN key.is_descending THEN 'DESC' ELSE 'ASC' END)
    INTO statement FROM pg_attribute a WHERE a.attrelid = 'audit.trail'::regclass AND a.attnum > 0;

    IF key.sort_column <> 'occurred_at' OR max_rows IS NULL THEN
        RETURN QUERY EXECUTE format(statement, 'true', coalesce(remaining::text, 'ALL'));
        RETURN;
    END IF;
    -- In the order of time a page is mostly found near its beginning: look there first, then four times as far, and so on.
    EXECUTE format('SELECT min(t.occurred_at), max(t.occurred_at) FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) t WHERE %s',
                   coalesce((SELECT string_agg(format('(%s)', c.condition), ' AND ') FROM unnest(filter.partitions) c (condition)), 'true'))
    INTO oldest, newest;
    nearest := CASE WHEN key.is_descending THEN newest ELSE oldest END;
    width := greatest((newest - oldest) / 4096, interval '1 second');
    WHILE remaining > 0 AND nearest IS NOT NULL LOOP
        until_here := CASE WHEN key.is_descending THEN nearest - width ELSE nearest + width END;
        IF until_here NOT BETWEEN oldest AND newest THEN
            until_here := NULL;
        END IF;
        RETURN QUERY EXECUTE format(statement,
            format(CASE WHEN key.is_descending THEN 't.occurred_at <= %L' ELSE 't.occurred_at >= %L' END, nearest)
                || coalesce(CASE WHEN key.is_descending THEN ' AND t.occurred_at > ' ELSE ' AND t.occurred_at < ' END || quote_literal(until_here), ''),
            remaining);
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        remaining := remaining - found_rows;
        nearest := until_here;
        width := width * 4;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.search(text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[], text, integer, uuid) IS
    'A page of the trail: every word of query is in the event, its entity, key, label, actor, reason or values, and every filter holds';
