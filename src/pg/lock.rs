//! Exclusive locks on an object of this database that is no relation, as PostgreSQL's own commands take them
//! (storage/lmgr/lmgr.c, LockDatabaseObject): with lock_timeout, deadlock detection and a line in pg_locks.

use pgrx::pg_sys::{self, Oid};

/// When a lock is released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// At the end of the transaction, or of the subtransaction where that is rolled back.
    Transaction,
    /// At the end of the session.
    Session,
}

/// What is locked: an object and the number of a part of it.
#[derive(Clone, Copy)]
pub struct Lock {
    tag: pg_sys::LOCKTAG,
    lifetime: Lifetime,
}

impl Lock {
    pub fn new(class: Oid, object: Oid, part: u16, lifetime: Lifetime) -> Lock {
        // A lock of the session is of the method of advisory locks: those of the other method are released when any
        // transaction is rolled back, and not at the end of the session (utils/init/postinit.c, ShutdownPostgres).
        let method = match lifetime {
            Lifetime::Transaction => pg_sys::DEFAULT_LOCKMETHOD,
            Lifetime::Session => pg_sys::USER_LOCKMETHOD,
        };
        let tag = pg_sys::LOCKTAG {
            // SAFETY: a plain variable of this process.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: class.to_u32(),
            locktag_field3: object.to_u32(),
            locktag_field4: part,
            locktag_type: u8::try_from(pg_sys::LockTagType::LOCKTAG_OBJECT).unwrap_or(u8::MAX),
            locktag_lockmethodid: u8::try_from(method).unwrap_or(u8::MAX),
        };
        Lock { tag, lifetime }
    }

    /// Takes the lock and waits for it.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn take(&self) {
        // SAFETY: per the contract.
        unsafe { self.acquire(false) };
    }

    /// Takes the lock unless that means waiting; says whether it did.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn try_take(&self) -> bool {
        // SAFETY: per the contract.
        unsafe { self.acquire(true) }
    }

    /// # Safety
    /// Must run inside a transaction.
    unsafe fn acquire(&self, at_once: bool) -> bool {
        let mode = pg_sys::ExclusiveLock.cast_signed();
        // SAFETY: per the contract; the tag is complete.
        unsafe {
            let result = pg_sys::LockAcquire(&self.tag, mode, self.lifetime == Lifetime::Session, at_once);
            if result == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
                return false;
            }
            // Changes of the catalogs by the previous holder are visible from here on.
            pg_sys::AcceptInvalidationMessages();
        }
        true
    }
}
