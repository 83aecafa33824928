-- Rights. PUBLIC gets what auditing a table's users need, which is next to nothing; the rest goes by role.

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
            -- A role of this name that people already have would give them rights that nobody granted.
            RAISE EXCEPTION 'role "%" already exists and is in use', wanted.role_name
                USING ERRCODE = 'duplicate_object',
                      HINT = pg_catalog.format('Rename it, or accept it with COMMENT ON ROLE %I IS %L.', wanted.role_name, wanted.description);
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA audit TO PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA audit FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA audit FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA audit FROM PUBLIC;

GRANT EXECUTE ON FUNCTION audit.set_context(text, text, text, jsonb, boolean) TO PUBLIC;
GRANT EXECUTE ON FUNCTION audit.row(anyelement, jsonb) TO PUBLIC;
-- PostgreSQL asks the owner of an audited table for this when he adds a partition, to which it clones the trigger. The
-- function works as a trigger only and records what really changed, so whoever uses it by hand audits his own table.
GRANT EXECUTE ON FUNCTION audit.capture_row() TO PUBLIC;
GRANT EXECUTE ON FUNCTION audit.diff(jsonb, jsonb) TO PUBLIC;

GRANT SELECT ON ALL TABLES IN SCHEMA audit TO audit_reader;

-- What only reads runs with the rights of whoever calls it and shows nothing that he may not read himself.
DO $$
DECLARE
    reading regprocedure;
BEGIN
    FOR reading IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'audit'::pg_catalog.regnamespace AND p.provolatile IN ('i', 's') AND NOT p.prosecdef AND p.prokind = 'f'
    LOOP
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO audit_reader, audit_admin', reading);
    END LOOP;
END $$;

-- Reads the dictionaries past permissions.
REVOKE EXECUTE ON FUNCTION audit.attribution(integer, bigint) FROM audit_admin;

GRANT EXECUTE ON FUNCTION
    audit.enable(regclass, text, text[], text[], jsonb, boolean, text), audit.disable(regclass),
    audit.enable_schema(regnamespace, text, text[], text[], jsonb, boolean, text), audit.disable_schema(regnamespace),
    audit.baseline(regclass), audit.define_event_type(text, text, text, jsonb, text) TO audit_admin;
GRANT EXECUTE ON FUNCTION
    audit.set_retention(text, interval, boolean, interval, bigint, regclass, interval), audit.prune(boolean),
    audit.hold(text, text, text, timestamptz, timestamptz, text, text), audit.release(text, text),
    audit.archive(text, timestamptz), audit.restore_archive(uuid), audit.unload_archive(uuid), audit.check_archive(uuid) TO audit_admin;
GRANT EXECUTE ON FUNCTION audit.record(text, jsonb, text, text, text, boolean) TO audit_writer;
GRANT EXECUTE ON FUNCTION audit.gather(timestamptz) TO audit_admin;
GRANT EXECUTE ON FUNCTION audit.status(), audit.unseen_rows(), audit.retention_overview() TO audit_reader, audit_admin;
GRANT EXECUTE ON PROCEDURE audit.maintain(interval) TO audit_admin;
GRANT EXECUTE ON FUNCTION audit.maintenance_step() TO audit_admin;
GRANT SELECT ON audit.tables, audit.coverage, audit.table_settings, audit.schema_settings, audit.leaf_settings,
    audit.event_types, audit.event_parameters, audit.leaves, audit.leaf_facts, audit.retention, audit.retention_settings, audit.holds,
    audit.archives, audit.servers, audit.gathered_nodes, audit.gather_settings TO audit_admin;
