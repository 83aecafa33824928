//! Keeps the evidence as it is.
//!
//! * [`evidence`] refuses changes and drops, superusers included, but for the commands of retention and uninstall;
//! * [`ddl`] refuses changes of definition at the start of a command.

mod ddl;
pub mod evidence;

use pgrx::pg_sys::Oid;

/// A permission ends with its transaction. `admits` says of a table, inside a transaction, whether rows that the
/// executor inserts into it are let in.
pub fn register(admits: unsafe fn(Oid) -> bool) {
    evidence::register(admits);
}
