-- Changes of definitions: auditing follows tables through CREATE, RENAME, ATTACH, DETACH and DROP.
--
-- At the start of a command only names are known, and a role may have chosen names that mislead a function
-- with a superuser's rights: nothing is locked or changed there. At the end PostgreSQL has checked the rights
-- of the caller and altered the objects; these functions use the OIDs of those objects.
--
-- Functions with SECURITY DEFINER act on the objects of the command alone, which the caller has just altered
-- as their owner, and run none of the owner's code. They catch no error that a caller could provoke to hide a
-- change, as by a lock or a deep stack: a command whose event cannot be written fails.

CREATE FUNCTION audit_internal.definition_starts() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'audit_definition_starts';
COMMENT ON FUNCTION audit_internal.definition_starts() IS
    'Loads the library before a command drops anything, and rejects commands that would change evidence';

-- SECURITY DEFINER: see the head of this file.
CREATE FUNCTION audit_internal.definition_ends() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    command record;
    moved record;
BEGIN
    -- Tables first, whose names the other functions record. ALTER INDEX may rename a table.
    FOR command IN
        SELECT c.command, c.command_tag, c.objid AS relation, c.in_extension
        FROM pg_event_trigger_ddl_commands() c
        WHERE c.object_type IN ('table', 'table column', 'foreign table')
          AND coalesce(c.schema_name, '') NOT IN ('audit', 'audit_internal', 'pg_temp')
    LOOP
        IF command.command_tag LIKE 'ALTER%' THEN
            PERFORM audit_internal.table_altered(command.relation);
            FOR moved IN SELECT m.* FROM audit_internal.moved_partitions(command.command) m LOOP
                IF moved.is_attached THEN
                    PERFORM audit_internal.partition_attached(moved.partition);
                ELSE
                    PERFORM audit_internal.partition_detached(moved.partition, command.relation);
                END IF;
            END LOOP;
            PERFORM audit_internal.record_triggers(command.relation, command.command_tag);
        ELSIF NOT command.in_extension THEN
            PERFORM audit_internal.table_created(command.relation, command.command_tag);
        END IF;
        PERFORM audit_internal.record_reused_name(command.relation);
    END LOOP;
    PERFORM audit_internal.record_triggers(t.tgrelid, c.command_tag)
    FROM pg_event_trigger_ddl_commands() c JOIN pg_trigger t ON t.oid = c.objid
    WHERE c.classid = 'pg_trigger'::regclass;
    PERFORM audit_internal.schema_altered(c.objid)
    FROM pg_event_trigger_ddl_commands() c
    WHERE c.object_type = 'schema' AND c.command_tag = 'ALTER SCHEMA';
END;
$$;
COMMENT ON FUNCTION audit_internal.definition_ends() IS
    'Follows new, renamed, attached and detached tables, and records changes of audit triggers';

-- SECURITY DEFINER: see the head of this file.
CREATE FUNCTION audit_internal.objects_dropped() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    dropped audit_internal.table_settings;
    dropped_schema audit_internal.schema_settings;
BEGIN
    -- to_regclass is null for a table that was dropped together with its triggers.
    PERFORM audit_internal.record_triggers(t.relation, 'DROP TRIGGER')
    FROM (SELECT to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) AS relation
          FROM pg_event_trigger_dropped_objects() d WHERE d.classid = 'pg_trigger'::regclass) t
    WHERE t.relation IS NOT NULL;
    FOR dropped IN
        SELECT s.*
        FROM pg_event_trigger_dropped_objects() d CROSS JOIN LATERAL audit_internal.settings_of(d.objid) s
        WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit_internal.delete_config(dropped);
        PERFORM audit_internal.emit(
            'config.disable',
            parameters => jsonb_build_object('previous', dropped.options - 'columns',
                                             'reason', 'table dropped'),
            entity => format('%I.%I', dropped.schema_name, dropped.table_name));
    END LOOP;
    PERFORM audit_internal.forget_trigger_state(d.objid, NULL)
    FROM pg_event_trigger_dropped_objects() d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.object_type IN ('table', 'foreign table');
    FOR dropped_schema IN
        SELECT s.*
        FROM pg_event_trigger_dropped_objects() d
        CROSS JOIN LATERAL audit_internal.current_row(NULL::audit_internal.schema_settings, d.objid) s
        WHERE d.classid = 'pg_namespace'::regclass AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit_internal.delete_config(dropped_schema);
        PERFORM audit_internal.emit(
            'config.disable',
            parameters => jsonb_build_object('previous', dropped_schema.options, 'reason', 'schema dropped'),
            entity => 'schema ' || quote_ident(dropped_schema.schema_name));
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.objects_dropped() IS
    'Removes the settings of dropped tables and schemas, and records that they or audit triggers were '
    'dropped';

