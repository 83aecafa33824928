-- Changes of definitions: auditing follows tables through CREATE, RENAME, ATTACH, DETACH and DROP. What is
-- done here goes by the OIDs that PostgreSQL has altered, after it has asked for the rights to. At the start
-- of a command only names are known, which a role may have chosen to mislead a superuser's function: nothing
-- is locked or changed there.

CREATE FUNCTION audit_internal.definition_starts() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'audit_definition_starts';
COMMENT ON FUNCTION audit_internal.definition_starts() IS 'Loads the library before anything is dropped, and refuses what would change evidence';

CREATE FUNCTION audit_internal.moved_partitions(command pg_ddl_command) RETURNS TABLE (partition oid, is_attached boolean)
    LANGUAGE c VOLATILE STRICT ROWS 1 AS 'MODULE_PATHNAME', 'audit_moved_partitions';
COMMENT ON FUNCTION audit_internal.moved_partitions(pg_ddl_command) IS 'The partitions that an ALTER TABLE has attached or detached; internal';

-- SECURITY DEFINER: it acts on the objects of the command alone, whose owner has just altered them, and calls nothing of theirs. No error
-- is caught that a caller could provoke to hide a change, by a lock or by a deep stack: what cannot be recorded fails.
CREATE FUNCTION audit_internal.definition_ends() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    command record;
    moved record;
BEGIN
    -- Names first: what comes next goes by them. ALTER INDEX may rename a table.
    FOR command IN
        SELECT c.command, c.command_tag, c.objid AS relation, c.in_extension, c.command_tag LIKE 'ALTER%' AS is_altered
        FROM pg_event_trigger_ddl_commands() c
        WHERE c.object_type IN ('table', 'table column', 'foreign table') AND coalesce(c.schema_name, '') NOT IN ('audit', 'audit_internal', 'pg_temp')
    LOOP
        IF command.is_altered THEN
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
    FROM pg_event_trigger_ddl_commands() c JOIN pg_trigger t ON t.oid = c.objid WHERE c.classid = 'pg_trigger'::regclass;
    PERFORM audit_internal.schema_altered(c.objid)
    FROM pg_event_trigger_ddl_commands() c WHERE c.object_type = 'schema' AND c.command_tag = 'ALTER SCHEMA';
END;
$$;
COMMENT ON FUNCTION audit_internal.definition_ends() IS 'Keeps auditing up to date with new, renamed, attached and detached tables, and records changes of its triggers';

-- After ATTACH PARTITION to an audited table, whose triggers PostgreSQL has cloned: they take the place of the table's own, and the
-- settings of the table go. Columns that it redacts have to be redacted in the parent too, which may be another owner's and has its
-- options from an administrator: the command is refused otherwise. Its rows have no events.
CREATE FUNCTION audit_internal.partition_attached(partition regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent regclass := audit_internal.enabled_table(partition);
    settings audit_internal.table_settings;
    own audit_internal.table_settings;
    column_name text;
    has_own boolean := false;
    has_rows boolean;
BEGIN
    IF parent IS NULL OR parent = partition THEN
        RETURN;
    END IF;
    settings := audit_internal.settings_of(parent);
    FOR own IN
        SELECT s.* FROM audit_internal.with_partitions(partition) m CROSS JOIN LATERAL audit_internal.settings_of(m) s WHERE s.schema_name IS NOT NULL
    LOOP
        SELECT k INTO column_name FROM jsonb_object_keys(own.options->'redact') k WHERE NOT settings.options->'redact' ? k LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'cannot attach % to %, which is audited: column "%" is redacted in the first and not in the second',
                own.relation_oid::regclass, parent, column_name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('Redact it in both: SELECT audit.enable(%L, redact => …).', parent::text);
        END IF;
        PERFORM audit_internal.emit('config.disable', jsonb_build_object('previous', own.options - 'columns', 'reason', format('attached to %s', parent)),
                           NULL, NULL, own.relation_oid, NULL);
        PERFORM audit_internal.delete_config(own);
        has_own := has_own OR own.relation_oid = partition::oid;
    END LOOP;
    -- Where the parent's own triggers are not what they should be, the table keeps those that it has.
    IF audit_internal.row_operations(settings.options) = 0
       OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = partition AND t.tgfoid = 'audit.capture_row'::regproc
                                             AND t.tgparentid <> 0 AND t.tgenabled = 'A') THEN
        PERFORM audit_internal.remove_trigger(t.oid) FROM audit_internal.own_triggers(partition) t WHERE t.is_row;
    END IF;
    PERFORM audit_internal.forget_state(m, CASE WHEN m <> partition THEN 'ATTACH PARTITION' END) FROM audit_internal.with_partitions(partition) m;
    PERFORM audit_internal.cover_partitions(partition);
    SELECT coalesce(sum(pg_relation_size(m)), 0) > 0 INTO has_rows
    FROM audit_internal.with_partitions(partition) m JOIN pg_class c ON c.oid = m::oid WHERE c.relkind = 'r';
    IF has_rows AND NOT has_own THEN
        PERFORM audit_internal.emit('table.unseen', jsonb_build_object('reason', 'attach', 'partition', partition::text), NULL, NULL, parent, NULL);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_attached(regclass) IS 'Follows a table that has become a partition; internal';

