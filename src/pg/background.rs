//! Starting a background worker from a backend, which needs no preloading.

use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;

/// Starts a worker that runs maintenance once in the current database. A missing slot is no error: whoever
/// asked asks again.
pub fn start_maintenance() {
    // SAFETY: plain variables of this process.
    let (database, in_recovery, is_worker) =
        unsafe { (pg_sys::MyDatabaseId, pg_sys::RecoveryInProgress(), pg_sys::ParallelWorkerNumber >= 0) };
    if in_recovery || is_worker {
        return;
    }
    let started = BackgroundWorkerBuilder::new("audit maintenance")
        .set_type("audit maintenance")
        .set_library("audit")
        .set_function("audit_maintenance_main")
        .set_argument(Some(pg_sys::Datum::from(database)))
        .enable_spi_access()
        .set_restart_time(None)
        .load_dynamic();
    drop(started);
}
