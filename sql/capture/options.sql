-- The options of audited tables and schemas: what is asked for, checked and merged with what was.

CREATE FUNCTION audit_internal.hash_key_is_readable() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_hash_key_is_readable';
COMMENT ON FUNCTION audit_internal.hash_key_is_readable() IS 'Whether the file that audit.hash_key_file names holds a key';

-- The settings row of a table, by its OID alone: a name may be another table's by now.
CREATE FUNCTION audit_internal.settings_of(target regclass) RETURNS audit_internal.table_settings
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT audit_internal.current_row(NULL::audit_internal.table_settings, target::oid);
END;
COMMENT ON FUNCTION audit_internal.settings_of(regclass) IS 'The options that audit.enable was called with for this table; internal';

CREATE FUNCTION audit_internal.stale_settings_of(target regclass) RETURNS audit_internal.table_settings
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_stale_settings_of';
COMMENT ON FUNCTION audit_internal.stale_settings_of(regclass) IS
    'What is set under the name of a table for one that is gone, as a restore may leave it; internal';

-- The numbers of the columns that options name: a renamed column keeps its own.
CREATE FUNCTION audit_internal.column_numbers(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(c.name, audit_internal.column_number(target, c.name)) FILTER (WHERE audit_internal.column_number(target, c.name) IS NOT NULL), '{}')
    FROM (SELECT jsonb_array_elements_text(options->'ignore_columns') AS name
          UNION SELECT jsonb_object_keys(options->'redact')
          UNION SELECT options->>'label_column') c;
END;
COMMENT ON FUNCTION audit_internal.column_numbers(regclass, jsonb) IS 'The numbers of the columns that options name; internal';

