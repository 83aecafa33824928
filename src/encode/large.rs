//! Values over the cap: their length and SHA-256, computed in bounded memory.
//!
//! The digest is over the value's uncompressed bytes without the varlena header. A value in TOAST is read a
//! slice at a time and decompressed as a stream, so that a gigabyte costs no gigabyte.

use audit_inflate::{Corrupt, Inflate};
use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::{varatt_is_1b_e, varatt_is_4b_c, varsize_any};
use sha2::{Digest, Sha256};

use super::{marker, value};
use crate::jsonb::{Kind, Writer};
use crate::pg::opened::Opened;
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

/// Writes the marker of a value that is over the cap; of one whose stored bytes are damaged, that it is unreadable.
///
/// # Safety
/// `value` must be a varlena whose TOAST, if any, is readable in the current snapshot.
pub unsafe fn write(writer: &mut Writer, value: Datum) -> Kind {
    // SAFETY: per the contract.
    let digested = unsafe {
        let header = value.cast_mut_ptr::<pg_sys::varlena>();
        if varatt_is_1b_e(header) && is_on_disk(header) {
            stored(header)
        } else if varatt_is_4b_c(header) {
            compressed(core::slice::from_raw_parts(header.cast::<u8>(), varsize_any(header)))
        } else {
            let bytes = value::packed(value);
            Ok((bytes.len(), Sha256::digest(bytes).into()))
        }
    };
    match digested {
        Ok((size, digest)) => marker::capped(writer, size, &digest),
        Err(corrupt) => marker::text(writer, b"unreadable", corrupt.to_string().as_bytes()),
    }
}

/// The size of a value and its digest.
type Digested = Result<(usize, [u8; 32]), Corrupt>;

/// Whether an external datum is a TOAST pointer (VARTAG_ONDISK), not an in-memory reference.
unsafe fn is_on_disk(header: *const pg_sys::varlena) -> bool {
    // SAFETY: the tag is the second byte of an external datum (varattrib_1b_e).
    unsafe { *header.cast::<u8>().add(1) == 18 }
}

/// Digests a value in TOAST, slice by slice.
unsafe fn stored(header: *const pg_sys::varlena) -> Digested {
    // SAFETY: an on-disk pointer is a varatt_external after its two header bytes, unaligned.
    unsafe {
        let pointer = header.cast::<u8>().add(2).cast::<pg_sys::varatt_external>().read_unaligned();
        let stored_size = (pointer.va_extinfo & SIZE) as i32;
        let plain_size = usize::try_from(pointer.va_rawsize - 4).unwrap_or(0);
        let is_compressed = (stored_size as usize) < plain_size;
        let mut digester = Digester::new(is_compressed.then_some(pointer.va_extinfo), plain_size);

        let toast = Opened::table(pointer.va_toastrelid, pg_sys::AccessShareLock).and_unlocks();
        let slice = pg_sys::palloc(SLICE as usize + 8).cast::<pg_sys::varlena>();
        let mut offset = 0;
        while offset < stored_size {
            let length = SLICE.min(stored_size - offset);
            // heap_fetch_toast_slice fills the payload of a varlena that is prepared for it.
            let header = length as u32 + 4;
            slice.cast::<u32>().write(if cfg!(target_endian = "little") { header << 2 } else { header });
            fetch(toast.as_ptr(), pointer.va_valueid, stored_size, offset, length, slice);
            // What TOAST holds of a compressed value begins with its size word (toast_save_datum).
            let skipped = if is_compressed && offset == 0 { 4 } else { 0 };
            let bytes = core::slice::from_raw_parts(slice.cast::<u8>().add(4), length as usize);
            digester.push(bytes.get(skipped..).unwrap_or_default());
            offset += length;
        }
        pg_sys::pfree(slice.cast());
        digester.finish()
    }
}

/// Reads a slice of what TOAST holds. Guarded: the caller's decompressor owns memory.
unsafe fn fetch(
    toast: pg_sys::Relation,
    value: pg_sys::Oid,
    size: i32,
    offset: i32,
    length: i32,
    slice: *mut pg_sys::varlena,
) {
    // SAFETY: the slice has room for its length and a header.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| raw::heap_fetch_toast_slice(toast, value, size, offset, length, slice));
    }
}

/// Digests a value that is compressed in the tuple itself; `bytes` is the whole varlena.
fn compressed(bytes: &[u8]) -> Digested {
    let information = bytes.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let mut digester = Digester::new(Some(information), (information & SIZE) as usize);
    digester.push(bytes.get(8..).unwrap_or_default());
    digester.finish()
}

/// The bits of a compressed value's size word that are the size; the two above are the method (varatt.h).
const SIZE: u32 = 0x3FFF_FFFF;

/// Digests what comes in pieces, decompressing it where it has to be.
struct Digester {
    digest: Sha256,
    inflate: Option<Inflate>,
    result: Result<(), Corrupt>,
    size: usize,
}

impl Digester {
    /// `information` is the size word of a compressed value.
    fn new(information: Option<u32>, size: usize) -> Digester {
        let inflate = information.map(|information| match information >> 30 {
            0 => Inflate::pglz(size),
            _ => Inflate::lz4(size),
        });
        Digester { digest: Sha256::new(), inflate, result: Ok(()), size }
    }

    fn push(&mut self, bytes: &[u8]) {
        let digest = &mut self.digest;
        match &mut self.inflate {
            Some(inflate) => self.result = inflate.push(bytes, &mut |plain| digest.update(plain)),
            None => digest.update(bytes),
        }
    }

    fn finish(self) -> Digested {
        self.result?;
        if let Some(inflate) = self.inflate {
            inflate.finish()?;
        }
        Ok((self.size, self.digest.finalize().into()))
    }
}
