//! Reads one value by its codec: the inverse of [`super::super::value`].
//!
//! Every value is made by the input or receive function of its type, or in a way that cannot make another than they do:
//! text of a jsonb string, a boolean, a numeric of jsonb, bytes of hexadecimal digits.

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::codec::Codec;
use super::marker::{self, Marker};
use super::target::Target;
use super::{Problem, array, composite, document, memory, text};
use crate::jsonb::Item;

/// The datum that `item` describes, `None` for NULL.
pub fn nullable(codec: &Codec, target: &Target, item: Item<'_>) -> Result<Option<Datum>, Problem> {
    match item {
        Item::Null => Ok(None),
        item => read(codec, target, item).map(|value| Some(target.settled(value))),
    }
}

fn read(codec: &Codec, target: &Target, item: Item<'_>) -> Result<Datum, Problem> {
    match (marker::read(&item)?, codec) {
        // Of an opaque type itself there is no other way to read it than one that refuses.
        (_, Codec::Opaque(_)) => target.read(&[]),
        (None, _) => plain(codec, target, item),
        (Some(Marker::Json(inner)), Codec::Json) => Ok(document::text(inner)),
        (Some(Marker::Json(inner)), Codec::Jsonb) => Ok(document::binary(inner)),
        (Some(Marker::Text(text)), Codec::Json) => target.read(text),
        // Not of a vector, which never has a bitmap.
        (Some(Marker::Bitmap(inner)), Codec::Array(_)) if !target.is_vector() => {
            plain(codec, target, inner).map(array::with_bitmap)
        }
        (Some(Marker::Row(Item::Object(object))), Codec::Composite(composite)) => {
            composite::read(composite, target, object)
        }
        (Some(Marker::Bytes(digits)), Codec::Float4 | Codec::Float8 | Codec::Interval(_) | Codec::Query { .. }) => {
            received(target, digits)
        }
        (Some(_), _) => Err(mismatch(&item, target)),
    }
}

fn plain(codec: &Codec, target: &Target, item: Item<'_>) -> Result<Datum, Problem> {
    match (codec, item) {
        (Codec::Json, item) => Ok(document::text(item)),
        (Codec::Jsonb, item) => Ok(document::binary(item)),
        (Codec::Array(array), Item::Array(elements)) if !target.is_vector() => {
            array::from_elements(array, target, elements)
        }
        (Codec::Array(array), Item::String(text)) => array::from_text(array, target, text),
        (Codec::Composite(composite), Item::Object(object)) => composite::read(composite, target, object),
        (Codec::Bool, Item::Bool(value)) => Ok(Datum::from(value)),
        (Codec::Numeric, Item::Number(number)) => Ok(memory::copy(number)),
        // A row has the value that was there, or an error; what a person types is read as the type reads it.
        (Codec::Name, Item::String(text)) if !target.is_for_key() => {
            text::name(text).ok_or_else(|| mismatch(&item, target))
        }
        (Codec::Char, Item::String(text)) if !target.is_for_key() => {
            text::char(text).ok_or_else(|| mismatch(&item, target))
        }
        (Codec::Bytea, Item::String(text)) => match text.strip_prefix(b"\\x").and_then(text::hexadecimal) {
            Some(bytes) => Ok(memory::varlena(&bytes)),
            None => target.read(text),
        },
        // A column may have had another type when the image was made: its text is what both agree on.
        (Codec::Text, item) if target.base != pg_sys::XMLOID => Ok(memory::varlena(&scalar_text(item, target)?)),
        (_, item) => target.read(&scalar_text(item, target)?),
    }
}

fn scalar_text(item: Item<'_>, target: &Target) -> Result<Vec<u8>, Problem> {
    match item {
        Item::String(text) => Ok(text.to_vec()),
        Item::Number(number) => Ok(text::number(number)),
        Item::Bool(value) => Ok(if value { b"true".to_vec() } else { b"false".to_vec() }),
        item => Err(mismatch(&item, target)),
    }
}

/// A value given by the bytes of its type's send function, in hexadecimal.
fn received(target: &Target, digits: &[u8]) -> Result<Datum, Problem> {
    let bad = || Problem::Mismatch(format!("bytes that are no value of type {}", text::type_name(target.base)));
    let bytes = text::hexadecimal(digits).ok_or_else(bad)?;
    let (mut function, mut parameter) = (Oid::INVALID, Oid::INVALID);
    // SAFETY: a receive function reads from a buffer of its caller, whose bytes end with a zero that is not counted.
    unsafe {
        pg_sys::getTypeBinaryInputInfo(target.base, &mut function, &mut parameter);
        let length = i32::try_from(bytes.len()).map_err(|_| bad())?;
        let mut buffer = pg_sys::StringInfoData::default();
        pg_sys::initStringInfo(&mut buffer);
        pg_sys::appendBinaryStringInfo(&mut buffer, bytes.as_ptr().cast(), length);
        let value = pg_sys::OidReceiveFunctionCall(function, &mut buffer, parameter, -1);
        if buffer.cursor == buffer.len { Ok(value) } else { Err(bad()) }
    }
}

/// That a value of this kind describes no value of the type.
pub fn mismatch(item: &Item<'_>, target: &Target) -> Problem {
    Problem::Mismatch(format!("{} that is no value of type {}", item.kind(), text::type_name(target.base)))
}
