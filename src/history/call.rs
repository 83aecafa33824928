//! Arguments and results of functions over jsonb and text.

use pgrx::pg_sys::{self, Datum};

use super::reader::Container;
use crate::pg::arguments::Arguments;

/// An argument of type integer, 0 for NULL.
pub fn integer(arguments: Arguments, position: usize) -> i32 {
    arguments.datum(position).map_or(0, |value| value.value() as i32)
}

/// An argument of type jsonb; it lives as long as the call.
pub fn jsonb(arguments: Arguments, position: usize) -> Option<Container<'static>> {
    arguments.bytes(position).map(Container::root)
}

/// A whole varlena, copied to where results live.
///
/// # Safety
/// Allocates in the current memory context.
pub unsafe fn varlena_value(varlena: &[u8]) -> Datum {
    // SAFETY: the copy has room for all bytes and is aligned.
    unsafe {
        let copy = pg_sys::palloc(varlena.len()).cast::<u8>();
        copy.copy_from_nonoverlapping(varlena.as_ptr(), varlena.len());
        Datum::from(copy)
    }
}

/// A text value.
///
/// # Safety
/// Allocates in the current memory context.
pub unsafe fn text_value(text: &[u8]) -> Datum {
    let length = i32::try_from(text.len()).unwrap_or(0);
    // SAFETY: the bytes are readable for their length.
    unsafe { Datum::from(pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), length)) }
}
