-- Enabling and disabling the auditing of tables and schemas.

-- SECURITY DEFINER is safe here: only audit_admin may execute it; it creates audit triggers on the table and
-- runs no code of the table's owner.
CREATE FUNCTION audit.enable(
    target regclass,
    level text DEFAULT NULL,
    operations text[] DEFAULT NULL,
    ignore_columns text[] DEFAULT NULL,
    redact jsonb DEFAULT NULL,
    reads boolean DEFAULT NULL,
    label_column text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous jsonb;
    options jsonb;
BEGIN
    PERFORM audit_internal.check_target(target);
    -- Serializes sessions that enable the same table, so that each merges with the options of the one before.
    PERFORM audit_internal.lock_table(target);
    previous := coalesce(
        audit_internal.renamed_options(target, (audit_internal.settings_of(target)).options),
        (audit_internal.stale_settings_of(target)).options);
    options := audit_internal.merge_options(
        target,
        previous - 'from_schema',
        level,
        operations,
        ignore_columns,
        redact,
        reads,
        label_column);
    PERFORM audit_internal.apply(target, options, previous);
END;
$$;
COMMENT ON FUNCTION audit.enable(regclass, text, text[], text[], jsonb, boolean, text) IS
    'Audits a table, or changes its options; a null option keeps its present value';

-- SECURITY DEFINER is safe here: only audit_admin may execute it; it removes audit triggers alone and records
-- config.disable.
CREATE FUNCTION audit.disable(target regclass) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.table_settings;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name an audited table.';
    END IF;
    PERFORM audit_internal.lock_table(target);
    settings := audit_internal.settings_of(target);
    IF settings.schema_name IS NULL THEN
        RAISE EXCEPTION '% is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'audit.tables lists the audited tables.';
    END IF;
    PERFORM audit_internal.emit(
        'config.disable',
        parameters => jsonb_build_object('previous', settings.options - 'columns'),
        target => target);
    PERFORM audit_internal.remove_trigger(t.oid) FROM audit_internal.own_triggers(target) t;
    PERFORM audit_internal.forget_trigger_state(t, CASE WHEN t <> target THEN 'audit.disable' END)
    FROM audit_internal.with_partitions(target) t;
    PERFORM audit_internal.delete_config(settings);
END;
$$;
COMMENT ON FUNCTION audit.disable(regclass) IS 'Stops auditing a table; its events are kept';

-- SECURITY DEFINER is safe here: as audit.enable, for the tables of a schema.
CREATE FUNCTION audit.enable_schema(
    target regnamespace,
    level text DEFAULT NULL,
    operations text[] DEFAULT NULL,
    ignore_columns text[] DEFAULT NULL,
    redact jsonb DEFAULT NULL,
    reads boolean DEFAULT NULL,
    label_column text DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.schema_settings;
    previous jsonb;
    member regclass;
    enabled integer := 0;
BEGIN
    PERFORM audit_internal.check_schema(target);
    settings := audit_internal.current_row(NULL::audit_internal.schema_settings, target::oid);
    previous := settings.options;
    settings.schema_name := (SELECT n.nspname FROM pg_namespace n WHERE n.oid = target);
    settings.schema_oid := target;
    settings.options := audit_internal.merge_options(
        NULL,
        previous,
        level,
        operations,
        ignore_columns,
        redact,
        reads,
        label_column);
    settings.enabled_at := coalesce(settings.enabled_at, now());
    settings.enabled_by := coalesce(settings.enabled_by, session_user);
    PERFORM audit_internal.create_partitions();
    PERFORM audit_internal.upsert_config(settings);
    PERFORM audit_internal.emit(
        'config.enable',
        parameters => jsonb_strip_nulls(
            jsonb_build_object('options', settings.options, 'previous', previous)),
        entity => 'schema ' || target::text);
    FOR member IN SELECT m FROM audit_internal.tables_to_enable(target) m LOOP
        PERFORM audit_internal.enable_in_schema(member, settings.options);
        enabled := enabled + 1;
    END LOOP;
    RETURN enabled;
END;
$$;
COMMENT ON FUNCTION audit.enable_schema(regnamespace, text, text[], text[], jsonb, boolean, text) IS
    'Audits every table of a schema, including tables that are created in it later; returns how many tables '
    'exist now';

-- SECURITY DEFINER is safe here: as audit.disable, for the tables of a schema.
CREATE FUNCTION audit.disable_schema(target regnamespace) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.schema_settings;
    member regclass;
    disabled integer := 0;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a schema.';
    END IF;
    settings := audit_internal.current_row(NULL::audit_internal.schema_settings, target::oid);
    IF settings.schema_name IS NULL THEN
        RAISE EXCEPTION 'schema % is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'audit.schemas lists the audited schemas; audit.disable stops auditing one table.';
    END IF;
    PERFORM audit_internal.delete_config(settings);
    PERFORM audit_internal.emit(
        'config.disable',
        parameters => jsonb_build_object('previous', settings.options),
        entity => 'schema ' || target::text);
    FOR member IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = target AND (audit_internal.settings_of(c.oid)).schema_name IS NOT NULL
        ORDER BY c.oid
    LOOP
        PERFORM audit.disable(member);
        disabled := disabled + 1;
    END LOOP;
    RETURN disabled;
END;
$$;
COMMENT ON FUNCTION audit.disable_schema(regnamespace) IS
    'Stops auditing a schema and its tables; returns how many tables were audited';

CREATE FUNCTION audit_internal.apply(target regclass, options jsonb, previous jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.table_settings;
    old_row audit_internal.table_settings := audit_internal.settings_of(target);
    stale_row audit_internal.table_settings := audit_internal.stale_settings_of(target);
    member audit_internal.table_settings;
BEGIN
    SELECT n.nspname, c.relname INTO settings.schema_name, settings.table_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = target;
    settings.relation_oid := target;
    settings.options := options;
    settings.enabled_at := coalesce(old_row.enabled_at, now());
    settings.enabled_by := coalesce(old_row.enabled_by, session_user);
    PERFORM audit_internal.create_partitions();
    -- The settings come first: from here on backends plan the capture of this table by them.
    IF (old_row.schema_name, old_row.table_name) <> (settings.schema_name, settings.table_name) THEN
        PERFORM audit_internal.delete_config(old_row);
    END IF;
    IF stale_row.schema_name IS NOT NULL THEN
        PERFORM audit_internal.delete_config(stale_row);
    END IF;
    PERFORM audit_internal.upsert_config(settings);
    PERFORM audit_internal.write_triggers(target, options);
    -- The settings of the table replace those of partitions that were audited by themselves.
    FOR member IN
        SELECT s.* FROM pg_partition_tree(target) p CROSS JOIN LATERAL audit_internal.settings_of(p.relid) s
        WHERE p.relid <> target AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit_internal.delete_config(member);
    END LOOP;
    PERFORM audit_internal.emit(
        'config.enable',
        parameters => jsonb_strip_nulls(
            jsonb_build_object('options', options - 'columns', 'previous', previous - 'columns')),
        target => target);
END;
$$;
COMMENT ON FUNCTION audit_internal.apply(regclass, jsonb, jsonb) IS
    'Puts checked options into effect: writes the settings, the triggers and the event';

CREATE FUNCTION audit_internal.check_schema(target regnamespace) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a schema.';
    ELSIF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = target) THEN
        RAISE EXCEPTION 'schema with OID % does not exist', target::oid
            USING ERRCODE = 'invalid_schema_name', HINT = 'Name an existing schema.';
    ELSIF target::oid IN (
        SELECT n.oid FROM pg_namespace n
        WHERE n.nspname IN ('audit', 'audit_internal', 'information_schema') OR n.nspname LIKE 'pg\_%')
    THEN
        RAISE EXCEPTION 'cannot audit schema %', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Name a schema of user tables.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_schema(regnamespace) IS
    'Raises an error if a schema cannot be audited';

-- Partitions are left out where a table above them is audited or is about to be: they follow it.
CREATE FUNCTION audit_internal.tables_to_enable(target regnamespace) RETURNS SETOF regclass
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.oid::regclass
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = target AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
      AND NOT (c.relispartition AND EXISTS (
          SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a JOIN pg_catalog.pg_class p ON p.oid = a.relid
          WHERE a.relid <> c.oid
            AND (p.relnamespace = target OR (audit_internal.settings_of(a.relid)).schema_name IS NOT NULL)))
    ORDER BY c.oid;
END;
COMMENT ON FUNCTION audit_internal.tables_to_enable(regnamespace) IS
    'The tables of a schema that audit.enable_schema audits';

CREATE FUNCTION audit_internal.enable_in_schema(target regclass, schema_options jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options jsonb := audit_internal.merge_options(
        target,
        schema_options || '{"from_schema": true}',
        level => NULL,
        operations => NULL,
        ignore_columns => NULL,
        redact => NULL,
        reads => NULL,
        label_column => NULL);
BEGIN
    PERFORM audit_internal.apply(target, options, previous => (audit_internal.settings_of(target)).options);
END;
$$;
COMMENT ON FUNCTION audit_internal.enable_in_schema(regclass, jsonb) IS
    'Audits a table under the options of its schema; options for columns that the table lacks are ignored';
