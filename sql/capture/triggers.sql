-- The capture triggers: how they are created, how much they record, and which commands changed that.
--
-- The state of a trigger is a number: 3 records everything that the options ask for, 2 does not fire in every
-- session_replication_role, 1 is disabled, 0 is missing.

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
    -- Triggers that keep their name are replaced in place; all others are removed.
    PERFORM audit_internal.remove_trigger(t.oid)
    FROM audit_internal.own_triggers(target) t
    WHERE NOT (t.is_row AND t.member = target AND t.name = row_name AND row_operations <> 0)
      AND NOT (NOT t.is_row AND t.name = '!audit_truncate' AND has_truncate
               AND audit_internal.takes_truncate_trigger(t.member));
    IF row_operations <> 0 THEN
        PERFORM audit_internal.write_row_trigger(target, row_name, row_operations, seed);
    END IF;
    IF has_truncate THEN
        FOR member IN
            SELECT t FROM audit_internal.with_partitions(target) t
            WHERE audit_internal.takes_truncate_trigger(t)
        LOOP
            PERFORM audit_internal.write_truncate_trigger(member, seed);
        END LOOP;
    END IF;
    PERFORM audit_internal.forget_trigger_state(t, CASE WHEN t <> target THEN 'audit.enable' END)
    FROM audit_internal.with_partitions(target) t;
END;
$$;
COMMENT ON FUNCTION audit_internal.write_triggers(regclass, jsonb) IS
    'Creates the triggers of a table and its partitions, and removes those that the options no longer ask '
    'for';

