-- Every permanent table is audited, in whatever schema.
CREATE EXTENSION audit;
SELECT audit.enable_schema('public');
CREATE FUNCTION audit.enable_new_schema() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    created oid;
BEGIN
    FOR created IN
        SELECT c.objid FROM pg_event_trigger_ddl_commands() c
        WHERE c.object_type = 'schema' AND c.object_identity !~ '^pg_'
    LOOP
        PERFORM audit.enable_schema(created);
    END LOOP;
END;
$$;
CREATE EVENT TRIGGER audit_enable_new_schema ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA')
    EXECUTE FUNCTION audit.enable_new_schema();
