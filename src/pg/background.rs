//! Background workers: starting one, watching it, and asking for maintenance.

use core::ffi::CStr;

use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys::{self, Oid};

use super::local::Local;

/// Requests maintenance of a database where the library is preloaded; false where no launcher runs.
type Ask = fn(Oid) -> bool;

static LAUNCHER: Local<Option<Ask>> = Local::new(None);

/// A worker that this process has started.
pub struct Worker {
    handle: *mut pg_sys::BackgroundWorkerHandle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Starting,
    Running(pg_sys::pid_t),
    Ended,
}

impl Worker {
    /// Starts `function` of this library for a database, never to be restarted; this process's latch is set when the
    /// worker starts and ends. `None` where no slot of max_worker_processes is free.
    pub fn start(function: &str, database: Oid) -> Option<Worker> {
        // SAFETY: a plain variable of this process.
        let process = unsafe { pg_sys::MyProcPid };
        register(BackgroundWorkerBuilder::new(NAME).set_function(function).set_notify_pid(process), database)
    }

    pub fn state(&self) -> State {
        let mut process = 0;
        // SAFETY: the handle is live.
        match unsafe { pg_sys::GetBackgroundWorkerPid(self.handle, &mut process) } {
            pg_sys::BgwHandleStatus::BGWH_NOT_YET_STARTED => State::Starting,
            pg_sys::BgwHandleStatus::BGWH_STARTED => State::Running(process),
            _ => State::Ended,
        }
    }

    /// Lets the postmaster send SIGTERM to the worker, once, or forget it where it has not started.
    pub fn terminate(&self) {
        // SAFETY: the handle is live.
        unsafe { pg_sys::TerminateBackgroundWorker(self.handle) }
    }

    /// What PostgreSQL knows the worker by, for an exit callback.
    pub fn handle(&self) -> *mut pg_sys::BackgroundWorkerHandle {
        self.handle
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: palloc'd by PostgreSQL for the process that started the worker.
            unsafe { pg_sys::pfree(self.handle.cast()) }
        }
    }
}

const NAME: &str = "audit maintenance";

fn register(builder: BackgroundWorkerBuilder, database: Oid) -> Option<Worker> {
    let builder = builder
        .set_type(NAME)
        .set_library("audit")
        .set_argument(Some(pg_sys::Datum::from(database)))
        .enable_spi_access()
        .set_restart_time(None);
    let mut worker = pg_sys::BackgroundWorker::from(&builder);
    let mut handle = core::ptr::null_mut();
    // SAFETY: both are live during the call.
    let is_registered = unsafe { pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle) };
    is_registered.then(|| Worker { handle })
}

/// Registers a worker that lives as long as the server, connected to no database, restarted after `restart`. Called
/// while the library is being preloaded.
pub fn register_permanent(name: &str, function: &str, restart: core::time::Duration) {
    BackgroundWorkerBuilder::new(name)
        .set_type(name)
        .set_library("audit")
        .set_function(function)
        .enable_spi_access()
        .set_restart_time(Some(restart))
        .load();
}

/// Says where maintenance is asked for. Called while the library is being preloaded.
pub fn set_launcher(ask: Ask) {
    LAUNCHER.set(Some(ask));
}

/// Asks the launcher for maintenance of the current database. False where there is none.
pub fn ask_launcher() -> bool {
    // SAFETY: a plain variable of this process.
    LAUNCHER.get().is_some_and(|ask| ask(unsafe { pg_sys::MyDatabaseId }))
}

/// Has maintenance done in the current database: by the launcher, and where there is none by a worker that runs it
/// once. A missing slot is not an error: the backend requests it again later.
pub fn start_maintenance() {
    // SAFETY: plain variables of this process.
    let (database, in_recovery, is_worker) =
        unsafe { (pg_sys::MyDatabaseId, pg_sys::RecoveryInProgress(), pg_sys::ParallelWorkerNumber >= 0) };
    if in_recovery || is_worker || ask_launcher() {
        return;
    }
    drop(register(BackgroundWorkerBuilder::new(NAME).set_function("audit_maintenance_main"), database));
}

/// Says in pg_stat_activity what this process is doing, or that it rests.
pub fn report_activity(is_running: bool, text: &CStr) {
    let state = if is_running { pg_sys::BackendState::STATE_RUNNING } else { pg_sys::BackendState::STATE_IDLE };
    // SAFETY: the text is copied.
    unsafe { pg_sys::pgstat_report_activity(state, text.as_ptr()) }
}
