//! Values of the types json and jsonb.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum};

use super::memory;
use crate::jsonb::layout::{ARRAY, HAS_OFFSET, SCALAR};
use crate::jsonb::{Item, Kind};

/// The header of the one-element array that holds a scalar.
const SCALAR_ROOT: u32 = ARRAY | SCALAR | 1;

/// A jsonb datum of its own.
pub fn binary(item: Item<'_>) -> Datum {
    memory::varlena(&payload(item))
}

/// A json datum: the text that jsonb prints.
pub fn text(item: Item<'_>) -> Datum {
    let payload = payload(item);
    let datum = memory::varlena(&payload);
    // SAFETY: the datum is a jsonb; its container follows the four-byte header.
    let text = unsafe {
        let container = datum.cast_mut_ptr::<u8>().add(4).cast::<pg_sys::JsonbContainer>();
        CStr::from_ptr(pg_sys::JsonbToCString(
            core::ptr::null_mut(),
            container,
            i32::try_from(payload.len()).unwrap_or(0),
        ))
    };
    memory::varlena(text.to_bytes())
}

fn payload(item: Item<'_>) -> Vec<u8> {
    match item {
        Item::Array(container) | Item::Object(container) => container.bytes().to_vec(),
        Item::Null => scalar(Kind::Null, b""),
        Item::Bool(false) => scalar(Kind::False, b""),
        Item::Bool(true) => scalar(Kind::True, b""),
        Item::String(text) => scalar(Kind::String, text),
        Item::Number(numeric) => scalar(Kind::Number, numeric),
    }
}

/// A scalar stands as the only element of an array that is marked so.
fn scalar(kind: Kind, data: &[u8]) -> Vec<u8> {
    let entry = kind as u32 | HAS_OFFSET | u32::try_from(data.len()).unwrap_or(0);
    [&SCALAR_ROOT.to_ne_bytes(), &entry.to_ne_bytes(), data].concat()
}
