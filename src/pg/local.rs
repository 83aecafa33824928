//! A variable of this backend, in place of a `static mut`.
//!
//! PostgreSQL runs a backend on one thread and calls callbacks on it; our signal handlers touch atomics only
//! (process.rs). What is read or replaced whole (`get`, `set`, `take`) holds no reference, so that a callback which
//! PostgreSQL runs in between may write the same variable. In a release build each is the load or store that a `static
//! mut` would be. Large values that are built step by step are written [in place](Local::in_place).

use core::cell::Cell;
use core::ops::Deref;

pub struct Local<T>(Cell<T>);

// SAFETY: a backend has one thread.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub const fn new(value: T) -> Local<T> {
        Local(Cell::new(value))
    }

    /// The value in its place.
    ///
    /// # Safety
    /// Nothing else may use the variable while the reference is used: not the callers either, nor a callback that
    /// PostgreSQL runs meanwhile.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the variable is static, and the caller has it alone")]
    pub unsafe fn in_place(&self) -> &mut T {
        // SAFETY: the caller has the variable alone.
        unsafe { &mut *self.0.as_ptr() }
    }
}

impl<T> Deref for Local<T> {
    type Target = Cell<T>;

    #[inline(always)]
    fn deref(&self) -> &Cell<T> {
        &self.0
    }
}
