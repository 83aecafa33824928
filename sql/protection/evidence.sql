-- The guard of the tables that hold evidence.

CREATE FUNCTION audit.refuse_change() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_refuse_change';
COMMENT ON FUNCTION audit.refuse_change() IS 'Trigger on every table that holds evidence: it is never changed by SQL';
