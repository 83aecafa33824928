//! Values in PostgreSQL's memory: all of them in the current memory context, where results live.

use pgrx::pg_sys::{self, Datum};

/// A copy of the bytes that a value passed by reference consists of, aligned as PostgreSQL wants it.
pub fn copy(bytes: &[u8]) -> Datum {
    // SAFETY: palloc returns room for all bytes or raises an ERROR.
    unsafe {
        let copy = pg_sys::palloc(bytes.len()).cast::<u8>();
        copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        Datum::from(copy)
    }
}

/// A text of these bytes.
pub fn text(bytes: &[u8]) -> Datum {
    let length = i32::try_from(bytes.len()).unwrap_or(0);
    // SAFETY: the bytes are readable for their length.
    unsafe { Datum::from(pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), length)) }
}
