-- Protection of the tables that hold evidence.

CREATE FUNCTION audit_internal.reject_change() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_reject_change';
COMMENT ON FUNCTION audit_internal.reject_change() IS 'Trigger on every table that holds evidence: it is never changed by SQL';

CREATE FUNCTION audit_internal.reject_insert() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_reject_change';
COMMENT ON FUNCTION audit_internal.reject_insert() IS
    'Trigger on partitions that take no more events: rejects INSERT, and tells writers, who do not fire it, of the state';
