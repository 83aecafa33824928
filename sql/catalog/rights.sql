-- Only the extension grants rights on its objects. ALTER DEFAULT PRIVILEGES may add others to what it
-- creates: these are revoked at installation (sql/catalog/grants.sql) and from each new partition.

-- Every chain of grants begins with the owner, so that CASCADE also revokes what grantees have granted.
CREATE FUNCTION audit_internal.revoke_grants(
    kind text,
    object text,
    owner oid,
    privileges aclitem[]
) RETURNS void
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
COMMENT ON FUNCTION audit_internal.revoke_grants(text, text, oid, aclitem[]) IS
    'Revokes all privileges on an object except those of its owner';

-- Evidence is read through its parent table.
CREATE FUNCTION audit_internal.restrict_to_owner(evidence regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit_internal.revoke_grants('TABLE', evidence::text, c.relowner, c.relacl)
    FROM pg_class c
    WHERE c.oid = evidence;
    PERFORM audit_internal.revoke_grants('TABLE', evidence::text, c.relowner, a.attacl)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.oid = evidence AND a.attacl IS NOT NULL;
END;
$$;
COMMENT ON FUNCTION audit_internal.restrict_to_owner(regclass) IS
    'Revokes all privileges on a table that holds evidence except those of its owner';

-- A superuser may have granted privileges on partitions, or on parents that were created at run time.
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
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
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
COMMENT ON FUNCTION audit_internal.repair_rights() IS
    'Revokes the privileges of other roles on partitions; returns on how many there were any';
