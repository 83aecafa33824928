-- Catalog contents by the latest snapshot, whatever the snapshot of the transaction: a REPEATABLE READ
-- transaction that began before a table was enabled, or before its trigger was renamed, sees the present
-- state.

CREATE FUNCTION audit_internal.current_row(base anyelement, object oid) RETURNS anyelement
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'audit_current_row';
COMMENT ON FUNCTION audit_internal.current_row(anyelement, oid) IS
    'The row of a configuration table about a table or schema; base is a NULL of the row type of that '
    'table; internal';

CREATE FUNCTION audit_internal.enabled_table(target regclass) RETURNS regclass
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_enabled_table';
COMMENT ON FUNCTION audit_internal.enabled_table(regclass) IS
    'The table whose settings apply to a table or partition: the topmost enabled one; null without one; '
    'internal';

CREATE FUNCTION audit_internal.current_states(target regclass) RETURNS integer[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_current_states';
COMMENT ON FUNCTION audit_internal.current_states(regclass) IS
    'States of a table''s row and TRUNCATE triggers, from 3, which records all that the settings ask for, '
    'to 0, which records nothing; internal';

CREATE FUNCTION audit_internal.has_name_of_another(target regclass) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_has_name_of_another';
COMMENT ON FUNCTION audit_internal.has_name_of_another(regclass) IS
    'Whether events of another table that is still enabled have this name; internal';

CREATE FUNCTION audit_internal.column_name(target regclass, number integer) RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_column_name';
COMMENT ON FUNCTION audit_internal.column_name(regclass, integer) IS
    'The name of a column; null for a dropped column; internal';

CREATE FUNCTION audit_internal.column_number(target regclass, name text) RETURNS integer
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_column_number';
COMMENT ON FUNCTION audit_internal.column_number(regclass, text) IS
    'The number of a column; null for an unknown name; internal';
