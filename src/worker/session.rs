//! A worker's connection to its database, with settings that no role or database can override. Runs each step in a
//! transaction of its own; an ERROR is returned to the caller: it is not logged and does not end the process.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

use pgrx::PgTryBuilder;
use pgrx::pg_sys::{self, Oid};

use crate::pg::{error, version};

/// As the autovacuum worker's (postmaster/autovacuum.c): none of what a database or role may have set. No parallel
/// workers, so that maintenance takes one slot.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"search_path", c""),
    (c"zero_damaged_pages", c"false"),
    (c"statement_timeout", c"0"),
    (c"lock_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    (c"idle_session_timeout", c"0"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"session_replication_role", c"origin"),
    (c"max_parallel_workers_per_gather", c"0"),
    (c"max_parallel_maintenance_workers", c"0"),
    (c"role", c"none"),
    (c"row_security", c"off"),
    (c"jit", c"off"),
    // What is moved and removed is an event, whatever the database has switched off for its users.
    (c"audit.enabled", c"on"),
];

/// What ended a transaction.
pub struct Failure {
    pub message: String,
    pub code: pgrx::PgSqlErrorCode,
}

/// Connects as the bootstrap superuser, to a database that may just have been closed to others.
pub fn connect(database: Oid) {
    let bypass = pg_sys::BGWORKER_BYPASS_ALLOWCONN;
    // SAFETY: called once, in a worker that asked for a connection. The strings are static.
    unsafe {
        let set = |name: &CStr, value: &CStr| {
            let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
            pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source);
        };
        SETTINGS.iter().chain(version::TRANSACTION_TIMEOUT).for_each(|(name, value)| set(name, value));
        // Maintenance need not wait for a standby.
        if pg_sys::synchronous_commit > pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_LOCAL_FLUSH.cast_signed() {
            set(c"synchronous_commit", c"local");
        }
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, bypass);
    }
}

/// Runs `body` in a transaction of its own, which an ERROR rolls back.
pub fn transaction<R>(body: impl FnOnce() -> R) -> Result<R, Failure> {
    let result = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: outside any transaction.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = body();
        // SAFETY: ends what was begun above.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(result)
    }))
    .catch_others(|error| Err(Failure { message: error::message(&error), code: error::code(&error) }))
    .execute();
    // SAFETY: outside any transaction, or in one that failed.
    unsafe {
        if result.is_err() {
            pg_sys::AbortCurrentTransaction();
        }
        pg_sys::pgstat_report_stat(false);
    }
    result
}
