//! A variable of this backend, in place of a `static mut`.
//!
//! PostgreSQL runs a backend on one thread and calls callbacks on it; our signal handlers touch atomics only (process.rs).
//! What is read or replaced whole (`get`, `set`, `take`) holds no reference, so that a callback which PostgreSQL runs in
//! between may write the same variable. In a release build each is the load or store that a `static mut` would be.

use core::cell::Cell;
use core::ops::Deref;

pub struct Local<T>(Cell<T>);

// SAFETY: a backend has one thread.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub const fn new(value: T) -> Local<T> {
        Local(Cell::new(value))
    }
}

impl<T> Deref for Local<T> {
    type Target = Cell<T>;

    #[inline(always)]
    fn deref(&self) -> &Cell<T> {
        &self.0
    }
}
