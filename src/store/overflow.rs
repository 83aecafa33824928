//! Moves events from one table of the trail to another, with the same content, in one transaction: from the
//! overflow to the leaf that was missing.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::{FromDatum, IntoDatum};

use super::open;
use super::{append, leaf};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;

entry_point!(audit_move_events, pg_finfo_audit_move_events, move_events);

/// `audit.move_events(source regclass, category text, since timestamptz, until timestamptz, destination regclass,
/// max_rows bigint) returns bigint`: moves up to so many events of a category and a range of time, and returns
/// how many.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn move_events(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration; both tables stay open to the end.
    unsafe {
        let arguments = Arguments::new(arguments);
        let (Some(source), Some(category), Some(since), Some(until), Some(destination), Some(most)) = (
            arguments.oid(0),
            arguments.text(1),
            arguments.datum(2).and_then(|since| i64::from_datum(since, false)),
            arguments.datum(3).and_then(|until| i64::from_datum(until, false)),
            arguments.oid(4),
            arguments.datum(5).and_then(|most| i64::from_datum(most, false)),
        ) else {
            Error::Internal { problem: "move_events takes no null".into() }.raise()
        };
        for table in [source, destination] {
            if pg_sys::get_rel_namespace(table) != leaf::schema() {
                Error::Internal { problem: "move_events moves between tables of the trail".into() }.raise();
            }
        }
        open::close_all();
        let from = pg_sys::table_open(source, pg_sys::RowExclusiveLock as i32);
        let to = pg_sys::table_open(destination, pg_sys::RowExclusiveLock as i32);
        let moved = transfer(from, to, destination, &category, since..until, most);
        pg_sys::table_close(to, pg_sys::NoLock as i32);
        pg_sys::table_close(from, pg_sys::NoLock as i32);
        moved.into_datum().unwrap_or(Datum::null())
    }
}

/// # Safety
/// Both tables must be open and have the columns of events.
unsafe fn transfer(
    from: pg_sys::Relation,
    to: pg_sys::Relation,
    destination: Oid,
    category: &str,
    range: core::ops::Range<i64>,
    most: i64,
) -> i64 {
    // SAFETY: the scan ends before its snapshot does; rows seen are committed, so nobody else changes them.
    unsafe {
        let descriptor = (*from).rd_att;
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let slot = pg_sys::table_slot_create(from, core::ptr::null_mut());
        let scan = pg_sys::table_beginscan(from, snapshot, 0, core::ptr::null_mut());
        let mut moved = 0;
        while moved < most && pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot) {
            pgrx::check_for_interrupts!();
            let mut should_free = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut should_free);
            let time = crate::pg::scan::attribute(tuple, 1, descriptor).map_or(0, |time| time.value() as i64);
            let is_of_category = crate::pg::scan::attribute(tuple, 9, descriptor)
                .and_then(|name| String::from_datum(name, false))
                .is_some_and(|name| name == category);
            if !range.contains(&time) || !is_of_category {
                continue;
            }
            let copy = detached(tuple, descriptor);
            let mut position = (*tuple).t_self;
            pg_sys::simple_heap_delete(from, &mut position);
            append::insert(to, destination, copy);
            pg_sys::heap_freetuple(copy);
            moved += 1;
        }
        pg_sys::table_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::UnregisterSnapshot(snapshot);
        moved
    }
}

/// A copy of a tuple with what TOAST holds for it: the other table has a TOAST of its own.
///
/// # Safety
/// The tuple must be of the descriptor.
unsafe fn detached(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> pg_sys::HeapTuple {
    // SAFETY: per the contract.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| crate::pg::raw::toast_flatten_tuple(tuple, descriptor)) }
}
