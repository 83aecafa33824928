-- Switching auditing on and off.

CREATE FUNCTION audit.hash_key_is_readable() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_hash_key_is_readable';
COMMENT ON FUNCTION audit.hash_key_is_readable() IS 'Whether the file that audit.hash_key_file names holds a key';

CREATE FUNCTION audit.set_context(actor text DEFAULT NULL, trace_id text DEFAULT NULL, reason text DEFAULT NULL,
                                  context jsonb DEFAULT NULL, local boolean DEFAULT true) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'audit_set_context';
COMMENT ON FUNCTION audit.set_context(text, text, text, jsonb, boolean) IS
    'Sets who works and why; null leaves a value as it is, an empty string unsets it';

-- The settings row of a table, by its OID alone: a name may be another table's by now.
CREATE FUNCTION audit.settings_of(target regclass) RETURNS audit.table_settings
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT audit.current_row(NULL::audit.table_settings, target::oid);
END;
COMMENT ON FUNCTION audit.settings_of(regclass) IS 'The options that audit.enable was called with for this table; internal';

CREATE FUNCTION audit.stale_settings_of(target regclass) RETURNS audit.table_settings
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_stale_settings_of';
COMMENT ON FUNCTION audit.stale_settings_of(regclass) IS
    'What is set under the name of a table for one that is gone, as a restore may leave it; internal';

-- The numbers of the columns that options name: a renamed column keeps its own.
CREATE FUNCTION audit.column_numbers(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(c.name, audit.column_number(target, c.name)) FILTER (WHERE audit.column_number(target, c.name) IS NOT NULL), '{}')
    FROM (SELECT jsonb_array_elements_text(options->'ignore_columns') AS name
          UNION SELECT jsonb_object_keys(options->'redact')
          UNION SELECT options->>'label_column') c;
END;
COMMENT ON FUNCTION audit.column_numbers(regclass, jsonb) IS 'The numbers of the columns that options name; internal';

