-- Protection of the tables that hold evidence.

CREATE FUNCTION audit_internal.reject_change() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_reject_change';
COMMENT ON FUNCTION audit_internal.reject_change() IS
    'Trigger on every table that holds evidence: rejects changes by SQL';

CREATE FUNCTION audit_internal.reject_insert() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_reject_change';
COMMENT ON FUNCTION audit_internal.reject_insert() IS
    'Trigger on partitions that accept no more events: rejects INSERT by SQL; the event writer, which fires '
    'no triggers, recognizes the state by it';
