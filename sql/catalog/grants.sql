-- Rights. PUBLIC gets what auditing a table's users need, which is next to nothing; the rest goes by role. Each right is written here:
-- tests/sql/rights.sql prints them.

DO $$
DECLARE
    wanted record;
    existing record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('audit_reader', 'audit: reads the trail'),
            ('audit_writer', 'audit: records application events'),
            ('audit_admin', 'audit: configures auditing')) AS w (role_name, description)
    LOOP
        SELECT r.oid, r.rolcanlogin, EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid) AS has_members,
               pg_catalog.shobj_description(r.oid, 'pg_authid') = wanted.description AS is_ours
        INTO existing FROM pg_catalog.pg_roles r WHERE r.rolname = wanted.role_name;
        IF NOT FOUND THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted.role_name);
            EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', wanted.role_name, wanted.description);
        ELSIF (existing.rolcanlogin OR existing.has_members) AND existing.is_ours IS NOT TRUE THEN
            -- The members of an existing role of this name would get rights that were never granted to them.
            RAISE EXCEPTION 'role "%" already exists and is in use', wanted.role_name
                USING ERRCODE = 'duplicate_object',
                      HINT = pg_catalog.format('Rename it, or accept it with COMMENT ON ROLE %I IS %L.', wanted.role_name, wanted.description);
        END IF;
    END LOOP;
END $$;

-- Whatever default privileges have added, only the owner has privileges from here on.
DO $$
BEGIN
    PERFORM audit.revoke_grants('SCHEMA', 'audit', n.nspowner, n.nspacl)
    FROM pg_catalog.pg_namespace n WHERE n.nspname = 'audit';
    PERFORM audit.revoke_grants(CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass::text, c.relowner, c.relacl)
    FROM pg_catalog.pg_class c WHERE c.relnamespace = 'audit'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p', 'v', 'S');
    -- Where no privileges are set, PUBLIC may execute a routine and use a type.
    PERFORM audit.revoke_grants('ROUTINE', p.oid::pg_catalog.regprocedure::text, p.proowner,
                                coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)))
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'audit'::pg_catalog.regnamespace;
    -- The types of rows of tables and views and those of arrays have no privileges of their own.
    PERFORM audit.revoke_grants('TYPE', t.oid::pg_catalog.regtype::text, t.typowner,
                                coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)))
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = 'audit'::pg_catalog.regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c';
END $$;

GRANT USAGE ON SCHEMA audit TO PUBLIC;
GRANT EXECUTE ON FUNCTION
    audit.set_context(text, text, text, jsonb, boolean),
    audit.row(anyelement, jsonb),
    audit.diff(jsonb, jsonb)
TO PUBLIC;
-- PostgreSQL asks the owner of an audited table for this when a partition is added, to which it clones the
-- trigger. The function works as a trigger only and records what really changed, by the settings of the
-- table; in a table without settings it records that.
GRANT EXECUTE ON FUNCTION audit.capture_row() TO PUBLIC;

-- Readers: the whole trail, its configuration, and what reads them. All of it runs with the reader's own
-- rights, but for attribution, which shows dictionaries that a reader may read anyway, and for status,
-- unseen_rows and retention_overview.
GRANT SELECT ON
    audit.events, audit.events_by_category, audit.events_data, audit.events_read, audit.events_security, audit.events_schema,
    audit.events_system, audit.events_application, audit.events_overflow,
    audit.nodes, audit.sessions, audit.contexts, audit.relations, audit.event_types, audit.event_parameters,
    audit.table_settings, audit.schema_settings, audit.weakened_triggers, audit.unconfigured_tables,
    audit.partition_settings, audit.partition_catalog, audit.retention_settings, audit.holds,
    audit.archives, audit.remote_nodes, audit.gather_settings,
    audit.partitions, audit.local_nodes, audit.covered_tables, audit.trail_events
TO audit_reader;
GRANT SELECT ON
    audit.trail, audit.changes, audit.event_parameter_values, audit.tables, audit.coverage, audit.retention, audit.servers,
    audit.dashboard, audit.recent_high_risk, audit.error_groups,
    audit.report_data_changes, audit.report_user_access, audit.report_security_events, audit.report_exports,
    audit.report_admin_activity, audit.report_system_access
TO audit_reader;
GRANT EXECUTE ON FUNCTION
    audit.search(text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[], text, integer, uuid),
    audit.follow(text, integer), audit.event(uuid), audit.related(uuid), audit.diff(uuid),
    audit.history(regclass, text), audit.server_history(text, text, text),
    audit.table_activity(regclass, timestamptz), audit.user_activity(text, timestamptz, timestamptz),
    audit.user_sessions(text, timestamptz, timestamptz), audit.activity_by_day(timestamptz, timestamptz),
    audit.activity_by_hour(timestamptz, timestamptz), audit.execution(text),
    audit.report_html(text, timestamptz, timestamptz, text[]), audit.dashboard_html(), audit.status()
