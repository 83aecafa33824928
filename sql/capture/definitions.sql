-- Changes of definitions: auditing follows tables through CREATE, RENAME, ATTACH, DETACH and DROP. What is
-- done here goes by the OIDs that PostgreSQL has altered, after it has asked for the rights to. At the start
-- of a command only names are known, which a role may have chosen to mislead a superuser's function: nothing
-- is locked or changed there.

CREATE FUNCTION audit.definition_starts() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'audit_definition_starts';
COMMENT ON FUNCTION audit.definition_starts() IS 'Loads the library before anything is dropped, and refuses what would change evidence';

CREATE FUNCTION audit.moved_partitions(command pg_ddl_command) RETURNS TABLE (partition oid, is_attached boolean)
    LANGUAGE c VOLATILE STRICT ROWS 1 AS 'MODULE_PATHNAME', 'audit_moved_partitions';
COMMENT ON FUNCTION audit.moved_partitions(pg_ddl_command) IS 'The partitions that an ALTER TABLE has attached or detached; internal';

-- SECURITY DEFINER: it acts on the objects of the command alone, whose owner has just altered them, and calls nothing of theirs.
CREATE FUNCTION audit.definition_ends() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    command record;
    moved record;
BEGIN
    -- What takes auditing away is recorded or prevented, or else the command fails: no error is caught here,
    -- because any role could provoke one.
    FOR command IN
        SELECT c.command, c.command_tag, c.objid AS relation
        FROM pg_event_trigger_ddl_commands() c
        WHERE c.object_type IN ('table', 'foreign table') AND c.command_tag LIKE 'ALTER%' AND coalesce(c.schema_name, '') NOT IN ('audit', 'pg_temp')
        UNION ALL
        SELECT NULL, c.command_tag, t.tgrelid
        FROM pg_event_trigger_ddl_commands() c JOIN pg_trigger t ON t.oid = c.objid WHERE c.classid = 'pg_trigger'::regclass
    LOOP
        FOR moved IN SELECT m.* FROM audit.moved_partitions(command.command) m WHERE NOT m.is_attached LOOP
            PERFORM audit.partition_detached(moved.partition, command.relation);
        END LOOP;
        PERFORM audit.record_triggers(command.relation, command.command_tag);
        PERFORM audit.record_reused_name(command.relation) WHERE command.command_tag LIKE 'ALTER%TABLE';
    END LOOP;
    BEGIN
        FOR command IN
            SELECT c.* FROM pg_event_trigger_ddl_commands() c
            WHERE c.object_type IN ('table', 'table column', 'foreign table', 'schema') AND NOT c.in_extension
              AND coalesce(c.schema_name, '') NOT IN ('audit', 'pg_temp')
        LOOP
            IF command.command_tag = 'ALTER SCHEMA' THEN
                PERFORM audit.schema_altered(command.objid);
            ELSIF command.command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE') THEN
                PERFORM audit.table_created(command.objid, command.command_tag);
            ELSIF command.command_tag IN ('ALTER TABLE', 'ALTER FOREIGN TABLE') THEN
                PERFORM audit.table_altered(command.objid);
                PERFORM audit.partition_attached(m.partition) FROM audit.moved_partitions(command.command) m WHERE m.is_attached;
            END IF;
        END LOOP;
    EXCEPTION WHEN OTHERS THEN
        -- No other change of definition is refused for our sake; audit.coverage shows what is missing.
        RAISE WARNING 'auditing could not follow this change: %', sqlerrm USING HINT = 'See audit.coverage.';
    END;
END;
$$;
COMMENT ON FUNCTION audit.definition_ends() IS 'Keeps auditing up to date with new, renamed, attached and detached tables, and records changes of its triggers';

