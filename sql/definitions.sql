-- Changes of definitions: auditing follows tables through CREATE, RENAME, ATTACH, DETACH and DROP.

CREATE FUNCTION audit.definition_starts() RETURNS event_trigger
LANGUAGE c SECURITY DEFINER AS 'MODULE_PATHNAME', 'audit_definition_starts';
-- No SET search_path: the function looks names up as the statement does, and calls nothing by an unqualified name.
COMMENT ON FUNCTION audit.definition_starts() IS 'Loads the library before anything is dropped, and prepares ATTACH PARTITION';

-- Before ATTACH PARTITION: the clones of an audited parent's triggers take the place of triggers that the table has of its
-- own, and rows that nobody recorded come with it.
CREATE FUNCTION audit.before_attach(parent regclass, partition regclass) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    own audit.table_settings := audit.settings_of(partition);
    has_rows boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = parent AND t.tgname IN ('!audit_row', '!audit_truncate')) THEN
        RETURN;
    END IF;
    PERFORM audit.drop_triggers(partition);
    IF own.schema_name IS NOT NULL THEN
        PERFORM audit.remove(own);
        RETURN;
    END IF;
    SELECT coalesce(sum(pg_relation_size(p.relid)), 0) > 0 INTO has_rows
    FROM audit.with_partitions(partition) p (relid) JOIN pg_class c ON c.oid = p.relid WHERE c.relkind = 'r';
    IF has_rows THEN
        PERFORM audit.emit('table.unseen', jsonb_build_object('reason', 'attach', 'partition', partition::text), NULL, NULL, parent, NULL);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.before_attach(regclass, regclass) IS 'Prepares a table that becomes a partition; internal';

-- Before DETACH PARTITION, which takes the clone of the row trigger away: the TRUNCATE trigger stays, and says afterwards
-- that the table was audited, also where the options ask for none.
CREATE FUNCTION audit.before_detach(partition regclass) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    argument text;
BEGIN
    SELECT audit.trigger_argument(t.oid) INTO argument FROM pg_trigger t
    WHERE t.tgrelid = partition AND t.tgname = '!audit_row' AND t.tgparentid <> 0;
    IF argument IS NOT NULL AND audit.takes_truncate_trigger(partition) THEN
        PERFORM audit.write_truncate_trigger(partition, argument);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.before_detach(regclass) IS 'Prepares a partition that becomes a table of its own; internal';

CREATE FUNCTION audit.moves_partitions() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_moves_partitions';
COMMENT ON FUNCTION audit.moves_partitions() IS 'Whether the latest ALTER TABLE attaches or detaches a partition; internal';

CREATE FUNCTION audit.definition_ends() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    command record;
    -- Asked first: what follows alters tables too.
    moves_partitions boolean := audit.moves_partitions();
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
            PERFORM audit.table_altered(command.objid, moves_partitions);
        END IF;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    -- A change of definition is never refused for our sake; audit.coverage shows what is missing.
    RAISE WARNING 'auditing could not follow this change: %', sqlerrm USING HINT = 'Look at audit.coverage.';
END;
$$;
COMMENT ON FUNCTION audit.definition_ends() IS 'Lets auditing follow new, renamed, attached and detached tables';

-- After ALTER SCHEMA … RENAME: the settings of the schema and of its tables bear its name.
CREATE FUNCTION audit.schema_altered(target oid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit.schema_settings;
    member regclass;
BEGIN
    SELECT s.* INTO old_row FROM audit.schema_settings s
    WHERE s.schema_oid = target AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = s.schema_name);
    IF FOUND THEN
        PERFORM audit.remove(old_row);
        PERFORM audit.put(ROW((SELECT n.nspname::text FROM pg_namespace n WHERE n.oid = target), target, old_row.options,
                              old_row.enabled_at, old_row.enabled_by)::audit.schema_settings);
    END IF;
    FOR member IN
        SELECT c.oid FROM audit.table_settings s JOIN pg_class c ON c.oid = s.relation_oid WHERE c.relnamespace = target
    LOOP
        PERFORM audit.table_altered(member, false);
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
    SELECT c.relispartition, c.relpersistence, c.relkind, n.nspname, c.reltuples INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    IF NOT FOUND OR relation.relpersistence = 't' OR relation.relkind NOT IN ('r', 'p', 'f') THEN
        RETURN;
    ELSIF relation.relispartition AND EXISTS (
        SELECT FROM pg_partition_ancestors(target) a JOIN pg_trigger t ON t.tgrelid = a.relid
        WHERE a.relid <> target AND t.tgname IN ('!audit_row', '!audit_truncate')) THEN
        PERFORM audit.cover_partitions(target);
        RETURN;
    END IF;
    SELECT s.options INTO schema_options FROM audit.schema_settings s WHERE s.schema_name = relation.nspname;
    IF FOUND THEN
        PERFORM audit.enable_in_schema(target, schema_options);
        IF command_tag IN ('CREATE TABLE AS', 'SELECT INTO') THEN
            PERFORM audit.emit('table.unseen', jsonb_build_object('reason', lower(command_tag)), NULL, NULL, target, NULL);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.table_created(regclass, text) IS 'Audits a new table of an audited schema, or a new partition; internal';

