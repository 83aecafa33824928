-- Rights, each by name: tests/sql/rights.sql prints them. PUBLIC has what users of audited tables need, each
-- of the three roles its part of schema audit.

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
        SELECT r.oid,
               r.rolcanlogin,
               EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid) AS has_members,
               pg_catalog.shobj_description(r.oid, 'pg_authid') = wanted.description AS is_ours
        INTO existing
        FROM pg_catalog.pg_roles r WHERE r.rolname = wanted.role_name;
        IF NOT FOUND THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted.role_name);
            EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', wanted.role_name, wanted.description);
        ELSIF (existing.rolcanlogin OR existing.has_members) AND existing.is_ours IS NOT TRUE THEN
            -- Members of an existing role of this name would receive rights that were never granted to them.
            RAISE EXCEPTION 'role "%" already exists and is in use', wanted.role_name
                USING ERRCODE = 'duplicate_object',
                      HINT = pg_catalog.format(
                          'Rename it, or accept it with COMMENT ON ROLE %I IS %L.',
                          wanted.role_name, wanted.description);
        END IF;
    END LOOP;
END $$;

-- Revokes what ALTER DEFAULT PRIVILEGES has added: only the owner keeps privileges.
DO $$
DECLARE
    ours pg_catalog.oid[] :=
        ARRAY['audit'::pg_catalog.regnamespace, 'audit_internal'::pg_catalog.regnamespace]::pg_catalog.oid[];
BEGIN
    PERFORM audit_internal.revoke_grants('SCHEMA', n.nspname::pg_catalog.text, n.nspowner, n.nspacl)
    FROM pg_catalog.pg_namespace n WHERE n.oid = ANY (ours);
    PERFORM audit_internal.revoke_grants(
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
        c.oid::pg_catalog.regclass::text,
        c.relowner,
        c.relacl)
    FROM pg_catalog.pg_class c WHERE c.relnamespace = ANY (ours) AND c.relkind IN ('r', 'p', 'v', 'S');
    -- By default PUBLIC has EXECUTE on routines and USAGE on types.
    PERFORM audit_internal.revoke_grants(
        'ROUTINE',
        p.oid::pg_catalog.regprocedure::text,
        p.proowner,
        coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)))
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = ANY (ours);
    -- Array types have no privileges. A table with a column of a row type would keep ours from being altered.
    PERFORM audit_internal.revoke_grants(
        'TYPE',
        t.oid::pg_catalog.regtype::text,
        t.typowner,
        coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)))
    FROM pg_catalog.pg_type t
    WHERE t.typnamespace = ANY (ours) AND t.typcategory <> 'A';
END $$;

GRANT USAGE ON SCHEMA audit TO PUBLIC;
GRANT EXECUTE ON FUNCTION
    audit.set_context(text, text, text, jsonb, boolean),
    audit.row(anyelement, jsonb),
    audit.diff(jsonb, jsonb)
TO PUBLIC;
-- When a partition is added, PostgreSQL clones the trigger to it and checks that the owner of the table has
-- EXECUTE. The function runs as a trigger only and records actual changes, by the settings of the table; it
-- records, too, that a table has no settings.
GRANT EXECUTE ON FUNCTION audit.capture_row() TO PUBLIC;

-- Functions of views: PostgreSQL checks EXECUTE for the role that reads the view, also for a user's view over
-- one of these that other roles read. No role is granted USAGE on the schema, so that no query can name them.
-- Each computes its result from its arguments and the catalogs, but for attribution, which reads contexts and
-- sessions past privileges, and those that serve one view: unseen_rows, retention_overview and figures.
-- Members
-- of pg_read_all_data and pg_write_all_data have USAGE on every schema, and can call them (docs/security.md).
GRANT EXECUTE ON FUNCTION
    audit_internal.attribution(integer, bigint),
    audit_internal.summary(text, text, text, text, text, integer, jsonb),
    audit_internal.changed_columns(integer, jsonb),
    audit_internal.old_values(integer, jsonb, jsonb, jsonb),
    audit_internal.new_values(integer, jsonb, jsonb, jsonb),
    audit_internal.column_changes(integer, jsonb, jsonb),
    audit_internal.event_type(text),
    audit_internal.event_types(text[]),
    audit_internal.row_change_types(),
    audit_internal.shown(jsonb),
    audit_internal.details(jsonb),
    audit_internal.parameter_number(jsonb, text),
    audit_internal.stack_fingerprint(text),
    audit_internal.with_partitions(regclass),
    audit_internal.takes_truncate_trigger(regclass),
    audit_internal.is_preloaded(),
    audit_internal.unseen_rows(),
    audit_internal.retention_overview(),
    audit_internal.figures(),
    audit_internal.partition_bounds(pg_node_tree),
    audit_internal.row_state(regclass, jsonb),
    audit_internal.truncate_state(regclass, jsonb),
    audit_internal.trigger_state(regclass, regproc, integer),
    audit_internal.row_operations(jsonb),
    audit_internal.trigger_gap(integer)
