//! Triggers of ours on a relation: which of them records.
//!
//! They are told apart by their function, never by name: an owner, or a role that may create triggers, gives any name to
//! a trigger that calls our function.

use core::cmp::Reverse;

use pgrx::pg_sys::{self, Oid};

use crate::pg::catalog;
use crate::pg::trigger::triggers;

/// The operations that a trigger may fire for, in the order of [`Acting`], by their bits in `pg_trigger.tgtype`.
pub const OPERATIONS: [u32; 4] = [
    pg_sys::TRIGGER_TYPE_INSERT,
    pg_sys::TRIGGER_TYPE_DELETE,
    pg_sys::TRIGGER_TYPE_UPDATE,
    pg_sys::TRIGGER_TYPE_TRUNCATE,
];

/// The trigger that records each operation, in the order of [`crate::pg::trigger::Operation`]; invalid where none does.
pub type Acting = [Oid; 4];

/// The seed of redaction in the argument of an audit trigger, which any owner may have written.
///
/// # Safety
/// The relation must be open, inside a transaction.
pub unsafe fn seeds(target: pg_sys::Relation) -> Vec<Vec<u8>> {
    // SAFETY: a trigger has tgnargs NUL-terminated arguments.
    unsafe {
        let functions = [catalog::trigger_function(c"capture_row"), catalog::trigger_function(c"capture_truncate")];
        triggers(target)
            .iter()
            .filter(|trigger| functions.contains(&trigger.tgfoid) && trigger.tgnargs > 0)
            .map(|trigger| core::ffi::CStr::from_ptr(*trigger.tgargs).to_bytes().to_vec())
            .collect()
    }
}

/// Which trigger records each operation. Of several that call our function one does: that which fires for every row and
/// in every mode if there is one, whatever others have been added beside it.
///
/// # Safety
/// The relation must be open, inside a transaction.
pub unsafe fn acting(target: pg_sys::Relation) -> Acting {
    // SAFETY: per the contract.
    unsafe {
        let row = catalog::trigger_function(c"capture_row");
        let truncate = catalog::trigger_function(c"capture_truncate");
        OPERATIONS.map(|operation| {
            let (function, shape) = match operation {
                pg_sys::TRIGGER_TYPE_TRUNCATE => (truncate, pg_sys::TRIGGER_TYPE_BEFORE),
                _ => (row, pg_sys::TRIGGER_TYPE_ROW),
            };
            let shapes = pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_INSTEAD;
            triggers(target)
                .iter()
                .enumerate()
                .filter(|(_, trigger)| {
                    let bits = u32::from(trigger.tgtype.cast_unsigned());
                    trigger.tgfoid == function && bits & operation != 0 && bits & shapes == shape
                })
                .max_by_key(|(place, trigger)| {
                    let state = firing(trigger);
                    (state > 0, is_whole(trigger), state, Reverse(*place))
                })
                .map_or(Oid::INVALID, |(_, trigger)| trigger.tgoid)
        })
    }
}

/// Whether a trigger fires for every row and at once.
fn is_whole(trigger: &pg_sys::Trigger) -> bool {
    trigger.tgqual.is_null() && trigger.tgnattr == 0 && !trigger.tgdeferrable
}

/// How much a trigger fires: 3 whatever `session_replication_role` is, 0 never.
fn firing(trigger: &pg_sys::Trigger) -> u8 {
    match trigger.tgenabled.cast_unsigned() {
        pg_sys::TRIGGER_FIRES_ALWAYS => 3,
        pg_sys::TRIGGER_FIRES_ON_ORIGIN => 2,
        pg_sys::TRIGGER_FIRES_ON_REPLICA => 1,
        _ => 0,
    }
}
