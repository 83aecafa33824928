-- Switching auditing on and off.

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, choose what is recorded; it gives the table our triggers
-- and runs none of its owner's code.
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
    PERFORM audit_internal.check_target(target);
    -- Other sessions that enable this table wait here, so that options are merged one after the other.
    PERFORM audit_internal.lock_table(target);
    previous := coalesce(audit_internal.renamed_options(target, (audit_internal.settings_of(target)).options), (audit_internal.stale_settings_of(target)).options);
    options := audit_internal.merge_options(target, previous - 'from_schema', level, operations, ignore_columns, redact, reads, label_column);
    PERFORM audit_internal.apply(target, options, previous);
END;
$$;
COMMENT ON FUNCTION audit.enable(regclass, text, text[], text[], jsonb, boolean, text) IS
    'Audits a table, or changes how; an option that is null keeps what is set';

-- Writes triggers, settings and the event.
CREATE FUNCTION audit_internal.apply(target regclass, options jsonb, previous jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    member audit_internal.table_settings;
    old_row audit_internal.table_settings := audit_internal.settings_of(target);
    stale_row audit_internal.table_settings := audit_internal.stale_settings_of(target);
BEGIN
    SELECT n.nspname::text AS schema_name, c.relname::text AS table_name INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    PERFORM audit_internal.create_partitions();
    -- The settings come first: a plan that is made from now on goes by them.
    IF old_row.schema_name IS NOT NULL AND (old_row.schema_name, old_row.table_name) <> (relation.schema_name, relation.table_name) THEN
        PERFORM audit_internal.delete_config(old_row);
    END IF;
    IF stale_row.schema_name IS NOT NULL THEN
        PERFORM audit_internal.delete_config(stale_row);
    END IF;
    PERFORM audit_internal.upsert_config(ROW(relation.schema_name, relation.table_name, target::oid, options,
                          coalesce(old_row.enabled_at, now()), coalesce(old_row.enabled_by, session_user))::audit_internal.table_settings);
    PERFORM audit_internal.write_triggers(target, options);
    -- Partitions that were audited by themselves follow from now on.
    FOR member IN
        SELECT s.* FROM pg_partition_tree(target) p CROSS JOIN LATERAL audit_internal.settings_of(p.relid) s
        WHERE p.relid <> target AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit_internal.delete_config(member);
    END LOOP;
    PERFORM audit_internal.emit('config.enable', jsonb_strip_nulls(jsonb_build_object('options', options - 'columns', 'previous', previous - 'columns')),
                       NULL, NULL, target, NULL);
END;
$$;
COMMENT ON FUNCTION audit_internal.apply(regclass, jsonb, jsonb) IS 'Puts checked options in force; internal';

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, get a config.disable event for it, and it removes our
-- triggers alone.
CREATE FUNCTION audit.disable(target regclass) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit_internal.table_settings;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name an audited table.';
    END IF;
    PERFORM audit_internal.lock_table(target);
    old_row := audit_internal.settings_of(target);
    IF old_row.schema_name IS NULL THEN
        RAISE EXCEPTION '% is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'audit.tables lists the audited tables.';
    END IF;
    PERFORM audit_internal.emit('config.disable', jsonb_build_object('previous', old_row.options - 'columns'), NULL, NULL, target, NULL);
    PERFORM audit_internal.remove_trigger(t.oid) FROM audit_internal.own_triggers(target) t;
    PERFORM audit_internal.forget_state(t, CASE WHEN t <> target THEN 'audit.disable' END) FROM audit_internal.with_partitions(target) t;
    PERFORM audit_internal.delete_config(old_row);
END;
$$;
COMMENT ON FUNCTION audit.disable(regclass) IS 'Stops auditing a table; its events stay';

-- SECURITY DEFINER is safe here: as audit.enable, for the tables of a schema.
CREATE FUNCTION audit.enable_schema(target regnamespace, level text DEFAULT NULL, operations text[] DEFAULT NULL,
                                    ignore_columns text[] DEFAULT NULL, redact jsonb DEFAULT NULL, reads boolean DEFAULT NULL,
                                    label_column text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_row audit_internal.schema_settings;
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
                          WHERE n.nspname IN ('audit', 'audit_internal', 'pg_catalog', 'information_schema') OR n.nspname LIKE 'pg\_%') THEN
        RAISE EXCEPTION 'cannot audit schema %', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Name a schema of user tables.';
    END IF;
    schema_row := audit_internal.current_row(NULL::audit_internal.schema_settings, target::oid);
    options := audit_internal.merge_options(NULL, schema_row.options, level, operations, ignore_columns, redact, reads, label_column);
    PERFORM audit_internal.create_partitions();
    PERFORM audit_internal.upsert_config(ROW((SELECT n.nspname::text FROM pg_namespace n WHERE n.oid = target), target::oid, options,
                          coalesce(schema_row.enabled_at, now()), coalesce(schema_row.enabled_by, session_user))::audit_internal.schema_settings);
    PERFORM audit_internal.emit('config.enable', jsonb_strip_nulls(jsonb_build_object('options', options, 'previous', schema_row.options)),
                       'schema ' || target::text, NULL, NULL, NULL);
    FOR member IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = target AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
          AND NOT (c.relispartition AND EXISTS (
              SELECT FROM pg_partition_ancestors(c.oid) a JOIN pg_class p ON p.oid = a.relid
              WHERE a.relid <> c.oid AND (p.relnamespace = target
                  OR (audit_internal.settings_of(a.relid)).schema_name IS NOT NULL)))
        ORDER BY c.oid
    LOOP
        PERFORM audit_internal.enable_in_schema(member, options);
        enabled := enabled + 1;
    END LOOP;
    RETURN enabled;
END;
$$;
COMMENT ON FUNCTION audit.enable_schema(regnamespace, text, text[], text[], jsonb, boolean, text) IS
    'Audits every table of a schema and those created there later; returns how many there are now';

-- A table under its schema's options: columns that it does not have are passed over.
CREATE FUNCTION audit_internal.enable_in_schema(target regclass, schema_options jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous jsonb := (audit_internal.settings_of(target)).options;
BEGIN
    PERFORM audit_internal.apply(target, audit_internal.merge_options(target, schema_options || '{"from_schema": true}', NULL, NULL, NULL, NULL, NULL, NULL),
                        previous);
END;
$$;
COMMENT ON FUNCTION audit_internal.enable_in_schema(regclass, jsonb) IS 'Audits a table under the options of its schema; internal';

-- SECURITY DEFINER is safe here: as audit.disable, for the tables of a schema.
CREATE FUNCTION audit.disable_schema(target regnamespace) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_row audit_internal.schema_settings;
    member regclass;
    disabled integer := 0;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a schema.';
    END IF;
    schema_row := audit_internal.current_row(NULL::audit_internal.schema_settings, target::oid);
    IF schema_row.schema_name IS NULL THEN
        RAISE EXCEPTION 'schema % is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'audit_internal.schema_settings lists the audited schemas.';
    END IF;
    PERFORM audit_internal.delete_config(schema_row);
    PERFORM audit_internal.emit('config.disable', jsonb_build_object('previous', schema_row.options), 'schema ' || target::text, NULL, NULL, NULL);
    FOR member IN
        SELECT c.oid FROM pg_class c WHERE c.relnamespace = target AND (audit_internal.settings_of(c.oid)).schema_name IS NOT NULL ORDER BY c.oid
    LOOP
        PERFORM audit.disable(member);
        disabled := disabled + 1;
    END LOOP;
    RETURN disabled;
END;
$$;
COMMENT ON FUNCTION audit.disable_schema(regnamespace) IS 'Stops auditing a schema and its tables; returns how many there were';
