//! How far transaction ids have been given out, for `audit.follow`.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use crate::pg::guard::entry_point;

entry_point!(audit_next_transaction_id, pg_finfo_audit_next_transaction_id, next_transaction_id);

/// `next_transaction_id() returns bigint`: of a standby, the id after the last that it has seen used.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn next_transaction_id(_arguments: FunctionCallInfo) -> Datum {
    // SAFETY: a plain reading of shared memory.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() };
    Datum::from(next.value.cast_signed())
}
