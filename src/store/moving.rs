//! Moves rows from one table of the trail to another in one transaction, with the same content: events from the
//! overflow to the partition that was missing and to the partitions of a table that got a retention of its own, and
//! rows of a dictionary that came before their partition.

use audit_model::Column;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::{FromDatum, IntoDatum};

use super::copy::open_own;
use super::{append, layout};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::relation;

entry_point!(audit_move_rows, pg_finfo_audit_move_rows, move_rows);

/// `audit_internal.move_rows(source regclass, rows tid[], destination regclass, retention_id integer, replicates
/// boolean) returns bigint`: moves the rows that are still there and returns how many; events get this retention, or
/// none. Rows that replicate have been in no partition yet, so that a publication of the trail has to carry them.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn move_rows(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: those of the current call.
    let arguments = unsafe { Arguments::new(arguments) };
    // SAFETY: inside a transaction.
    let [from, to] = [0, 2].map(|table| unsafe { open_own(arguments.oid(table), pg_sys::RowExclusiveLock) });
    // SAFETY: both are open.
    if !unsafe { layout::accepts(to.as_ptr(), from.as_ptr()) } {
        Error::Internal { problem: "rows are moved between tables of the same columns".into() }.raise();
    }
    let retention =
        relation::attributes(to.descriptor()).find(|column| column.name == Column::RetentionId.name().as_bytes());
    let retention_id = arguments.datum(3);
    let replicates = arguments.datum(4).is_some_and(|replicates| replicates.value() != 0);
    let options = if replicates { append::options() } else { pg_sys::HEAP_INSERT_NO_LOGICAL.cast_signed() };
    let rows = arguments.datum(1);
    // SAFETY: the argument is an array of tid.
    let rows = rows.and_then(|rows| unsafe { pgrx::Array::<pg_sys::ItemPointerData>::from_datum(rows, false) });
    let mut moved = 0_i64;
    // SAFETY: inside a transaction, with both tables open; their columns are the same.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        for row in rows.iter().flat_map(pgrx::Array::iter).flatten() {
            pgrx::check_for_interrupts!();
            let Some(mut copy) = copy_of(from.as_ptr(), row, snapshot) else { continue };
            let mut position = row;
            pg_sys::simple_heap_delete(from.as_ptr(), &mut position);
            if let Some(column) = &retention {
                copy = with_value(copy, to.descriptor(), column.index, retention_id);
            }
            append::insert_with(to.as_ptr(), to.oid(), copy, options);
            pg_sys::heap_freetuple(copy);
            moved += 1;
        }
        pg_sys::UnregisterSnapshot(snapshot);
        drop((to, from));
        pg_sys::CommandCounterIncrement();
    }
    moved.into_datum().unwrap_or(Datum::null())
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

/// The tuple with another value of one column, counted from 0; it is consumed.
///
/// # Safety
/// The tuple must be of the descriptor, or of the first columns of it, and the value of the column's type.
unsafe fn with_value(
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    column: usize,
    value: Option<Datum>,
) -> pg_sys::HeapTuple {
    // SAFETY: per the contract; the arrays have an element for each column.
    unsafe {
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0);
        let values = pg_sys::palloc0(columns * size_of::<Datum>()).cast::<Datum>();
        let flags = pg_sys::palloc0(2 * columns).cast::<bool>();
        let (nulls, replaces) = (flags, flags.add(columns));
        values.add(column).write(value.unwrap_or(Datum::null()));
        nulls.add(column).write(value.is_none());
        replaces.add(column).write(true);
        let changed = pg_sys::heap_modify_tuple(tuple, descriptor, values, nulls, replaces);
        pg_sys::heap_freetuple(tuple);
        pg_sys::pfree(flags.cast());
        pg_sys::pfree(values.cast());
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
