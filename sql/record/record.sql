-- Event types of applications, and recording events of them.

CREATE FUNCTION audit_internal.is_plain_type(type oid) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_is_plain_type';
COMMENT ON FUNCTION audit_internal.is_plain_type(oid) IS
    'Whether values of a type can be read without running code of its owner, such as the constraint of a domain; internal';

-- The stored name of a type, checked: it has to mean the same on every server and under every search_path, and recording must
-- run no code of its owner with the rights of whichever role records.
CREATE FUNCTION audit_internal.parameter_type(parameter text, type_name text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype;
    is_usable boolean;
BEGIN
    IF regexp_replace(type_name, '"([^"]|"")*"', '', 'g') ~ '[(]' THEN
        RAISE EXCEPTION 'the type "%" of parameter "%" has a length or precision', type_name, parameter
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the type alone: values are stored as they are given.';
    END IF;
    BEGIN
        type_id := to_regtype(type_name);
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
        NULL;
    END;
    SELECT t.typisdefined AND t.typtype <> 'p' AND NOT pg_is_other_temp_schema(t.typnamespace) AND t.typnamespace <> pg_my_temp_schema()
    INTO is_usable FROM pg_type t WHERE t.oid = type_id;
    IF is_usable IS NOT TRUE THEN
        RAISE EXCEPTION 'unknown type "%" of parameter "%"', type_name, parameter
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a type such as text, numeric or timestamptz; qualify a user-defined type with its schema.';
    END IF;
    IF NOT audit_internal.is_plain_type(type_id) THEN
        RAISE EXCEPTION 'the type % of parameter "%" runs code of its owner', type_id, parameter
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a type without a domain in it: values are checked by the type alone.';
    END IF;
    RETURN type_id::text;
END;
$$;
COMMENT ON FUNCTION audit_internal.parameter_type(text, text) IS 'The name under which a parameter''s type is stored, checked; internal';

-- What audit.define_event_type was given for parameters, checked and in the long form: {name: {type, required, sensitive, description}}.
CREATE FUNCTION audit_internal.parameter_declarations(parameters jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result jsonb := '{}';
    declared record;
    declaration jsonb;
    problem text;
BEGIN
    IF jsonb_typeof(parameters) <> 'object' THEN
        RAISE EXCEPTION 'parameters must be a JSON object of name and type'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example {"amount": "numeric", "card": {"type": "text", "sensitive": true}}.';
    END IF;
    FOR declared IN SELECT p.key AS name, p.value AS given FROM jsonb_each(parameters) p LOOP
        declaration := CASE jsonb_typeof(declared.given) WHEN 'string' THEN jsonb_build_object('type', declared.given) ELSE declared.given END;
        problem := CASE
            WHEN declared.name = '' OR declared.name LIKE '$%' THEN 'has a name that is empty or begins with a dollar sign'
            WHEN jsonb_typeof(declaration) <> 'object' THEN 'is declared by neither a type nor an object'
            WHEN jsonb_typeof(declaration->'type') IS DISTINCT FROM 'string' THEN 'has no type'
            WHEN jsonb_typeof(coalesce(declaration->'required', 'false')) <> 'boolean' THEN 'has a "required" that is not true or false'
            WHEN jsonb_typeof(coalesce(declaration->'sensitive', 'false')) <> 'boolean' THEN 'has a "sensitive" that is not true or false'
            WHEN jsonb_typeof(coalesce(declaration->'description', '""')) <> 'string' THEN 'has a "description" that is not a text'
            WHEN declaration - ARRAY['type', 'required', 'sensitive', 'description'] <> '{}' THEN 'is declared with an unknown member' END;
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'parameter "%" %', declared.name, problem
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = CASE WHEN problem LIKE 'has a name%' THEN 'Choose another name.'
                              ELSE 'The members are type, required, sensitive and description; a type alone may stand for the object.' END;
        END IF;
        result := result || jsonb_build_object(declared.name, jsonb_strip_nulls(jsonb_build_object(
            'type', audit_internal.parameter_type(declared.name, declaration->>'type'),
            'required', coalesce(declaration->'required', 'false'),
            'sensitive', coalesce(declaration->'sensitive', 'false'),
            'description', declaration->'description')));
    END LOOP;
    RETURN result;
END;
$$;
COMMENT ON FUNCTION audit_internal.parameter_declarations(jsonb) IS 'Declarations of parameters, checked; internal';

CREATE FUNCTION audit_internal.event_type_document(event_type integer) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_strip_nulls(jsonb_build_object('category', t.category, 'risk', t.risk, 'description', t.description, 'parameters',
        (SELECT coalesce(jsonb_object_agg(p.name, jsonb_build_object('type', p.data_type, 'required', p.required,
                                                                     'sensitive', p.sensitive, 'description', p.description)), '{}')
         FROM audit.event_parameters p WHERE p.event_type = t.event_type)))
    FROM audit.event_types t WHERE t.event_type = event_type_document.event_type;
END;
COMMENT ON FUNCTION audit_internal.event_type_document(integer) IS 'An event type with its parameters as one document; internal';

-- The number of a new type comes from its name, so that trails of many servers agree; where two names meet, the later
-- one takes the next number that is free.
CREATE FUNCTION audit_internal.new_event_type(name text) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE candidates (number) AS (
        SELECT (1000 + ('x' || left(encode(sha256(convert_to(name, 'UTF8')), 'hex'), 8))::bit(32)::bigint % 2147482647)::integer
        UNION ALL
        SELECT CASE c.number WHEN 2147483646 THEN 1000 ELSE c.number + 1 END FROM candidates c
        WHERE EXISTS (SELECT FROM audit.event_types t WHERE t.event_type = c.number)
    )
    SELECT c.number FROM candidates c WHERE NOT EXISTS (SELECT FROM audit.event_types t WHERE t.event_type = c.number);
END;
COMMENT ON FUNCTION audit_internal.new_event_type(text) IS 'The number that an event type of this name gets; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, add a type of event to the catalog and nothing else.
CREATE FUNCTION audit.define_event_type(name text, category text DEFAULT 'application', risk text DEFAULT 'low',
                                        parameters jsonb DEFAULT '{}', description text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous audit.event_types;
    previous_document jsonb;
    document jsonb;
    type_number integer;
    removed audit.event_parameters;
    declared record;
BEGIN
    IF name IS NULL OR category IS NULL OR risk IS NULL OR parameters IS NULL THEN
        RAISE EXCEPTION 'name, category, risk and parameters must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Omit an argument to use its default.';
    ELSIF name !~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' OR length(name) > 100 THEN
        RAISE EXCEPTION 'invalid event type name "%"', name
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Join words of a-z, 0-9 and _ with dots, as in invoice.approved; 100 characters at most.';
    ELSIF split_part(name, '.', 1) IN ('alert', 'ledger')
       OR EXISTS (SELECT FROM audit.event_types t
                  WHERE t.built_in AND split_part(t.name, '.', 1) = split_part(define_event_type.name, '.', 1)) THEN
        RAISE EXCEPTION 'event type "%" cannot be defined: names that begin with "%." are those of the extension', name, split_part(name, '.', 1)
            USING ERRCODE = 'reserved_name', HINT = 'Begin the name with a word of the application, as in invoice.approved.';
    ELSIF category NOT IN ('application', 'read', 'security') THEN
        RAISE EXCEPTION '%', CASE WHEN category IN ('data', 'schema', 'system') THEN format('events of category %s are those that the extension captures', category)
                                  ELSE format('unknown category "%s"', category) END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The categories of application events are application, read and security.';
    ELSIF risk NOT IN ('low', 'medium', 'high') THEN
        RAISE EXCEPTION 'unknown risk "%"', risk
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The risks are low, medium and high.';
    END IF;
    document := jsonb_strip_nulls(jsonb_build_object('category', category, 'risk', risk, 'description', description,
                                                     'parameters', audit_internal.parameter_declarations(parameters)));
    SELECT t.* INTO previous FROM audit.event_types t WHERE t.name = define_event_type.name;
    previous_document := audit_internal.event_type_document(previous.event_type);
    -- Applications define their types each time they start.
    IF document = previous_document THEN
        RETURN;
    END IF;

    PERFORM audit_internal.lock('event_types');
    SELECT t.* INTO previous FROM audit.event_types t WHERE t.name = define_event_type.name;
    previous_document := audit_internal.event_type_document(previous.event_type);
    IF previous.category <> category
       AND EXISTS (SELECT FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e
                   WHERE e.category = previous.category AND e.event_type = previous.event_type) THEN
        RAISE EXCEPTION 'cannot change the category of event type "%": events of it exist', name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('Keep category %s, or define a type with another name.', previous.category);
    END IF;
    PERFORM audit_internal.create_partitions();
    type_number := coalesce(previous.event_type, audit_internal.new_event_type(name));
    PERFORM audit_internal.upsert_config(ROW(type_number, name, category, risk, format('recorded %s of', name), description, false)::audit.event_types);
    FOR removed IN
        SELECT p.* FROM audit.event_parameters p WHERE p.event_type = type_number AND NOT document->'parameters' ? p.name
    LOOP
        PERFORM audit_internal.delete_config(removed);
    END LOOP;
    FOR declared IN SELECT p.key, p.value FROM jsonb_each(document->'parameters') p LOOP
        PERFORM audit_internal.upsert_config(ROW(type_number, declared.key, declared.value->>'type', (declared.value->>'required')::boolean,
                              (declared.value->>'sensitive')::boolean, declared.value->>'description')::audit.event_parameters);
    END LOOP;
    PERFORM audit_internal.emit('config.change', jsonb_strip_nulls(jsonb_build_object('setting', 'event type', 'value', document,
                                                                              'previous', previous_document)),
                       'event type ' || name, NULL, NULL, NULL);
END;
$$;
COMMENT ON FUNCTION audit.define_event_type(text, text, text, jsonb, text) IS
    'Declares an event type of an application with its parameters, or changes it; parameters are {name: type} or {name: {type, required, sensitive, description}}';

CREATE FUNCTION audit.record(event text, parameters jsonb DEFAULT '{}', entity text DEFAULT NULL, entity_id text DEFAULT NULL,
                             result text DEFAULT 'success', autonomous boolean DEFAULT false) RETURNS uuid
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_record';
COMMENT ON FUNCTION audit.record(text, jsonb, text, text, text, boolean) IS
    'Records an event of the application in the current transaction and returns its id; parameters are checked against their declarations';