TO PUBLIC;

-- For functions of readers over rows of the trail.
GRANT USAGE ON TYPE audit.trail, audit.changes, audit.archives TO audit_reader;

-- Readers: the trail, its configuration, and the functions that read them.
GRANT SELECT ON
    audit.events, audit.sessions, audit.event_types, audit.event_parameters, audit.holds, audit.archives,
    audit.partitions, audit.trail, audit.changes, audit.event_parameter_values, audit.tables, audit.schemas,
    audit.coverage,
    audit.retention, audit.servers, audit.dashboard, audit.recent_high_risk, audit.error_groups,
    audit.report_data_changes, audit.report_user_access, audit.report_security_events, audit.report_exports,
    audit.report_admin_activity, audit.report_system_access
TO audit_reader;
GRANT EXECUTE ON FUNCTION
    audit.search(text, timestamptz, timestamptz, text[], text[], text[], text, text, text, text[], text,
                 integer, uuid),
    audit.follow(text, integer),
    audit.event(uuid),
    audit.related(uuid),
    audit.diff(uuid),
    audit.history(regclass, text),
    audit.server_history(text, text, text),
    audit.table_activity(regclass, timestamptz),
    audit.user_activity(text, timestamptz, timestamptz),
    audit.user_sessions(text, timestamptz, timestamptz),
    audit.activity_by_day(timestamptz, timestamptz),
    audit.activity_by_hour(timestamptz, timestamptz),
    audit.execution(text),
    audit.report_html(text, timestamptz, timestamptz, text[]),
    audit.dashboard_html(),
    audit.status()
TO audit_reader;
-- audit.history calls these with the rights of its caller.
GRANT EXECUTE ON FUNCTION
    audit_internal.key_of(regclass, text),
    audit_internal.row_history(regclass, text, text)
TO audit_reader;

GRANT EXECUTE ON FUNCTION audit.record(text, jsonb, text, text, text, boolean) TO audit_writer;

-- Administrators: configuration and retention by the functions below, which run with the rights of the owner
-- and each write an event; and the views of the configuration, which have no values of rows.
GRANT EXECUTE ON FUNCTION
    audit.enable(regclass, text, text[], text[], jsonb, boolean, text),
    audit.disable(regclass),
    audit.enable_schema(regnamespace, text, text[], text[], jsonb, boolean, text),
    audit.disable_schema(regnamespace),
    audit.baseline(regclass),
    audit.define_event_type(text, text, text, jsonb, text),
    audit.set_retention(text, interval, boolean, interval, bigint, regclass, interval),
    audit.prune(boolean),
    audit.hold(text, text, text, timestamptz, timestamptz, text, text),
    audit.release(text, text),
    audit.archive(text, timestamptz),
    audit.restore_archive(uuid),
    audit.unload_archive(uuid),
    audit.check_archive(uuid),
    audit.gather(timestamptz),
    audit.maintenance_step(jsonb, boolean),
    audit.status()
TO audit_admin;
GRANT EXECUTE ON PROCEDURE audit.maintain(interval) TO audit_admin;
GRANT SELECT ON
    audit.tables, audit.schemas, audit.coverage, audit.retention, audit.servers, audit.partitions,
    audit.archives,
    audit.holds, audit.event_types, audit.event_parameters
TO audit_admin;