TO audit_reader;
-- What views call, which PostgreSQL checks for the reader of the view.
GRANT EXECUTE ON FUNCTION
    audit.attribution(integer, bigint), audit.summary(text, text, text, text, text, integer, jsonb),
    audit.changed_columns(integer, jsonb), audit.old_values(integer, jsonb, jsonb, jsonb), audit.new_values(integer, jsonb, jsonb, jsonb),
    audit.column_changes(integer, jsonb, jsonb), audit.shown(jsonb), audit.details(jsonb), audit.parameter_number(jsonb, text),
    audit.stack_fingerprint(text), audit.with_partitions(regclass), audit.takes_truncate_trigger(regclass), audit.is_preloaded(),
    audit.unseen_rows(), audit.retention_overview(), audit.figures(),
    audit.partition_counts(regclass, text, timestamptz, timestamptz[]), audit.category_of_parent(text), audit.partition_bounds(pg_node_tree),
    audit.row_state(regclass, jsonb), audit.truncate_state(regclass, jsonb), audit.trigger_state(regclass, regproc, integer),
    audit.row_operations(jsonb), audit.trigger_gap(integer)
TO audit_reader;
-- What the functions above call: of one event and of history,
GRANT EXECUTE ON FUNCTION
    audit.event_time(uuid), audit.event_at(uuid), audit.event_row(uuid), audit.neighbour(audit.events, boolean),
    audit.related_events(audit.events), audit.related_trail(audit.events, uuid[], timestamptz[]),
    audit.change_table(integer, jsonb, jsonb, jsonb, jsonb), audit.first_id(timestamptz),
    audit.ancestry(regclass), audit.settings_of(regclass), audit.current_row(anyelement, oid), audit.enabled_table(regclass), audit.key_of(regclass, text),
    audit.versions_of(regclass), audit.row_steps(integer[], integer[], text), audit.same_rows(audit.row_step[], text),
    audit.row_trail(audit.row_step[])
TO audit_reader;
-- of search, follow and activity,
GRANT EXECUTE ON FUNCTION
    audit.check_range(timestamptz, timestamptz), audit.check_choice(text, text[], text[]), audit.event_types_named(text[]),
    audit.words(text), audit.contains_word(text, text, text, text, text, jsonb, jsonb, jsonb), audit.word_condition(text),
    audit.reference_condition(regclass, text, text), audit.context_condition(text, text),
    audit.search_conditions(text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[]),
    audit.sort_key(text), audit.after_condition(uuid, text, text, boolean),
    audit.follow_from(text, integer), audit.read_cursor(text), audit.next_batch(audit.follow_position), audit.next_transaction_id(),
    audit.activity_in_steps(timestamptz, timestamptz, text)
TO audit_reader;
-- and of pages.
GRANT EXECUTE ON FUNCTION
    audit.report_columns(text), audit.report_document(text, timestamptz, timestamptz, text[]), audit.dashboard_document(),
    audit.page_facts(), audit.page_bars(jsonb, timestamptz, timestamptz, text), audit.page_text(text, integer), audit.page_bytes(jsonb),
    audit.render_report(bytea), audit.render_dashboard(bytea)
TO audit_reader;

GRANT EXECUTE ON FUNCTION audit.record(text, jsonb, text, text, text, boolean) TO audit_writer;

-- Administrators: configuration and retention by the functions below, which run with the owner's rights and write an event each; and
-- the views that show what is configured, without any value.
GRANT EXECUTE ON FUNCTION
    audit.enable(regclass, text, text[], text[], jsonb, boolean, text), audit.disable(regclass),
    audit.enable_schema(regnamespace, text, text[], text[], jsonb, boolean, text), audit.disable_schema(regnamespace),
    audit.baseline(regclass), audit.define_event_type(text, text, text, jsonb, text),
    audit.set_retention(text, interval, boolean, interval, bigint, regclass, interval), audit.prune(boolean),
    audit.hold(text, text, text, timestamptz, timestamptz, text, text), audit.release(text, text),
    audit.archive(text, timestamptz), audit.restore_archive(uuid), audit.unload_archive(uuid), audit.check_archive(uuid),
    audit.gather(timestamptz), audit.status()
TO audit_admin;
GRANT EXECUTE ON PROCEDURE audit.maintain(interval) TO audit_admin;
GRANT SELECT ON
    audit.tables, audit.coverage, audit.retention, audit.servers, audit.partitions, audit.partition_catalog, audit.archives, audit.holds,
    audit.event_types, audit.event_parameters, audit.table_settings, audit.schema_settings, audit.weakened_triggers,
    audit.unconfigured_tables, audit.partition_settings, audit.retention_settings, audit.remote_nodes, audit.gather_settings
TO audit_admin;
-- What these views and audit.maintain call.
GRANT EXECUTE ON FUNCTION
    audit.with_partitions(regclass), audit.takes_truncate_trigger(regclass), audit.is_preloaded(), audit.unseen_rows(),
    audit.retention_overview(), audit.partition_bounds(pg_node_tree), audit.row_state(regclass, jsonb),
    audit.truncate_state(regclass, jsonb), audit.trigger_state(regclass, regproc, integer), audit.row_operations(jsonb),
    audit.trigger_gap(integer), audit.maintenance_step(jsonb), audit.raise_failures(jsonb)
TO audit_admin;
