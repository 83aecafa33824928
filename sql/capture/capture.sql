-- What captures: the functions of the triggers that audit.enable creates, and the rows that are there when auditing begins.

CREATE FUNCTION audit.capture_row() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_capture_row';
COMMENT ON FUNCTION audit.capture_row() IS 'AFTER ROW trigger that records the change; audit.enable creates it';

CREATE FUNCTION audit.capture_truncate() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_capture_truncate';
COMMENT ON FUNCTION audit.capture_truncate() IS 'BEFORE TRUNCATE trigger that records what is removed; audit.enable creates it';

CREATE FUNCTION audit.baseline(target regclass) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_baseline';
COMMENT ON FUNCTION audit.baseline(regclass) IS
    'Records one event a row that exists now, so that history begins at the beginning; writers of the table wait meanwhile';
