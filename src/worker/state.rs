//! `worker_state()` and `request_run()`.

use audit_schedule::Outcome;
use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::shared;
use crate::pg::background;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::transaction::{self, Event, Step};
use crate::settings;

entry_point!(audit_worker_state, pg_finfo_audit_worker_state, worker_state);
entry_point!(audit_request_run, pg_finfo_audit_request_run, request_run);

/// `audit_internal.worker_state()`: one row, with nulls for what does not apply (sql/worker/state.sql).
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn worker_state(call: FunctionCallInfo) -> Datum {
    let timestamp = |at: pg_sys::TimestampTz| (at != 0).then(|| Datum::from(at));
    let mut values: [Option<Datum>; 9] = [None; 9];
    values[0] = i32::try_from(settings::naptime()).unwrap_or(i32::MAX).into_datum();
    if shared::is_ready() {
        // SAFETY: a plain variable of this process.
        let shown = shared::shown(unsafe { pg_sys::MyDatabaseId });
        values[1] = shown.is_launched.into_datum();
        values[2] = shown.is_under_way.into_datum();
        values[3] = timestamp(shown.slot.missing_since);
        values[4] = i64::from(shown.slot.misses).into_datum();
        if let Some(last) = shown.last {
            values[5] = timestamp(last.at);
            values[6] = name(last.outcome).into_datum();
            values[7] = i64::from(last.failures).into_datum();
            values[8] = (last.failures > 0).then(|| presentable(last.error()).into_datum()).flatten();
        }
    }
    // SAFETY: the values are of the types that the declaration names.
    unsafe {
        let mut descriptor = core::ptr::null_mut();
        pg_sys::get_call_result_type(call, core::ptr::null_mut(), &mut descriptor);
        let mut nulls = values.map(|value| value.is_none());
        let mut values = values.map(|value| value.unwrap_or(Datum::null()));
        let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
    }
}

/// A message is kept in UTF-8; elsewhere only what every encoding has can be shown.
fn presentable(message: &str) -> String {
    // SAFETY: a plain variable of this process.
    if unsafe { pg_sys::GetDatabaseEncoding() } == pg_sys::pg_enc::PG_UTF8.cast_signed() {
        return message.to_owned();
    }
    message.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "ok",
        Outcome::Waiting => "waits for transactions under way",
        Outcome::Unfinished => "has more to do",
        Outcome::Early => "waits for the end of a restore: partitions lack their triggers",
        Outcome::Absent => "extension not installed",
        Outcome::Left => "yielded to another session",
        Outcome::Failed => "failed",
    }
}

/// `audit_internal.request_run()`: requests a run of the launcher's worker when this transaction commits.
///
/// # Safety
/// Called by PostgreSQL, inside a transaction.
unsafe fn request_run(_call: FunctionCallInfo) -> Datum {
    IS_REQUESTED.set(true);
    Datum::null()
}

/// Whether the transaction has requested a run.
static IS_REQUESTED: Local<bool> = Local::new(false);

/// Lets a commit pass the request on.
pub fn register() {
    transaction::register(Step::Request, |event| match event {
        Event::Commit if IS_REQUESTED.take() => _ = background::ask_launcher(),
        Event::Abort => IS_REQUESTED.set(false),
        // A prepared transaction's request waits for this backend's next commit, of COMMIT PREPARED as a rule.
        _ => {}
    });
}
