//! The launcher: a permanent worker, connected to no database, that runs maintenance in those which have the extension,
//! one after another, each with one short-lived worker.
//!
//! Only a database itself knows whether it has the extension, so that a worker has to connect to find out. On a standby
//! PostgreSQL starts it after the promotion. It takes one slot of max_worker_processes, and one more for the length of
//! a run.

use std::time::{Duration, Instant};

use audit_schedule::Schedule;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name, pg_guard};

use super::run::{self, Run};
use super::shared;
use crate::pg::{background, database, process};
use crate::settings;

/// The longest rest before a start of a worker is tried again, or before anything is done after a crash: of whichever
/// process, it could have been the worker's.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a missing slot is logged.
const LOGGED: Duration = Duration::from_secs(3600);

/// Serves databases until the server stops. PostgreSQL finds it by name and starts it again after a crash.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn audit_launcher_main(_argument: Datum) {
    process::attach_signals();
    BackgroundWorker::connect_worker_to_spi(None, None);
    // SAFETY: a plain function.
    unsafe { pg_sys::before_shmem_exit(Some(end), Datum::from(0_usize)) };
    let mut schedule = Schedule::default();
    if shared::enter() {
        schedule.pause(Instant::now() + nap().min(LONGEST_PAUSE));
    }
    let mut logged = None;
    while !process::is_stopping() {
        run_all_due(&mut schedule, &mut logged);
        // The signal may have come during a run, whose wait has taken up the latch.
        if process::is_stopping() {
            break;
        }
        background::report_activity(false, c"");
        process::wait(schedule.rest(Instant::now(), nap()));
    }
    // Not 0, after which PostgreSQL would never start it again: pg_terminate_backend ends it now, not for good.
    // SAFETY: nothing is held.
    unsafe { pg_sys::proc_exit(1) }
}

#[pg_guard]
unsafe extern "C-unwind" fn end(_code: core::ffi::c_int, _argument: Datum) {
    run::abandon();
    shared::leave();
}

/// Runs maintenance in every database that is due.
fn run_all_due(schedule: &mut Schedule, logged: &mut Option<Instant>) {
    while !process::is_stopping() {
        match shared::take_asking() {
            Some(asking) => asking.into_iter().for_each(|database| schedule.ask(database)),
            None => schedule.ask_all(),
        }
        let now = Instant::now();
        if schedule.needs_list(now, nap()) {
            let databases = database::connectable();
            schedule.list(&databases.iter().map(|database| database.oid.to_u32()).collect::<Vec<_>>(), now);
        }
        let Some(next) = schedule.next(now, nap()) else { return };
        match run::perform(Oid::from(next)) {
            Run::Ended(outcome) => {
                shared::record_slot(true);
                schedule.settle(next, outcome, Instant::now());
            }
            Run::Gone => schedule.forget(next),
            Run::NoSlot => {
                shared::record_slot(false);
                schedule.pause(Instant::now() + nap().min(LONGEST_PAUSE));
                log_missing_slot(logged);
                return;
            }
        }
        process::reload();
    }
}

fn log_missing_slot(logged: &mut Option<Instant>) {
    if logged.is_some_and(|at| at.elapsed() < LOGGED) {
        return;
    }
    *logged = Some(Instant::now());
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        "no free worker slot for audit maintenance",
        function_name!(),
    )
    .set_hint("Consider increasing max_worker_processes. It is tried again, and logged once an hour.")
    .report(PgLogLevel::LOG);
}

fn nap() -> Duration {
    Duration::from_secs(settings::naptime().into())
}
