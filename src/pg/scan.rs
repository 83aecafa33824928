//! Reading rows of our own tables by key, past permissions, in one short scan. Cold paths only.

use pgrx::pg_sys::{self, Datum, Oid};

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
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
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
            relation,
            Oid::INVALID,
            false,
            snapshot,
            i32::try_from(keys.len()).unwrap_or(0),
            keys.as_mut_ptr(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() || !visit((*relation).rd_att, tuple) {
                break;
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
}

/// An attribute of a tuple, `None` for NULL.
///
/// # Safety
/// The tuple must be of the descriptor and have that attribute.
pub unsafe fn attribute(tuple: pg_sys::HeapTuple, number: i32, descriptor: pg_sys::TupleDesc) -> Option<Datum> {
    let mut is_null = false;
    // SAFETY: per the contract.
    let value = unsafe { pg_sys::heap_getattr(tuple, number, descriptor, &mut is_null) };
    (!is_null).then_some(value)
}

/// The subtransaction to blame a found row on: the current one where this transaction wrote the row, which
/// its abort would take back, else 0.
///
/// # Safety
/// The tuple must be live.
pub unsafe fn pending(tuple: pg_sys::HeapTuple) -> u32 {
    // SAFETY: per the contract; a frozen row is nobody's.
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
