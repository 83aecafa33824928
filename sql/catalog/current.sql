-- What is so now, whatever snapshot the transaction reads with: a REPEATABLE READ transaction that began before a table was enabled, or
-- before its trigger was renamed, follows its own commands all the same.

CREATE FUNCTION audit_internal.current_row(base anyelement, object oid) RETURNS anyelement
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'audit_current_row';
COMMENT ON FUNCTION audit_internal.current_row(anyelement, oid) IS
    'The row of a configuration table about a table or schema; the base, a NULL of its row type, says which table; internal';

CREATE FUNCTION audit_internal.enabled_table(target regclass) RETURNS regclass
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_enabled_table';
COMMENT ON FUNCTION audit_internal.enabled_table(regclass) IS
    'The table whose settings hold for a table or partition: the topmost one that is enabled, null without one; internal';

CREATE FUNCTION audit_internal.current_states(target regclass) RETURNS integer[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_current_states';
COMMENT ON FUNCTION audit_internal.current_states(regclass) IS
    'How much the triggers of a table record of rows and of TRUNCATE: 3 everything that its settings ask for, 0 nothing; internal';

CREATE FUNCTION audit_internal.has_name_of_another(target regclass) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_has_name_of_another';
COMMENT ON FUNCTION audit_internal.has_name_of_another(regclass) IS 'Whether another table that is still enabled has been recorded under this name; internal';

CREATE FUNCTION audit_internal.column_name(target regclass, number integer) RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_column_name';
COMMENT ON FUNCTION audit_internal.column_name(regclass, integer) IS 'The name of a column, null for one that was dropped; internal';

CREATE FUNCTION audit_internal.column_number(target regclass, name text) RETURNS integer
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'audit_column_number';
COMMENT ON FUNCTION audit_internal.column_number(regclass, text) IS 'The number of a column, null without one; internal';
