//! The text that the trail files a row under, from a key's values: as `encode::key` writes it at capture.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::call;
use crate::encode::codec::Codec;
use crate::encode::jsonb::Writer;
use crate::encode::key::{self, Keyed};
use crate::encode::pin;
use crate::encode::redact::{self, Redaction};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::settings;

entry_point!(audit_key_text, pg_finfo_audit_key_text, key_text);

/// A value of a key.
struct Part {
    codec: Codec,
    index: usize,
    redaction: Option<Redaction>,
}

impl Keyed for Part {
    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn index(&self) -> usize {
        self.index
    }

    fn redaction(&self) -> Option<&Redaction> {
        self.redaction.as_ref()
    }
}

/// Kept between calls, as an ERROR of PostgreSQL's frees nothing of Rust's.
static mut PARTS: Vec<Part> = Vec::new();
static mut TEXT: Vec<u8> = Vec::new();
static mut SCRATCH: Writer = Writer::new();

/// `key_text(hashed boolean[], VARIADIC key "any") returns text`.
///
/// # Safety
/// Called by PostgreSQL; `hashed` has an entry per value of the key.
unsafe fn key_text(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the values are of the types that the call's expression says; the statics are used by one thread
    // and not across calls.
    unsafe {
        let count = usize::try_from((*arguments).nargs).unwrap_or(1).saturating_sub(1);
        let arguments = Arguments::new(arguments);
        let hashed = arguments
            .datum(0)
            .and_then(|hashed| <Vec<Option<bool>> as pgrx::FromDatum>::from_datum(hashed, false))
            .unwrap_or_default();
        let parts = &mut *(&raw mut PARTS);
        parts.clear();
        for index in 0..count {
            let position = i32::try_from(index + 1).unwrap_or(0);
            let is_hashed = hashed.get(index).copied().flatten().unwrap_or(false);
            parts.push(Part {
                codec: Codec::of(arguments.type_of(position), pg_sys::CurrentMemoryContext),
                index,
                redaction: is_hashed.then(redaction),
            });
        }
        drop(hashed);
        let mut values = [Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
        let mut nulls = [true; pg_sys::INDEX_MAX_KEYS as usize];
        for index in 0..count.min(values.len()) {
            if let Some(value) = arguments.datum(index + 1) {
                (values[index], nulls[index]) = (value, false);
            }
        }
        let text = &mut *(&raw mut TEXT);
        pin::hold();
        key::write(text, &mut *(&raw mut SCRATCH), parts.iter(), &values, &nulls);
        pin::release();
        call::text_value(text)
    }
}

/// The hash of key columns, with the key that captures use. Not for readers, who could find out by guessing what is hidden
/// from them.
fn redaction() -> Redaction {
    // SAFETY: a catalog lookup inside a transaction.
    if !unsafe { pg_sys::superuser() } {
        Error::HashedKey.raise();
    }
    let key = settings::hash_key_file().and_then(|path| redact::key(path).ok());
    if key.is_none() {
        Error::BadArgument {
            problem: "the key of this table is hashed and the hash key cannot be read".into(),
            hint: "Set audit.hash_key_file to the file that was in use at capture.",
        }
        .raise()
    }
    Redaction::named(b"hash", key.as_deref())
}
