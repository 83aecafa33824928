-- Rights are what this extension grants, whatever ALTER DEFAULT PRIVILEGES adds to the objects that it makes:
-- at its installation (sql/catalog/grants.sql) and to each partition.

-- Revokes all privileges on an object but those of its owner. All grants begin with the owner, so that
-- CASCADE meets those that others passed on.
CREATE FUNCTION audit.revoke_grants(kind text, object text, owner oid, privileges aclitem[]) RETURNS void
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
COMMENT ON FUNCTION audit.revoke_grants(text, text, oid, aclitem[]) IS 'Revokes all privileges on an object but those of its owner; internal';

-- The rights of a table that holds evidence: audit_reader reads it, and no other role has any.
CREATE FUNCTION audit.restrict_to_readers(evidence regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM audit.revoke_grants('TABLE', evidence::text, c.relowner, c.relacl) FROM pg_class c WHERE c.oid = evidence;
    PERFORM audit.revoke_grants('TABLE', evidence::text, c.relowner, a.attacl)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = evidence AND a.attacl IS NOT NULL;
    EXECUTE format('GRANT SELECT ON %s TO audit_reader', evidence);
END;
$$;
COMMENT ON FUNCTION audit.restrict_to_readers(regclass) IS 'Grants SELECT on evidence to audit_reader, and nothing to other roles; internal';

-- Partitions, and parents that were made at run time, whose rights are others: a restore without privileges
-- has given them none, and an administrator may have granted more.
CREATE FUNCTION audit.repair_rights() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    evidence regclass;
    repaired integer := 0;
BEGIN
    FOR evidence IN
        SELECT c.oid FROM pg_class c
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE a.grantee = to_regrole('audit_reader') AND a.privilege_type = 'SELECT' AND NOT a.is_grantable) AS wanted,
                   count(*) AS all_there_are
            FROM aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
            WHERE a.grantee <> c.relowner AND (a.grantee = 0 OR r.oid IS NOT NULL)) p
        WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind IN ('r', 'p') AND c.relispartition
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
          AND (p.wanted <> 1 OR p.all_there_are <> 1
               OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL))
        ORDER BY c.oid
    LOOP
        PERFORM audit.restrict_to_readers(evidence);
        repaired := repaired + 1;
    END LOOP;
    RETURN repaired;
END;
$$;
COMMENT ON FUNCTION audit.repair_rights() IS 'Sets the rights of partitions where they are not as they should be; returns for how many; internal';
