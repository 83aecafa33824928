//! Triggers of ours on a relation: which table they belong to, and which of them records.
//!
//! They are told apart by their function and by the trigger that they are clones of, never by name: an owner, or a role
//! that may create triggers, gives any name to a trigger that calls our function.

use core::cmp::Reverse;

use pgrx::pg_sys::{self, Oid};

use crate::pg::{catalog, raw, relation};
use crate::store::settings;

/// The operations that a trigger may fire for, in the order of [`Acting`], by their bits in `pg_trigger.tgtype`.
pub const OPERATIONS: [u32; 4] = [
    pg_sys::TRIGGER_TYPE_INSERT,
    pg_sys::TRIGGER_TYPE_DELETE,
    pg_sys::TRIGGER_TYPE_UPDATE,
    pg_sys::TRIGGER_TYPE_TRUNCATE,
];

/// The trigger that records each operation, in the order of [`crate::pg::trigger::Operation`]; invalid where none does.
pub type Acting = [Oid; 4];

/// A table that is enabled, with its options as `audit.table_settings` has them.
pub struct Enabled {
    pub table: Oid,
    pub options: Vec<u8>,
}

/// The table whose settings hold for a relation: the topmost one that is enabled of those that it is a partition of,
/// else itself. While a partition is being detached, only the trigger that it is a clone of tells its table.
///
/// # Safety
/// The relation must be open, inside a transaction.
pub unsafe fn enabled_table(target: pg_sys::Relation) -> Option<Enabled> {
    // SAFETY: per the contract.
    unsafe {
        let mut candidates = Vec::new();
        if (*(*target).rd_rel).relispartition {
            let ancestors = raw::get_partition_ancestors((*target).rd_id);
            candidates
                .extend((0..relation::list_length(ancestors)).rev().map(|place| relation::list_oid(ancestors, place)));
        }
        candidates.extend(origin(target));
        candidates.push((*target).rd_id);
        candidates.into_iter().find_map(|table| settings::options_of(table).map(|options| Enabled { table, options }))
    }
}

/// The table that the row triggers of ours on a relation are clones from.
///
/// # Safety
/// The relation must be open, inside a transaction.
pub unsafe fn origin(target: pg_sys::Relation) -> Option<Oid> {
    // SAFETY: per the contract.
    unsafe {
        let function = catalog::trigger_function(c"capture_row");
        let clone = triggers(target).iter().find(|trigger| trigger.tgfoid == function && trigger.tgisclone)?;
        catalog::origin_of_trigger(clone.tgoid)
    }
}

/// The table whose settings or triggers hold for a relation, for who asks about the past: itself where there are none.
///
/// # Safety
/// The relation must exist, inside a transaction.
pub unsafe fn enabled_above(target: Oid) -> Oid {
    // SAFETY: the relation is open between the two calls.
    unsafe {
        let opened = pg_sys::relation_open(target, pg_sys::AccessShareLock as i32);
        let enabled = enabled_table(opened).map(|enabled| enabled.table).or_else(|| origin(opened)).unwrap_or(target);
        // Not to the end of the transaction: a reader of the trail keeps nobody from altering the table.
        pg_sys::relation_close(opened, pg_sys::AccessShareLock as i32);
        enabled
    }
}

/// The seed of redaction in the argument of a trigger of ours, whoever wrote it.
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

/// The triggers of an open relation.
///
/// # Safety
/// The relation must be open.
unsafe fn triggers<'a>(target: pg_sys::Relation) -> &'a [pg_sys::Trigger] {
    // SAFETY: the description has numtriggers entries.
    unsafe {
        match (*target).trigdesc.as_ref() {
            Some(description) => {
                core::slice::from_raw_parts(description.triggers, usize::try_from(description.numtriggers).unwrap_or(0))
            }
            None => &[],
        }
    }
}
