-- What only one session does at a time (src/store/lock.rs has the purposes). Locks that no other SQL can take.

CREATE FUNCTION audit_internal.lock(purpose text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_lock';
COMMENT ON FUNCTION audit_internal.lock(text) IS 'Waits for the lock of this purpose and keeps it to the end of the transaction; internal';

CREATE FUNCTION audit_internal.try_lock(purpose text) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_try_lock';
COMMENT ON FUNCTION audit_internal.try_lock(text) IS 'Takes the lock of this purpose, or is false where another session has it; internal';

CREATE FUNCTION audit_internal.lock_table(target regclass) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_lock_table';
COMMENT ON FUNCTION audit_internal.lock_table(regclass) IS
    'Waits until no other session changes how this table is audited; kept to the end of the transaction; internal';