-- After DETACH PARTITION, which has taken the clone of the row trigger away: the table goes on by itself, under the options of its parent.
CREATE FUNCTION audit_internal.partition_detached(partition regclass, parent regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.table_settings := audit_internal.settings_of(audit_internal.enabled_table(parent));
BEGIN
    IF settings.schema_name IS NULL OR (audit_internal.settings_of(partition)).schema_name IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM audit_internal.apply(partition, audit_internal.inherited_options(partition, settings.options), NULL);
END;
$$;
COMMENT ON FUNCTION audit_internal.partition_detached(regclass, regclass) IS 'Follows a partition that has become a table of its own; internal';

-- After ALTER SCHEMA … RENAME: the settings of the schema and of its tables bear its name.
CREATE FUNCTION audit_internal.schema_altered(target oid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit_internal.schema_settings := audit_internal.current_row(NULL::audit_internal.schema_settings, target);
    new_name text := (parse_ident(target::regnamespace::text))[1];
    member regclass;
BEGIN
    IF old_row.schema_name <> new_name THEN
        PERFORM audit_internal.delete_config(old_row);
        PERFORM audit_internal.upsert_config(ROW(new_name, target, old_row.options, old_row.enabled_at, old_row.enabled_by)::audit_internal.schema_settings);
    END IF;
    FOR member IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = target AND c.relkind IN ('r', 'p', 'f') LOOP
        PERFORM audit_internal.table_altered(member);
        PERFORM audit_internal.record_reused_name(member);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.schema_altered(oid) IS 'Follows a schema through ALTER SCHEMA; internal';

CREATE FUNCTION audit_internal.table_created(target regclass, command_tag text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation record;
    schema_options jsonb;
BEGIN
    -- The row of a table that this command has made is visible to every snapshot of its transaction.
    SELECT c.relispartition, c.relpersistence, c.relkind, c.relnamespace INTO relation FROM pg_class c WHERE c.oid = target;
    IF NOT FOUND OR relation.relpersistence = 't' OR relation.relkind NOT IN ('r', 'p', 'f') THEN
        RETURN;
    ELSIF relation.relispartition AND audit_internal.enabled_table(target) IS NOT NULL THEN
        PERFORM audit_internal.cover_partitions(target);
        RETURN;
    END IF;
    schema_options := (audit_internal.current_row(NULL::audit_internal.schema_settings, relation.relnamespace)).options;
    IF schema_options IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM audit_internal.enable_in_schema(target, schema_options);
    EXCEPTION WHEN invalid_parameter_value OR object_not_in_prerequisite_state OR serialization_failure THEN
        -- The options of the schema do not fit the table, or a SERIALIZABLE transaction met another one's change of settings: the table
        -- is made all the same, and audit.coverage shows it.
        RAISE WARNING 'auditing could not follow this change: %', sqlerrm USING HINT = 'Look at audit.coverage.';
        RETURN;
    END;
    IF command_tag IN ('CREATE TABLE AS', 'SELECT INTO') THEN
        PERFORM audit_internal.emit('table.unseen', jsonb_build_object('reason', lower(command_tag)), NULL, NULL, target, NULL);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.table_created(regclass, text) IS 'Audits a new table of an audited schema, or a new partition; internal';

-- Gives the target, a partition of an audited table, and its own partitions their TRUNCATE triggers.
CREATE FUNCTION audit_internal.cover_partitions(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.table_settings := audit_internal.settings_of(audit_internal.enabled_table(target));
    member regclass;
BEGIN
    FOR member IN
        SELECT m FROM audit_internal.with_partitions(target) m WHERE audit_internal.truncate_state(m, settings.options) < 3
    LOOP
        PERFORM audit_internal.write_truncate_trigger(member, audit_internal.trigger_seed(settings.options));
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.cover_partitions(regclass) IS 'Gives partitions their TRUNCATE triggers; internal';

-- After ALTER TABLE: names may have changed.
CREATE FUNCTION audit_internal.table_altered(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit_internal.table_settings := audit_internal.settings_of(target);
    -- Of a regclass the name is printed as it is now; with this search_path never without its schema.
    names text[] := parse_ident(target::text);
    options jsonb;
BEGIN
    IF old_row.schema_name IS NULL OR cardinality(names) <> 2 THEN
        RETURN;
    END IF;
    options := audit_internal.renamed_options(target, old_row.options);
    IF (old_row.schema_name, old_row.table_name, old_row.options) IS DISTINCT FROM (names[1], names[2], options) THEN
        PERFORM audit_internal.delete_config(old_row);
        PERFORM audit_internal.upsert_config(ROW(names[1], names[2], target::oid, options, old_row.enabled_at, old_row.enabled_by)::audit_internal.table_settings);
        IF audit_internal.trigger_seed(old_row.options) IS DISTINCT FROM audit_internal.trigger_seed(options) THEN
            PERFORM audit_internal.write_triggers(target, options);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.table_altered(regclass) IS 'Follows a table through ALTER TABLE; internal';

-- SECURITY DEFINER: it removes the settings of what is gone, and records what its owner did to triggers.
CREATE FUNCTION audit_internal.objects_dropped() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone audit_internal.table_settings;
    gone_schema audit_internal.schema_settings;
BEGIN
    -- No error is caught, as in definition_ends. A table that was dropped with its triggers is not found.
    PERFORM audit_internal.record_triggers(t.relation, 'DROP TRIGGER')
    FROM (SELECT to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) AS relation
          FROM pg_event_trigger_dropped_objects() d WHERE d.classid = 'pg_trigger'::regclass) t
    WHERE t.relation IS NOT NULL;
    FOR gone IN
        SELECT s.* FROM pg_event_trigger_dropped_objects() d CROSS JOIN LATERAL audit_internal.settings_of(d.objid) s
        WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit_internal.delete_config(gone);
        PERFORM audit_internal.emit('config.disable', jsonb_build_object('previous', gone.options - 'columns', 'reason', 'table dropped'),
                           format('%I.%I', gone.schema_name, gone.table_name), NULL, NULL, NULL);
    END LOOP;
    PERFORM audit_internal.forget_state(d.objid, NULL) FROM pg_event_trigger_dropped_objects() d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.object_type IN ('table', 'foreign table');
    FOR gone_schema IN
        SELECT s.* FROM pg_event_trigger_dropped_objects() d CROSS JOIN LATERAL audit_internal.current_row(NULL::audit_internal.schema_settings, d.objid) s
        WHERE d.classid = 'pg_namespace'::regclass AND s.schema_name IS NOT NULL
    LOOP
        PERFORM audit_internal.delete_config(gone_schema);
        PERFORM audit_internal.emit('config.disable', jsonb_build_object('previous', gone_schema.options, 'reason', 'schema dropped'),
                           'schema ' || quote_ident(gone_schema.schema_name), NULL, NULL, NULL);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.objects_dropped() IS 'Records that an audited table or its triggers were dropped';

-- SECURITY DEFINER: it records what the owner of a table did to it.
CREATE FUNCTION audit_internal.table_rewritten() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass := pg_event_trigger_table_rewrite_oid();
BEGIN
    IF audit_internal.row_operations((audit_internal.settings_of(audit_internal.enabled_table(target))).options) > 0 THEN
        PERFORM audit_internal.emit('table.unseen', jsonb_build_object('reason', 'rewrite'), NULL, NULL, target, NULL);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.table_rewritten() IS 'Records that a rewrite changed rows without row events';

CREATE EVENT TRIGGER audit_definition_starts ON ddl_command_start EXECUTE FUNCTION audit_internal.definition_starts();
CREATE EVENT TRIGGER audit_definition_ends ON ddl_command_end EXECUTE FUNCTION audit_internal.definition_ends();
CREATE EVENT TRIGGER audit_objects_dropped ON sql_drop EXECUTE FUNCTION audit_internal.objects_dropped();
CREATE EVENT TRIGGER audit_table_rewritten ON table_rewrite EXECUTE FUNCTION audit_internal.table_rewritten();
ALTER EVENT TRIGGER audit_definition_starts ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_definition_ends ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_objects_dropped ENABLE ALWAYS;
ALTER EVENT TRIGGER audit_table_rewritten ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER audit_definition_starts IS 'Protects the evidence against DROP';
COMMENT ON EVENT TRIGGER audit_definition_ends IS 'Keeps auditing up to date with changes of tables';
COMMENT ON EVENT TRIGGER audit_objects_dropped IS 'Records that an audited table was dropped';
COMMENT ON EVENT TRIGGER audit_table_rewritten IS 'Records that rows were rewritten';
