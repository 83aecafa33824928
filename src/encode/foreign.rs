//! The only place that calls output code which is not PostgreSQL's own.
//!
//! Such code may raise anything. It runs in an internal subtransaction with the settings pinned, so that
//! its failure is a marker in the event and never the end of the user's statement.

use pgrx::PgTryBuilder;
use pgrx::pg_sys::{self, Datum, Oid};

use super::{marker, pin};
use crate::jsonb::{Kind, Writer};
use crate::pg::error;

/// Writes the type's own text, or `{"$audit": {"unreadable": "<message>"}}` where its code failed.
///
/// # Safety
/// `value` must be of the type whose output function this is; must run inside a transaction.
pub unsafe fn output(writer: &mut Writer, function: Oid, value: Datum) -> Kind {
    // SAFETY: the sequence of plpgsql's exec_stmt_block: remember context and owner, enter, run, leave, restore.
    let text = unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        let pinned = pin::is_held();
        pg_sys::BeginInternalSubTransaction(core::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);

        let text = PgTryBuilder::new(|| {
            let mut text = core::ptr::null_mut();
            pin::with_names(|| text = pg_sys::OidOutputFunctionCall(function, value));
            pg_sys::ReleaseCurrentSubTransaction();
            Ok(text)
        })
        .catch_others(|error| {
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
            if error::is_cancel(&error) {
                error.rethrow();
            }
            Err(error::message(&error))
        })
        .execute();

        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        if pinned {
            pin::hold();
        }
        text
    };
    match text {
        // SAFETY: an output function returns a NUL-terminated string.
        Ok(text) => writer.push(unsafe { core::ffi::CStr::from_ptr(text) }.to_bytes()),
        Err(message) => return marker::text(writer, b"unreadable", message.as_bytes()),
    }
    Kind::String
}
