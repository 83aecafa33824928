-- Rights are what this extension grants, whatever ALTER DEFAULT PRIVILEGES adds to the objects that it makes:
-- at its installation (sql/catalog/grants.sql) and to each partition.

-- Revokes all privileges on an object but those of its owner. All grants begin with the owner, so that
-- CASCADE meets those that others passed on.
CREATE FUNCTION audit_internal.revoke_grants(kind text, object text, owner oid, privileges aclitem[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END
        FROM aclexplode(privileges) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE a.grantee <> owner AND (a.grantee = 0 OR r.oid IS NOT NULL)
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', kind, object, grantee);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.revoke_grants(text, text, oid, aclitem[]) IS 'Revokes all privileges on an object but those of its owner; internal';

-- The rights of a table that holds evidence: no role has any. It is read through its parent.
CREATE FUNCTION audit_internal.restrict_to_owner(evidence regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.revoke_grants('TABLE', evidence::text, c.relowner, c.relacl) FROM pg_class c WHERE c.oid = evidence;
    PERFORM audit_internal.revoke_grants('TABLE', evidence::text, c.relowner, a.attacl)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = evidence AND a.attacl IS NOT NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.restrict_to_owner(regclass) IS 'Revokes all privileges on a table that holds evidence but those of its owner; internal';

-- Partitions, and parents that were made at run time, on which roles have privileges: an administrator may have
-- granted some.
CREATE FUNCTION audit_internal.repair_rights() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    evidence regclass;
    repaired integer := 0;
BEGIN
    FOR evidence IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = 'audit_internal'::regnamespace AND c.relkind IN ('r', 'p') AND c.relispartition
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
          AND (EXISTS (SELECT FROM aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
                       WHERE a.grantee <> c.relowner AND (a.grantee = 0 OR r.oid IS NOT NULL))
               OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL))
        ORDER BY c.oid
    LOOP
        PERFORM audit_internal.restrict_to_owner(evidence);
        repaired := repaired + 1;
    END LOOP;
    RETURN repaired;
END;
$$;
COMMENT ON FUNCTION audit_internal.repair_rights() IS 'Sets the rights of partitions where they are not as they should be; returns for how many; internal';
