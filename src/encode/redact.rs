//! Columns that the trail must not show: masked, hashed or omitted.

use core::ffi::CStr;

use hmac::{Hmac, Mac};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use sha2::Sha256;

use super::codec::Codec;
use super::{marker, value};
use crate::jsonb::{Kind, Writer};
use crate::pg::guard::entry_point;

entry_point!(audit_hash_key_is_readable, pg_finfo_audit_hash_key_is_readable, hash_key_is_readable);

/// What stands in place of a column's value.
#[derive(Clone)]
pub enum Redaction {
    /// A fixed marker; NULL stays NULL.
    Mask,
    /// A keyed hash, so that equal values stay comparable; NULL stays NULL.
    Hash(Box<Hmac<Sha256>>),
    /// A fixed marker, for NULL too: nothing is said at all.
    Omit,
}

impl Redaction {
    /// The redaction of that name; a hash without a key hides the value instead.
    pub fn named(name: &[u8], key: Option<&[u8]>) -> Redaction {
        match (name, key) {
            (b"omit", _) => Redaction::Omit,
            (b"hash", Some(key)) => {
                Hmac::new_from_slice(key).map_or(Redaction::Mask, |keyed| Redaction::Hash(Box::new(keyed)))
            }
            _ => Redaction::Mask,
        }
    }

    /// Writes what stands for a value, `None` being NULL. `scratch` is overwritten.
    ///
    /// # Safety
    /// As [`value::write`].
    pub unsafe fn write(&self, writer: &mut Writer, scratch: &mut Writer, codec: &Codec, value: Option<Datum>) -> Kind {
        let value = match (self, value) {
            (Redaction::Omit, _) => return marker::word(writer, b"omitted"),
            (_, None) => return Kind::Null,
            (_, Some(value)) => value,
        };
        let Redaction::Hash(keyed) = self else { return marker::word(writer, b"masked") };
        // SAFETY: per the contract of this function.
        let digest = unsafe { hash(keyed, scratch, codec, value) };
        marker::wrap(writer, b"hash", |writer| {
            marker::hexadecimal(writer, &digest);
            Kind::String
        })
    }
}

/// The keyed hash of a value's JSON form.
///
/// # Safety
/// As [`value::write`].
pub unsafe fn hash(keyed: &Hmac<Sha256>, scratch: &mut Writer, codec: &Codec, value: Datum) -> [u8; 32] {
    scratch.begin();
    // SAFETY: per the contract of this function.
    let kind = unsafe { value::write(scratch, codec, value) };
    let mut keyed = keyed.clone();
    keyed.update(&(kind as u32).to_le_bytes());
    keyed.update(&scratch.written()[4..]);
    keyed.finalize().into_bytes().into()
}

/// The key in the file that `audit.hash_key_file` names, without a final line break.
pub fn key(path: &CStr) -> std::io::Result<Vec<u8>> {
    let mut key = std::fs::read(std::path::Path::new(&*path.to_string_lossy()))?;
    while matches!(key.last(), Some(b'\n' | b'\r')) {
        key.pop();
    }
    if key.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the key file is empty"));
    }
    Ok(key)
}

/// `audit_internal.hash_key_is_readable() returns boolean`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn hash_key_is_readable(_arguments: FunctionCallInfo) -> Datum {
    let readable = crate::settings::hash_key_file().is_some_and(|path| key(path).is_ok());
    Datum::from(readable)
}
