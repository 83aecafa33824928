//! Does what `CALL audit.maintain()` does, once, in one database, then ends: for the launcher, or without preloading
//! for a backend that asked.
//!
//! Not by that CALL: a procedure that commits needs a portal, which a worker has not. Several may run at once: each
//! step takes the lock of maintenance and the later ones find it taken.

use core::time::Duration;
use std::ffi::CString;
use std::time::Instant;

use audit_schedule::Outcome;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, Spi, function_name, pg_guard};

use super::session::{self, Failure};
use super::shared;
use crate::pg::database::Admission;
use crate::pg::{background, process};

/// How often a worker that a backend started looks whether those who wrote to the overflow have ended.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a run continues to begin steps, so that other databases have their turn.
const SHARE: Duration = Duration::from_secs(30);
/// No failures, as audit.maintenance_step takes and returns them: here the bytes of a jsonb's text in the database's
/// encoding.
const NOTHING: &[u8] = b"[]";
const HAS_PARTITIONS: &str = "SELECT to_regclass('audit_internal.events_overflow_all') IS NOT NULL";

/// The main function of the launcher's worker. The argument is the OID of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn audit_worker_main(argument: Datum) {
    process::attach_signals();
    let database = oid(argument);
    // The launcher keeps the database from being dropped until this process does so itself. Another session may have
    // taken an exclusive lock on the database meanwhile; in that case exit instead of waiting.
    let Some(admission) = Admission::take(database) else {
        shared::report(database, Outcome::Left, "");
        return;
    };
    if !shared::admit(database) {
        return;
    }
    session::connect(database);
    drop(admission);
    process::cancel_when_stopped();
    match work() {
        Ok((outcome, None)) => shared::report(database, outcome, ""),
        // All but what failed is done.
        Ok((outcome, Some(failure))) => {
            shared::report(database, outcome, &failure.message);
            log(&failure);
        }
        Err(_) if process::is_stopping() => shared::report(database, Outcome::Left, ""),
        // The step may have met the end of the extension.
        Err(_) if matches!(answer("SELECT false"), Ok(None)) => shared::report(database, Outcome::Absent, ""),
        Err(failure) => {
            shared::report(database, Outcome::Failed, &failure.message);
            log(&failure);
        }
    }
}

/// Does it, and says how that went and what failed.
fn work() -> Result<(Outcome, Option<Failure>), Failure> {
    let began = Instant::now();
    let mut failures = NOTHING.to_owned();
    // Who is waited for is asked before the steps: a transaction that ends between the two has its events moved by
    // them.
    let Some(waits) = answer("SELECT audit_internal.maintenance_waits()")? else { return Ok((Outcome::Absent, None)) };
    // `audit.enable` creates the first partitions, or pg_restore brings them. That is asked first: where a restore has
    // made them in between, they have no protection yet.
    if answer(HAS_PARTITIONS)? == Some(false) {
        return Ok((Outcome::Done, None));
    }
    if answer("SELECT audit_internal.is_being_restored()")? == Some(true) {
        return Ok((Outcome::Early, None));
    }
    let mut is_unfinished = false;
    for step in 1_u64.. {
        if process::is_stopping() {
            return Ok((Outcome::Left, None));
        }
        process::reload();
        let activity = CString::new(format!("SELECT audit.maintenance_step() -- step {step}")).unwrap_or_default();
        background::report_activity(true, &activity);
        match session::transaction(|| is_installed().then(|| take_step(&failures)))? {
            None => return Ok((Outcome::Absent, None)),
            Some((has_more, all)) => {
                failures = all;
                is_unfinished = has_more && began.elapsed() > SHARE;
                if !has_more || is_unfinished {
                    break;
                }
            }
        }
    }
    let failure = session::transaction(|| raise(&failures)).err();
    if process::is_stopping() {
        return Ok((Outcome::Left, None));
    }
    Ok(match failure {
        _ if is_unfinished => (Outcome::Unfinished, failure),
        Some(_) => (Outcome::Failed, failure),
        None if waits => (Outcome::Waiting, None),
        None => (Outcome::Done, None),
    })
}

/// Takes one step, without the work that has failed; says whether there is more to do, and what has failed by then.
fn take_step(failures: &[u8]) -> (bool, Vec<u8>) {
    let sql = "SELECT s.has_more, convert_to(s.failures::text, getdatabaseencoding())
               FROM audit.maintenance_step(convert_from($1, getdatabaseencoding())::jsonb) s";
    let answer = Spi::get_two_with_args::<bool, Vec<u8>>(sql, &[failures.into()]);
    let (has_more, failures) = answer.unwrap_or_default();
    (has_more.unwrap_or_default(), failures.unwrap_or_else(|| NOTHING.into()))
}

/// Raises an ERROR for what has failed, if anything has.
fn raise(failures: &[u8]) {
    if failures != NOTHING && is_installed() {
        // The ERROR is what is asked for.
        let sql = "SELECT audit.maintenance_step(convert_from($1, getdatabaseencoding())::jsonb, is_end => true)";
        let _ = Spi::run_with_args(sql, &[failures.into()]);
    }
}

/// Asks in a transaction of its own; `None` where the extension is not there.
fn answer(question: &'static str) -> Result<Option<bool>, Failure> {
    session::transaction(|| is_installed().then(|| matches!(Spi::get_one::<bool>(question), Ok(Some(true)))))
}

fn is_installed() -> bool {
    // SAFETY: a catalog lookup inside a transaction.
    unsafe { pg_sys::get_extension_oid(c"audit".as_ptr(), true) != pg_sys::InvalidOid }
}

fn log(failure: &Failure) {
    let name = session::transaction(|| {
        // SAFETY: inside a transaction; the name is palloc'd there.
        unsafe {
            core::ffi::CStr::from_ptr(pg_sys::get_database_name(pg_sys::MyDatabaseId)).to_string_lossy().into_owned()
        }
    });
    let name = name.unwrap_or_default();
    ErrorReport::new(failure.code, format!("audit maintenance failed in database \"{name}\""), function_name!())
        .set_detail(failure.message.clone())
        .set_hint("It is tried again. What it does can be tried by hand with CALL audit.maintain().")
        .report(PgLogLevel::LOG);
}

fn oid(argument: Datum) -> Oid {
    Oid::from(argument.value() as u32)
}

/// The main function of a worker that a backend started. The argument is the OID of the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn audit_maintenance_main(argument: Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // SAFETY: called once, before anything else, in a worker that asked for a connection.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(oid(argument), pg_sys::InvalidOid, 0) };
    background::report_activity(true, c"audit maintenance");
    // The backend that requested this run may still be in the transaction whose events are to be moved, and does not
    // request another.
    loop {
        let waits = is_true("SELECT audit_internal.maintenance_waits()");
        if !is_true(HAS_PARTITIONS) || is_true("SELECT audit_internal.is_being_restored()") {
            break;
        }
        let mut failures = NOTHING.to_owned();
        while !BackgroundWorker::sigterm_received() {
            let has_more;
            (has_more, failures) = BackgroundWorker::transaction(|| match is_installed() {
                true => take_step(&failures),
                false => (false, NOTHING.into()),
            });
            if !has_more {
                break;
            }
        }
        // The ERROR ends this process.
        BackgroundWorker::transaction(|| raise(&failures));
        if !waits || !BackgroundWorker::wait_latch(Some(PAUSE)) {
            break;
        }
    }
}

/// Asks in a transaction of its own; false also where the extension is gone.
fn is_true(question: &'static str) -> bool {
    BackgroundWorker::transaction(|| is_installed() && matches!(Spi::get_one::<bool>(question), Ok(Some(true))))
}