-- The options with the columns' present names: a renamed column stays ignored and redacted, a dropped one takes its option along.
CREATE FUNCTION audit.renamed_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH present AS (
        SELECT old.key AS old_name, audit.column_name(target, (old.value #>> '{}')::integer) AS new_name
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
    SELECT r.options || jsonb_build_object('columns', audit.column_numbers(target, r.options)) FROM renamed r;
END;
COMMENT ON FUNCTION audit.renamed_options(regclass, jsonb) IS 'Options with the present names of the columns; internal';

-- Options that a table has from another, its parent once: of columns that it has. They are taken as they are: what cannot be asked of
-- the table, as to mask its key, hides more, and nothing fails for it.
CREATE FUNCTION audit.inherited_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH known AS (
        SELECT (options - 'retention') || jsonb_build_object(
            'ignore_columns', (SELECT coalesce(jsonb_agg(c), '[]') FROM jsonb_array_elements_text(options->'ignore_columns') c
                               WHERE audit.column_number(target, c) IS NOT NULL),
            'redact', (SELECT coalesce(jsonb_object_agg(r.key, r.value), '{}') FROM jsonb_each(options->'redact') r
                       WHERE audit.column_number(target, r.key) IS NOT NULL),
            'label_column', CASE WHEN audit.column_number(target, options->>'label_column') IS NOT NULL THEN options->'label_column' END) AS options
    )
    SELECT k.options || jsonb_build_object('columns', audit.column_numbers(target, k.options))
           || CASE WHEN audit.retention_of(target) IS NULL THEN '{}' ELSE jsonb_build_object('retention', audit.retention_of(target)) END
    FROM known k;
END;
COMMENT ON FUNCTION audit.inherited_options(regclass, jsonb) IS 'The options that a detached partition has from its parent; internal';

-- What audit.enable refuses about a table, whatever the options.
CREATE FUNCTION audit.check_target(target regclass) RETURNS void
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
    ELSIF relation.nspname = 'audit' THEN
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
        parent := audit.enabled_table(target);
        IF parent <> target THEN
            RAISE EXCEPTION 'cannot audit % by itself: it is a partition of %, which is audited', target, parent
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('Change the options with SELECT audit.enable(%L).', parent);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.check_target(regclass) IS 'Raises an error where a table cannot be audited; internal';

-- The options that are to hold: what is given over what is set over the defaults. `target` is null for a schema.
CREATE FUNCTION audit.merge_options(target regclass, previous jsonb, level text, operations text[], ignore_columns text[],
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
        ELSIF how = 'hash' AND NOT audit.hash_key_is_readable() THEN
            RAISE EXCEPTION 'column "%" cannot be hashed without a key', name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Set audit.hash_key_file to a file that holds the key and that the server can read, and reload.';
        END IF;
    END LOOP;
    IF target IS NULL THEN
        RETURN options;
    END IF;
    IF audit.retention_of(target) IS NOT NULL THEN
        options := options || jsonb_build_object('retention', audit.retention_of(target));
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
    RETURN options || jsonb_build_object('columns', audit.column_numbers(target, options));
END;
$$;
COMMENT ON FUNCTION audit.merge_options(regclass, jsonb, text, text[], text[], jsonb, boolean, text) IS
    'The options that are to hold, checked; internal';

CREATE FUNCTION audit.enable(target regclass, level text DEFAULT NULL, operations text[] DEFAULT NULL,
                             ignore_columns text[] DEFAULT NULL, redact jsonb DEFAULT NULL, reads boolean DEFAULT NULL,
                             label_column text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous jsonb;
    options jsonb;
BEGIN
    PERFORM audit.check_target(target);
    -- Other sessions that enable this table wait here, so that options are merged one after the other.
    PERFORM audit.lock_table(target);
    previous := coalesce(audit.renamed_options(target, (audit.settings_of(target)).options), (audit.stale_settings_of(target)).options);
    options := audit.merge_options(target, previous - 'from_schema', level, operations, ignore_columns, redact, reads, label_column);
    PERFORM audit.apply(target, options, previous);
END;
$$;
COMMENT ON FUNCTION audit.enable(regclass, text, text[], text[], jsonb, boolean, text) IS
    'Audits a table, or changes how; an option that is null keeps what is set';

-- Writes triggers, settings and the event.
CREATE FUNCTION audit.apply(target regclass, options jsonb, previous jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    member audit.table_settings;
    old_row audit.table_settings := audit.settings_of(target);
    stale_row audit.table_settings := audit.stale_settings_of(target);
BEGIN
    SELECT n.nspname::text AS schema_name, c.relname::text AS table_name INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    PERFORM audit.create_partitions();
    -- The settings come first: a plan that is made from now on goes by them.
    IF old_row.schema_name IS NOT NULL AND (old_row.schema_name, old_row.table_name) <> (relation.schema_name, relation.table_name) THEN
        PERFORM audit.delete_config(old_row);
    END IF;
    IF stale_row.schema_name IS NOT NULL THEN
        PERFORM audit.delete_config(stale_row);
    END IF;
    PERFORM audit.upsert_config(ROW(relation.schema_name, relation.table_name, target::oid, options,
                          coalesce(old_row.enabled_at, now()), coalesce(old_row.enabled_by, session_user))::audit.table_settings);
    PERFORM audit.write_triggers(target, options);
    -- Partitions that were audited by themselves follow from now on.
    FOR member IN
        SELECT s.* FROM pg_partition_tree(target) p CROSS JOIN LATERAL audit.settings_of(p.relid) s
        WHERE p.relid <> target AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit.delete_config(member);
    END LOOP;
    PERFORM audit.emit('config.enable', jsonb_strip_nulls(jsonb_build_object('options', options - 'columns', 'previous', previous - 'columns')),
                       NULL, NULL, target, NULL);
END;
$$;
COMMENT ON FUNCTION audit.apply(regclass, jsonb, jsonb) IS 'Puts checked options in force; internal';

-- What a trigger carries: the redaction, for a restore of its table alone. Nothing else would be believed.
CREATE FUNCTION audit.trigger_seed(options jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('redact', options->'redact')::text WHERE options->'redact' <> '{}';
END;
COMMENT ON FUNCTION audit.trigger_seed(jsonb) IS 'The argument of the triggers of a table with these options; internal';

-- The bits of pg_trigger.tgtype for the operations of rows: insert 4, delete 8, update 16.
CREATE FUNCTION audit.row_operations(options jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN options->'operations' ? 'insert' THEN 4 ELSE 0 END
         + CASE WHEN options->'operations' ? 'delete' THEN 8 ELSE 0 END
         + CASE WHEN options->'operations' ? 'update' THEN 16 ELSE 0 END;
END;
COMMENT ON FUNCTION audit.row_operations(jsonb) IS 'The operations of rows that options ask for, as bits of pg_trigger.tgtype; internal';

-- A partitioned table gives its partitions clones of its row trigger, under the same name: one of its own, so that a table that is
-- audited by itself can be attached.
CREATE FUNCTION audit.row_trigger_name(target regclass) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE c.relkind WHEN 'p' THEN '!audit_row_of_' || c.oid ELSE '!audit_row' END FROM pg_catalog.pg_class c WHERE c.oid = target;
END;
COMMENT ON FUNCTION audit.row_trigger_name(regclass) IS 'The name that audit.enable gives the row trigger of a table; internal';

CREATE FUNCTION audit.write_triggers(target regclass, options jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seed text := audit.trigger_seed(options);
    row_name text := audit.row_trigger_name(target);
    row_operations integer := audit.row_operations(options);
    has_truncate boolean := options->'operations' ? 'truncate';
    member regclass;
BEGIN
    -- All of ours go but those that are replaced in place.
    PERFORM audit.remove_trigger(t.oid)
    FROM audit.own_triggers(target) t
    WHERE NOT (t.is_row AND t.member = target AND t.name = row_name AND row_operations <> 0)
      AND NOT (NOT t.is_row AND t.name = '!audit_truncate' AND has_truncate AND audit.takes_truncate_trigger(t.member));
    IF row_operations <> 0 THEN
        PERFORM audit.write_row_trigger(target, row_name, row_operations, seed);
    END IF;
    IF has_truncate THEN
        FOR member IN SELECT t FROM audit.with_partitions(target) t WHERE audit.takes_truncate_trigger(t) LOOP
            PERFORM audit.write_truncate_trigger(member, seed);
        END LOOP;
    END IF;
    PERFORM audit.forget_state(t, CASE WHEN t <> target THEN 'audit.enable' END) FROM audit.with_partitions(target) t;
END;
$$;
COMMENT ON FUNCTION audit.write_triggers(regclass, jsonb) IS 'Creates the triggers of a table and its partitions; internal';

-- What was recorded about a table's triggers no longer holds; the command that put them in order, where no other event says so.
CREATE FUNCTION audit.forget_state(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    weakened audit.weakened_triggers;
BEGIN
    weakened := audit.current_row(NULL::audit.weakened_triggers, target::oid);
    IF weakened.relation_oid IS NOT NULL THEN
        PERFORM audit.delete_config(weakened);
        IF command IS NOT NULL AND NOT weakened.is_restored THEN
            PERFORM audit.emit('trigger.change', jsonb_build_object('command', command), NULL, NULL, target, NULL);
        END IF;
    END IF;
    PERFORM audit.delete_config(ROW(target, audit.clock())::audit.unconfigured_tables);
END;
$$;
COMMENT ON FUNCTION audit.forget_state(regclass, text) IS 'Deletes what was recorded about the triggers of a table; internal';

-- SET keeps the planner from looking inside, where it would expect a thousand partitions.
CREATE FUNCTION audit.with_partitions(target regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT target UNION SELECT p.relid FROM pg_partition_tree(target) p;
END;
COMMENT ON FUNCTION audit.with_partitions(regclass) IS 'A table and its partitions; internal';

-- The audit triggers that a table and its partitions have of their own: by their functions, whatever their
-- names, clones left out.
CREATE FUNCTION audit.own_triggers(target regclass) RETURNS TABLE (oid oid, member regclass, name text, is_row boolean)
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.oid, t.tgrelid::regclass, t.tgname::text, t.tgfoid = 'audit.capture_row'::regproc
    FROM audit.with_partitions(target) m JOIN pg_trigger t ON t.tgrelid = m::oid
    WHERE t.tgparentid = 0 AND t.tgfoid IN ('audit.capture_row'::regproc, 'audit.capture_truncate'::regproc);
END;
COMMENT ON FUNCTION audit.own_triggers(regclass) IS 'Audit triggers on a table and its partitions that are not clones; internal';

-- PostgreSQL 15 has no TRUNCATE triggers on foreign tables.
CREATE FUNCTION audit.takes_truncate_trigger(target regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.relkind <> 'f' OR current_setting('server_version_num')::integer >= 160000 FROM pg_catalog.pg_class c WHERE c.oid = target;
END;
COMMENT ON FUNCTION audit.takes_truncate_trigger(regclass) IS 'Whether this table can have a TRUNCATE trigger; internal';

CREATE FUNCTION audit.disable(target regclass) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit.table_settings;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name an audited table.';
    END IF;
    PERFORM audit.lock_table(target);
    old_row := audit.settings_of(target);
    IF old_row.schema_name IS NULL THEN
        RAISE EXCEPTION '% is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'audit.tables lists the audited tables.';
    END IF;
    PERFORM audit.emit('config.disable', jsonb_build_object('previous', old_row.options - 'columns'), NULL, NULL, target, NULL);
    PERFORM audit.remove_trigger(t.oid) FROM audit.own_triggers(target) t;
    PERFORM audit.forget_state(t, CASE WHEN t <> target THEN 'audit.disable' END) FROM audit.with_partitions(target) t;
    PERFORM audit.delete_config(old_row);
END;
$$;
COMMENT ON FUNCTION audit.disable(regclass) IS 'Stops auditing a table; its events stay';

CREATE FUNCTION audit.enable_schema(target regnamespace, level text DEFAULT NULL, operations text[] DEFAULT NULL,
                                    ignore_columns text[] DEFAULT NULL, redact jsonb DEFAULT NULL, reads boolean DEFAULT NULL,
                                    label_column text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_row audit.schema_settings;
    options jsonb;
    member regclass;
    enabled integer := 0;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a schema.';
    ELSIF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = target) THEN
        RAISE EXCEPTION 'schema with OID % does not exist', target::oid
            USING ERRCODE = 'invalid_schema_name', HINT = 'Name an existing schema.';
    ELSIF target::oid IN (SELECT n.oid FROM pg_namespace n
                          WHERE n.nspname IN ('audit', 'pg_catalog', 'information_schema') OR n.nspname LIKE 'pg\_%') THEN
        RAISE EXCEPTION 'cannot audit schema %', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Name a schema of user tables.';
    END IF;
    schema_row := audit.current_row(NULL::audit.schema_settings, target::oid);
    options := audit.merge_options(NULL, schema_row.options, level, operations, ignore_columns, redact, reads, label_column);
    PERFORM audit.create_partitions();
    PERFORM audit.upsert_config(ROW((SELECT n.nspname::text FROM pg_namespace n WHERE n.oid = target), target::oid, options,
                          coalesce(schema_row.enabled_at, now()), coalesce(schema_row.enabled_by, session_user))::audit.schema_settings);
    PERFORM audit.emit('config.enable', jsonb_strip_nulls(jsonb_build_object('options', options, 'previous', schema_row.options)),
                       'schema ' || target::text, NULL, NULL, NULL);
    FOR member IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = target AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
          AND NOT (c.relispartition AND EXISTS (
              SELECT FROM pg_partition_ancestors(c.oid) a JOIN pg_class p ON p.oid = a.relid
              WHERE a.relid <> c.oid AND (p.relnamespace = target
                  OR (audit.settings_of(a.relid)).schema_name IS NOT NULL)))
        ORDER BY c.oid
    LOOP
        PERFORM audit.enable_in_schema(member, options);
        enabled := enabled + 1;
    END LOOP;
    RETURN enabled;
END;
$$;
COMMENT ON FUNCTION audit.enable_schema(regnamespace, text, text[], text[], jsonb, boolean, text) IS
    'Audits every table of a schema and those created there later; returns how many there are now';

-- A table under its schema's options: columns that it does not have are passed over.
CREATE FUNCTION audit.enable_in_schema(target regclass, schema_options jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous jsonb := (audit.settings_of(target)).options;
BEGIN
    PERFORM audit.apply(target, audit.merge_options(target, schema_options || '{"from_schema": true}', NULL, NULL, NULL, NULL, NULL, NULL),
                        previous);
END;
$$;
COMMENT ON FUNCTION audit.enable_in_schema(regclass, jsonb) IS 'Audits a table under the options of its schema; internal';

CREATE FUNCTION audit.disable_schema(target regnamespace) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_row audit.schema_settings;
    member regclass;
    disabled integer := 0;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a schema.';
    END IF;
    schema_row := audit.current_row(NULL::audit.schema_settings, target::oid);
    IF schema_row.schema_name IS NULL THEN
        RAISE EXCEPTION 'schema % is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'audit.schema_settings lists the audited schemas.';
    END IF;
    PERFORM audit.delete_config(schema_row);
    PERFORM audit.emit('config.disable', jsonb_build_object('previous', schema_row.options), 'schema ' || target::text, NULL, NULL, NULL);
    FOR member IN
        SELECT c.oid FROM pg_class c WHERE c.relnamespace = target AND (audit.settings_of(c.oid)).schema_name IS NOT NULL ORDER BY c.oid
    LOOP
        PERFORM audit.disable(member);
        disabled := disabled + 1;
    END LOOP;
    RETURN disabled;
END;
$$;
COMMENT ON FUNCTION audit.disable_schema(regnamespace) IS 'Stops auditing a schema and its tables; returns how many there were';
