//! What only one session does at a time.
//!
//! The locks are on the extension itself, each purpose a part of it by number, and on audited tables as objects. No SQL
//! takes these: commands lock an object as a whole, which is part 0, and a relation never by this kind of tag
//! (catalog/objectaddress.c, get_object_address; catalog/dependency.c, AcquireDeletionLock). An advisory lock, or a
//! lock on a table of the trail, could be held for ever by any role.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::lock::{Lifetime, Lock};

entry_point!(audit_lock, pg_finfo_audit_lock, lock);
entry_point!(audit_try_lock, pg_finfo_audit_try_lock, try_lock);
entry_point!(audit_lock_table, pg_finfo_audit_lock_table, lock_table);

/// The purposes by name, each with the number of its part. The numbers never change: sessions that have loaded
/// different versions of the library exclude each other.
const PURPOSES: [(&[u8], u16, Lifetime); 5] = [
    // Steps of maintenance, and sessions that do the same by hand.
    (b"maintenance", 1, Lifetime::Transaction),
    // Being the worker that stays until transactions which wrote to the overflow have ended.
    (b"overflow_waiter", 2, Lifetime::Session),
    // Creating partitions that are missing.
    (b"partitions", 3, Lifetime::Transaction),
    // Defining event types.
    (b"event_types", 4, Lifetime::Transaction),
    // Pruning, and changing policies and holds.
    (b"retention", 5, Lifetime::Transaction),
];

/// `audit_internal.lock(purpose text) returns void`: waits for the lock.
///
/// # Safety
/// Called by PostgreSQL, inside a transaction.
unsafe fn lock(call: FunctionCallInfo) -> Datum {
    // SAFETY: inside a transaction.
    unsafe { named(call).take() };
    Datum::null()
}

/// `audit_internal.try_lock(purpose text) returns boolean`: false where another session has the lock.
///
/// # Safety
/// Called by PostgreSQL, inside a transaction.
unsafe fn try_lock(call: FunctionCallInfo) -> Datum {
    // SAFETY: inside a transaction.
    Datum::from(unsafe { named(call).try_take() })
}

/// `audit_internal.lock_table(target regclass) returns void`: waits until no other session changes how the table is
/// audited.
///
/// # Safety
/// Called by PostgreSQL, inside a transaction.
unsafe fn lock_table(call: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments of the current call, inside a transaction.
    unsafe {
        let Some(table) = Arguments::new(call).oid(0) else {
            Error::Internal { problem: "no table to lock".into() }.raise()
        };
        Lock::new(pg_sys::RelationRelationId, table, 0, Lifetime::Transaction).take();
    }
    Datum::null()
}

/// # Safety
/// Called by PostgreSQL, inside a transaction.
unsafe fn named(call: FunctionCallInfo) -> Lock {
    // SAFETY: the arguments of the current call; a catalog lookup inside a transaction.
    let (purpose, extension) = unsafe {
        (Arguments::new(call).bytes(0).unwrap_or_default(), pg_sys::get_extension_oid(c"audit".as_ptr(), false))
    };
    let Some((_, part, lifetime)) = PURPOSES.into_iter().find(|(name, ..)| *name == purpose) else {
        Error::Internal { problem: format!("there is no lock \"{}\"", String::from_utf8_lossy(purpose)) }.raise()
    };
    Lock::new(pg_sys::ExtensionRelationId, extension, part, lifetime)
}
