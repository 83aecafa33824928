-- The options of audited tables and schemas: merged with the present ones, and checked.

-- Raises an error for a table that cannot be audited with any options.
CREATE FUNCTION audit_internal.check_target(target regclass) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    parent regclass;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a table.';
    END IF;
    SELECT c.relkind, c.relpersistence, c.relispartition, n.nspname, c.relname INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = target;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'relation with OID % does not exist', target::oid
            USING ERRCODE = 'undefined_table', HINT = 'Name an existing table.';
    ELSIF relation.nspname IN ('audit', 'audit_internal') THEN
        RAISE EXCEPTION 'cannot audit %: it belongs to the audit extension', target
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Changes to the configuration are recorded as events.';
    ELSIF relation.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') THEN
        RAISE EXCEPTION 'cannot audit %: it is a system catalog', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Name a user table.';
    ELSIF relation.relkind NOT IN ('r', 'p', 'f') THEN
        RAISE EXCEPTION 'cannot audit %: it is not a table', target
            USING ERRCODE = 'wrong_object_type', HINT = 'To audit a view, audit the tables that it reads.';
    ELSIF relation.relpersistence = 't' THEN
        RAISE EXCEPTION 'cannot audit %: it is a temporary table', target
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Temporary tables are dropped when their session ends.';
    END IF;
    IF relation.relispartition THEN
        parent := audit_internal.enabled_table(target);
        IF parent <> target THEN
            RAISE EXCEPTION 'cannot audit % by itself: it is a partition of %, which is audited',
                target, parent
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('Change the options with SELECT audit.enable(%L).', parent);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_target(regclass) IS 'Raises an error if a table cannot be audited';

