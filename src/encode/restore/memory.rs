//! Datums passed by reference, in the current memory context.

use pgrx::pg_sys::{self, Datum};

/// A copy of `bytes`, which are a whole datum.
pub fn copy(bytes: &[u8]) -> Datum {
    let datum = zeroed(bytes.len());
    // SAFETY: `zeroed` allocated as many bytes.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), datum.cast_mut_ptr(), bytes.len()) };
    datum
}

/// A varlena that holds `payload`.
pub fn varlena(payload: &[u8]) -> Datum {
    let datum = zeroed(payload.len() + 4);
    let header = header(payload.len() + 4).to_ne_bytes();
    // SAFETY: `zeroed` allocated the header's four bytes and the payload's.
    unsafe {
        let start = datum.cast_mut_ptr::<u8>();
        core::ptr::copy_nonoverlapping(header.as_ptr(), start, 4);
        core::ptr::copy_nonoverlapping(payload.as_ptr(), start.add(4), payload.len());
    }
    datum
}

/// Zeroed memory.
pub fn zeroed(length: usize) -> Datum {
    // SAFETY: palloc0 returns memory of that length or raises an ERROR.
    Datum::from(unsafe { pg_sys::palloc0(length.max(1)) })
}

/// The four-byte header of a plain varlena of this total length (SET_VARSIZE).
pub fn header(length: usize) -> u32 {
    // palloc refuses what does not fit thirty bits.
    let length = u32::try_from(length).unwrap_or(u32::MAX >> 2);
    if cfg!(target_endian = "little") { length << 2 } else { length }
}
