-- The time of the trail, and marks for tests of crashes.

CREATE FUNCTION audit_internal.clock() RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_clock';
COMMENT ON FUNCTION audit_internal.clock() IS 'The time that events are given';

CREATE FUNCTION audit_internal.injection_point(point text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_injection_point';
COMMENT ON FUNCTION audit_internal.injection_point(text) IS 'An injection point for crash tests; does nothing in production';
