//! One run in a database as the launcher sees it: it starts the worker, and terminates it when another session needs
//! exclusive access to the database (DROP DATABASE, RENAME).
//!
//! From before it looks whether the database is there until the worker holds it too, the launcher keeps it from being
//! dropped: a worker never begins in a database that is gone, which PostgreSQL would log as FATAL.

use std::ffi::CString;
use std::time::{Duration, Instant};

use audit_schedule::Outcome;
use pgrx::pg_sys::{self, Oid};

use super::shared;
use crate::pg::background::{self, State, Worker};
use crate::pg::database::{self, Admission};
use crate::pg::local::Local;
use crate::pg::{process, raw};

/// How often the launcher checks for sessions that need the database. They wait for five seconds.
const TICK: Duration = Duration::from_millis(300);
/// How long a worker may take to begin, during which others have to wait for the database.
const STARTING: Duration = Duration::from_secs(5);
/// How long a worker may take to end before it is told again: an error handler may have swallowed the first time.
const ENDING: Duration = Duration::from_secs(1);

/// What became of a run.
pub enum Run {
    Ended(Outcome),
    /// The database is gone, or takes no connections.
    Gone,
    /// No worker could be started.
    NoSlot,
}

/// The worker under way, for the launcher's end.
static CURRENT: Local<*mut pg_sys::BackgroundWorkerHandle> = Local::new(core::ptr::null_mut());

/// Runs maintenance in a database.
pub fn perform(oid: Oid) -> Run {
    let Some(admission) = Admission::take(oid) else {
        shared::end_run(oid, Outcome::Left);
        return Run::Ended(Outcome::Left);
    };
    let Some(database) = database::connectable().into_iter().find(|database| database.oid == oid) else {
        return Run::Gone;
    };
    let activity = CString::new(format!("running in database \"{}\"", database.name)).unwrap_or_default();
    background::report_activity(true, &activity);
    shared::begin_run(oid);
    let Some(worker) = Worker::start("audit_worker_main", oid) else { return Run::NoSlot };
    CURRENT.set(worker.handle());
    let outcome = watch(&worker, oid, admission);
    CURRENT.set(core::ptr::null_mut());
    shared::end_run(oid, outcome);
    Run::Ended(outcome)
}

/// Terminates a worker that the launcher would leave behind, which could then block other sessions.
pub fn abandon() {
    let handle = CURRENT.get();
    if !handle.is_null() {
        // SAFETY: the handle is live while it is set.
        unsafe { pg_sys::TerminateBackgroundWorker(handle) }
    }
}

/// Waits for the worker's end.
fn watch(worker: &Worker, oid: Oid, admission: Admission) -> Outcome {
    let mut admission = Some(admission);
    let started = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        let state = worker.state();
        if state == State::Ended {
            return outcome(oid, told.is_some());
        }
        let is_admitted = shared::under_way().is_admitted;
        if is_admitted || started.elapsed() > STARTING {
            admission = None;
        }
        let has_to_go =
            process::is_stopping() || admission.is_none() && (!is_admitted || Admission::take(oid).is_none());
        match (told, state) {
            (None, _) if has_to_go => {
                worker.terminate();
                told = Some(Instant::now());
            }
            (Some(at), State::Running(process)) if at.elapsed() > ENDING => {
                // The postmaster, whose child it is, has not yet seen its end: the number is not another's.
                raw::kill(process, pg_sys::SIGTERM.cast_signed());
                told = Some(Instant::now());
            }
            _ => {}
        }
        process::wait(TICK);
    }
}

/// How it ended, by what the worker has left behind.
fn outcome(oid: Oid, was_told: bool) -> Outcome {
    match shared::under_way().outcome {
        Some(outcome) => outcome,
        None if was_told => Outcome::Left,
        None => {
            shared::report(oid, Outcome::Failed, "the worker ended without a word; the server's log says why");
            Outcome::Failed
        }
    }
}
