//! PostgreSQL's lists as iterators.

use pgrx::pg_sys::{self, Oid};

/// The elements of a list of OIDs.
///
/// # Safety
/// `list` must be null, as an empty one is, or a list of OIDs that lives as long as the iterator.
pub unsafe fn oids(list: *const pg_sys::List) -> impl DoubleEndedIterator<Item = Oid> + ExactSizeIterator {
    // SAFETY: the list lives; each cell of a list of OIDs holds one.
    unsafe { cells(list) }.iter().map(|cell| unsafe { cell.oid_value })
}

/// The elements of a list of pointers.
///
/// # Safety
/// `list` must be null, as an empty one is, or a list of `T` that lives as long as the iterator.
pub unsafe fn pointers<T>(list: *const pg_sys::List) -> impl ExactSizeIterator<Item = *mut T> {
    // SAFETY: the list lives; each cell of a list of pointers holds one.
    unsafe { cells(list) }.iter().map(|cell| unsafe { cell.ptr_value.cast() })
}

/// # Safety
/// As [`oids`].
#[inline]
unsafe fn cells<'a>(list: *const pg_sys::List) -> &'a [pg_sys::ListCell] {
    // SAFETY: a list has as many cells as it says (nodes/pg_list.h).
    unsafe {
        match list.as_ref() {
            Some(list) => core::slice::from_raw_parts(list.elements, usize::try_from(list.length).unwrap_or(0)),
            None => &[],
        }
    }
}