-- Gives the partitions of an audited table, the target among them, their TRUNCATE triggers.
CREATE FUNCTION audit.cover_partitions(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    argument text;
    member regclass;
BEGIN
    SELECT audit.trigger_argument(t.oid) INTO argument
    FROM pg_partition_ancestors(target) WITH ORDINALITY a (relid, depth)
    JOIN pg_trigger t ON t.tgrelid = a.relid AND t.tgname = '!audit_truncate'
    ORDER BY a.depth DESC LIMIT 1;
    IF argument IS NULL THEN
        RETURN;
    END IF;
    FOR member IN
        SELECT p.relid FROM pg_partition_tree(target) p
        WHERE audit.takes_truncate_trigger(p.relid)
          AND audit.trigger_argument((SELECT t.oid FROM pg_trigger t WHERE t.tgrelid = p.relid AND t.tgname = '!audit_truncate'))
              IS DISTINCT FROM argument
    LOOP
        PERFORM audit.write_truncate_trigger(member, argument);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.cover_partitions(regclass) IS 'Gives partitions their TRUNCATE triggers; internal';

CREATE FUNCTION audit.trigger_argument(trigger_oid oid) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT convert_from(substring(t.tgargs FROM 1 FOR length(t.tgargs) - 1), getdatabaseencoding())
    FROM pg_catalog.pg_trigger t WHERE t.oid = trigger_oid AND t.tgnargs = 1;
END;
COMMENT ON FUNCTION audit.trigger_argument(oid) IS 'The options that a trigger of ours carries';

-- After ALTER TABLE: names may have changed, partitions may have come or gone.
CREATE FUNCTION audit.table_altered(target regclass, moves_partitions boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row audit.table_settings;
    relation record;
    detached record;
    options jsonb;
BEGIN
    SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, c.relkind INTO relation
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    old_row := audit.settings_of(target);
    IF old_row.schema_name IS NOT NULL THEN
        options := audit.renamed_options(target, old_row.options);
        IF (old_row.schema_name, old_row.table_name, old_row.options) IS DISTINCT FROM
           (relation.schema_name, relation.table_name, options) THEN
            PERFORM audit.remove(old_row);
            PERFORM audit.put(ROW(relation.schema_name, relation.table_name, target::oid, options,
                                  old_row.enabled_at, old_row.enabled_by)::audit.table_settings);
            IF old_row.options IS DISTINCT FROM options THEN
                PERFORM audit.write_triggers(target, options);
            END IF;
        END IF;
    END IF;
    IF relation.relkind <> 'p' OR NOT moves_partitions THEN
        RETURN;
    END IF;
    PERFORM audit.cover_partitions(target);
    -- A detached partition has lost its clone and kept its TRUNCATE trigger: it goes on by itself.
    FOR detached IN
        SELECT t.tgrelid::regclass AS member, audit.trigger_argument(t.oid)::jsonb AS argument
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE t.tgname = '!audit_truncate' AND t.tgfoid = 'audit.capture_truncate'::regproc AND NOT c.relispartition
          AND (audit.settings_of(t.tgrelid)).schema_name IS NULL
    LOOP
        options := coalesce((audit.settings_of((detached.argument->>'relation')::bigint::oid::regclass)).options,
                            detached.argument - 'relation' - 'columns');
        PERFORM audit.apply(detached.member,
            audit.merge_options(detached.member, options || '{"from_schema": true}', NULL, NULL, NULL, NULL, NULL, NULL), NULL);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit.table_altered(regclass, boolean) IS 'Follows a table through ALTER TABLE; internal';

-- The options with the columns' present names: a renamed column stays ignored and redacted, a dropped one takes its option along.
CREATE FUNCTION audit.renamed_options(target regclass, options jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH names AS (
        SELECT old.key AS old_name, CASE WHEN NOT a.attisdropped THEN a.attname::text END AS new_name
        FROM pg_catalog.pg_trigger t
        CROSS JOIN LATERAL jsonb_each_text((audit.trigger_argument(t.oid)::jsonb)->'columns') old
        JOIN pg_catalog.pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = old.value::smallint
        WHERE t.tgrelid = target AND t.tgname IN ('!audit_row', '!audit_truncate')
          AND ((audit.trigger_argument(t.oid)::jsonb)->>'relation')::bigint = target::oid::bigint
    ), present AS (
        SELECT DISTINCT old_name, new_name FROM names
    )
    SELECT options || jsonb_build_object(
        'ignore_columns', (SELECT coalesce(jsonb_agg(coalesce(p.new_name, c.value) ORDER BY c.place), '[]')
                           FROM jsonb_array_elements_text(options->'ignore_columns') WITH ORDINALITY c (value, place)
                           LEFT JOIN present p ON p.old_name = c.value WHERE p.old_name IS NULL OR p.new_name IS NOT NULL),
        'redact', (SELECT coalesce(jsonb_object_agg(coalesce(p.new_name, r.key), r.value), '{}')
                   FROM jsonb_each(options->'redact') r LEFT JOIN present p ON p.old_name = r.key
                   WHERE p.old_name IS NULL OR p.new_name IS NOT NULL),
        'label_column', CASE WHEN EXISTS (SELECT FROM present p WHERE p.old_name = options->>'label_column')
                             THEN (SELECT p.new_name FROM present p WHERE p.old_name = options->>'label_column')
                             ELSE options->>'label_column' END);
END;
COMMENT ON FUNCTION audit.renamed_options(regclass, jsonb) IS 'Options with the present names of the columns; internal';

CREATE FUNCTION audit.objects_dropped() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone audit.table_settings;
    gone_schema audit.schema_settings;
BEGIN
    FOR gone IN
        SELECT s.* FROM pg_event_trigger_dropped_objects() d
        JOIN audit.table_settings s ON s.schema_name = d.schema_name AND s.table_name = d.object_name
        WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
    LOOP
        PERFORM audit.remove(gone);
        PERFORM audit.emit('config.disable', jsonb_build_object('previous', gone.options, 'reason', 'table dropped'),
                           format('%I.%I', gone.schema_name, gone.table_name), NULL, NULL, NULL);
    END LOOP;
    FOR gone_schema IN
        SELECT s.* FROM pg_event_trigger_dropped_objects() d JOIN audit.schema_settings s ON s.schema_name = d.object_name
        WHERE d.classid = 'pg_namespace'::regclass
    LOOP
        PERFORM audit.remove(gone_schema);
        PERFORM audit.emit('config.disable', jsonb_build_object('previous', gone_schema.options, 'reason', 'schema dropped'),
                           'schema ' || quote_ident(gone_schema.schema_name), NULL, NULL, NULL);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'auditing could not follow this drop: %', sqlerrm USING HINT = 'Look at audit.coverage.';
END;
$$;
COMMENT ON FUNCTION audit.objects_dropped() IS 'Records that an audited table was dropped';

CREATE FUNCTION audit.table_rewritten() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass := pg_event_trigger_table_rewrite_oid();
BEGIN
    IF EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = target AND t.tgname = '!audit_row') THEN
        PERFORM audit.emit('table.unseen', jsonb_build_object('reason', 'rewrite'), NULL, NULL, target, NULL);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'auditing could not follow this rewrite: %', sqlerrm USING HINT = 'Look at audit.coverage.';
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
COMMENT ON EVENT TRIGGER audit_definition_starts IS 'Guards the evidence against DROP';
COMMENT ON EVENT TRIGGER audit_definition_ends IS 'Lets auditing follow tables';
COMMENT ON EVENT TRIGGER audit_objects_dropped IS 'Records that an audited table was dropped';
COMMENT ON EVENT TRIGGER audit_table_rewritten IS 'Records that rows were rewritten';