-- After ATTACH PARTITION to an audited table, whose triggers PostgreSQL has cloned: they take the place of
-- the table's own. Its settings are deleted, but for the redaction, which the parent gets; its rows have been
-- attached without events.
CREATE FUNCTION audit.partition_attached(partition regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent regclass := audit.enabled_table(partition);
    settings audit.table_settings;
    own audit.table_settings;
    redact jsonb := '{}';
    has_own boolean := false;
    has_rows boolean;
BEGIN
    IF parent IS NULL OR parent = partition THEN
        RETURN;
    END IF;
    settings := audit.settings_of(parent);
    IF audit.row_state(partition, settings.options) = 0
       AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = partition AND t.tgfoid = 'audit.capture_row'::regproc AND t.tgparentid <> 0) THEN
        -- The parent's own trigger is not what it should be: the table keeps those that it has.
        RETURN;
    END IF;
    FOR own IN
        SELECT s.* FROM audit.with_partitions(partition) m CROSS JOIN LATERAL audit.settings_of(m) s WHERE s.schema_name IS NOT NULL
    LOOP
        PERFORM audit.emit('config.disable', jsonb_build_object('previous', own.options - 'columns', 'reason', format('attached to %s', parent)),
                           NULL, NULL, own.relation_oid, NULL);
        PERFORM audit.delete_config(own);
        redact := (own.options->'redact') || redact;
        has_own := has_own OR own.relation_oid = partition::oid;
    END LOOP;
    PERFORM audit.remove_trigger(t.oid) FROM audit.own_triggers(partition) t;
    PERFORM audit.forget_state(m, CASE WHEN m <> partition THEN 'ATTACH PARTITION' END) FROM audit.with_partitions(partition) m;
    PERFORM audit.cover_partitions(partition);
    IF NOT settings.options->'redact' @> redact AND EXISTS (SELECT FROM jsonb_object_keys(redact) k WHERE NOT settings.options->'redact' ? k) THEN
        PERFORM audit.apply(parent, audit.merge_options(parent, settings.options
            || jsonb_build_object('redact', redact || (settings.options->'redact'),
                                  'label_column', CASE WHEN NOT redact ? (settings.options->>'label_column') THEN settings.options->'label_column' END),
            NULL, NULL, NULL, NULL, NULL, NULL), settings.options);
    END IF;
    SELECT coalesce(sum(pg_relation_size(m)), 0) > 0 INTO has_rows
    FROM audit.with_partitions(partition) m JOIN pg_class c ON c.oid = m::oid WHERE c.relkind = 'r';
    IF has_rows AND NOT has_own THEN
        PERFORM audit.emit('table.unseen', jsonb_build_object('reason', 'attach', 'partition', partition::text), NULL, NULL, parent, NULL);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.partition_attached(regclass) IS 'Follows a table that has become a partition; internal';

