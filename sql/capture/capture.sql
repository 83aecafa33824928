-- The trigger functions that record changes, and the baseline of the rows that exist when auditing begins.

CREATE FUNCTION audit.baseline(target regclass) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_baseline';
COMMENT ON FUNCTION audit.baseline(regclass) IS
    'Records one event per existing row, so that history begins with the rows that exist now; writers of the '
    'table wait meanwhile. Returns the number of rows';

CREATE FUNCTION audit.capture_row() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_capture_row';
COMMENT ON FUNCTION audit.capture_row() IS
    'AFTER ROW trigger that records the change; created by audit.enable';

CREATE FUNCTION audit.capture_truncate() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_capture_truncate';
COMMENT ON FUNCTION audit.capture_truncate() IS
    'BEFORE TRUNCATE trigger that records what is removed; created by audit.enable';