-- The options with the columns' present names: a renamed column stays ignored and redacted, a dropped one takes its option along.
CREATE FUNCTION audit_internal.renamed_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH present AS (
        SELECT old.key AS old_name, audit_internal.column_name(target, (old.value #>> '{}')::integer) AS new_name
        FROM jsonb_each(options->'columns') old WHERE jsonb_typeof(old.value) = 'number'
    ), renamed AS (
        SELECT options || jsonb_build_object(
            'ignore_columns', (SELECT coalesce(jsonb_agg(coalesce(p.new_name, c.value) ORDER BY c.place), '[]')
                               FROM jsonb_array_elements_text(options->'ignore_columns') WITH ORDINALITY c (value, place)
                               LEFT JOIN present p ON p.old_name = c.value WHERE p.old_name IS NULL OR p.new_name IS NOT NULL),
            'redact', (SELECT coalesce(jsonb_object_agg(coalesce(p.new_name, r.key), r.value), '{}')
                       FROM jsonb_each(options->'redact') r LEFT JOIN present p ON p.old_name = r.key
                       WHERE p.old_name IS NULL OR p.new_name IS NOT NULL),
            'label_column', CASE WHEN EXISTS (SELECT FROM present p WHERE p.old_name = options->>'label_column')
                                 THEN (SELECT p.new_name FROM present p WHERE p.old_name = options->>'label_column')
                                 ELSE options->>'label_column' END) AS options
    )
    SELECT r.options || jsonb_build_object('columns', audit_internal.column_numbers(target, r.options)) FROM renamed r;
END;
COMMENT ON FUNCTION audit_internal.renamed_options(regclass, jsonb) IS 'Options with the present names of the columns; internal';

-- Options that a table has from another, its parent once: of columns that it has. They are taken as they are: what cannot be asked of
-- the table, as to mask its key, hides more, and nothing fails for it.
CREATE FUNCTION audit_internal.inherited_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH known AS (
        SELECT (options - 'retention') || jsonb_build_object(
            'ignore_columns', (SELECT coalesce(jsonb_agg(c), '[]') FROM jsonb_array_elements_text(options->'ignore_columns') c
                               WHERE audit_internal.column_number(target, c) IS NOT NULL),
            'redact', (SELECT coalesce(jsonb_object_agg(r.key, r.value), '{}') FROM jsonb_each(options->'redact') r
                       WHERE audit_internal.column_number(target, r.key) IS NOT NULL),
            'label_column', CASE WHEN audit_internal.column_number(target, options->>'label_column') IS NOT NULL THEN options->'label_column' END) AS options
    )
    SELECT k.options || jsonb_build_object('columns', audit_internal.column_numbers(target, k.options))
           || CASE WHEN audit_internal.retention_of(target) IS NULL THEN '{}' ELSE jsonb_build_object('retention', audit_internal.retention_of(target)) END
    FROM known k;
END;
COMMENT ON FUNCTION audit_internal.inherited_options(regclass, jsonb) IS 'The options that a detached partition has from its parent; internal';

-- What audit.enable refuses about a table, whatever the options.
CREATE FUNCTION audit_internal.check_target(target regclass) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    parent regclass;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a table.';
    END IF;
    SELECT c.relkind, c.relpersistence, c.relispartition, n.nspname, c.relname INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'relation with OID % does not exist', target::oid
            USING ERRCODE = 'undefined_table', HINT = 'Name an existing table.';
    ELSIF relation.nspname IN ('audit', 'audit_internal') THEN
        RAISE EXCEPTION 'cannot audit %: the audit tables are never audited by themselves', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Changes of configuration are events already.';
    ELSIF relation.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') THEN
        RAISE EXCEPTION 'cannot audit %: it is a system catalog', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Name a user table.';
    ELSIF relation.relkind NOT IN ('r', 'p', 'f') THEN
        RAISE EXCEPTION 'cannot audit %: it is not a table', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Audit the tables behind a view.';
    ELSIF relation.relpersistence = 't' THEN
        RAISE EXCEPTION 'cannot audit %: it is a temporary table', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Temporary tables are dropped when their session ends.';
    END IF;
    IF relation.relispartition THEN
        parent := audit_internal.enabled_table(target);
        IF parent <> target THEN
            RAISE EXCEPTION 'cannot audit % by itself: it is a partition of %, which is audited', target, parent
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('Change the options with SELECT audit.enable(%L).', parent);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_target(regclass) IS 'Raises an error where a table cannot be audited; internal';

-- The options that are to hold: what is given over what is set over the defaults. `target` is null for a schema.
CREATE FUNCTION audit_internal.merge_options(target regclass, previous jsonb, level text, operations text[], ignore_columns text[],
                                    redact jsonb, reads boolean, label_column text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options jsonb;
    known text[];
    key_columns text[];
    name text;
    how text;
BEGIN
    options := jsonb_build_object(
        'level', coalesce(level, previous->>'level', 'standard'),
        'operations', coalesce(to_jsonb(operations), previous->'operations', '["insert", "update", "delete", "truncate"]'),
        'ignore_columns', coalesce(to_jsonb(ignore_columns), previous->'ignore_columns', '[]'),
        'redact', coalesce(redact, previous->'redact', '{}'),
        'reads', coalesce(reads, (previous->>'reads')::boolean, false),
        'label_column', coalesce(label_column, previous->>'label_column'));

    IF options->>'level' NOT IN ('minimal', 'standard', 'comprehensive') THEN
        RAISE EXCEPTION 'unknown level "%"', options->>'level'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The levels are minimal, standard and comprehensive.';
    END IF;
    IF jsonb_array_length(options->'operations') = 0 THEN
        RAISE EXCEPTION 'operations must not be empty'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Use audit.disable to stop auditing.';
    END IF;
    SELECT o.value INTO name FROM jsonb_array_elements_text(options->'operations') o
    WHERE o.value IS NULL OR o.value NOT IN ('insert', 'update', 'delete', 'truncate') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unknown operation "%"', coalesce(name, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The operations are insert, update, delete and truncate.';
    END IF;
    IF (options->>'reads')::boolean THEN
        RAISE EXCEPTION 'reads cannot be captured by this version'
            USING ERRCODE = 'feature_not_supported', HINT = 'Leave reads at false.';
    END IF;
    IF jsonb_typeof(options->'redact') <> 'object' THEN
        RAISE EXCEPTION 'redact must be a JSON object of column and method'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example {"card_number": "mask"}.';
    END IF;
    FOR name, how IN SELECT r.key, r.value FROM jsonb_each_text(options->'redact') r LOOP
        IF how IS NULL OR how NOT IN ('mask', 'hash', 'omit') THEN
            RAISE EXCEPTION 'unknown redaction "%" of column "%"', coalesce(how, 'null'), name
                USING ERRCODE = 'invalid_parameter_value', HINT = 'The redactions are mask, hash and omit.';
        ELSIF how = 'hash' AND NOT audit_internal.hash_key_is_readable() THEN
            RAISE EXCEPTION 'column "%" cannot be hashed without a key', name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Set audit.hash_key_file to a file that holds the key and that the server can read, and reload.';
        END IF;
    END LOOP;
    IF target IS NULL THEN
        RETURN options;
    END IF;
    IF audit_internal.retention_of(target) IS NOT NULL THEN
        options := options || jsonb_build_object('retention', audit_internal.retention_of(target));
    END IF;

    SELECT array_agg(a.attname::text) INTO known FROM pg_attribute a
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped;
    -- A schema's options name columns that some of its tables have.
    IF (previous->>'from_schema')::boolean IS NOT TRUE THEN
        SELECT n INTO name FROM unnest(
            ARRAY(SELECT jsonb_array_elements_text(options->'ignore_columns'))
            || ARRAY(SELECT jsonb_object_keys(options->'redact'))
            || CASE WHEN options->>'label_column' IS NULL THEN '{}'::text[] ELSE ARRAY[options->>'label_column'] END) n
        WHERE n IS NULL OR n <> ALL (known) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'column "%" of table % does not exist', coalesce(name, 'null'), target
                USING ERRCODE = 'undefined_column', HINT = format('The columns are %s.', array_to_string(known, ', '));
        END IF;
    ELSE
        options := options || jsonb_build_object(
            'ignore_columns', (SELECT coalesce(jsonb_agg(c), '[]') FROM jsonb_array_elements_text(options->'ignore_columns') c
                               WHERE c = ANY (known)),
            'redact', (SELECT coalesce(jsonb_object_agg(r.key, r.value), '{}') FROM jsonb_each(options->'redact') r
                       WHERE r.key = ANY (known)),
            'label_column', CASE WHEN options->>'label_column' = ANY (known) THEN options->>'label_column' END);
    END IF;

    SELECT array_agg(a.attname::text) INTO key_columns
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = target AND i.indisprimary;
    SELECT c INTO name FROM jsonb_array_elements_text(options->'ignore_columns') c WHERE c = ANY (key_columns) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'key column "%" of % cannot be ignored', name, target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The trail identifies rows by their key.';
    END IF;
    SELECT r.key INTO name FROM jsonb_each_text(options->'redact') r
    WHERE r.key = ANY (key_columns) AND r.value <> 'hash' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'key column "%" of % can be hashed, not masked or omitted', name, target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The trail identifies rows by their key.';
    END IF;
    IF options->'redact' ? (options->>'label_column') OR options->'ignore_columns' ? (options->>'label_column') THEN
        RAISE EXCEPTION 'label column "%" of % cannot be redacted or ignored', options->>'label_column', target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Its value is shown with every event. Choose another label_column.';
    END IF;
    RETURN options || jsonb_build_object('columns', audit_internal.column_numbers(target, options));
END;
$$;
COMMENT ON FUNCTION audit_internal.merge_options(regclass, jsonb, text, text[], text[], jsonb, boolean, text) IS
    'The options that are to hold, checked; internal';

-- The bits of pg_trigger.tgtype for the operations of rows: insert 4, delete 8, update 16.
CREATE FUNCTION audit_internal.row_operations(options jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN options->'operations' ? 'insert' THEN 4 ELSE 0 END
         + CASE WHEN options->'operations' ? 'delete' THEN 8 ELSE 0 END
         + CASE WHEN options->'operations' ? 'update' THEN 16 ELSE 0 END;
END;
COMMENT ON FUNCTION audit_internal.row_operations(jsonb) IS 'The operations of rows that options ask for, as bits of pg_trigger.tgtype; internal';
