//! Triggers of ours on a relation: which of them records.
//!
//! They are told apart by their function, never by name: an owner, or a role that may create triggers, gives any name
//! to a trigger that calls our function.

use core::cmp::Reverse;

use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::options::Options;
use crate::jsonb::Item;
use crate::pg::arguments::Arguments;
use crate::pg::catalog;
use crate::pg::guard::entry_point;
use crate::pg::opened::Opened;
use crate::pg::trigger::triggers;
use crate::store::enabled;

entry_point!(audit_current_states, pg_finfo_audit_current_states, current_states);

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
        let functions = [
            catalog::trigger_function(c"audit", c"capture_row"),
            catalog::trigger_function(c"audit", c"capture_truncate"),
        ];
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
        let row = catalog::trigger_function(c"audit", c"capture_row");
        let truncate = catalog::trigger_function(c"audit", c"capture_truncate");
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

/// `audit_internal.current_states(target regclass) returns integer[]`: how much the triggers of a relation record of
/// rows and of TRUNCATE, as they are now, whatever snapshot the transaction reads with: 3 all that the settings ask
/// for, 2 not in every mode of `session_replication_role`, 1 a trigger that is disabled, 0 none. NULL where no settings
/// hold.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn current_states(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a regclass; the relation is open while its triggers are read.
    unsafe {
        let arguments = Arguments::new(arguments);
        let target = arguments.oid(0).unwrap_or(Oid::INVALID);
        let Some(opened) = Opened::if_there(target, pg_sys::AccessShareLock).map(Opened::and_unlocks) else {
            return arguments.null();
        };
        let relation = opened.as_ptr();
        let states = enabled::table(relation).map(|settings| {
            let asked = u32::from(Options::read(Item::of(&settings.options)).operations.cast_unsigned());
            let rows =
                asked & (pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_DELETE | pg_sys::TRIGGER_TYPE_UPDATE);
            // PostgreSQL 15 has no TRUNCATE triggers on foreign tables.
            let takes_truncate = opened.kind() != pg_sys::RELKIND_FOREIGN_TABLE || cfg!(not(feature = "pg15"));
            let row = if rows == 0 { 3 } else { state(relation, c"capture_row", rows | pg_sys::TRIGGER_TYPE_ROW) };
            let truncate = match asked & pg_sys::TRIGGER_TYPE_TRUNCATE {
                wanted if wanted != 0 && takes_truncate => {
                    state(relation, c"capture_truncate", wanted | pg_sys::TRIGGER_TYPE_BEFORE)
                }
                _ => 3,
            };
            vec![i32::from(row), i32::from(truncate)]
        });
        states.and_then(IntoDatum::into_datum).unwrap_or_else(|| arguments.null())
    }
}

/// The state of the best trigger that calls this function and fires for just these operations, every row and at once.
///
/// # Safety
/// The relation must be open, inside a transaction.
unsafe fn state(target: pg_sys::Relation, function: &core::ffi::CStr, wanted: u32) -> u8 {
    // SAFETY: per the contract.
    unsafe {
        let function = catalog::trigger_function(c"audit", function);
        triggers(target)
            .iter()
            .filter(|trigger| trigger.tgfoid == function && u32::from(trigger.tgtype.cast_unsigned()) == wanted)
            .filter(|trigger| is_whole(trigger))
            .map(|trigger| match firing(trigger) {
                3 => 3,
                0 => 1,
                _ => 2,
            })
            .max()
            .unwrap_or(0)
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
