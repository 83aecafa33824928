//! The cluster's databases, for a process that is connected to none.

use pgrx::pg_sys::{self, Oid};

use super::opened::Opened;
use super::scan::Scan;

/// `datconnlimit` of a database whose DROP was interrupted (catalog/pg_database.h).
const INVALID: i32 = -2;

/// The lock that every connection takes on its database while it begins (utils/init/postinit.c), held by this process
/// until dropped.
///
/// DROP DATABASE, RENAME, SET TABLESPACE (AccessExclusiveLock) and CREATE DATABASE of its template (ShareLock) keep it
/// from others while they wait, for five seconds at most, for those connected to leave (commands/dbcommands.c). If it
/// can be taken, no session is waiting for exclusive access to the database, and while it is held none gets it.
pub struct Admission {
    tag: pg_sys::LOCKTAG,
}

impl Admission {
    /// `None` where another session holds a conflicting lock, or waits for one. Never waits.
    pub fn take(database: Oid) -> Option<Admission> {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: 0,
            locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
            locktag_field3: database.to_u32(),
            locktag_field4: 0,
            locktag_type: u8::try_from(pg_sys::LockTagType::LOCKTAG_OBJECT).unwrap_or(u8::MAX),
            locktag_lockmethodid: u8::try_from(pg_sys::DEFAULT_LOCKMETHOD).unwrap_or(1),
        };
        // SAFETY: a lock of the session needs neither a transaction nor a database.
        let result = unsafe { pg_sys::LockAcquire(&tag, pg_sys::RowExclusiveLock.cast_signed(), true, true) };
        (result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL).then(|| Admission { tag })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        // The end of the process releases what an ERROR left.
        if !std::thread::panicking() {
            // SAFETY: taken for the session in `take`.
            unsafe { pg_sys::LockRelease(&self.tag, pg_sys::RowExclusiveLock.cast_signed(), true) };
        }
    }
}

/// A database.
pub struct Database {
    pub oid: Oid,
    pub name: String,
}

/// The databases that are no templates, take connections and are whole. In a transaction of its own.
pub fn connectable() -> Vec<Database> {
    let mut found = Vec::new();
    // SAFETY: no transaction is under way.
    unsafe { pg_sys::StartTransactionCommand() };
    // A scan of a shared catalog, as the autovacuum launcher's (postmaster/autovacuum.c, get_database_list): its
    // indexes are out of reach without a database.
    {
        // SAFETY: inside a transaction; the snapshot is the catalog's own.
        let (_databases, scan) = unsafe {
            let databases = Opened::table(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock).and_unlocks();
            let scan = Scan::begin(databases.as_ptr(), Oid::INVALID, core::ptr::null_mut(), &[]);
            (databases, scan)
        };
        for tuple in scan {
            // SAFETY: a row of pg_database, live until the next one is read (catalog/pg_database.h).
            let row = unsafe { &*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_database>(tuple) };
            if row.datallowconn && !row.datistemplate && row.datconnlimit != INVALID {
                let name = String::from_utf8_lossy(super::relation::name(&row.datname)).into_owned();
                found.push(Database { oid: row.oid, name });
            }
        }
    }
    // SAFETY: the transaction above, with nothing left open.
    unsafe { pg_sys::CommitTransactionCommand() };
    found
}
