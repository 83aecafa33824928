-- The triggers that record: how they are made, whether they are as audit.enable left them, and which commands changed them.

-- What a trigger carries: the redaction, for a restore of its table alone. Nothing else would be believed.
CREATE FUNCTION audit_internal.trigger_seed(options jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('redact', options->'redact')::text WHERE options->'redact' <> '{}';
END;
COMMENT ON FUNCTION audit_internal.trigger_seed(jsonb) IS 'The argument of the triggers of a table with these options; internal';

-- A partitioned table gives its partitions clones of its row trigger, under the same name: one of its own, so that a table that is
-- audited by itself can be attached.
CREATE FUNCTION audit_internal.row_trigger_name(target regclass) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE c.relkind WHEN 'p' THEN '!audit_row_of_' || c.oid ELSE '!audit_row' END FROM pg_catalog.pg_class c WHERE c.oid = target;
END;
COMMENT ON FUNCTION audit_internal.row_trigger_name(regclass) IS 'The name that audit.enable gives the row trigger of a table; internal';

CREATE FUNCTION audit_internal.write_triggers(target regclass, options jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seed text := audit_internal.trigger_seed(options);
    row_name text := audit_internal.row_trigger_name(target);
    row_operations integer := audit_internal.row_operations(options);
    has_truncate boolean := options->'operations' ? 'truncate';
    member regclass;
BEGIN
    -- All of ours go but those that are replaced in place.
    PERFORM audit_internal.remove_trigger(t.oid)
    FROM audit_internal.own_triggers(target) t
    WHERE NOT (t.is_row AND t.member = target AND t.name = row_name AND row_operations <> 0)
      AND NOT (NOT t.is_row AND t.name = '!audit_truncate' AND has_truncate AND audit_internal.takes_truncate_trigger(t.member));
    IF row_operations <> 0 THEN
        PERFORM audit_internal.write_row_trigger(target, row_name, row_operations, seed);
    END IF;
    IF has_truncate THEN
        FOR member IN SELECT t FROM audit_internal.with_partitions(target) t WHERE audit_internal.takes_truncate_trigger(t) LOOP
            PERFORM audit_internal.write_truncate_trigger(member, seed);
        END LOOP;
    END IF;
    PERFORM audit_internal.forget_state(t, CASE WHEN t <> target THEN 'audit.enable' END) FROM audit_internal.with_partitions(target) t;
END;
$$;
COMMENT ON FUNCTION audit_internal.write_triggers(regclass, jsonb) IS 'Creates the triggers of a table and its partitions; internal';

-- What was recorded about a table's triggers no longer holds; the command that put them in order, where no other event says so.
CREATE FUNCTION audit_internal.forget_state(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    weakened audit_internal.weakened_triggers;
BEGIN
    weakened := audit_internal.current_row(NULL::audit_internal.weakened_triggers, target::oid);
    IF weakened.relation_oid IS NOT NULL THEN
        PERFORM audit_internal.delete_config(weakened);
        IF command IS NOT NULL AND NOT weakened.is_restored THEN
            PERFORM audit_internal.emit('trigger.change', jsonb_build_object('command', command), NULL, NULL, target, NULL);
        END IF;
    END IF;
    PERFORM audit_internal.delete_config(ROW(target, audit_internal.clock())::audit_internal.unconfigured_tables);
END;
$$;
COMMENT ON FUNCTION audit_internal.forget_state(regclass, text) IS 'Deletes what was recorded about the triggers of a table; internal';

-- SET keeps the planner from looking inside, where it would expect a thousand partitions.
CREATE FUNCTION audit_internal.with_partitions(target regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT target UNION SELECT p.relid FROM pg_partition_tree(target) p;
END;
COMMENT ON FUNCTION audit_internal.with_partitions(regclass) IS 'A table and its partitions; internal';

-- The audit triggers that a table and its partitions have of their own: by their functions, whatever their
-- names, clones left out.
CREATE FUNCTION audit_internal.own_triggers(target regclass) RETURNS TABLE (oid oid, member regclass, name text, is_row boolean)
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.oid, t.tgrelid::regclass, t.tgname::text, t.tgfoid = 'audit.capture_row'::regproc
    FROM audit_internal.with_partitions(target) m JOIN pg_trigger t ON t.tgrelid = m::oid
    WHERE t.tgparentid = 0 AND t.tgfoid IN ('audit.capture_row'::regproc, 'audit.capture_truncate'::regproc);
END;
COMMENT ON FUNCTION audit_internal.own_triggers(regclass) IS 'Audit triggers on a table and its partitions that are not clones; internal';

-- PostgreSQL 15 has no TRUNCATE triggers on foreign tables.
CREATE FUNCTION audit_internal.takes_truncate_trigger(target regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.relkind <> 'f' OR current_setting('server_version_num')::integer >= 160000 FROM pg_catalog.pg_class c WHERE c.oid = target;
END;
COMMENT ON FUNCTION audit_internal.takes_truncate_trigger(regclass) IS 'Whether this table can have a TRUNCATE trigger; internal';

-- How much the best trigger that calls this function records: 3 everything, 2 not in every mode of session_replication_role, 1 it is
-- disabled, 0 there is none that fires for just these operations, every row and at once. Triggers are known by function, not by name.
CREATE FUNCTION audit_internal.trigger_state(target regclass, called regproc, wanted_type integer) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(max(CASE t.tgenabled WHEN 'A' THEN 3 WHEN 'D' THEN 1 ELSE 2 END), 0)
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = target AND t.tgfoid = called AND t.tgtype = wanted_type AND t.tgqual IS NULL AND t.tgattr = '' AND NOT t.tgdeferrable;
END;
COMMENT ON FUNCTION audit_internal.trigger_state(regclass, regproc, integer) IS 'How much the triggers of a table record: 3 everything, 0 nothing; internal';

-- Of a table or partition whose settings are these: 3 also where nothing is asked for.
CREATE FUNCTION audit_internal.row_state(target regclass, options jsonb) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE audit_internal.row_operations(options) WHEN 0 THEN 3
           ELSE audit_internal.trigger_state(target, 'audit.capture_row'::regproc, audit_internal.row_operations(options) + 1) END;
END;
COMMENT ON FUNCTION audit_internal.row_state(regclass, jsonb) IS 'How much of the changes of rows is recorded: 3 all that the options ask for; internal';

CREATE FUNCTION audit_internal.truncate_state(target regclass, options jsonb) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN options->'operations' ? 'truncate' AND audit_internal.takes_truncate_trigger(target)
                THEN audit_internal.trigger_state(target, 'audit.capture_truncate'::regproc, 34) ELSE 3 END;
END;
COMMENT ON FUNCTION audit_internal.truncate_state(regclass, jsonb) IS 'How much of TRUNCATE is recorded: 3 all that the options ask for; internal';

-- The words of audit.coverage for a state.
CREATE FUNCTION audit_internal.trigger_gap(state integer) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE state WHEN 0 THEN 'trigger missing' WHEN 1 THEN 'trigger disabled' WHEN 2 THEN 'trigger not always enabled' END;
END;
COMMENT ON FUNCTION audit_internal.trigger_gap(integer) IS 'What is wrong with a trigger in this state, null where nothing is; internal';

CREATE FUNCTION audit_internal.trigger_problem(row_state integer, truncate_state integer) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT nullif(concat_ws('; ', 'rows: ' || audit_internal.trigger_gap(row_state), 'truncate: ' || audit_internal.trigger_gap(truncate_state)), '');
END;
COMMENT ON FUNCTION audit_internal.trigger_problem(integer, integer) IS 'What is wrong with the triggers of a table, null where nothing is; internal';

-- After a command that may have touched the triggers of a table or partition. Whatever fails here fails the command, which would else
-- go unseen. Partitions whose triggers were weaker may have got clones of better ones.
CREATE FUNCTION audit_internal.record_triggers(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.record_trigger_state(target, command);
    PERFORM audit_internal.record_trigger_state(m, command)
    FROM audit_internal.with_partitions(target) m
    WHERE m <> target AND (audit_internal.current_row(NULL::audit_internal.weakened_triggers, m::oid)).relation_oid IS NOT NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_triggers(regclass, text) IS 'Records that the triggers of a table have changed; internal';

-- An event where the triggers record less than before, and one where they record everything again.
CREATE FUNCTION audit_internal.record_trigger_state(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known audit_internal.weakened_triggers := audit_internal.current_row(NULL::audit_internal.weakened_triggers, target::oid);
    state audit_internal.weakened_triggers;
    states integer[] := audit_internal.current_states(target);
BEGIN
    IF states IS NULL THEN
        RETURN;
    END IF;
    state.relation_oid := target;
    state.row_state := states[1];
    state.truncate_state := states[2];
    IF (state.row_state, state.truncate_state) = (coalesce(known.row_state, 3), coalesce(known.truncate_state, 3)) THEN
        RETURN;
    ELSIF (state.row_state, state.truncate_state) = (3, 3) THEN
        PERFORM audit_internal.delete_config(known);
        IF NOT known.is_restored THEN
            PERFORM audit_internal.emit('trigger.change', jsonb_build_object('command', command), NULL, NULL, target, NULL);
        END IF;
        RETURN;
    END IF;
    IF state.row_state < coalesce(known.row_state, 3) OR state.truncate_state < coalesce(known.truncate_state, 3) THEN
        state.is_restored := false;
        PERFORM audit_internal.emit('trigger.change', jsonb_build_object('command', command,
            'problem', audit_internal.trigger_problem(state.row_state, state.truncate_state)), NULL, NULL, target, NULL);
    END IF;
    state.since := coalesce(known.since, audit_internal.clock());
    state.is_restored := coalesce(state.is_restored, known.is_restored, false);
    PERFORM audit_internal.upsert_config(state);
END;
$$;
COMMENT ON FUNCTION audit_internal.record_trigger_state(regclass, text) IS 'Compares the triggers of a table with what was recorded about them; internal';

-- A table that is not audited may have come in the place of one that is, whose settings have followed it elsewhere: by its creation, by
-- ALTER TABLE, or with its schema.
CREATE FUNCTION audit_internal.record_reused_name(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF audit_internal.enabled_table(target) IS NOT NULL OR (audit_internal.current_row(NULL::audit_internal.unconfigured_tables, target::oid)).relation_oid IS NOT NULL THEN
        RETURN;
    END IF;
    IF audit_internal.has_name_of_another(target) THEN
        PERFORM audit_internal.upsert_config(ROW(target, audit_internal.clock())::audit_internal.unconfigured_tables);
        PERFORM audit_internal.emit('table.unconfigured', '{"reason": "it has the name of a table that is enabled"}', NULL, NULL, target, NULL);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_reused_name(regclass) IS 'Records that a table that is not audited has the name of one that is; internal';

-- Settings come by SQL from a restore alone, as audit_internal.upsert_config goes past triggers. Their table has
-- another OID and other numbers of columns by now, and as yet no triggers, whose creation is not a change of them.
CREATE FUNCTION audit_internal.adopt_settings() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member regclass;
BEGIN
    NEW.relation_oid := coalesce((SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                  WHERE n.nspname = NEW.schema_name AND c.relname = NEW.table_name AND c.relkind IN ('r', 'p', 'f')), 0);
    NEW.options := NEW.options || jsonb_build_object('columns', audit_internal.column_numbers(NEW.relation_oid, NEW.options));
    FOR member IN SELECT t FROM audit_internal.with_partitions(NEW.relation_oid) t WHERE NEW.relation_oid <> 0 LOOP
        PERFORM audit_internal.upsert_config(ROW(member, audit_internal.row_state(member, NEW.options), audit_internal.truncate_state(member, NEW.options), audit_internal.clock(),
                              true)::audit_internal.weakened_triggers);
    END LOOP;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_settings() IS 'Trigger that finds the table of restored settings';

CREATE TRIGGER adopt BEFORE INSERT ON audit_internal.table_settings FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_settings();
ALTER TABLE audit_internal.table_settings ENABLE ALWAYS TRIGGER adopt;

CREATE FUNCTION audit_internal.adopt_schema_settings() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.schema_oid := coalesce((SELECT n.oid FROM pg_namespace n WHERE n.nspname = NEW.schema_name), 0);
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_schema_settings() IS 'Trigger that finds the schema of restored settings';

CREATE TRIGGER adopt BEFORE INSERT ON audit_internal.schema_settings FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_schema_settings();
ALTER TABLE audit_internal.schema_settings ENABLE ALWAYS TRIGGER adopt;