-- SECURITY DEFINER: see the head of this file.
CREATE FUNCTION audit_internal.table_rewritten() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass := pg_event_trigger_table_rewrite_oid();
    settings audit_internal.table_settings :=
        audit_internal.settings_of(audit_internal.enabled_table(target));
BEGIN
    IF audit_internal.row_operations(settings.options) > 0 THEN
        PERFORM audit_internal.emit('table.unseen', parameters => '{"reason": "rewrite"}', target => target);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.table_rewritten() IS
    'Records that ALTER TABLE rewrote the rows of an audited table, which fires no triggers';

CREATE FUNCTION audit_internal.table_created(target regclass, command_tag text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    schema_options jsonb;
BEGIN
    -- Found under every isolation level: a transaction sees its own rows of pg_class.
    SELECT c.relispartition, c.relpersistence, c.relkind, c.relnamespace INTO relation
    FROM pg_class c
    WHERE c.oid = target;
    IF NOT FOUND OR relation.relpersistence = 't' OR relation.relkind NOT IN ('r', 'p', 'f') THEN
        RETURN;
    ELSIF relation.relispartition AND audit_internal.enabled_table(target) IS NOT NULL THEN
        PERFORM audit_internal.cover_partitions(target);
        RETURN;
    END IF;
    schema_options :=
        (audit_internal.current_row(NULL::audit_internal.schema_settings, relation.relnamespace)).options;
    IF schema_options IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM audit_internal.enable_in_schema(target, schema_options);
    EXCEPTION WHEN invalid_parameter_value OR object_not_in_prerequisite_state OR serialization_failure THEN
        -- The options of the schema do not fit the table, or a SERIALIZABLE transaction conflicts with a
        -- concurrent change of settings. The table is created unaudited, which audit.coverage shows.
        RAISE WARNING 'auditing could not follow this change: %', sqlerrm
            USING HINT = 'audit.coverage shows what is not audited.';
        RETURN;
    END;
    IF command_tag IN ('CREATE TABLE AS', 'SELECT INTO') THEN
        PERFORM audit_internal.emit(
            'table.unseen',
            parameters => jsonb_build_object('reason', lower(command_tag)),
            target => target);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.table_created(regclass, text) IS
    'Audits a new table of an audited schema, or a new partition of an audited table';

-- After ALTER TABLE, which may have renamed the table or its columns.
CREATE FUNCTION audit_internal.table_altered(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit_internal.table_settings := audit_internal.settings_of(target);
    new_row audit_internal.table_settings := old_row;
    -- The present name, always with the schema: search_path contains none of users.
    names text[] := parse_ident(target::text);
BEGIN
    IF old_row.schema_name IS NULL OR cardinality(names) <> 2 THEN
        RETURN;
    END IF;
    new_row.schema_name := names[1];
    new_row.table_name := names[2];
    new_row.options := audit_internal.renamed_options(target, old_row.options);
    IF old_row IS NOT DISTINCT FROM new_row THEN
        RETURN;
    END IF;
    PERFORM audit_internal.delete_config(old_row);
    PERFORM audit_internal.upsert_config(new_row);
    IF audit_internal.trigger_seed(old_row.options)
       IS DISTINCT FROM audit_internal.trigger_seed(new_row.options) THEN
        PERFORM audit_internal.write_triggers(target, new_row.options);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.table_altered(regclass) IS
    'Updates the settings of a table after ALTER TABLE';

CREATE FUNCTION audit_internal.moved_partitions(command pg_ddl_command)
RETURNS TABLE (partition oid, is_attached boolean)
    LANGUAGE c VOLATILE STRICT ROWS 1 AS 'MODULE_PATHNAME', 'audit_moved_partitions';
COMMENT ON FUNCTION audit_internal.moved_partitions(pg_ddl_command) IS
    'The partitions that an ALTER TABLE has attached or detached';

-- After ATTACH PARTITION to an audited table. PostgreSQL has cloned the parent's row trigger to the
-- partition: the clone replaces the partition's own, and the settings of the parent replace its own settings.
CREATE FUNCTION audit_internal.partition_attached(partition regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent regclass := audit_internal.enabled_table(partition);
    settings audit_internal.table_settings;
    had_settings boolean;
BEGIN
    IF parent IS NULL OR parent = partition THEN
        RETURN;
    END IF;
    settings := audit_internal.settings_of(parent);
    had_settings := (audit_internal.settings_of(partition)).schema_name IS NOT NULL;
    PERFORM audit_internal.replace_settings(partition, settings);
    -- Where the parent's own row trigger has been weakened, so is its clone, and the table keeps its own
    -- trigger.
    IF audit_internal.row_operations(settings.options) = 0
       OR EXISTS (SELECT FROM pg_trigger t
                  WHERE t.tgrelid = partition AND t.tgfoid = 'audit.capture_row'::regproc
                    AND t.tgparentid <> 0 AND t.tgenabled = 'A') THEN
        PERFORM audit_internal.remove_trigger(t.oid)
        FROM audit_internal.own_triggers(partition) t
        WHERE t.is_row;
    END IF;
    PERFORM audit_internal.forget_trigger_state(m, CASE WHEN m <> partition THEN 'ATTACH PARTITION' END)
    FROM audit_internal.with_partitions(partition) m;
    PERFORM audit_internal.cover_partitions(partition);
    IF NOT had_settings AND audit_internal.has_rows(partition) THEN
        PERFORM audit_internal.emit(
            'table.unseen',
            parameters => jsonb_build_object('reason', 'attach', 'partition', partition::text),
            target => parent);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_attached(regclass) IS
    'Audits a table that has become a partition as its parent is';

-- A column that is redacted in the partition must be redacted in the parent too, or ATTACH PARTITION would
-- reveal it. The parent may have another owner, and its options are an administrator's choice: the command is
-- rejected instead.
CREATE FUNCTION audit_internal.replace_settings(
    partition regclass,
    parent audit_internal.table_settings
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent_name text := parent.relation_oid::regclass;
    own audit_internal.table_settings;
    column_name text;
BEGIN
    FOR own IN
        SELECT s.*
        FROM audit_internal.with_partitions(partition) m CROSS JOIN LATERAL audit_internal.settings_of(m) s
        WHERE s.schema_name IS NOT NULL
    LOOP
        SELECT k INTO column_name
        FROM jsonb_object_keys(own.options->'redact') k
        WHERE NOT parent.options->'redact' ? k
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION
                'cannot attach % to %, which is audited: column "%" is redacted only in the former',
                own.relation_oid::regclass, parent_name, column_name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('Redact the column in both tables: SELECT audit.enable(%L, redact => …).',
                                    parent_name);
        END IF;
        PERFORM audit_internal.emit(
            'config.disable',
            parameters => jsonb_build_object('previous', own.options - 'columns',
                                             'reason', format('attached to %s', parent_name)),
            target => own.relation_oid);
        PERFORM audit_internal.delete_config(own);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.replace_settings(regclass, audit_internal.table_settings) IS
    'Deletes the settings of a table and its partitions, for which those of a new parent hold';

CREATE FUNCTION audit_internal.has_rows(target regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(sum(pg_relation_size(m)), 0) > 0
    FROM audit_internal.with_partitions(target) m JOIN pg_catalog.pg_class c ON c.oid = m::oid
    WHERE c.relkind = 'r';
END;
COMMENT ON FUNCTION audit_internal.has_rows(regclass) IS
    'Whether a table or one of its partitions takes up space, and so may contain rows';

-- After DETACH PARTITION, which has dropped the clone of the row trigger.
CREATE FUNCTION audit_internal.partition_detached(partition regclass, parent regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.table_settings :=
        audit_internal.settings_of(audit_internal.enabled_table(parent));
BEGIN
    IF settings.schema_name IS NULL OR (audit_internal.settings_of(partition)).schema_name IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM audit_internal.apply(
        partition,
        audit_internal.inherited_options(partition, settings.options),
        previous => NULL);
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_detached(regclass, regclass) IS
    'Audits a detached partition by itself, under the options of its former parent';

CREATE FUNCTION audit_internal.cover_partitions(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.table_settings :=
        audit_internal.settings_of(audit_internal.enabled_table(target));
    member regclass;
BEGIN
    FOR member IN
        SELECT m FROM audit_internal.with_partitions(target) m
        WHERE audit_internal.truncate_state(m, settings.options) < 3
    LOOP
        PERFORM audit_internal.write_truncate_trigger(member, audit_internal.trigger_seed(settings.options));
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.cover_partitions(regclass) IS
    'Creates the missing TRUNCATE triggers of a partition of an audited table and of its own partitions';

-- After ALTER SCHEMA … RENAME: the settings of the schema and of its tables contain its name.
CREATE FUNCTION audit_internal.schema_altered(target oid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit_internal.schema_settings :=
        audit_internal.current_row(NULL::audit_internal.schema_settings, target);
    new_row audit_internal.schema_settings := old_row;
    member regclass;
BEGIN
    new_row.schema_name := (parse_ident(target::regnamespace::text))[1];
    IF old_row.schema_name <> new_row.schema_name THEN
        PERFORM audit_internal.delete_config(old_row);
        PERFORM audit_internal.upsert_config(new_row);
    END IF;
    FOR member IN
        SELECT c.oid FROM pg_class c WHERE c.relnamespace = target AND c.relkind IN ('r', 'p', 'f')
    LOOP
        PERFORM audit_internal.table_altered(member);
        PERFORM audit_internal.record_reused_name(member);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.schema_altered(oid) IS
    'Updates the settings of a schema and its tables after ALTER SCHEMA';

-- Last: the commands of this file would fire them.
CREATE EVENT TRIGGER audit_definition_starts ON ddl_command_start
    EXECUTE FUNCTION audit_internal.definition_starts();
CREATE EVENT TRIGGER audit_definition_ends ON ddl_command_end
    EXECUTE FUNCTION audit_internal.definition_ends();
CREATE EVENT TRIGGER audit_objects_dropped ON sql_drop
    EXECUTE FUNCTION audit_internal.objects_dropped();
CREATE EVENT TRIGGER audit_table_rewritten ON table_rewrite
    EXECUTE FUNCTION audit_internal.table_rewritten();
ALTER EVENT TRIGGER audit_definition_starts ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_definition_ends ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_objects_dropped ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_table_rewritten ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER audit_definition_starts IS 'Protects the evidence against DROP';
COMMENT ON EVENT TRIGGER audit_definition_ends IS 'Keeps auditing up to date with changes of tables';
COMMENT ON EVENT TRIGGER audit_objects_dropped IS 'Records that an audited table was dropped';
COMMENT ON EVENT TRIGGER audit_table_rewritten IS 'Records that the rows of an audited table were rewritten';
