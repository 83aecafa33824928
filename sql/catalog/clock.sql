-- The clock of events, and injection points for crash tests.

CREATE FUNCTION audit_internal.clock() RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_clock';
COMMENT ON FUNCTION audit_internal.clock() IS
    'The wall clock by which events are recorded; tests can set it; internal';

CREATE FUNCTION audit_internal.injection_point(point text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_injection_point';
COMMENT ON FUNCTION audit_internal.injection_point(text) IS
    'An injection point for crash tests; does nothing in a release build; internal';
