//! What a background worker is to PostgreSQL: its signals, its latch, its end.
//!
//! A worker has to look for interrupts wherever it waits: DROP DATABASE and others wait until every process has
//! absorbed a barrier (storage/ipc/procsignal.c).

use core::ffi::{c_int, c_long};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use pgrx::pg_sys;

use super::raw;

static IS_STOPPING: AtomicBool = AtomicBool::new(false);
static IS_CANCELLABLE: AtomicBool = AtomicBool::new(false);

/// Takes SIGHUP and SIGTERM; both wake the process up.
pub fn attach_signals() {
    super::version::handle_signal(pg_sys::SIGHUP, reload_requested);
    super::version::handle_signal(pg_sys::SIGTERM, stop_requested);
    // SAFETY: called by a background worker, once.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() }
}

/// From now on a SIGTERM cancels the statement under way with an ERROR, instead of ending the process with a FATAL:
/// being stopped is no failure, and the log has nothing to say about it.
pub fn cancel_when_stopped() {
    IS_CANCELLABLE.store(true, Ordering::SeqCst);
}

/// Whether this process was asked to end.
pub fn is_stopping() -> bool {
    IS_STOPPING.load(Ordering::SeqCst)
}

unsafe extern "C-unwind" fn reload_requested(_signal: c_int) {
    // SAFETY: what PostgreSQL's own handler does (postmaster/interrupt.c).
    unsafe {
        (&raw mut pg_sys::ConfigReloadPending).write_volatile(1);
        raw::SetLatch(pg_sys::MyLatch);
    }
}

unsafe extern "C-unwind" fn stop_requested(_signal: c_int) {
    IS_STOPPING.store(true, Ordering::SeqCst);
    // SAFETY: as StatementCancelHandler (tcop/postgres.c).
    unsafe {
        if IS_CANCELLABLE.load(Ordering::SeqCst) {
            (&raw mut pg_sys::InterruptPending).write_volatile(1);
            (&raw mut pg_sys::QueryCancelPending).write_volatile(1);
        }
        raw::SetLatch(pg_sys::MyLatch);
    }
}

/// Sleeps until the latch is set or the time is over, and takes up what came meanwhile: interrupts, new settings. Ends
/// the process when the postmaster is gone.
pub fn wait(longest: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // A whole millisecond more: a rounded-down rest would be waited for in a busy loop.
    let milliseconds = c_long::try_from(longest.as_millis().saturating_add(1)).unwrap_or(c_long::MAX);
    // SAFETY: the latch is this process's own.
    unsafe {
        // A wait of more than INT_MAX milliseconds is refused (storage/ipc/latch.c).
        let milliseconds = milliseconds.min(c_long::from(c_int::MAX));
        pg_sys::WaitLatch(pg_sys::MyLatch, events.cast_signed(), milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pg_sys::check_for_interrupts!();
    reload();
}

/// Reads the configuration again where that was asked for.
pub fn reload() {
    // SAFETY: outside any transaction, as ProcessConfigFile wants.
    unsafe {
        if (&raw const pg_sys::ConfigReloadPending).read_volatile() != 0 {
            (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}
