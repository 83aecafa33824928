//! What retention does to whole partitions and to rows: copies them into a table that takes their place, and deletes
//! them. Never seen by logical decoding: what a publication carries are events when they happen.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::{FromDatum, IntoDatum};

use super::moving::detached;
use super::{layout, namespace, open};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::heap;
use crate::pg::opened::Opened;

entry_point!(audit_copy_partition, pg_finfo_audit_copy_partition, copy_partition);
entry_point!(audit_delete_rows, pg_finfo_audit_delete_rows, delete_rows);

/// `audit_internal.copy_partition(source regclass, destination regclass) returns bigint`: the destination has no
/// indexes yet.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn copy_partition(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration; both tables stay open to the end.
    unsafe {
        let arguments = Arguments::new(arguments);
        let from = open_own(arguments.oid(0), pg_sys::AccessShareLock);
        let to = open_own(arguments.oid(1), pg_sys::RowExclusiveLock);
        let descriptor = from.descriptor();
        if !layout::accepts(to.as_ptr(), from.as_ptr()) {
            Error::Internal { problem: "copy_partition copies between partitions of one parent".into() }.raise();
        }
        let bulk = pg_sys::GetBulkInsertState();
        let options = (pg_sys::HEAP_INSERT_NO_LOGICAL | pg_sys::HEAP_INSERT_SKIP_FSM).cast_signed();
        let command = pg_sys::GetCurrentCommandId(true);
        let mut copied = 0_i64;
        heap::rows(from.as_ptr(), |slot| {
            let mut should_free = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut should_free);
            let copy = detached(tuple, descriptor);
            pg_sys::heap_insert(to.as_ptr(), copy, command, options, bulk);
            pg_sys::heap_freetuple(copy);
            copied += 1;
            true
        });
        pg_sys::FreeBulkInsertState(bulk);
        drop((to, from));
        pg_sys::CommandCounterIncrement();
        copied.into_datum().unwrap_or(Datum::null())
    }
}

/// `audit_internal.delete_rows(partition regclass, rows tid[]) returns bigint`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn delete_rows(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: as in `copy_partition`; rows that the caller has seen and no other session deletes.
    unsafe {
        let arguments = Arguments::new(arguments);
        let rows = arguments.datum(1).and_then(|rows| pgrx::Array::<pg_sys::ItemPointerData>::from_datum(rows, false));
        let opened = open_own(arguments.oid(0), pg_sys::RowExclusiveLock);
        let mut deleted = 0_i64;
        for mut row in rows.iter().flat_map(pgrx::Array::iter).flatten() {
            pgrx::check_for_interrupts!();
            pg_sys::simple_heap_delete(opened.as_ptr(), &mut row);
            deleted += 1;
        }
        drop(opened);
        pg_sys::CommandCounterIncrement();
        deleted.into_datum().unwrap_or(Datum::null())
    }
}

/// Opens a table of the trail.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn open_own(table: Option<Oid>, lock: u32) -> Opened {
    // SAFETY: catalog lookups; partitions that the writer has open are closed first.
    unsafe {
        let Some(table) = table.filter(|table| namespace::owns_relation(*table)) else {
            Error::Internal { problem: "not a table of the trail".into() }.raise()
        };
        open::close_all();
        Opened::table(table, lock)
    }
}
