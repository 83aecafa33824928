//! Reading rows of our own tables by key, past permissions, in one short scan. Cold paths only.

use pgrx::pg_sys::{self, Datum, Oid};

use super::opened::Opened;
use super::relation;

/// One equality condition: attribute number and value. `procedure` is the equality function of its type.
pub struct Condition {
    pub attribute: i16,
    pub procedure: Oid,
    pub value: Datum,
}

impl Condition {
    /// That a column of type oid has this value.
    pub fn oid(attribute: i16, value: Oid) -> Condition {
        Condition { attribute, procedure: Oid::from(pg_sys::F_OIDEQ), value: Datum::from(value) }
    }

    fn key(&self) -> pg_sys::ScanKeyData {
        let mut key = pg_sys::ScanKeyData::default();
        let equal = u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3);
        // SAFETY: fills in the key, with what the procedure's row in pg_proc says.
        unsafe { pg_sys::ScanKeyInit(&mut key, self.attribute, equal, self.procedure, self.value) };
        key
    }
}

/// The rows of a scan, each live until the next is asked for. The scan ends with it, and after an ERROR as [`Opened`]
/// says.
pub struct Scan(pg_sys::SysScanDesc);

impl Scan {
    /// Along the index, where that is valid.
    ///
    /// # Safety
    /// The relation must stay open as long as the scan, the index be one of its own and over the conditions' columns,
    /// whose types the conditions must be of. The snapshot must be live or null, which stands for the catalogs' own.
    pub unsafe fn begin(
        relation: pg_sys::Relation,
        index: Oid,
        snapshot: pg_sys::Snapshot,
        conditions: &[Condition],
    ) -> Scan {
        let mut keys: Vec<_> = conditions.iter().map(Condition::key).collect();
        let count = i32::try_from(keys.len()).unwrap_or(0);
        // SAFETY: the relation is open; the keys are copied (access/index/genam.c).
        Scan(unsafe {
            pg_sys::systable_beginscan(relation, index, index != Oid::INVALID, snapshot, count, keys.as_mut_ptr())
        })
    }
}

impl Iterator for Scan {
    type Item = pg_sys::HeapTuple;

    fn next(&mut self) -> Option<pg_sys::HeapTuple> {
        // SAFETY: the scan has not ended.
        let tuple = unsafe { pg_sys::systable_getnext(self.0) };
        (!tuple.is_null()).then_some(tuple)
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the scan has not ended, and its relation is open.
            unsafe { pg_sys::systable_endscan(self.0) }
        }
    }
}

/// Calls `visit` with each visible row that meets the conditions, until it returns false.
///
/// # Safety
/// `table` must be a plain table; the conditions must be of its columns' types; inside a transaction.
pub unsafe fn rows(
    table: Oid,
    conditions: &[Condition],
    visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool,
) {
    // SAFETY: inside a transaction; the conditions are of the table's columns.
    unsafe { visit_rows(&Opened::table(table, pg_sys::AccessShareLock), Oid::INVALID, conditions, visit) }
}

/// As [`rows`], along the table's B-tree over the column, where it has one.
///
/// # Safety
/// As [`rows`]. The memory context must be short-lived: nothing here is freed before it is reset.
pub unsafe fn along_index(
    table: Oid,
    condition: &Condition,
    visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool,
) {
    // SAFETY: inside a transaction; the condition is of the table's column, which the index is over.
    unsafe {
        let opened = Opened::table(table, pg_sys::AccessShareLock);
        let index = btree_over(opened.as_ptr(), condition.attribute);
        visit_rows(&opened, index, core::slice::from_ref(condition), visit);
    }
}

/// # Safety
/// As [`Scan::begin`].
unsafe fn visit_rows(
    opened: &Opened,
    index: Oid,
    conditions: &[Condition],
    mut visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool,
) {
    // Not an MVCC snapshot, which would take predicate locks: bookkeeping of ours must not make SERIALIZABLE
    // transactions of others fail. What this transaction has written is seen at once.
    let snapshot = &raw mut pg_sys::SnapshotSelfData;
    // SAFETY: the relation outlives the scan; the snapshot is a variable of PostgreSQL's; the rest is the caller's
    // word.
    for tuple in unsafe { Scan::begin(opened.as_ptr(), index, snapshot, conditions) } {
        if !visit(opened.descriptor(), tuple) {
            break;
        }
    }
}

/// A table's B-tree whose first column is this one; invalid where there is none, and the table is then read whole.
///
/// # Safety
/// `table` must be open.
pub unsafe fn btree_over(table: pg_sys::Relation, attribute: i16) -> Oid {
    // SAFETY: the table is open.
    let mut indexes = unsafe { relation::indexes(table) };
    indexes
        .find(|oid| {
            // SAFETY: the indexes of an open table are there.
            let index = unsafe { Opened::index(*oid, pg_sys::AccessShareLock) }.and_unlocks();
            index.class().relam == pg_sys::BTREE_AM_OID
                && index.key().is_some_and(|(row, columns)| row.indisvalid && columns.first() == Some(&attribute))
                // SAFETY: the index is open.
                && unsafe { pg_sys::RelationGetIndexPredicate(index.as_ptr()) }.is_null()
        })
        .unwrap_or(Oid::INVALID)
}

/// An attribute of a tuple, `None` for NULL and for a column that the table does not have, as in a catalog that is
/// older than the library.
///
/// # Safety
/// The tuple must be of the descriptor.
pub unsafe fn attribute(tuple: pg_sys::HeapTuple, number: i16, descriptor: pg_sys::TupleDesc) -> Option<Datum> {
    let mut is_null = false;
    // SAFETY: per the contract; the number is one of the descriptor's.
    unsafe {
        if i32::from(number) > (*descriptor).natts {
            return None;
        }
        let value = pg_sys::heap_getattr(tuple, i32::from(number), descriptor, &mut is_null);
        (!is_null).then_some(value)
    }
}

/// The current subtransaction if this transaction wrote the row, which its abort would undo, else 0.
///
/// # Safety
/// The tuple must be live.
pub unsafe fn pending(tuple: pg_sys::HeapTuple) -> u32 {
    // SAFETY: per the contract; the xmin of a frozen row no longer identifies a transaction.
    unsafe {
        let header = (*tuple).t_data;
        let is_frozen = u32::from((*header).t_infomask) & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_FROZEN;
        let writer = (*header).t_choice.t_heap.t_xmin;
        if !is_frozen && pg_sys::TransactionIdIsCurrentTransactionId(writer) {
            super::raw::GetCurrentSubTransactionId()
        } else {
            0
        }
    }
}

/// The bytes of a varlena without its header.
///
/// # Safety
/// `value` must be a varlena. The bytes live as long as the tuple or the current memory context.
pub unsafe fn payload<'a>(value: Datum) -> &'a [u8] {
    // SAFETY: per the contract.
    unsafe {
        let value = pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr());
        core::slice::from_raw_parts(pgrx::varlena::vardata_any(value).cast(), pgrx::varlena::varsize_any_exhdr(value))
    }
}
