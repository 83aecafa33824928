//! Values over the cap: their length and SHA-256, computed in bounded memory.
//!
//! The digest is over the value's uncompressed bytes without the varlena header. A value in TOAST is read a
//! slice at a time and decompressed as a stream, so that a gigabyte costs no gigabyte.

use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::{varatt_is_1b_e, varatt_is_4b_c, varsize_any};
use sha2::{Digest, Sha256};

use super::inflate::Inflate;
use super::jsonb::{Kind, Writer};
use super::{marker, value};
use crate::pg::raw;

/// No image grows beyond this: jsonb containers end at 256 MB.
const IMAGE_LIMIT: usize = 200 << 20;
/// What the JSON form of a value may take, in multiples of its own size (an array of small integers).
const EXPANSION: usize = 8;
/// Bytes of TOAST read at a time.
const SLICE: i32 = 256 * 1024;

/// Whether a varlena is to be replaced by its digest; `cap` is in bytes.
///
/// # Safety
/// `value` must be a varlena.
pub unsafe fn is_over(writer: &Writer, cap: usize, value: Datum) -> bool {
    // SAFETY: per the contract; reads the header only.
    let size = unsafe { raw::toast_raw_datum_size(value) };
    size > cap.saturating_add(4) || (size > 4096 && writer.len() + size.saturating_mul(EXPANSION) > IMAGE_LIMIT)
}

/// Writes the marker of a value that is over the cap.
///
/// # Safety
/// `value` must be a varlena whose TOAST, if any, is readable in the current snapshot.
pub unsafe fn write(writer: &mut Writer, value: Datum) -> Kind {
    let mut digest = Sha256::new();
    // SAFETY: per the contract. Sha256 is plain memory without a destructor that matters to a longjmp.
    let size = unsafe {
        let header = value.cast_mut_ptr::<pg_sys::varlena>();
        if varatt_is_1b_e(header) && is_on_disk(header) {
            stored(header, &mut digest)
        } else if varatt_is_4b_c(header) {
            let bytes = core::slice::from_raw_parts(header.cast::<u8>(), varsize_any(header));
            compressed(bytes, &mut digest)
        } else {
            let bytes = value::packed(value);
            digest.update(bytes);
            bytes.len()
        }
    };
    marker::capped(writer, size, &digest.finalize())
}

/// Whether an external datum is a TOAST pointer (VARTAG_ONDISK), not an in-memory reference.
unsafe fn is_on_disk(header: *const pg_sys::varlena) -> bool {
    // SAFETY: the tag is the second byte of an external datum (varattrib_1b_e).
    unsafe { *header.cast::<u8>().add(1) == 18 }
}

/// Digests a value in TOAST, slice by slice.
unsafe fn stored(header: *const pg_sys::varlena, digest: &mut Sha256) -> usize {
    // SAFETY: an on-disk pointer is a varatt_external after its two header bytes, unaligned.
    unsafe {
        let pointer = header.cast::<u8>().add(2).cast::<pg_sys::varatt_external>().read_unaligned();
        let stored_size = (pointer.va_extinfo & 0x3FFF_FFFF) as i32;
        let plain_size = pointer.va_rawsize - 4;
        let is_compressed = stored_size < plain_size;
        let mut inflate = if is_compressed { inflate(pointer.va_extinfo, plain_size as usize) } else { None };

        let toast = pg_sys::table_open(pointer.va_toastrelid, pg_sys::AccessShareLock as i32);
        let slice = pg_sys::palloc(SLICE as usize + 8).cast::<pg_sys::varlena>();
        let mut offset = 0;
        while offset < stored_size {
            let length = SLICE.min(stored_size - offset);
            // A result of its own size: heap_fetch_toast_slice fills the payload of a prepared varlena.
            slice.cast::<u32>().write(if cfg!(target_endian = "little") { (length as u32 + 4) << 2 } else { length as u32 + 4 });
            fetch(toast, pointer.va_valueid, stored_size, offset, length, slice);
            let bytes = core::slice::from_raw_parts(slice.cast::<u8>().add(4), length as usize);
            feed(inflate.as_mut(), bytes, digest);
            offset += length;
        }
        pg_sys::pfree(slice.cast());
        pg_sys::table_close(toast, pg_sys::AccessShareLock as i32);
        usize::try_from(plain_size).unwrap_or(0)
    }
}

/// Reads a slice of what TOAST holds. Guarded: the decompressor above owns memory.
unsafe fn fetch(toast: pg_sys::Relation, value: pg_sys::Oid, size: i32, offset: i32, length: i32, slice: *mut pg_sys::varlena) {
    // SAFETY: the slice has room for its length and a header.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| raw::heap_fetch_toast_slice(toast, value, size, offset, length, slice));
    }
}

/// Digests a value that is compressed in the tuple itself; `bytes` is the whole varlena.
fn compressed(bytes: &[u8], digest: &mut Sha256) -> usize {
    let information = bytes.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let mut inflate = inflate(information, (information & 0x3FFF_FFFF) as usize);
    feed(inflate.as_mut(), bytes.get(8..).unwrap_or_default(), digest);
    usize::try_from(information & 0x3FFF_FFFF).unwrap_or(0)
}

/// A decompressor for a value of `size` bytes; the method is in the top two bits of its size word (varatt.h).
fn inflate(information: u32, size: usize) -> Option<Inflate> {
    match information >> 30 {
        0 => Some(Inflate::pglz(size)),
        1 => Some(Inflate::lz4(size)),
        _ => None,
    }
}

fn feed(inflate: Option<&mut Inflate>, bytes: &[u8], digest: &mut Sha256) {
    match inflate {
        // What is corrupt is found by whoever reads the value; its digest is of what could be read.
        Some(inflate) => drop(inflate.push(bytes, &mut |plain| digest.update(plain))),
        None => digest.update(bytes),
    }
}
