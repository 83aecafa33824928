//! Datums passed by reference, in the current memory context.

use pgrx::pg_sys::{self, Datum};

/// A copy of `bytes`, which are a whole datum.
pub fn copy(bytes: &[u8]) -> Datum {
    concatenated(bytes, &[])
}

/// A varlena that holds `payload`.
pub fn varlena(payload: &[u8]) -> Datum {
    concatenated(&header(payload.len() + 4).to_ne_bytes(), payload)
}

/// A datum of two parts.
pub fn concatenated(head: &[u8], rest: &[u8]) -> Datum {
    // SAFETY: palloc returns memory of that length or raises an ERROR.
    unsafe {
        let start = pg_sys::palloc((head.len() + rest.len()).max(1)).cast::<u8>();
        core::ptr::copy_nonoverlapping(head.as_ptr(), start, head.len());
        core::ptr::copy_nonoverlapping(rest.as_ptr(), start.add(head.len()), rest.len());
        Datum::from(start)
    }
}

/// The four-byte header of a plain varlena of this total length (SET_VARSIZE).
pub fn header(length: usize) -> u32 {
    // palloc refuses what does not fit thirty bits.
    let length = u32::try_from(length).unwrap_or(u32::MAX >> 2);
    if cfg!(target_endian = "little") { length << 2 } else { length }
}
