//! Which table's settings hold for a relation: a partition follows the partitioned table that was enabled.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::settings;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::opened::Opened;
use crate::pg::trigger::triggers;
use crate::pg::{catalog, relation};

entry_point!(audit_enabled_table, pg_finfo_audit_enabled_table, enabled_table);

/// `audit_internal.enabled_table(target regclass) returns regclass`: the table whose settings hold for a relation, NULL
/// without one.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn enabled_table(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a regclass; the relation may be gone.
    unsafe {
        let arguments = Arguments::new(arguments);
        let target = arguments.oid(0).unwrap_or(Oid::INVALID);
        if pg_sys::get_rel_relkind(target) == 0 {
            return arguments.null();
        }
        let Some(opened) = Opened::if_there(target, pg_sys::AccessShareLock).map(Opened::and_unlocks) else {
            return arguments.null();
        };
        table(opened.as_ptr()).map_or_else(|| arguments.null(), |enabled| Datum::from(enabled.table))
    }
}

/// A table that is enabled, with its options as `audit_internal.table_settings` has them.
pub struct Enabled {
    pub table: Oid,
    pub options: Vec<u8>,
}

/// The table whose settings hold for a relation: the topmost one that is enabled of those that it is a partition of,
/// else itself. While a partition is being detached, only the trigger that it is a clone of tells its table.
///
/// # Safety
/// The relation must be open, inside a transaction.
pub unsafe fn table(target: pg_sys::Relation) -> Option<Enabled> {
    // SAFETY: per the contract.
    unsafe {
        let mut candidates = Vec::new();
        if (*(*target).rd_rel).relispartition {
            candidates.extend(relation::ancestors((*target).rd_id).rev());
        }
        candidates.extend(origin(target));
        candidates.push((*target).rd_id);
        candidates.into_iter().find_map(|table| settings::options_of(table).map(|options| Enabled { table, options }))
    }
}

/// The table whose row triggers the audit triggers of a relation are clones of.
///
/// # Safety
/// The relation must be open, inside a transaction.
pub unsafe fn origin(target: pg_sys::Relation) -> Option<Oid> {
    // SAFETY: per the contract.
    unsafe {
        let function = catalog::trigger_function(c"audit", c"capture_row");
        let clone = triggers(target).iter().find(|trigger| trigger.tgfoid == function && trigger.tgisclone)?;
        catalog::origin_of_trigger(clone.tgoid)
    }
}

/// The table whose settings or triggers hold for a relation, for reading history: itself where there are none.
///
/// # Safety
/// The relation must exist, inside a transaction.
pub unsafe fn above(target: Oid) -> Oid {
    // SAFETY: inside a transaction; the relation is open while it is asked about.
    unsafe {
        // The lock is released: reading the trail must not block ALTER TABLE.
        let opened = Opened::relation(target, pg_sys::AccessShareLock).and_unlocks();
        let relation = opened.as_ptr();
        table(relation).map(|enabled| enabled.table).or_else(|| origin(relation)).unwrap_or(target)
    }
}
