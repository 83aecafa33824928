//! Moves rows from one table of the trail to another in one transaction, with the same content: events from the
//! overflow to the partition that was missing and to the partitions of a table that got a retention of its own, and
//! rows of a dictionary that came before their partition.

use audit_model::Column;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::{FromDatum, IntoDatum};

use super::append;
use super::copy::open_own;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;

entry_point!(audit_move_rows, pg_finfo_audit_move_rows, move_rows);

/// `audit_internal.move_rows(source regclass, rows tid[], destination regclass, retention_id integer, replicates boolean)
/// returns bigint`: moves the rows that are still there and returns how many; events get this retention, or none. Rows
/// that replicate have been in no partition yet, so that a publication of the trail has to carry them.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn move_rows(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration; both tables stay open to the end.
    unsafe {
        let arguments = Arguments::new(arguments);
        let from = open_own(arguments.oid(0), pg_sys::RowExclusiveLock);
        let to = open_own(arguments.oid(2), pg_sys::RowExclusiveLock);
        let retention_id = arguments.datum(3);
        let replicates = arguments.datum(4).is_some_and(|replicates| replicates.value() != 0);
        let options = if replicates { append::options() } else { pg_sys::HEAP_INSERT_NO_LOGICAL.cast_signed() };
        let rows = arguments.datum(1).and_then(|rows| pgrx::Array::<pg_sys::ItemPointerData>::from_datum(rows, false));
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut moved = 0_i64;
        for row in rows.iter().flat_map(pgrx::Array::iter).flatten() {
            pgrx::check_for_interrupts!();
            let Some(mut copy) = copy_of(from, row, snapshot) else { continue };
            let mut position = row;
            pg_sys::simple_heap_delete(from, &mut position);
            if usize::try_from((*(*to).rd_att).natts) == Ok(Column::COUNT) {
                copy = with_retention(copy, (*to).rd_att, retention_id);
            }
            append::insert_with(to, (*to).rd_id, copy, options);
            pg_sys::heap_freetuple(copy);
            moved += 1;
        }
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(to, pg_sys::NoLock as i32);
        pg_sys::table_close(from, pg_sys::NoLock as i32);
        pg_sys::CommandCounterIncrement();
        moved.into_datum().unwrap_or(Datum::null())
    }
}

/// A copy of a row with what TOAST holds for it, as the other table has a TOAST of its own; none of a row that is gone.
///
/// # Safety
/// The table must be open and the snapshot registered.
unsafe fn copy_of(
    table: pg_sys::Relation,
    position: pg_sys::ItemPointerData,
    snapshot: pg_sys::Snapshot,
) -> Option<pg_sys::HeapTuple> {
    // SAFETY: the tuple points into the buffer until that is released.
    unsafe {
        let mut tuple = pg_sys::HeapTupleData { t_self: position, ..Default::default() };
        let mut buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
        if !pg_sys::heap_fetch(table, snapshot, &mut tuple, &mut buffer, false) {
            return None;
        }
        let copy = detached(&mut tuple, (*table).rd_att);
        pg_sys::ReleaseBuffer(buffer);
        Some(copy)
    }
}

/// The tuple with this retention; it is consumed.
///
/// # Safety
/// The tuple must be of the descriptor, which is that of events.
unsafe fn with_retention(
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    retention_id: Option<Datum>,
) -> pg_sys::HeapTuple {
    const RETENTION_ID: usize = Column::RetentionId as usize;
    let mut values = [Datum::null(); Column::COUNT];
    let mut nulls = [true; Column::COUNT];
    let mut replaces = [false; Column::COUNT];
    (values[RETENTION_ID], nulls[RETENTION_ID]) = (retention_id.unwrap_or(Datum::null()), retention_id.is_none());
    replaces[RETENTION_ID] = true;
    // SAFETY: per the contract.
    unsafe {
        let changed = pg_sys::heap_modify_tuple(
            tuple,
            descriptor,
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
            replaces.as_mut_ptr(),
        );
        pg_sys::heap_freetuple(tuple);
        changed
    }
}

/// A copy of a tuple with what TOAST holds for it.
///
/// # Safety
/// The tuple must be of the descriptor.
pub unsafe fn detached(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> pg_sys::HeapTuple {
    // SAFETY: per the contract.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| crate::pg::raw::toast_flatten_tuple(tuple, descriptor)) }
}
