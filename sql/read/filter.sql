-- The filters of audit.search as conditions, checked, with what they name in dictionaries looked up.

-- Conditions over audit_internal.trail_events t: those on time and category, which choose partitions, apart
-- from all others.
CREATE FUNCTION audit_internal.search_conditions(
    query text,
    since timestamptz,
    until timestamptz,
    events text[],
    categories text[],
    actors text[],
    entity text,
    entity_id text,
    trace_id text,
    results text[],
    OUT partitions text[],
    OUT others text[]
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event_types integer[];
    type_categories text[];
    word text;
BEGIN
    PERFORM audit_internal.check_range(since, until);
    PERFORM audit_internal.check_choice('categories', categories, audit_internal.categories());
    PERFORM audit_internal.check_choice('results', results, '{success,failure}');
    -- A condition on a null filter is null.
    partitions := array_remove(ARRAY[
        't.occurred_at >= ' || quote_literal(since),
        't.occurred_at < ' || quote_literal(until),
        't.category = ANY (' || quote_literal(categories) || ')'], NULL);
    others := '{}';
    IF events IS NOT NULL THEN
        -- The category of a built-in type never changes.
        SELECT coalesce(array_agg(t.event_type), '{}'),
               CASE WHEN bool_and(t.built_in) THEN array_agg(DISTINCT t.category) END
        INTO event_types, type_categories
        FROM audit_internal.event_types_named(events) t;
        others := others || format('t.event_type = ANY (%L)', event_types);
        IF type_categories IS NOT NULL THEN
            partitions := partitions || format('t.category = ANY (%L)', type_categories);
        END IF;
    END IF;
    IF results IS NOT NULL THEN
        others := others || format('t.result = ANY (%L)', results);
    END IF;
    IF entity IS NOT NULL THEN
        others := others || audit_internal.entity_condition(entity);
    END IF;
    IF entity_id IS NOT NULL THEN
        others := others || format('t.entity_id = %1$L OR t.new_entity_id = %1$L', entity_id);
    END IF;
    IF actors IS NOT NULL THEN
        others := others || audit_internal.context_condition(
            format('coalesce(d.actor, d.login) = ANY (%L)', actors), format('t.actor = ANY (%L)', actors));
    END IF;
    IF trace_id IS NOT NULL THEN
        others := others || audit_internal.context_condition(
            format('d.trace_id = %L', trace_id), format('t.trace_id = %L', trace_id));
    END IF;
    FOREACH word IN ARRAY coalesce(audit_internal.words(query), '{}') LOOP
        others := others || audit_internal.word_condition(word);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.search_conditions(
    text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[]
) IS
    'The filters of audit.search as conditions over audit_internal.trail_events t; internal';

-- Event types by name. An unknown name is an error: the hint names those that share a part with it.
CREATE FUNCTION audit_internal.event_types_named(events text[]) RETURNS SETOF audit.event_types
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
    near text;
BEGIN
    SELECT coalesce(quote_literal(n.name), 'null'), string_agg(t.name, ', ' ORDER BY t.event_type)
    INTO wrong, near
    FROM unnest(events) WITH ORDINALITY n (name, place)
    CROSS JOIN LATERAL (
        SELECT split_part(lower(n.name), '.', 1) AS object,
               nullif(split_part(lower(n.name), '.', 2), '') AS verb
    ) p
    LEFT JOIN audit.event_types t
           ON split_part(t.name, '.', 1) = p.object
           OR starts_with(split_part(t.name, '.', 2), left(coalesce(p.verb, nullif(p.object, '')), 4))
    WHERE NOT EXISTS (SELECT FROM audit.event_types k WHERE k.name = n.name)
    GROUP BY n.name, n.place
    ORDER BY n.place LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event type % does not exist', wrong
            USING ERRCODE = 'undefined_object',
                  HINT = coalesce('Perhaps you meant ' || near || '.', 'audit.event_types lists them.');
    END IF;
    RETURN QUERY SELECT t.* FROM audit.event_types t WHERE t.name = ANY (events);
END;
$$;
COMMENT ON FUNCTION audit_internal.event_types_named(text[]) IS 'Event types by name; internal';

CREATE FUNCTION audit_internal.entity_condition(entity text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relations text := coalesce(
        audit_internal.reference_condition(
            'audit_internal.relations', 'relation_id', format('d.entity = %L', entity)),
        format('t.entity = %L', entity));
BEGIN
    RETURN format('t.own_entity = %L OR t.own_entity IS NULL AND (%s)', entity, relations);
END;
$$;
COMMENT ON FUNCTION audit_internal.entity_condition(text) IS
    'The condition that an event concerns an entity, over audit_internal.trail_events t; internal';

CREATE FUNCTION audit_internal.context_condition(on_contexts text, on_trail text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An event without a context never matches: login IS NOT NULL lets the planner make the outer join an
    -- inner one.
    RETURN coalesce(
        audit_internal.reference_condition('audit_internal.contexts', 'context_id', on_contexts),
        't.login IS NOT NULL AND ' || on_trail);
END;
$$;
COMMENT ON FUNCTION audit_internal.context_condition(text, text) IS
    'A condition on contexts d as one on events: by their keys, or as the second condition, over '
    'audit_internal.trail_events t, where the keys are many; internal';

CREATE FUNCTION audit_internal.word_condition(word text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event_types integer[] := ARRAY(
        SELECT t.event_type FROM audit.event_types t
        WHERE audit_internal.contains_word(word, t.name, NULL, NULL, NULL, NULL, NULL, NULL));
    in_relation CONSTANT text :=
        'audit_internal.contains_word(%L, %s.entity, NULL, NULL, NULL, NULL, NULL, NULL)';
    in_context CONSTANT text :=
        'audit_internal.contains_word(%L, %s.actor, %2$s.login, %2$s.reason, NULL, %2$s.%s, NULL, NULL)';
    relations text := coalesce(
        audit_internal.reference_condition(
            'audit_internal.relations', 'relation_id', format(in_relation, word, 'd')),
        format(in_relation, word, 't'));
    contexts text := coalesce(
        audit_internal.reference_condition(
            'audit_internal.contexts', 'context_id', format(in_context, word, 'd', 'statement_parameters')),
        format(in_context, word, 't', 'parameters'));
BEGIN
    RETURN concat_ws(' OR ',
        CASE WHEN event_types <> '{}' THEN format('t.event_type = ANY (%L)', event_types) END,
        CASE WHEN relations <> 'false' THEN format('t.own_entity IS NULL AND (%s)', relations) END,
        CASE WHEN contexts <> 'false' THEN contexts END,
        format('audit_internal.contains_word(%L, t.own_entity, t.entity_id, t.new_entity_id, t.entity_label,
                                             t.changes, t.image, t.event_parameters)', word));
END;
$$;
COMMENT ON FUNCTION audit_internal.word_condition(text) IS
    'The condition that an event contains a word, over audit_internal.trail_events t; internal';

-- A condition on dictionary rows, over the alias d, as one on the events that refer to them, over the alias
-- t. Keys are unique within a node only. Null where more rows match than a statement should list.
CREATE FUNCTION audit_internal.reference_condition(
    dictionary regclass,
    key_column text,
    condition text
) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 1000;
    found_rows bigint;
    by_key text;
BEGIN
    EXECUTE format(
        'SELECT coalesce(sum(n.number), 0),
                string_agg(format(''t.node_id = %%s AND t.%2$I = ANY (%%L)'', n.node_id, n.keys), '' OR '')
         FROM (
             SELECT f.node_id, array_agg(f.%2$I) AS keys, count(*) AS number
             FROM (SELECT d.node_id, d.%2$I FROM %1$s d WHERE %3$s LIMIT %4$s) f
             GROUP BY f.node_id
         ) n',
        dictionary, key_column, condition, most + 1) INTO found_rows, by_key;
    RETURN CASE WHEN found_rows = 0 THEN 'false' WHEN found_rows <= most THEN by_key END;
END;
$$;
COMMENT ON FUNCTION audit_internal.reference_condition(regclass, text, text) IS
    'A condition on rows of a dictionary as one on the events that refer to them; internal';

CREATE FUNCTION audit_internal.words(query text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(DISTINCT coalesce(m.word[1], m.word[2]))
    FROM regexp_matches(query, '"([^"]+)"|(\S+)', 'g') m (word);
END;
COMMENT ON FUNCTION audit_internal.words(text) IS
    'The words of a search, where double quotes enclose a phrase; internal';

CREATE FUNCTION audit_internal.contains_word(
    word text,
    text_1 text,
    text_2 text,
    text_3 text,
    text_4 text,
    values_1 jsonb,
    values_2 jsonb,
    values_3 jsonb
) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'audit_contains_word';
COMMENT ON FUNCTION audit_internal.contains_word(text, text, text, text, text, jsonb, jsonb, jsonb) IS
    'Whether a word is in one of these texts, or in a value of one of these documents, without regard to '
    'case; internal';

CREATE FUNCTION audit_internal.check_range(since timestamptz, until timestamptz) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF since > until THEN
        RAISE EXCEPTION 'since must not be later than until'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The range includes since and excludes until.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_range(timestamptz, timestamptz) IS
    'Raises an error for a time range that ends before it starts; internal';

CREATE FUNCTION audit_internal.check_choice(argument text, chosen text[], choices text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    SELECT coalesce(quote_literal(c.choice), 'null') INTO wrong
    FROM unnest(chosen) WITH ORDINALITY c (choice, place)
    WHERE (c.choice = ANY (choices)) IS NOT TRUE
    ORDER BY c.place LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invalid value % for argument %', wrong, argument
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Valid values are %s.', array_to_string(choices, ', '));
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_choice(text, text[], text[]) IS
    'Raises an error for a value that is not among the choices; internal';
