//! Runs `CALL audit.maintain()` once in the database that asked, then ends.
//!
//! Several backends may ask at once: maintenance takes an advisory lock and the later workers find it taken.

use core::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;

/// The worker's main function. The argument is the OID of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn audit_maintenance_main(argument: Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let database = pg_sys::Oid::from(argument.value() as u32);
    // SAFETY: called once, before anything else, in a worker that asked for a connection.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    BackgroundWorker::wait_latch(Some(Duration::ZERO));
    // SAFETY: a string literal.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, c"CALL audit.maintain()".as_ptr()) };
    call();
}

/// Calls the procedure outside a transaction block, so that it may commit after each leaf.
fn call() {
    // SAFETY: the sequence of a worker that runs a procedure: a transaction and a snapshot to start with, SPI
    // told that it may commit.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        if pg_sys::get_extension_oid(c"audit".as_ptr(), true) != pg_sys::InvalidOid {
            pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC.cast_signed());
            let options = pg_sys::SPIExecuteOptions { allow_nonatomic: true, ..Default::default() };
            pg_sys::SPI_execute_extended(c"CALL audit.maintain()".as_ptr(), &options);
            pg_sys::SPI_finish();
        }
        pg_sys::CommitTransactionCommand();
    }
}
