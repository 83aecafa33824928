-- The columns of each report's page, as expressions over its view.

-- A column of a report's page: its title, how its cells are shown, and an expression over the view, alias r.
CREATE TYPE audit_internal.page_column AS (title text, kind text, expression text);
COMMENT ON TYPE audit_internal.page_column IS 'A column of the page of a report; internal';

CREATE FUNCTION audit_internal.data_changes_columns() RETURNS SETOF audit_internal.page_column
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('When', 'time', 'r.occurred_at'),
        ('Who', 'name', 'r.actor'),
        ('Change', 'word', 'r.change'),
        ('Table', 'name', 'r.table_name'),
        ('Record', 'name', 'concat_ws('', '', r.record_id, r.record_name)'),
        ('Column', 'name', 'r.column_name'),
        ('Before', 'value', 'r.value_before'),
        ('After', 'value', 'r.value_after'),
        ('Reason', 'text', 'r.reason');
END;
COMMENT ON FUNCTION audit_internal.data_changes_columns() IS
    'The columns of the page of audit.report_data_changes; internal';

CREATE FUNCTION audit_internal.user_access_columns() RETURNS SETOF audit_internal.page_column
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('When', 'time', 'r.occurred_at'),
        ('Who', 'name', 'r.actor'),
        ('Login', 'name', 'r.login'),
        ('Access', 'word', 'r.access'),
        ('Object', 'name', 'r.object'),
        ('Record', 'name', 'concat_ws('', '', r.record_id, r.record_name)'),
        ('Columns changed', 'text', 'r.columns_changed'),
        ('Rows', 'number', 'r.row_count'),
        ('Reason', 'text', 'r.reason'),
        ('From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('Result', 'result', 'r.result');
END;
COMMENT ON FUNCTION audit_internal.user_access_columns() IS
    'The columns of the page of audit.report_user_access; internal';

CREATE FUNCTION audit_internal.security_events_columns() RETURNS SETOF audit_internal.page_column
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('When', 'time', 'r.occurred_at'),
        ('Risk', 'risk', 'r.risk'),
        ('Who', 'name', 'r.actor'),
        ('Event', 'event', 'r.event'),
        ('Object', 'name', 'r.object'),
        ('Details', 'text', 'r.details'),
        ('From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('Result', 'result', 'r.result');
END;
COMMENT ON FUNCTION audit_internal.security_events_columns() IS
    'The columns of the page of audit.report_security_events; internal';

CREATE FUNCTION audit_internal.exports_columns() RETURNS SETOF audit_internal.page_column
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('When', 'time', 'r.occurred_at'),
        ('Who', 'name', 'r.actor'),
        ('Object', 'name', 'r.object'),
        ('Record', 'name', 'r.record_id'),
        ('Rows', 'number', 'r.row_count'),
        ('Format', 'word', 'r.format'),
        ('Destination', 'text', 'r.destination'),
        ('Details', 'text', 'r.details'),
        ('From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('Result', 'result', 'r.result');
END;
COMMENT ON FUNCTION audit_internal.exports_columns() IS
    'The columns of the page of audit.report_exports; internal';

CREATE FUNCTION audit_internal.admin_activity_columns() RETURNS SETOF audit_internal.page_column
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('When', 'time', 'r.occurred_at'),
        ('Risk', 'risk', 'r.risk'),
        ('Who', 'name', 'r.actor'),
        ('Role', 'name', 'coalesce(r.role, r.login)'),
        ('Event', 'event', 'r.event'),
        ('Object', 'name', 'r.object'),
        ('Details', 'text', 'r.details'),
        ('From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('Result', 'result', 'r.result');
END;
COMMENT ON FUNCTION audit_internal.admin_activity_columns() IS
    'The columns of the page of audit.report_admin_activity; internal';

CREATE FUNCTION audit_internal.system_access_columns() RETURNS SETOF audit_internal.page_column
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('When', 'time', 'r.occurred_at'),
        ('Who', 'name', 'r.actor'),
        ('Access', 'word', 'r.access'),
        ('Worked for', 'text', 'array_to_string(r.application_users, '', '')'),
        ('From', 'text', 'concat_ws('', '', r.application, host(r.address))'),
        ('Authentication', 'word', 'r.authentication'),
        ('Ended', 'time', 'r.ended_at'),
        ('Duration', 'word', 'date_trunc(''second'', r.duration)'),
        ('Events', 'number', 'r.events'),
        ('Result', 'result', 'r.result');
END;
COMMENT ON FUNCTION audit_internal.system_access_columns() IS
    'The columns of the page of audit.report_system_access; internal';

CREATE FUNCTION audit_internal.report_columns(report text) RETURNS SETOF audit_internal.page_column
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE report
        WHEN 'data_changes' THEN RETURN QUERY SELECT * FROM audit_internal.data_changes_columns();
        WHEN 'user_access' THEN RETURN QUERY SELECT * FROM audit_internal.user_access_columns();
        WHEN 'security_events' THEN RETURN QUERY SELECT * FROM audit_internal.security_events_columns();
        WHEN 'exports' THEN RETURN QUERY SELECT * FROM audit_internal.exports_columns();
        WHEN 'admin_activity' THEN RETURN QUERY SELECT * FROM audit_internal.admin_activity_columns();
        WHEN 'system_access' THEN RETURN QUERY SELECT * FROM audit_internal.system_access_columns();
        ELSE RETURN;
    END CASE;
END;
$$;
COMMENT ON FUNCTION audit_internal.report_columns(text) IS
    'The columns of the page of a report, none for an unknown report; internal';
