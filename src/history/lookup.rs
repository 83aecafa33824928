//! A key as the trail writes it, from the text that a user types: ` 7` or `007` is 7 for an integer.
//!
//! The table may belong to another role than the caller, which may be a superuser, so nothing of it is executed: the
//! key's types are read by [`crate::encode::restore::key`].
//!
//! It reads the settings of the table and the hash key past permissions. Nothing of them is shown: a hash is computed
//! of a value that the caller may read in the table itself, and others pass the digest.

use core::ffi::CStr;

use pgrx::PgTryBuilder;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::keys;
use crate::encode::codec::Codec;
use crate::encode::key::{self, Keyed};
use crate::encode::pin;
use crate::encode::redact::{self, Redaction};
use crate::encode::restore::key::KeyType;
use crate::error::Error;
use crate::jsonb::{Item, Writer};
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::{datum, error};
use crate::settings;
use crate::store::enabled;

entry_point!(audit_key_of, pg_finfo_audit_key_of, key_of);

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
static PARTS: Local<Vec<Part>> = Local::new(Vec::new());
static TEXT: Local<Vec<u8>> = Local::new(Vec::new());
static SCRATCH: Local<Writer> = Local::new(Writer::new());

const MOST: usize = pg_sys::INDEX_MAX_KEYS as usize;

/// `key_of(target regclass, entity_id text) returns text`.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn key_of(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: these are the arguments of the current call; the buffers are used in this call alone.
    unsafe {
        let arguments = Arguments::new(arguments);
        let (Some(target), Some(entity_id)) = (arguments.oid(0), arguments.bytes(1)) else { return arguments.null() };
        let mut values = [Datum::null(); MOST];
        let mut nulls = [true; MOST];
        let parts = PARTS.in_place();
        parts.clear();
        read(target, entity_id, parts, &mut values, &mut nulls);
        let text = TEXT.in_place();
        pin::hold();
        key::write(text, SCRATCH.in_place(), parts.iter(), &values, &nulls);
        pin::release();
        datum::text(text)
    }
}

/// Reads the values of a key from the text that it is known by.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn read(target: Oid, entity_id: &[u8], parts: &mut Vec<Part>, values: &mut [Datum], nulls: &mut [bool]) {
    // A partition is filed under the table that was enabled, and so is its key.
    // SAFETY: per the contract.
    let (enabled, columns) = unsafe {
        let enabled = enabled::above(target);
        (enabled, keys::columns(enabled))
    };
    if columns.is_empty() {
        Error::NoKey { table: name_of(target) }.raise();
    }
    // SAFETY: per the contract.
    let context = unsafe { pg_sys::CurrentMemoryContext };
    let types: Vec<KeyType> = columns
        .iter()
        .map(|column| {
            KeyType::of(column.declared, column.modifier, context)
                .unwrap_or_else(|| Error::KeyRunsCode { table: name_of(target), type_name: column.type_name() }.raise())
        })
        .collect();

    let read = || {
        let document;
        let items = match &types[..] {
            [only] if !(only.is_document() && is_document(entity_id)) => vec![Item::String(entity_id)],
            [_] => {
                document = parsed(entity_id);
                vec![Item::of(document)]
            }
            _ => {
                document = parsed(entity_id);
                match Item::of(document) {
                    Item::Array(container) if container.len() == columns.len() => container.items(),
                    _ => return Err(format!("the key of {} has {} columns", name_of(target), columns.len())),
                }
            }
        };
        let mut found = Vec::with_capacity(columns.len());
        for ((column, key_type), item) in columns.iter().zip(&types).zip(items) {
            let is_digest = column.is_hashed && is_digest(&item);
            let value = if is_digest { Some(digest_text(&item)) } else { key_type.read(item)? };
            found.push((value, is_digest));
        }
        Ok(found)
    };
    // An input function raises what it likes, after which the transaction is to end anyway: its message becomes part of
    // ours.
    let result = PgTryBuilder::new(core::panic::AssertUnwindSafe(read))
        .catch_others(|error| if is_about_value(&error) { Err(error::message(&error)) } else { error.rethrow() })
        .execute();
    let found = result.unwrap_or_else(|problem| {
        Error::NotAKey {
            entity_id: String::from_utf8_lossy(entity_id).into_owned(),
            table: name_of(target),
            problem,
            hint: keys::hint(&columns),
        }
        .raise()
    });

    for (index, ((column, key_type), (value, is_digest))) in columns.iter().zip(types).zip(found).enumerate() {
        nulls[index] = value.is_none();
        values[index] = value.unwrap_or(Datum::null());
        let is_computed = column.is_hashed && !is_digest;
        // SAFETY: per the contract.
        if is_computed && unsafe { !keys::may_read(enabled, column.number) } {
            Error::HashedKey { table: name_of(target) }.raise();
        }
        parts.push(Part {
            codec: if is_digest { Codec::Text } else { key_type.codec },
            index,
            redaction: is_computed.then(redaction),
        });
    }
}

/// Whether a text looks like the JSON of an array or object, and not like an array's or composite's own text.
fn is_document(text: &[u8]) -> bool {
    match text.trim_ascii_start() {
        [b'[', ..] => true,
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start(), [b'"' | b'}', ..]),
        _ => false,
    }
}

/// The jsonb of a text, without its header.
fn parsed(text: &[u8]) -> &'static [u8] {
    // SAFETY: jsonb_in takes a NUL-terminated text, which an argument of type text can be made to be, and returns a
    // plain varlena in the current memory context, which outlives the call.
    unsafe {
        let text = pg_sys::pnstrdup(text.as_ptr().cast(), text.len());
        let value = pg_sys::OidInputFunctionCall(Oid::from(pg_sys::F_JSONB_IN), text, Oid::INVALID, -1);
        crate::pg::scan::payload(value)
    }
}

/// Whether it is the digest that stands in the trail for a hashed value.
fn is_digest(item: &Item<'_>) -> bool {
    matches!(item, Item::String(text) if text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn digest_text(item: &Item<'_>) -> Datum {
    let Item::String(text) = item else { return datum::text(b"") };
    datum::text(text)
}

/// Whether an error says something about a value: data exceptions, violated constraints, names that do not exist.
fn is_about_value(error: &pgrx::pg_sys::panic::CaughtError) -> bool {
    use pgrx::PgSqlErrorCode::*;
    const CATEGORY: isize = 0xFFF;
    [ERRCODE_DATA_EXCEPTION, ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION, ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION]
        .into_iter()
        .any(|category| error::code(error) as isize & CATEGORY == category as isize)
}

fn name_of(table: Oid) -> String {
    // SAFETY: regclassout returns a NUL-terminated text for every OID.
    unsafe { CStr::from_ptr(pg_sys::OidOutputFunctionCall(Oid::from(pg_sys::F_REGCLASSOUT), Datum::from(table))) }
        .to_string_lossy()
        .into_owned()
}

/// The hash of key columns, with the key that captures use.
fn redaction() -> Redaction {
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
