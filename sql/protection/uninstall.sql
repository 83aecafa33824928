-- Removal of the extension with all evidence.

CREATE FUNCTION audit.uninstall(confirm text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expected text := 'remove the audit trail of ' || current_database();
BEGIN
    IF confirm IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'the audit trail of database % was not removed', quote_ident(current_database())
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('This irrevocably drops every event. '
                                'To confirm, run SELECT audit.uninstall(%L).', expected);
    ELSIF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'permission denied to remove the audit trail'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Only superusers may do this.';
    END IF;
    -- Waits for a running step of the worker, which takes the locks on partitions in another order.
    PERFORM audit_internal.enter_maintenance();
    RAISE LOG 'audit trail of database % removed by %', quote_ident(current_database()), session_user;
    PERFORM audit_internal.remove_trigger(t.oid)
    FROM pg_trigger t
    WHERE t.tgparentid = 0 AND t.tgfoid IN ('audit.capture_row'::regproc, 'audit.capture_truncate'::regproc);
    PERFORM audit_internal.execute_permitted('DROP EXTENSION audit CASCADE');
END;
$$;
COMMENT ON FUNCTION audit.uninstall(text) IS
    'Removes the extension with all events; an error says which text confirms it';