-- The redaction, for a restore of the table without the settings. Capture takes nothing else from a trigger,
-- which the owner of the table could have forged.
CREATE FUNCTION audit_internal.trigger_seed(options jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('redact', options->'redact')::text WHERE options->'redact' <> '{}';
END;
COMMENT ON FUNCTION audit_internal.trigger_seed(jsonb) IS
    'The argument of the triggers of a table with these options';

-- PostgreSQL clones the row trigger of a partitioned table to its partitions under the same name. The name
-- contains the OID, so that a table with an audit trigger of its own can be attached.
CREATE FUNCTION audit_internal.row_trigger_name(target regclass) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE c.relkind WHEN 'p' THEN '!audit_row_of_' || c.oid ELSE '!audit_row' END
    FROM pg_catalog.pg_class c
    WHERE c.oid = target;
END;
COMMENT ON FUNCTION audit_internal.row_trigger_name(regclass) IS
    'The name that audit.enable gives the row trigger of a table';

-- `command` is the command that repaired the triggers, null where another event records it.
CREATE FUNCTION audit_internal.forget_trigger_state(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    weakened audit_internal.weakened_triggers;
    unconfigured audit_internal.unconfigured_tables;
BEGIN
    weakened := audit_internal.current_row(NULL::audit_internal.weakened_triggers, target::oid);
    IF weakened.relation_oid IS NOT NULL THEN
        PERFORM audit_internal.delete_config(weakened);
        IF command IS NOT NULL AND NOT weakened.is_restored THEN
            PERFORM audit_internal.emit(
                'trigger.change',
                parameters => jsonb_build_object('command', command),
                target => target);
        END IF;
    END IF;
    unconfigured.relation_oid := target;
    PERFORM audit_internal.delete_config(unconfigured);
END;
$$;
COMMENT ON FUNCTION audit_internal.forget_trigger_state(regclass, text) IS
    'Deletes what is recorded about the triggers of a table, which no longer holds';

-- SET keeps the planner from inlining the function, which would make it estimate a thousand partitions.
CREATE FUNCTION audit_internal.with_partitions(target regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT target UNION SELECT p.relid FROM pg_partition_tree(target) p;
END;
COMMENT ON FUNCTION audit_internal.with_partitions(regclass) IS 'A table and its partitions at every level';

-- Found by function, because the owner of the table may have renamed them.
CREATE FUNCTION audit_internal.own_triggers(target regclass)
RETURNS TABLE (oid oid, member regclass, name text, is_row boolean)
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.oid, t.tgrelid::regclass, t.tgname::text, t.tgfoid = 'audit.capture_row'::regproc
    FROM audit_internal.with_partitions(target) m JOIN pg_trigger t ON t.tgrelid = m::oid
    WHERE t.tgparentid = 0 AND t.tgfoid IN ('audit.capture_row'::regproc, 'audit.capture_truncate'::regproc);
END;
COMMENT ON FUNCTION audit_internal.own_triggers(regclass) IS
    'The audit triggers of a table and its partitions, without clones';

CREATE FUNCTION audit_internal.takes_truncate_trigger(target regclass) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.relkind <> 'f' OR current_setting('server_version_num')::integer >= 160000
    FROM pg_catalog.pg_class c
    WHERE c.oid = target;
END;
COMMENT ON FUNCTION audit_internal.takes_truncate_trigger(regclass) IS
    'Whether a table can have a TRUNCATE trigger, which foreign tables can since PostgreSQL 16';

-- Only triggers count that fire for exactly these operations, for every row and immediately.
CREATE FUNCTION audit_internal.trigger_state(target regclass, called regproc, wanted_type integer)
RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(max(CASE t.tgenabled WHEN 'A' THEN 3 WHEN 'D' THEN 1 ELSE 2 END), 0)
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = target
      AND t.tgfoid = called
      AND t.tgtype = wanted_type
      AND t.tgqual IS NULL
      AND t.tgattr = ''
      AND NOT t.tgdeferrable;
END;
COMMENT ON FUNCTION audit_internal.trigger_state(regclass, regproc, integer) IS
    'The best state among the triggers of a table that call this function: 3 records everything, 0 is '
    'missing';

CREATE FUNCTION audit_internal.row_state(target regclass, options jsonb) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE audit_internal.row_operations(options)
        WHEN 0 THEN 3
        ELSE audit_internal.trigger_state(target, 'audit.capture_row'::regproc,
                                          audit_internal.row_operations(options) + 1) END;
END;
COMMENT ON FUNCTION audit_internal.row_state(regclass, jsonb) IS
    'The state of the row trigger of a table or partition with these options; 3 also where they ask for none';

CREATE FUNCTION audit_internal.truncate_state(target regclass, options jsonb) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN options->'operations' ? 'truncate' AND audit_internal.takes_truncate_trigger(target)
        THEN audit_internal.trigger_state(target, 'audit.capture_truncate'::regproc, 34)
        ELSE 3 END;
END;
COMMENT ON FUNCTION audit_internal.truncate_state(regclass, jsonb) IS
    'The state of the TRUNCATE trigger of a table or partition with these options; 3 also where they ask for '
    'none';

CREATE FUNCTION audit_internal.trigger_gap(state integer) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE state
        WHEN 0 THEN 'trigger missing'
        WHEN 1 THEN 'trigger disabled'
        WHEN 2 THEN 'trigger not always enabled' END;
END;
COMMENT ON FUNCTION audit_internal.trigger_gap(integer) IS
    'The words of audit.coverage for the state of a trigger, null for 3';

CREATE FUNCTION audit_internal.trigger_problem(row_state integer, truncate_state integer) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT nullif(concat_ws('; ', 'rows: ' || audit_internal.trigger_gap(row_state),
                                  'truncate: ' || audit_internal.trigger_gap(truncate_state)), '');
END;
COMMENT ON FUNCTION audit_internal.trigger_problem(integer, integer) IS
    'The states of both triggers of a table in words, null where both record everything';

-- After a command that may have changed the triggers of a table or partition. An error here fails the
-- command, which would otherwise leave no event. The command may also have cloned better triggers to
-- partitions with weakened ones.
CREATE FUNCTION audit_internal.record_triggers(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.record_trigger_state(target, command);
    PERFORM audit_internal.record_trigger_state(m, command)
    FROM audit_internal.with_partitions(target) m
    CROSS JOIN LATERAL audit_internal.current_row(NULL::audit_internal.weakened_triggers, m::oid) w
    WHERE m <> target AND w.relation_oid IS NOT NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.record_triggers(regclass, text) IS
    'Records that a command has changed the triggers of a table or its partitions';

-- One event where the triggers record less than before, and one where they record everything again.
CREATE FUNCTION audit_internal.record_trigger_state(target regclass, command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known audit_internal.weakened_triggers :=
        audit_internal.current_row(NULL::audit_internal.weakened_triggers, target::oid);
    state audit_internal.weakened_triggers;
    states integer[] := audit_internal.current_states(target);
BEGIN
    IF states IS NULL THEN
        RETURN;
    END IF;
    state.relation_oid := target;
    state.row_state := states[1];
    state.truncate_state := states[2];
    IF (state.row_state, state.truncate_state)
       = (coalesce(known.row_state, 3), coalesce(known.truncate_state, 3)) THEN
        RETURN;
    ELSIF (state.row_state, state.truncate_state) = (3, 3) THEN
        PERFORM audit_internal.delete_config(known);
        IF NOT known.is_restored THEN
            PERFORM audit_internal.emit(
                'trigger.change',
                parameters => jsonb_build_object('command', command),
                target => target);
        END IF;
        RETURN;
    END IF;
    IF state.row_state < coalesce(known.row_state, 3)
       OR state.truncate_state < coalesce(known.truncate_state, 3) THEN
        state.is_restored := false;
        PERFORM audit_internal.emit(
            'trigger.change',
            parameters => jsonb_build_object(
                'command', command,
                'problem', audit_internal.trigger_problem(state.row_state, state.truncate_state)),
            target => target);
    END IF;
    state.since := coalesce(known.since, audit_internal.clock());
    state.is_restored := coalesce(state.is_restored, known.is_restored, false);
    PERFORM audit_internal.upsert_config(state);
END;
$$;
COMMENT ON FUNCTION audit_internal.record_trigger_state(regclass, text) IS
    'Compares the triggers of one table with their recorded state and records the difference';

-- CREATE TABLE, ALTER TABLE or ALTER SCHEMA may give a table the name of an audited one, whose settings have
-- followed it to another name.
CREATE FUNCTION audit_internal.record_reused_name(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unconfigured audit_internal.unconfigured_tables :=
        audit_internal.current_row(NULL::audit_internal.unconfigured_tables, target::oid);
BEGIN
    IF audit_internal.enabled_table(target) IS NOT NULL
       OR unconfigured.relation_oid IS NOT NULL
       OR NOT audit_internal.has_name_of_another(target) THEN
        RETURN;
    END IF;
    unconfigured.relation_oid := target;
    unconfigured.recorded_at := audit_internal.clock();
    PERFORM audit_internal.upsert_config(unconfigured);
    PERFORM audit_internal.emit(
        'table.unconfigured',
        parameters => '{"reason": "it has the name of a table that is enabled"}',
        target => target);
END;
$$;
COMMENT ON FUNCTION audit_internal.record_reused_name(regclass) IS
    'Records that a table that is not audited has the name of one that is';

-- Only a restore inserts settings by SQL: upsert_config fires no triggers. The restored table has another OID
-- and other column numbers, and no triggers yet; their creation later in the restore is not recorded as a
-- change.
CREATE FUNCTION audit_internal.adopt_settings() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing audit_internal.weakened_triggers;
    member regclass;
BEGIN
    NEW.relation_oid := coalesce((
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = NEW.schema_name
          AND c.relname = NEW.table_name
          AND c.relkind IN ('r', 'p', 'f')), 0);
    NEW.options := NEW.options
        || jsonb_build_object('columns', audit_internal.column_numbers(NEW.relation_oid, NEW.options));
    FOR member IN
        SELECT t FROM audit_internal.with_partitions(NEW.relation_oid) t WHERE NEW.relation_oid <> 0
    LOOP
        missing.relation_oid := member;
        missing.row_state := audit_internal.row_state(member, NEW.options);
        missing.truncate_state := audit_internal.truncate_state(member, NEW.options);
        missing.since := audit_internal.clock();
        missing.is_restored := true;
        PERFORM audit_internal.upsert_config(missing);
    END LOOP;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION audit_internal.adopt_settings() IS
    'Trigger on table_settings that finds the table of restored settings';

CREATE TRIGGER adopt BEFORE INSERT ON audit_internal.table_settings
    FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_settings();
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
COMMENT ON FUNCTION audit_internal.adopt_schema_settings() IS
    'Trigger on schema_settings that finds the schema of restored settings';

CREATE TRIGGER adopt BEFORE INSERT ON audit_internal.schema_settings
    FOR EACH ROW EXECUTE FUNCTION audit_internal.adopt_schema_settings();
ALTER TABLE audit_internal.schema_settings ENABLE ALWAYS TRIGGER adopt;
