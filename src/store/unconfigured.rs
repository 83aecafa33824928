//! Tables that were written to without having settings: `audit_internal.unconfigured_tables`, so that each is reported
//! once.

use pgrx::pg_sys::{self, Datum, Oid};

use super::{append, namespace};
use crate::pg::opened::Opened;
use crate::pg::scan::{self, Condition};
use crate::pg::{clock, relation};
use audit_model::schema::unconfigured_tables;

/// Distinguishes the lock from others on the same table's object tag.
const PURPOSE: u16 = 1;

/// What became of a table that was to be added.
#[derive(PartialEq, Eq)]
pub enum Recorded {
    Added,
    Known,
    /// Another transaction is adding it, and may be rolled back.
    Later,
}

/// Adds a table. Nothing waits and nothing meets a duplicate: the lock is given back after the row of the transaction
/// that holds it has become visible or is gone.
///
/// # Safety
/// Must run inside a transaction that may write.
pub unsafe fn record(table: Oid) -> Recorded {
    // SAFETY: the row is of the table's columns; the table is open until it is written.
    unsafe {
        // Relations themselves are locked by another kind of tag (LockRelationOid), so this one conflicts with no
        // other.
        let lock = pg_sys::ExclusiveLock as i32;
        if !pg_sys::ConditionalLockDatabaseObject(pg_sys::RelationRelationId, table, PURPOSE, lock) {
            return Recorded::Later;
        }
        let known = namespace::relation(c"unconfigured_tables");
        let condition = Condition::oid(unconfigured_tables::RELATION_OID, table);
        let mut is_known = false;
        scan::rows(known, &[condition], |_, _| {
            is_known = true;
            false
        });
        if is_known {
            return Recorded::Known;
        }
        let opened = Opened::table(known, pg_sys::RowExclusiveLock);
        let values = [Some(Datum::from(table)), Some(Datum::from(clock::now()))];
        let tuple = relation::form(opened.descriptor(), &values);
        append::insert(opened.as_ptr(), known, tuple);
        Recorded::Added
    }
}
