//! Reading rows of our own tables by key, past permissions, in one short scan. Cold paths only.

use pgrx::pg_sys::{self, Datum, Oid};

use super::relation;

/// One equality condition: attribute number and value. `procedure` is the equality function of its type.
pub struct Condition {
    pub attribute: i16,
    pub procedure: Oid,
    pub value: Datum,
}

/// Calls `visit` with each visible row that meets the conditions, until it returns false.
///
/// # Safety
/// `table` must be a plain table; the conditions must be of its columns' types; inside a transaction.
pub unsafe fn rows(
    table: Oid,
    conditions: &[Condition],
    mut visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool,
) {
    // SAFETY: the relation stays open and the snapshot registered for the whole scan.
    unsafe {
        let opened = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        // Not an MVCC snapshot, which would take predicate locks: bookkeeping of ours must not make SERIALIZABLE
        // transactions of others fail. What this transaction has written is seen at once.
        let snapshot = &raw mut pg_sys::SnapshotSelfData;
        let mut keys: Vec<pg_sys::ScanKeyData> = Vec::with_capacity(conditions.len());
        for condition in conditions {
            let mut key = pg_sys::ScanKeyData::default();
            pg_sys::ScanKeyInit(
                &mut key,
                condition.attribute,
                u16::try_from(pg_sys::BTEqualStrategyNumber).unwrap_or(3),
                condition.procedure,
                condition.value,
            );
            keys.push(key);
        }
        let scan = pg_sys::systable_beginscan(
            opened,
            Oid::INVALID,
            false,
            snapshot,
            i32::try_from(keys.len()).unwrap_or(0),
            keys.as_mut_ptr(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() || !visit((*opened).rd_att, tuple) {
                break;
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(opened, pg_sys::NoLock as i32);
    }
}

/// As [`rows`], along the table's B-tree over the column, where it has one.
///
/// # Safety
/// As [`rows`]. The memory context must be short-lived: nothing here is freed before it is reset.
pub unsafe fn along_index(
    table: Oid,
    condition: &Condition,
    mut visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool,
) {
    // SAFETY: as in `rows`.
    unsafe {
        let opened = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let index = btree_over(opened, condition.attribute);
        let mut key = pg_sys::ScanKeyData::default();
        let equal = pg_sys::BTEqualStrategyNumber as u16;
        pg_sys::ScanKeyInit(&mut key, condition.attribute, equal, condition.procedure, condition.value);
        let snapshot = &raw mut pg_sys::SnapshotSelfData;
        let scan = pg_sys::systable_beginscan(opened, index, index != Oid::INVALID, snapshot, 1, &mut key);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() || !visit((*opened).rd_att, tuple) {
                break;
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(opened, pg_sys::NoLock as i32);
    }
}

/// A table's B-tree whose first column is this one; invalid where there is none, and the table is then read whole.
///
/// # Safety
/// `table` must be open.
pub unsafe fn btree_over(table: pg_sys::Relation, attribute: i16) -> Oid {
    // SAFETY: the indexes are those of an open relation.
    unsafe {
        let list = pg_sys::RelationGetIndexList(table);
        for position in 0..relation::list_length(list) {
            let oid = relation::list_oid(list, position);
            let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
            let description = &*(*index).rd_index;
            let serves = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
                && description.indisvalid
                && description.indkey.values.as_slice(1)[0] == attribute
                && pg_sys::RelationGetIndexPredicate(index).is_null();
            pg_sys::index_close(index, pg_sys::AccessShareLock as i32);
            if serves {
                return oid;
            }
        }
        Oid::INVALID
    }
}

/// An attribute of a tuple, `None` for NULL and for a column that the table does not have, as in a catalog that is older than
/// the library.
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