-- An option that is null keeps the present value, or else has the default. `target` is null for a schema.
CREATE FUNCTION audit_internal.merge_options(
    target regclass,
    previous jsonb,
    level text,
    operations text[],
    ignore_columns text[],
    redact jsonb,
    reads boolean,
    label_column text
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options jsonb := jsonb_build_object(
        'level', coalesce(level, previous->>'level', 'standard'),
        'operations', coalesce(to_jsonb(operations), previous->'operations',
                               '["insert", "update", "delete", "truncate"]'),
        'ignore_columns', coalesce(to_jsonb(ignore_columns), previous->'ignore_columns', '[]'),
        'redact', coalesce(redact, previous->'redact', '{}'),
        'reads', coalesce(reads, (previous->>'reads')::boolean, false),
        'label_column', coalesce(label_column, previous->>'label_column'));
BEGIN
    PERFORM audit_internal.check_option_values(options);
    IF target IS NULL THEN
        RETURN options;
    END IF;
    options := options || audit_internal.retention_option(target);
    -- The options of a schema may name columns that only some of its tables have.
    IF (previous->>'from_schema')::boolean THEN
        options := options || audit_internal.options_of_existing_columns(target, options);
    ELSE
        PERFORM audit_internal.check_columns_exist(target, options);
    END IF;
    PERFORM audit_internal.check_key_and_label(target, options);
    RETURN options || jsonb_build_object('columns', audit_internal.column_numbers(target, options));
END;
$$;
COMMENT ON FUNCTION
    audit_internal.merge_options(regclass, jsonb, text, text[], text[], jsonb, boolean, text) IS
    'The given options merged with the previous ones and checked';

CREATE FUNCTION audit_internal.check_option_values(options jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    operation text;
    column_name text;
    method text;
BEGIN
    IF options->>'level' NOT IN ('minimal', 'standard', 'comprehensive') THEN
        RAISE EXCEPTION 'unrecognized level "%"', options->>'level'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The levels are minimal, standard and comprehensive.';
    ELSIF jsonb_array_length(options->'operations') = 0 THEN
        RAISE EXCEPTION 'operations must not be empty'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Use audit.disable to stop auditing.';
    END IF;
    SELECT o.value INTO operation
    FROM jsonb_array_elements_text(options->'operations') o
    WHERE o.value IS NULL OR o.value NOT IN ('insert', 'update', 'delete', 'truncate')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unrecognized operation "%"', coalesce(operation, 'null')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The operations are insert, update, delete and truncate.';
    ELSIF (options->>'reads')::boolean THEN
        RAISE EXCEPTION 'reads cannot be captured by this version'
            USING ERRCODE = 'feature_not_supported', HINT = 'Leave reads at false.';
    ELSIF jsonb_typeof(options->'redact') <> 'object' THEN
        RAISE EXCEPTION 'redact must be a JSON object of columns and methods'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass an object such as {"card_number": "mask"}.';
    END IF;
    FOR column_name, method IN SELECT r.key, r.value FROM jsonb_each_text(options->'redact') r LOOP
        IF method IS NULL OR method NOT IN ('mask', 'hash', 'omit') THEN
            RAISE EXCEPTION 'unrecognized redaction "%" of column "%"', coalesce(method, 'null'), column_name
                USING ERRCODE = 'invalid_parameter_value', HINT = 'The redactions are mask, hash and omit.';
        ELSIF method = 'hash' AND NOT audit_internal.hash_key_is_readable() THEN
            RAISE EXCEPTION 'column "%" cannot be hashed without a key', column_name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Set audit.hash_key_file to a file that contains the key and that the server '
                             'can read, then reload the configuration.';
        END IF;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_option_values(jsonb) IS
    'Raises an error for an option that is invalid for every table';

CREATE FUNCTION audit_internal.check_columns_exist(target regclass, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    existing text[];
    missing text;
BEGIN
    SELECT array_agg(a.attname::text) INTO existing
    FROM pg_attribute a
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped;
    SELECT n INTO missing
    FROM unnest(ARRAY(SELECT jsonb_array_elements_text(options->'ignore_columns'))
                || ARRAY(SELECT jsonb_object_keys(options->'redact'))
                || array_remove(ARRAY[options->>'label_column'], NULL)) n
    WHERE n IS NULL OR n <> ALL (existing)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of table % does not exist', coalesce(missing, 'null'), target
            USING ERRCODE = 'undefined_column',
                  HINT = format('The columns are %s.', array_to_string(existing, ', '));
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_columns_exist(regclass, jsonb) IS
    'Raises an error if options name a column that the table does not have';

CREATE FUNCTION audit_internal.check_key_and_label(target regclass, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key_columns text[];
    column_name text;
BEGIN
    SELECT array_agg(a.attname::text) INTO key_columns
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = target AND i.indisprimary;
    SELECT c INTO column_name
    FROM jsonb_array_elements_text(options->'ignore_columns') c
    WHERE c = ANY (key_columns)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'key column "%" of % cannot be ignored', column_name, target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The trail identifies rows by their key.';
    END IF;
    SELECT r.key INTO column_name
    FROM jsonb_each_text(options->'redact') r
    WHERE r.key = ANY (key_columns) AND r.value <> 'hash'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'key column "%" of % can be hashed, not masked or omitted', column_name, target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The trail identifies rows by their key.';
    ELSIF options->'redact' ? (options->>'label_column')
       OR options->'ignore_columns' ? (options->>'label_column') THEN
        RAISE EXCEPTION 'label column "%" of % cannot be redacted or ignored',
            options->>'label_column', target
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Every event shows the value of the label column. Choose another label_column.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_key_and_label(regclass, jsonb) IS
    'Raises an error if options would hide the key of the table, or its label column';

CREATE FUNCTION audit_internal.hash_key_is_readable() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_hash_key_is_readable';
COMMENT ON FUNCTION audit_internal.hash_key_is_readable() IS
    'Whether the file that audit.hash_key_file names contains a key';

-- By OID alone: another table may have the recorded name by now.
CREATE FUNCTION audit_internal.settings_of(target regclass) RETURNS audit_internal.table_settings
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT audit_internal.current_row(NULL::audit_internal.table_settings, target::oid);
END;
COMMENT ON FUNCTION audit_internal.settings_of(regclass) IS 'The row of table_settings of a table';

CREATE FUNCTION audit_internal.stale_settings_of(target regclass) RETURNS audit_internal.table_settings
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_stale_settings_of';
COMMENT ON FUNCTION audit_internal.stale_settings_of(regclass) IS
    'The row of table_settings that has the name of this table and the OID of one that no longer exists, as '
    'after a restore';

CREATE FUNCTION audit_internal.retention_option(target regclass) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_strip_nulls(jsonb_build_object('retention', audit_internal.retention_of(target)));
END;
COMMENT ON FUNCTION audit_internal.retention_option(regclass) IS
    'The option that routes events to dedicated partitions, for a table with its own retention; else an '
    'empty object';

-- Numbers, because a column keeps its number when it is renamed.
CREATE FUNCTION audit_internal.column_numbers(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(c.name, audit_internal.column_number(target, c.name))
                        FILTER (WHERE audit_internal.column_number(target, c.name) IS NOT NULL), '{}')
    FROM (SELECT jsonb_array_elements_text(options->'ignore_columns') AS name
          UNION SELECT jsonb_object_keys(options->'redact')
          UNION SELECT options->>'label_column') c;
END;
COMMENT ON FUNCTION audit_internal.column_numbers(regclass, jsonb) IS
    'The number of each column that options name';

-- A renamed column stays ignored and redacted; the options of a dropped column are dropped.
CREATE FUNCTION audit_internal.renamed_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH present AS (
        SELECT old.key AS old_name,
               audit_internal.column_name(target, (old.value #>> '{}')::integer) AS new_name
        FROM jsonb_each(options->'columns') old
        WHERE jsonb_typeof(old.value) = 'number'
    ), renamed AS (
        SELECT options || jsonb_build_object(
            'ignore_columns', (
                SELECT coalesce(jsonb_agg(coalesce(p.new_name, c.value) ORDER BY c.place), '[]')
                FROM jsonb_array_elements_text(options->'ignore_columns') WITH ORDINALITY c (value, place)
                LEFT JOIN present p ON p.old_name = c.value
                WHERE p.old_name IS NULL OR p.new_name IS NOT NULL),
            'redact', (
                SELECT coalesce(jsonb_object_agg(coalesce(p.new_name, r.key), r.value), '{}')
                FROM jsonb_each(options->'redact') r
                LEFT JOIN present p ON p.old_name = r.key
                WHERE p.old_name IS NULL OR p.new_name IS NOT NULL),
            'label_column',
                CASE WHEN EXISTS (SELECT FROM present p WHERE p.old_name = options->>'label_column')
                     THEN (SELECT p.new_name FROM present p WHERE p.old_name = options->>'label_column')
                     ELSE options->>'label_column' END) AS options
    )
    SELECT r.options || jsonb_build_object('columns', audit_internal.column_numbers(target, r.options))
    FROM renamed r;
END;
COMMENT ON FUNCTION audit_internal.renamed_options(regclass, jsonb) IS
    'Options with the present names of the columns';

CREATE FUNCTION audit_internal.options_of_existing_columns(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'ignore_columns', (
            SELECT coalesce(jsonb_agg(c), '[]')
            FROM jsonb_array_elements_text(options->'ignore_columns') c
            WHERE audit_internal.column_number(target, c) > 0),
        'redact', (
            SELECT coalesce(jsonb_object_agg(r.key, r.value), '{}')
            FROM jsonb_each(options->'redact') r
            WHERE audit_internal.column_number(target, r.key) > 0),
        'label_column',
            CASE WHEN audit_internal.column_number(target, options->>'label_column') > 0
                 THEN options->'label_column' END);
END;
COMMENT ON FUNCTION audit_internal.options_of_existing_columns(regclass, jsonb) IS
    'The options that name columns, reduced to the columns that the table has';

-- Not checked again: an option that audit.enable would reject for this table, such as a mask on its key,
-- hides more, and DETACH PARTITION must not fail for it.
CREATE FUNCTION audit_internal.inherited_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    inherited jsonb := (options - 'retention') || audit_internal.options_of_existing_columns(target, options);
BEGIN
    RETURN inherited
        || jsonb_build_object('columns', audit_internal.column_numbers(target, inherited))
        || audit_internal.retention_option(target);
END;
$$;
COMMENT ON FUNCTION audit_internal.inherited_options(regclass, jsonb) IS
    'The options that a detached partition takes over from its parent';

CREATE FUNCTION audit_internal.row_operations(options jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN options->'operations' ? 'insert' THEN 4 ELSE 0 END
         + CASE WHEN options->'operations' ? 'delete' THEN 8 ELSE 0 END
         + CASE WHEN options->'operations' ? 'update' THEN 16 ELSE 0 END;
END;
COMMENT ON FUNCTION audit_internal.row_operations(jsonb) IS
    'The row operations that options ask for, as bits of pg_trigger.tgtype: insert 4, delete 8, update 16';
