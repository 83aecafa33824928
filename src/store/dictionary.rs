//! Rows of the dictionaries: nodes, sessions, contexts and relations. Cold beside events: a row is written
//! with the first event that needs it.

use pgrx::pg_sys::{self, Datum, Oid};

use super::namespace;
use super::partition::Parent;
use super::{append, open};
use crate::pg::relation;
use crate::pg::scan::{self, Condition};

/// Microseconds in an hour, the unit of the upper bits of an id.
const HOUR: i64 = 3_600_000_000;
/// Bits of an id that come from the sequence.
const SEQUENCE_BITS: u32 = 40;

/// A new id of a session or context written at `now`: the hour, so that a partition is a range of ids, then a
/// number from the sequence.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn new_id(now: i64) -> i64 {
    // SAFETY: inside a transaction.
    let number = unsafe { next_number() };
    ((now / HOUR) << SEQUENCE_BITS) | (number & ((1 << SEQUENCE_BITS) - 1))
}

/// The next number of the dictionaries' sequence.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn next_number() -> i64 {
    let sequence = namespace::relation(c"dictionary_ids");
    // SAFETY: nextval may raise; the boundary turns that into a panic that the caller's guard reports.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| crate::pg::raw::nextval_internal(sequence, false)) }
}

/// Appends a row. `key` is the partition key; the values are those of all columns that the library knows, in order.
///
/// # Safety
/// The values must be of the columns' types; inside a transaction that may write.
pub unsafe fn append(parent: Parent, key: i64, values: &[Option<Datum>]) {
    // SAFETY: the values fit the descriptor per the contract; forming and inserting copy them.
    unsafe {
        let table = open::table(parent, key);
        let tuple = relation::form((*table.relation).rd_att, values);
        append::insert(table.relation, table.oid, tuple);
        pg_sys::heap_freetuple(tuple);
    }
}

/// The partition that holds rows of this key, kept from being dropped until the transaction ends.
///
/// # Safety
/// Inside a transaction that may write.
pub unsafe fn hold_partition(parent: Parent, key: i64) -> Oid {
    // SAFETY: per the contract.
    unsafe { open::table(parent, key).oid }
}

/// Visits the rows of a dictionary that meet the conditions, partition by partition.
///
/// # Safety
/// As [`scan::rows`].
pub unsafe fn rows(
    parent: Parent,
    conditions: &[Condition],
    mut visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool,
) {
    // SAFETY: the partitions are plain tables with the parent's columns.
    unsafe {
        let partitions = crate::pg::relation::children(namespace::relation(&parent.name()), pg_sys::AccessShareLock);
        let mut go_on = true;
        for partition in partitions {
            scan::rows(partition, conditions, |descriptor, tuple| {
                go_on = visit(descriptor, tuple);
                go_on
            });
            if !go_on {
                break;
            }
        }
    }
}
