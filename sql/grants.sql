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
