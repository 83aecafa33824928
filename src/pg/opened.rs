//! A relation that is open, and closed by whatever way its user is left.
//!
//! In the ordinary way `Drop` closes it. The lock stays to the end of the transaction, as that of a table in a query
//! does, unless [`Opened::and_unlocks`] was asked for. An ERROR closes nothing here: PostgreSQL's functions in `pg_sys`
//! make a panic of it, which drops the owner, and a `Drop` calls no PostgreSQL while panicking. The rollback that
//! follows releases the reference and the lock by the resource owner that they are counted in (utils/resowner), as it
//! does for C code that raises between `table_open` and `table_close`.
//!
//! Functions of [`super::raw`] leave by longjmp, which must not pass over a destructor (guard.rs): what records rows
//! takes [`with`], whose frames have none.

use pgrx::pg_sys::{self, Oid};

pub struct Opened {
    relation: pg_sys::Relation,
    lock: i32,
    unlocks: bool,
}

impl Opened {
    /// A table, which must exist.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn table(oid: Oid, lock: u32) -> Opened {
        let lock = lock.cast_signed();
        // SAFETY: inside a transaction; an ERROR where the OID is of no table.
        Opened { relation: unsafe { pg_sys::table_open(oid, lock) }, lock, unlocks: false }
    }

    /// An index, which must exist.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn index(oid: Oid, lock: u32) -> Opened {
        let lock = lock.cast_signed();
        // SAFETY: inside a transaction; an ERROR where the OID is of no index.
        Opened { relation: unsafe { pg_sys::index_open(oid, lock) }, lock, unlocks: false }
    }

    /// A relation of any kind, which must exist.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn relation(oid: Oid, lock: u32) -> Opened {
        let lock = lock.cast_signed();
        // SAFETY: inside a transaction; an ERROR where the OID is of no relation.
        Opened { relation: unsafe { pg_sys::relation_open(oid, lock) }, lock, unlocks: false }
    }

    /// A relation of any kind, `None` where it is gone.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn if_there(oid: Oid, lock: u32) -> Option<Opened> {
        let lock = lock.cast_signed();
        // SAFETY: inside a transaction.
        let relation = unsafe { pg_sys::try_relation_open(oid, lock) };
        (!relation.is_null()).then_some(Opened { relation, lock, unlocks: false })
    }

    /// Has the lock released with the relation.
    pub fn and_unlocks(mut self) -> Opened {
        self.unlocks = true;
        self
    }

    /// What PostgreSQL's functions take. It is good as long as the owner.
    pub fn as_ptr(&self) -> pg_sys::Relation {
        self.relation
    }

    pub fn oid(&self) -> Oid {
        // SAFETY: the relation is open.
        unsafe { (*self.relation).rd_id }
    }

    /// Its row of pg_class.
    pub fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has one.
        unsafe { &*(*self.relation).rd_rel }
    }

    /// `pg_class.relkind`.
    pub fn kind(&self) -> u8 {
        self.class().relkind.cast_unsigned()
    }

    pub fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the relation is open.
        unsafe { (*self.relation).rd_att }
    }

    /// Its row of pg_index, and the numbers of its key columns; `None` of a relation that is no index.
    pub fn key(&self) -> Option<(&pg_sys::FormData_pg_index, &[i16])> {
        // SAFETY: an open index has the row, whose vector begins with the key columns.
        unsafe {
            let index = (*self.relation).rd_index.as_ref()?;
            Some((index, index.indkey.values.as_slice(usize::try_from(index.indnkeyatts).unwrap_or(0))))
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let lock = if self.unlocks { self.lock } else { pg_sys::NoLock.cast_signed() };
            // SAFETY: open since the constructor; table_close and index_close do nothing else (access/table/table.c).
            unsafe { pg_sys::relation_close(self.relation, lock) }
        }
    }
}

/// Runs `body` with a table, which must exist, and closes it; the lock is kept.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn with<R>(oid: Oid, lock: u32, body: impl FnOnce(pg_sys::Relation) -> R) -> R {
    // SAFETY: inside a transaction; an ERROR leaves the table to the resource owner.
    unsafe {
        let relation = pg_sys::table_open(oid, lock.cast_signed());
        let result = body(relation);
        pg_sys::table_close(relation, pg_sys::NoLock.cast_signed());
        result
    }
}
