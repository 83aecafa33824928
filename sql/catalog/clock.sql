-- The time of the trail, and marks for tests of crashes.

CREATE FUNCTION audit.clock() RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_clock';
COMMENT ON FUNCTION audit.clock() IS 'The time that events are given';

CREATE FUNCTION audit.injection_point(point text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_injection_point';
COMMENT ON FUNCTION audit.injection_point(text) IS 'An injection point for crash tests; does nothing in production';
