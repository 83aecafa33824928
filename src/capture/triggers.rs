//! Triggers of ours: which table was enabled, and which trigger of a relation records its rows.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

use crate::pg::relation;

/// The name of the row trigger: it sorts before any other.
const ROW_TRIGGER: &CStr = c"!audit_row";

/// The table that was enabled: for a partition whose trigger is a clone, the partitioned table at its origin.
///
/// # Safety
/// Both must be live; inside a transaction.
pub unsafe fn enabled_relation(target: Oid, trigger: *const pg_sys::Trigger) -> Oid {
    // SAFETY: the trigger is live; the ancestors come root last.
    unsafe {
        if !(*trigger).tgisclone {
            return target;
        }
        let ancestors = crate::pg::raw::get_partition_ancestors(target);
        let count = relation::list_length(ancestors);
        (0..count)
            .map(|position| relation::list_oid(ancestors, position))
            .rfind(|ancestor| has_trigger(*ancestor, (*trigger).tgfoid))
            .unwrap_or(target)
    }
}

/// The row trigger of ours on an open relation: the clone of an ancestor's where there are two.
///
/// # Safety
/// The relation must be open.
pub unsafe fn row_trigger(target: pg_sys::Relation) -> Option<*const pg_sys::Trigger> {
    // SAFETY: per the contract.
    unsafe {
        triggers(target)
            .iter()
            .filter(|trigger| CStr::from_ptr(trigger.tgname) == ROW_TRIGGER)
            .max_by_key(|trigger| trigger.tgisclone)
            .map(core::ptr::from_ref)
    }
}

/// The table that was enabled, above or at a relation that carries a trigger of ours.
///
/// # Safety
/// Inside a transaction.
pub unsafe fn enabled_above(target: Oid) -> Oid {
    // SAFETY: the relation is open between the two calls.
    unsafe {
        let opened = pg_sys::relation_open(target, pg_sys::AccessShareLock as i32);
        let enabled = row_trigger(opened).map_or(target, |trigger| enabled_relation(target, trigger));
        // Not to the end of the transaction: a reader of the trail keeps nobody from altering the table.
        pg_sys::relation_close(opened, pg_sys::AccessShareLock as i32);
        enabled
    }
}

/// Whether a relation has a trigger that calls this function.
///
/// # Safety
/// Inside a transaction; the relation is an ancestor of one that is open, so it cannot go.
unsafe fn has_trigger(target: Oid, function: Oid) -> bool {
    // SAFETY: the relation is open between the two calls.
    unsafe {
        let opened = pg_sys::relation_open(target, pg_sys::AccessShareLock as i32);
        let found = triggers(opened).iter().any(|trigger| trigger.tgfoid == function);
        pg_sys::relation_close(opened, pg_sys::AccessShareLock as i32);
        found
    }
}

/// Whether a clone of an ancestor's trigger records what this trigger of the table's own would record again.
///
/// # Safety
/// Both must be live; inside a transaction.
pub unsafe fn is_redundant(target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> bool {
    // SAFETY: both are live.
    unsafe {
        !(*trigger).tgisclone
            && triggers(target).iter().any(|other| other.tgfoid == (*trigger).tgfoid && other.tgisclone)
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
