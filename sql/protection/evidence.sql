-- Protection of the tables that hold evidence.

CREATE FUNCTION audit_internal.reject_change() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_reject_change';
COMMENT ON FUNCTION audit_internal.reject_change() IS 'Trigger on every table that holds evidence: it is never changed by SQL';
