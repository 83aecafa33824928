//! Reads one value by its codec: the inverse of [`super::super::value`].

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::codec::Codec;
use super::marker::{self, Marker};
use super::reader::Item;
use super::{Problem, array, composite, document, memory, text};

/// The datum of type `type_id` that `item` describes, `None` for NULL.
pub fn nullable(codec: &Codec, type_id: Oid, item: Item<'_>) -> Result<Option<Datum>, Problem> {
    match item {
        Item::Null => Ok(None),
        item => read(codec, type_id, item).map(Some),
    }
}

fn read(codec: &Codec, type_id: Oid, item: Item<'_>) -> Result<Datum, Problem> {
    match (marker::read(&item)?, codec) {
        (None, _) => plain(codec, type_id, item),
        (Some(Marker::Json(inner)), Codec::Json) => Ok(document::text(inner)),
        (Some(Marker::Json(inner)), Codec::Jsonb) => Ok(document::binary(inner)),
        (Some(Marker::Text(text)), Codec::Json) => Ok(memory::varlena(text)),
        (Some(Marker::Bitmap(inner)), Codec::Array(_)) => read(codec, type_id, inner).map(array::with_bitmap),
        (Some(Marker::Row(Item::Object(object))), Codec::Composite(composite)) => composite::read(composite, object),
        (Some(Marker::Bytes(digits)), _) => stored(codec, type_id, digits),
        (Some(_), _) => Err(mismatch(&item, type_id)),
    }
}

fn plain(codec: &Codec, type_id: Oid, item: Item<'_>) -> Result<Datum, Problem> {
    match (codec, item) {
        (Codec::Json, item) => Ok(document::text(item)),
        (Codec::Jsonb, item) => Ok(document::binary(item)),
        (Codec::Array(array), Item::Array(elements)) => array::from_elements(array, elements),
        (Codec::Array(array), Item::String(text)) => array::from_text(array, type_id, text),
        (Codec::Composite(composite), Item::Object(object)) => composite::read(composite, object),
        (Codec::Bool, Item::Bool(value)) => Ok(Datum::from(value)),
        (Codec::Numeric, Item::Number(number)) => Ok(memory::copy(number)),
        (Codec::Name, Item::String(text)) => Ok(text::name(text)),
        (Codec::Char, Item::String(text)) => Ok(text::char(text)),
        (Codec::Money, Item::String(text)) => text::money(text).ok_or_else(|| mismatch(&item, type_id)),
        (Codec::Bytea, Item::String(text)) => {
            let digits = text.strip_prefix(b"\\x").ok_or_else(|| mismatch(&item, type_id))?;
            Ok(memory::varlena(&text::hexadecimal(digits).ok_or_else(|| mismatch(&item, type_id))?))
        }
        // A column may have had another type when the image was made: its text is what both agree on.
        (Codec::Text, item) => Ok(memory::varlena(&scalar_text(item, type_id)?)),
        (_, item) => text::input(type_id, &scalar_text(item, type_id)?),
    }
}

fn scalar_text(item: Item<'_>, type_id: Oid) -> Result<Vec<u8>, Problem> {
    match item {
        Item::String(text) => Ok(text.to_vec()),
        Item::Number(number) => Ok(text::number(number)),
        Item::Bool(value) => Ok(if value { b"true".to_vec() } else { b"false".to_vec() }),
        item => Err(mismatch(&item, type_id)),
    }
}

/// A value given by its stored bytes; floats stand with the sign first.
fn stored(codec: &Codec, type_id: Oid, digits: &[u8]) -> Result<Datum, Problem> {
    let bad = || Problem::Mismatch(format!("stored bytes that are no value of type {}", text::type_name(type_id)));
    let bytes = text::hexadecimal(digits).ok_or_else(bad)?;
    match codec {
        Codec::Float4 => Ok(Datum::from(u32::from_be_bytes(bytes.try_into().map_err(|_| bad())?))),
        Codec::Float8 => Ok(Datum::from(u64::from_be_bytes(bytes.try_into().map_err(|_| bad())?))),
        Codec::Interval(_) if bytes.len() == size_of::<pg_sys::Interval>() => Ok(memory::copy(&bytes)),
        Codec::Query { .. } => Ok(memory::varlena(&bytes)),
        _ => Err(bad()),
    }
}

/// That a value of this kind describes no value of the type.
pub fn mismatch(item: &Item<'_>, type_id: Oid) -> Problem {
    Problem::Mismatch(format!("{} that is no value of type {}", item.kind(), text::type_name(type_id)))
}