-- After DETACH PARTITION, which has taken the clone of the row trigger away: the table goes on by itself, under the options of its parent.
CREATE FUNCTION audit.partition_detached(partition regclass, parent regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit.table_settings := audit.settings_of(audit.enabled_table(parent));
BEGIN
    IF settings.schema_name IS NULL OR (audit.settings_of(partition)).schema_name IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM audit.apply(partition, audit.merge_options(partition, settings.options - 'retention' || '{"from_schema": true}',
                                                       NULL, NULL, NULL, NULL, NULL, NULL), NULL);
END;
$$;
COMMENT ON FUNCTION audit.partition_detached(regclass, regclass) IS 'Follows a partition that has become a table of its own; internal';

-- After ALTER SCHEMA … RENAME: the settings of the schema and of its tables bear its name.
CREATE FUNCTION audit.schema_altered(target oid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit.schema_settings;
    new_name text := (SELECT n.nspname FROM pg_namespace n WHERE n.oid = target);
    member regclass;
BEGIN
    SELECT s.* INTO old_row FROM audit.schema_settings s WHERE s.schema_oid = target AND s.schema_name <> new_name;
    IF FOUND THEN
        PERFORM audit.delete_config(old_row);
        PERFORM audit.upsert_config(ROW(new_name, target, old_row.options, old_row.enabled_at, old_row.enabled_by)::audit.schema_settings);
    END IF;
    FOR member IN
        SELECT c.oid FROM audit.table_settings s JOIN pg_class c ON c.oid = s.relation_oid WHERE c.relnamespace = target
    LOOP
        PERFORM audit.table_altered(member);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.schema_altered(oid) IS 'Follows a schema through ALTER SCHEMA; internal';

CREATE FUNCTION audit.table_created(target regclass, command_tag text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    schema_options jsonb;
BEGIN
    SELECT c.relispartition, c.relpersistence, c.relkind, c.relnamespace INTO relation FROM pg_class c WHERE c.oid = target;
    IF NOT FOUND OR relation.relpersistence = 't' OR relation.relkind NOT IN ('r', 'p', 'f') THEN
        RETURN;
    ELSIF relation.relispartition AND audit.enabled_table(target) IS NOT NULL THEN
        PERFORM audit.cover_partitions(target);
        RETURN;
    END IF;
    SELECT s.options INTO schema_options FROM audit.schema_settings s WHERE s.schema_oid = relation.relnamespace;
    IF FOUND THEN
        PERFORM audit.enable_in_schema(target, schema_options);
        IF command_tag IN ('CREATE TABLE AS', 'SELECT INTO') THEN
            PERFORM audit.emit('table.unseen', jsonb_build_object('reason', lower(command_tag)), NULL, NULL, target, NULL);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.table_created(regclass, text) IS 'Audits a new table of an audited schema, or a new partition; internal';

-- Gives the target, a partition of an audited table, and its own partitions their TRUNCATE triggers.
CREATE FUNCTION audit.cover_partitions(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit.table_settings := audit.settings_of(audit.enabled_table(target));
    member regclass;
BEGIN
    FOR member IN
        SELECT m FROM audit.with_partitions(target) m WHERE audit.truncate_state(m, settings.options) < 3
    LOOP
        PERFORM audit.write_truncate_trigger(member, audit.trigger_seed(settings.options));
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.cover_partitions(regclass) IS 'Gives partitions their TRUNCATE triggers; internal';

-- After ALTER TABLE: names may have changed.
CREATE FUNCTION audit.table_altered(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit.table_settings := audit.settings_of(target);
    relation record;
    options jsonb;
BEGIN
    SELECT n.nspname::text AS schema_name, c.relname::text AS table_name INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    IF NOT FOUND OR old_row.schema_name IS NULL THEN
        RETURN;
    END IF;
    options := audit.renamed_options(target, old_row.options);
    IF (old_row.schema_name, old_row.table_name, old_row.options) IS DISTINCT FROM (relation.schema_name, relation.table_name, options) THEN
        PERFORM audit.delete_config(old_row);
        PERFORM audit.upsert_config(ROW(relation.schema_name, relation.table_name, target::oid, options,
                              old_row.enabled_at, old_row.enabled_by)::audit.table_settings);
        IF audit.trigger_seed(old_row.options) IS DISTINCT FROM audit.trigger_seed(options) THEN
            PERFORM audit.write_triggers(target, options);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.table_altered(regclass) IS 'Follows a table through ALTER TABLE; internal';

-- The options with the columns' present names: a renamed column stays ignored and redacted, a dropped one takes its option along.
CREATE FUNCTION audit.renamed_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH present AS (
        SELECT old.key AS old_name, CASE WHEN NOT a.attisdropped THEN a.attname::text END AS new_name
        FROM jsonb_each(options->'columns') old
        JOIN pg_catalog.pg_attribute a ON a.attrelid = target AND to_jsonb(a.attnum) = old.value
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

-- SECURITY DEFINER: it removes the settings of what is gone, and records what its owner did to triggers.
CREATE FUNCTION audit.objects_dropped() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone audit.table_settings;
    gone_schema audit.schema_settings;
BEGIN
    -- As in definition_ends, no error is caught. A table that was dropped with its triggers is not found.
    PERFORM audit.record_triggers(t.relation, 'DROP TRIGGER')
    FROM (SELECT to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) AS relation
          FROM pg_event_trigger_dropped_objects() d WHERE d.classid = 'pg_trigger'::regclass) t
    WHERE t.relation IS NOT NULL;
    BEGIN
        FOR gone IN
            SELECT s.* FROM pg_event_trigger_dropped_objects() d JOIN audit.table_settings s ON s.relation_oid = d.objid
            WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
        LOOP
            PERFORM audit.delete_config(gone);
            PERFORM audit.emit('config.disable', jsonb_build_object('previous', gone.options - 'columns', 'reason', 'table dropped'),
                               format('%I.%I', gone.schema_name, gone.table_name), NULL, NULL, NULL);
        END LOOP;
        PERFORM audit.forget_state(d.objid, NULL) FROM pg_event_trigger_dropped_objects() d WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0;
        FOR gone_schema IN
            SELECT s.* FROM pg_event_trigger_dropped_objects() d JOIN audit.schema_settings s ON s.schema_oid = d.objid
            WHERE d.classid = 'pg_namespace'::regclass
        LOOP
            PERFORM audit.delete_config(gone_schema);
            PERFORM audit.emit('config.disable', jsonb_build_object('previous', gone_schema.options, 'reason', 'schema dropped'),
                               'schema ' || quote_ident(gone_schema.schema_name), NULL, NULL, NULL);
        END LOOP;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'auditing could not follow this drop: %', sqlerrm USING HINT = 'See audit.coverage.';
    END;
END;
$$;
COMMENT ON FUNCTION audit.objects_dropped() IS 'Records that an audited table or its triggers were dropped';

-- SECURITY DEFINER: it records what the owner of a table did to it.
CREATE FUNCTION audit.table_rewritten() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass := pg_event_trigger_table_rewrite_oid();
BEGIN
    IF audit.row_operations((audit.settings_of(audit.enabled_table(target))).options) > 0 THEN
        PERFORM audit.emit('table.unseen', jsonb_build_object('reason', 'rewrite'), NULL, NULL, target, NULL);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'auditing could not follow this rewrite: %', sqlerrm USING HINT = 'See audit.coverage.';
END;
$$;
COMMENT ON FUNCTION audit.table_rewritten() IS 'Records that a rewrite changed rows without row events';

CREATE EVENT TRIGGER audit_definition_starts ON ddl_command_start EXECUTE FUNCTION audit.definition_starts();
CREATE EVENT TRIGGER audit_definition_ends ON ddl_command_end EXECUTE FUNCTION audit.definition_ends();
CREATE EVENT TRIGGER audit_objects_dropped ON sql_drop EXECUTE FUNCTION audit.objects_dropped();
CREATE EVENT TRIGGER audit_table_rewritten ON table_rewrite EXECUTE FUNCTION audit.table_rewritten();
ALTER EVENT TRIGGER audit_definition_starts ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_definition_ends ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_objects_dropped ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_table_rewritten ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER audit_definition_starts IS 'Protects the evidence against DROP';
COMMENT ON EVENT TRIGGER audit_definition_ends IS 'Keeps auditing up to date with changes of tables';
COMMENT ON EVENT TRIGGER audit_objects_dropped IS 'Records that an audited table was dropped';
COMMENT ON EVENT TRIGGER audit_table_rewritten IS 'Records that rows were rewritten';
