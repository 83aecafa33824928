-- Event types that applications define, and events of these types that they record.

CREATE FUNCTION audit.record(
    event text,
    parameters jsonb DEFAULT '{}',
    entity text DEFAULT NULL,
    entity_id text DEFAULT NULL,
    result text DEFAULT 'success',
    autonomous boolean DEFAULT false
) RETURNS uuid
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_record';
COMMENT ON FUNCTION audit.record(text, jsonb, text, text, text, boolean) IS
    'Records an event of the application in the current transaction and returns its id; parameters are '
    'checked against their declarations';

-- SECURITY DEFINER is safe here: only audit_admin may execute it; it writes event types and their parameters,
-- and nothing else.
CREATE FUNCTION audit.define_event_type(
    name text,
    category text DEFAULT 'application',
    risk text DEFAULT 'low',
    parameters jsonb DEFAULT '{}',
    description text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    document jsonb;
    definition audit.event_types;
    previous audit.event_types;
    previous_document jsonb;
BEGIN
    PERFORM audit_internal.check_event_type(name, category, risk, parameters);
    document := jsonb_strip_nulls(jsonb_build_object(
        'category', category,
        'risk', risk,
        'description', description,
        'parameters', audit_internal.parameter_declarations(parameters)));
    -- Applications define their event types at each start: without a change there is no lock and no event.
    IF EXISTS (SELECT FROM audit.event_types t
               WHERE t.name = define_event_type.name
                 AND audit_internal.event_type_document(t.event_type) = document) THEN
        RETURN;
    END IF;

    PERFORM audit_internal.lock('event_types');
    SELECT t.* INTO previous FROM audit.event_types t WHERE t.name = define_event_type.name;
    previous_document := audit_internal.event_type_document(previous.event_type);
    IF previous.category <> category THEN
        PERFORM audit_internal.check_unused(previous);
    END IF;
    PERFORM audit_internal.create_partitions();
    definition.event_type := coalesce(previous.event_type, audit_internal.new_event_type(name));
    definition.name := name;
    definition.category := category;
    definition.risk := risk;
    definition.phrase := format('recorded %s of', name);
    definition.description := description;
    definition.built_in := false;
    PERFORM audit_internal.upsert_config(definition);
    PERFORM audit_internal.write_parameters(definition.event_type, document->'parameters');
    PERFORM audit_internal.emit(
        'config.change',
        parameters => jsonb_strip_nulls(jsonb_build_object(
            'setting', 'event type', 'value', document, 'previous', previous_document)),
        entity => 'event type ' || name);
END;
$$;
COMMENT ON FUNCTION audit.define_event_type(text, text, text, jsonb, text) IS
    'Defines an event type of an application with its parameters, or changes its definition; parameters are '
    '{name: type} or {name: {type, required, sensitive, description}}';

CREATE FUNCTION audit_internal.check_event_type(
    name text,
    category text,
    risk text,
    parameters jsonb
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    prefix text := split_part(name, '.', 1);
BEGIN
    IF name IS NULL OR category IS NULL OR risk IS NULL OR parameters IS NULL THEN
        RAISE EXCEPTION 'name, category, risk and parameters must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Omit an argument to use its default.';
    ELSIF name !~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' OR length(name) > 100 THEN
        RAISE EXCEPTION 'invalid event type name "%"', name
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Join words of a-z, 0-9 and _ with dots, as in invoice.approved; '
                         'the name has at most 100 characters.';
    ELSIF prefix IN ('alert', 'ledger')
       OR EXISTS (SELECT FROM audit.event_types t
                  WHERE t.built_in AND split_part(t.name, '.', 1) = prefix) THEN
        RAISE EXCEPTION
            'cannot define event type "%": names that begin with "%." are reserved for the extension',
            name, prefix
            USING ERRCODE = 'reserved_name',
                  HINT = 'Begin the name with a word of the application, as in invoice.approved.';
    ELSIF category IN ('data', 'schema', 'system') THEN
        RAISE EXCEPTION 'category "%" is reserved for events that the extension captures', category
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The categories of application events are application, read and security.';
    ELSIF category NOT IN ('application', 'read', 'security') THEN
        RAISE EXCEPTION 'unrecognized category "%"', category
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The categories of application events are application, read and security.';
    ELSIF risk NOT IN ('low', 'medium', 'high') THEN
        RAISE EXCEPTION 'unrecognized risk "%"', risk
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The risks are low, medium and high.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_event_type(text, text, text, jsonb) IS
    'Raises an error for arguments that audit.define_event_type does not accept';

-- Events are stored by category: those that exist would be left in the partitions of the previous one.
CREATE FUNCTION audit_internal.check_unused(known audit.event_types) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM audit_internal.stored_events e
               WHERE e.category = known.category AND e.event_type = known.event_type) THEN
        RAISE EXCEPTION 'cannot change the category of event type "%": events of this type exist', known.name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('Keep category %s, or define a type with another name.', known.category);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_unused(audit.event_types) IS
    'Raises an error if events of this type exist';

CREATE FUNCTION audit_internal.write_parameters(type_number integer, declarations jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parameter audit.event_parameters;
    declared record;
BEGIN
    FOR parameter IN
        SELECT p.* FROM audit.event_parameters p
        WHERE p.event_type = type_number AND NOT declarations ? p.name
    LOOP
        PERFORM audit_internal.delete_config(parameter);
    END LOOP;
    FOR declared IN SELECT d.key AS name, d.value AS members FROM jsonb_each(declarations) d LOOP
        parameter.event_type := type_number;
        parameter.name := declared.name;
        parameter.data_type := declared.members->>'type';
        parameter.required := (declared.members->>'required')::boolean;
        parameter.sensitive := (declared.members->>'sensitive')::boolean;
        parameter.description := declared.members->>'description';
        PERFORM audit_internal.upsert_config(parameter);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.write_parameters(integer, jsonb) IS
    'Stores the declared parameters of an event type and deletes all others';

-- Accepts what audit.define_event_type does; returns {name: {type, required, sensitive, description}}.
CREATE FUNCTION audit_internal.parameter_declarations(parameters jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result jsonb := '{}';
    declared record;
    declaration jsonb;
BEGIN
    IF jsonb_typeof(parameters) <> 'object' THEN
        RAISE EXCEPTION 'parameters must be a JSON object of names and types'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass an object such as '
                         '{"amount": "numeric", "card": {"type": "text", "sensitive": true}}.';
    END IF;
    FOR declared IN SELECT p.key AS name, p.value AS given FROM jsonb_each(parameters) p LOOP
        declaration := CASE jsonb_typeof(declared.given)
            WHEN 'string' THEN jsonb_build_object('type', declared.given)
            ELSE declared.given END;
        PERFORM audit_internal.check_declaration(declared.name, declaration);
        result := result || jsonb_build_object(declared.name, jsonb_strip_nulls(jsonb_build_object(
            'type', audit_internal.parameter_type(declared.name, declaration->>'type'),
            'required', coalesce(declaration->'required', 'false'),
            'sensitive', coalesce(declaration->'sensitive', 'false'),
            'description', declaration->'description')));
    END LOOP;
    RETURN result;
END;
$$;
COMMENT ON FUNCTION audit_internal.parameter_declarations(jsonb) IS
    'The declarations of parameters, checked and in their long form';

CREATE FUNCTION audit_internal.check_declaration(parameter text, declaration jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    IF parameter = '' OR parameter LIKE '$%' THEN
        RAISE EXCEPTION 'invalid parameter name "%"', parameter
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The name of a parameter is not empty and does not begin with a dollar sign.';
    END IF;
    problem := CASE
        WHEN jsonb_typeof(declaration) <> 'object' THEN 'is declared by neither a type nor an object'
        WHEN jsonb_typeof(declaration->'type') IS DISTINCT FROM 'string' THEN 'has no type'
        WHEN jsonb_typeof(coalesce(declaration->'required', 'false')) <> 'boolean'
            THEN 'has a "required" that is not a boolean'
        WHEN jsonb_typeof(coalesce(declaration->'sensitive', 'false')) <> 'boolean'
            THEN 'has a "sensitive" that is not a boolean'
        WHEN jsonb_typeof(coalesce(declaration->'description', '""')) <> 'string'
            THEN 'has a "description" that is not a string'
        WHEN declaration - ARRAY['type', 'required', 'sensitive', 'description'] <> '{}'
            THEN 'is declared with an unrecognized member' END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'parameter "%" %', parameter, problem
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Declare it by the name of a type, or by an object with the members '
                         'type, required, sensitive and description.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_declaration(text, jsonb) IS
    'Raises an error for an invalid declaration of a parameter';

-- The name must mean the same type on every server and under every search_path, and audit.record must not run
-- code of the type's owner with the rights of its caller.
CREATE FUNCTION audit_internal.parameter_type(parameter text, type_name text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype;
    is_usable boolean;
BEGIN
    IF regexp_replace(type_name, '"([^"]|"")*"', '', 'g') ~ '[(]' THEN
        RAISE EXCEPTION 'type "%" of parameter "%" must not have a length or precision', type_name, parameter
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name the type alone: values are stored as they are given.';
    END IF;
    BEGIN
        type_id := to_regtype(type_name);
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
        NULL;
    END;
    SELECT t.typisdefined
           AND t.typtype <> 'p'
           AND NOT pg_is_other_temp_schema(t.typnamespace)
           AND t.typnamespace <> pg_my_temp_schema()
    INTO is_usable
    FROM pg_type t
    WHERE t.oid = type_id;
    IF is_usable IS NOT TRUE THEN
        RAISE EXCEPTION 'unrecognized type "%" of parameter "%"', type_name, parameter
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a type such as text, numeric or timestamptz; '
                         'qualify a user-defined type with its schema.';
    END IF;
    IF NOT audit_internal.is_plain_type(type_id) THEN
        RAISE EXCEPTION 'type % of parameter "%" runs code of its owner', type_id, parameter
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a type that neither is nor contains a domain: '
                         'values are checked by the type alone.';
    END IF;
    RETURN type_id::text;
END;
$$;
COMMENT ON FUNCTION audit_internal.parameter_type(text, text) IS
    'The name under which the type of a parameter is stored, checked';

CREATE FUNCTION audit_internal.is_plain_type(type oid) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_is_plain_type';
COMMENT ON FUNCTION audit_internal.is_plain_type(oid) IS
    'Whether values of a type can be read without running code of its owner, such as the constraint of a '
    'domain';

CREATE FUNCTION audit_internal.event_type_document(event_type integer) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'category', t.category,
        'risk', t.risk,
        'description', t.description,
        'parameters', (
            SELECT coalesce(jsonb_object_agg(p.name, jsonb_build_object(
                       'type', p.data_type,
                       'required', p.required,
                       'sensitive', p.sensitive,
                       'description', p.description)), '{}')
            FROM audit.event_parameters p
            WHERE p.event_type = t.event_type)))
    FROM audit.event_types t
    WHERE t.event_type = event_type_document.event_type;
END;
COMMENT ON FUNCTION audit_internal.event_type_document(integer) IS
    'The definition of an event type with its parameters as one document';

-- Derived from the name, so that servers agree on the number; of two names with the same number, the later
-- gets the next one that is free.
CREATE FUNCTION audit_internal.new_event_type(name text) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE hash (number) AS (
        SELECT ('x' || left(encode(sha256(convert_to(name, 'UTF8')), 'hex'), 8))::bit(32)::bigint
    ), candidates (number) AS (
        SELECT (1000 + h.number % 2147482647)::integer FROM hash h
        UNION ALL
        SELECT CASE c.number WHEN 2147483646 THEN 1000 ELSE c.number + 1 END
        FROM candidates c
        WHERE EXISTS (SELECT FROM audit.event_types t WHERE t.event_type = c.number)
    )
    SELECT c.number
    FROM candidates c
    WHERE NOT EXISTS (SELECT FROM audit.event_types t WHERE t.event_type = c.number);
END;
COMMENT ON FUNCTION audit_internal.new_event_type(text) IS
    'The number that a new event type of this name gets';
