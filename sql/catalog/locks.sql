-- Locks for what one session does at a time (src/store/lock.rs has the purposes); no other SQL can take them.

CREATE FUNCTION audit_internal.lock(purpose text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_lock';
COMMENT ON FUNCTION audit_internal.lock(text) IS
    'Acquires the lock of this purpose until the end of the transaction, waiting for it; internal';

CREATE FUNCTION audit_internal.try_lock(purpose text) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_try_lock';
COMMENT ON FUNCTION audit_internal.try_lock(text) IS
    'Acquires the lock of this purpose without waiting; false where another session has it; internal';

CREATE FUNCTION audit_internal.lock_table(target regclass) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_lock_table';
COMMENT ON FUNCTION audit_internal.lock_table(regclass) IS
    'Acquires, until the end of the transaction, the lock on changes of how this table is audited; internal';
