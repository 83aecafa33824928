//! What the catalogs say about triggers and the functions they call. Cold paths only.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use super::opened::Opened;
use super::scan::{Condition, Scan};

/// pg_inherits, its index over the parent and the numbers of its first two columns (catalog/pg_inherits.h), which pgrx
/// does not bind.
const INHERITS: u32 = 2611;
const INHERITS_PARENT_INDEX: u32 = 2187;
const INHERITS_CHILD: i16 = 1;
const INHERITS_PARENT: i16 = 2;

/// The trigger function of this name in a schema, invalid where there is none. Looked up in the schema itself: neither
/// a search path nor the rights of the caller have a say.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn trigger_function(schema: &CStr, name: &CStr) -> Oid {
    // SAFETY: a lookup in a system cache by the columns of its key (pg_proc's name, argument types, schema).
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            i16::try_from(pg_sys::Anum_pg_proc_oid).unwrap_or(1),
            Datum::from(name.as_ptr()),
            Datum::from(pg_sys::buildoidvector(core::ptr::null(), 0)),
            Datum::from(schema),
            Datum::null(),
        )
    }
}

/// The table that a trigger is on; `None` for a trigger that is gone.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn table_of_trigger(trigger: Oid) -> Option<Oid> {
    // SAFETY: per the contract.
    unsafe { trigger_row(trigger).map(|(table, _)| table) }
}

/// The table whose trigger this one is, through however many partitions, a clone of; its own table where it is none.
/// `None` for a trigger that is gone.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn origin_of_trigger(trigger: Oid) -> Option<Oid> {
    let mut origin = None;
    let mut wanted = trigger;
    // SAFETY: per the contract.
    while let Some((table, parent)) = unsafe { trigger_row(wanted) } {
        origin = Some(table);
        wanted = parent;
    }
    origin
}

/// The table that a trigger is on and the trigger that it is a clone of, invalid where it is none.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn trigger_row(trigger: Oid) -> Option<(Oid, Oid)> {
    if trigger == Oid::INVALID {
        return None;
    }
    let oid = i16::try_from(pg_sys::Anum_pg_trigger_oid).unwrap_or(1);
    let index = Oid::from(pg_sys::TriggerOidIndexId);
    // SAFETY: inside a transaction; the index is over the column, the snapshot the catalog's own.
    let (_opened, mut scan) = unsafe {
        let opened = Opened::table(pg_sys::TriggerRelationId, pg_sys::AccessShareLock).and_unlocks();
        let scan = Scan::begin(opened.as_ptr(), index, core::ptr::null_mut(), &[Condition::oid(oid, trigger)]);
        (opened, scan)
    };
    scan.next().map(|tuple| {
        // SAFETY: a row of pg_trigger, live as long as the scan (catalog/pg_trigger.h).
        let form = unsafe { &*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_trigger>(tuple) };
        (form.tgrelid, form.tgparentid)
    })
}

/// The partition that this transaction attached to a table last, or detached from it last; `None` where it did not.
///
/// PostgreSQL 15 does not tell event triggers which partition a command has moved, but pg_inherits does: the row that
/// the command has just written, or deleted, is the newest of this transaction's.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn moved_partition(parent: Oid, is_attached: bool) -> Option<Oid> {
    let index = Oid::from(INHERITS_PARENT_INDEX);
    // SAFETY: inside a transaction; the index is over the column. Any row is looked at, deleted ones too.
    let (opened, scan) = unsafe {
        let opened = Opened::table(Oid::from(INHERITS), pg_sys::AccessShareLock).and_unlocks();
        let snapshot = &raw mut pg_sys::SnapshotAnyData;
        let scan = Scan::begin(opened.as_ptr(), index, snapshot, &[Condition::oid(INHERITS_PARENT, parent)]);
        (opened, scan)
    };
    let mut newest: Option<(u32, Oid)> = None;
    for tuple in scan {
        // SAFETY: the row is live until the next one is read.
        let Some(command) = (unsafe { command_of((*tuple).t_data, is_attached) }) else { continue };
        // SAFETY: as above, and of the catalog's columns.
        let child = unsafe { super::scan::attribute(tuple, INHERITS_CHILD, opened.descriptor()) };
        if let Some(child) = child.filter(|_| newest.is_none_or(|(latest, _)| command >= latest)) {
            newest = Some((command, Oid::from(child.value() as u32)));
        }
    }
    newest.map(|(_, partition)| partition)
}

/// The command of this transaction that wrote the row and left it, or that deleted it; `None` where none did.
///
/// # Safety
/// The row must be live.
unsafe fn command_of(row: pg_sys::HeapTupleHeader, is_written: bool) -> Option<u32> {
    // SAFETY: the row is live; the numbers of commands are asked for rows of the current transaction only.
    unsafe {
        let fields = (*row).t_choice.t_heap;
        let mask = u32::from((*row).t_infomask);
        let is_deleted = mask & pg_sys::HEAP_XMAX_INVALID == 0
            && mask & pg_sys::HEAP_XMAX_IS_MULTI == 0
            && pg_sys::TransactionIdIsCurrentTransactionId(fields.t_xmax);
        let is_new = mask & pg_sys::HEAP_XMIN_FROZEN == 0 && pg_sys::TransactionIdIsCurrentTransactionId(fields.t_xmin);
        match is_written {
            true if is_new && !is_deleted => Some(super::raw::HeapTupleHeaderGetCmin(row)),
            false if is_deleted => Some(super::raw::HeapTupleHeaderGetCmax(row)),
            _ => None,
        }
    }
}
