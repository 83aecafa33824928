//! The text that the trail files a row under: its key's value, or a JSON array of them.

use pgrx::pg_sys::{self, Datum};

use super::codec::Codec;
use super::redact::{Redaction, hash};
use super::value;
use crate::jsonb::{Kind, Writer};
use crate::pg::raw;

/// A column that has a text: what [`write`] and [`text`] need of it.
pub trait Keyed {
    fn codec(&self) -> &Codec;
    fn index(&self) -> usize;
    fn redaction(&self) -> Option<&Redaction>;
}

/// Writes the key's text to `out`; empty where there is no key.
///
/// # Safety
/// The values must be those of the columns, none of them NULL unless `nulls` says so.
pub unsafe fn write<'a, Column: Keyed + 'a>(
    out: &mut Vec<u8>,
    scratch: &mut Writer,
    columns: impl ExactSizeIterator<Item = &'a Column>,
    values: &[Datum],
    nulls: &[bool],
) {
    out.clear();
    let count = columns.len();
    for (position, column) in columns.enumerate() {
        if count > 1 {
            out.extend_from_slice(if position == 0 { b"[" } else { b", " });
        }
        if nulls[column.index()] {
            out.extend_from_slice(b"null");
            continue;
        }
        // SAFETY: per the contract.
        unsafe { append(out, scratch, column, values[column.index()], count > 1) };
    }
    if count > 1 {
        out.push(b']');
    }
}

/// Appends the text of one value, which is not NULL.
///
/// # Safety
/// The value must be of the column's type.
pub unsafe fn text<Column: Keyed>(out: &mut Vec<u8>, scratch: &mut Writer, column: &Column, value: Datum) {
    // SAFETY: per the contract.
    unsafe { append(out, scratch, column, value, false) }
}

/// # Safety
/// As [`text`].
unsafe fn append<Column: Keyed>(
    out: &mut Vec<u8>,
    scratch: &mut Writer,
    column: &Column,
    value: Datum,
    in_array: bool,
) {
    // SAFETY: per the contract.
    unsafe {
        match column.redaction() {
            Some(Redaction::Hash(keyed)) => {
                let digest = hash(keyed, scratch, column.codec(), value);
                scratch.begin();
                super::marker::hexadecimal(scratch, &digest);
                return string(out, &scratch.written()[4..], in_array);
            }
            Some(_) => return string(out, b"masked", in_array),
            None => {}
        }
        match column.codec() {
            Codec::Int2 => integer(out, i64::from(value.value() as i16)),
            Codec::Int4 => integer(out, i64::from(value.value() as i32)),
            Codec::Int8 => integer(out, value.value() as i64),
            codec => {
                scratch.begin();
                let kind = value::write(scratch, codec, value);
                match kind {
                    Kind::String => string(out, &scratch.written()[4..], in_array),
                    Kind::True => out.extend_from_slice(b"true"),
                    Kind::False => out.extend_from_slice(b"false"),
                    Kind::Null => out.extend_from_slice(b"null"),
                    Kind::Number => number(out, &scratch.written()[4..]),
                    Kind::Container => container(out, scratch.finish()),
                }
            }
        }
    }
}

fn integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// # Safety
/// `numeric` must be a whole numeric varlena, aligned to four bytes.
unsafe fn number(out: &mut Vec<u8>, numeric: &[u8]) {
    // SAFETY: numeric_out takes a numeric and returns a NUL-terminated text.
    unsafe {
        let text =
            raw::DirectFunctionCall1Coll(Some(raw::numeric_out), pg_sys::InvalidOid, Datum::from(numeric.as_ptr()));
        out.extend_from_slice(core::ffi::CStr::from_ptr(text.cast_mut_ptr()).to_bytes());
    }
}

/// # Safety
/// `jsonb` must be a whole jsonb varlena.
unsafe fn container(out: &mut Vec<u8>, jsonb: &[u8]) {
    // SAFETY: JsonbToCString reads the container after the varlena header.
    unsafe {
        let length = i32::try_from(jsonb.len()).unwrap_or(0);
        let text = raw::JsonbToCString(core::ptr::null_mut(), jsonb.as_ptr().add(4).cast_mut().cast(), length);
        out.extend_from_slice(core::ffi::CStr::from_ptr(text).to_bytes());
    }
}

/// A string as it is, or quoted as JSON where it stands in an array.
fn string(out: &mut Vec<u8>, text: &[u8], in_array: bool) {
    if !in_array {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..0x20 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}
