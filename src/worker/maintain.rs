//! Does what `CALL audit.maintain()` does, once, in the database that asked, then ends.
//!
//! Not by that CALL: a procedure that commits needs a portal, which a worker has not. Several backends may ask at
//! once: each step takes an advisory lock and the later workers find it taken.

use core::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;

/// How often the worker looks whether those who wrote to the overflow have ended.
const PAUSE: Duration = Duration::from_secs(1);

/// The worker's main function. The argument is the OID of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn audit_maintenance_main(argument: Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let database = pg_sys::Oid::from(argument.value() as u32);
    // SAFETY: called once, before anything else, in a worker that asked for a connection.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    // SAFETY: a string literal.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, c"audit maintenance".as_ptr()) };
    // Whoever asked may still be in the transaction whose events are to be moved, and not ask again. Who is waited for
    // is asked before the steps: a transaction that ends between the two has its events moved by them.
    loop {
        let waits = is_true("SELECT audit.maintenance_waits()");
        while is_true("SELECT audit.maintenance_step()") && !BackgroundWorker::sigterm_received() {}
        if !waits || !BackgroundWorker::wait_latch(Some(PAUSE)) {
            break;
        }
    }
}

/// Asks in a transaction of its own; false also where the extension is gone.
fn is_true(question: &'static str) -> bool {
    BackgroundWorker::transaction(|| {
        // SAFETY: a catalog lookup inside a transaction.
        let is_installed = unsafe { pg_sys::get_extension_oid(c"audit".as_ptr(), true) != pg_sys::InvalidOid };
        is_installed && matches!(Spi::get_one::<bool>(question), Ok(Some(true)))
    })
}
