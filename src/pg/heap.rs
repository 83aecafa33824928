//! Reading a whole table.

use pgrx::pg_sys;

/// Calls `visit` with the slot of each row that a snapshot of now sees, until it returns false.
///
/// The frame has no destructor, because what records a row may leave by longjmp: an ERROR leaves scan, slot and
/// snapshot to the resource owner.
///
/// # Safety
/// The table must be open; inside a transaction.
pub unsafe fn rows(table: pg_sys::Relation, mut visit: impl FnMut(*mut pg_sys::TupleTableSlot) -> bool) {
    // SAFETY: the table is open; the scan ends before the slot and the snapshot do.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let slot = pg_sys::table_slot_create(table, core::ptr::null_mut());
        let scan = pg_sys::table_beginscan(table, snapshot, 0, core::ptr::null_mut());
        while pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot) {
            pgrx::check_for_interrupts!();
            if !visit(slot) {
                break;
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::UnregisterSnapshot(snapshot);
    }
}
