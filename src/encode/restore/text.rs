//! Values that stand as text.
//!
//! Input functions get no type modifier, so that nothing is rounded, padded or cut, and the base type in
//! place of a domain, whose constraints may be newer than the value. The settings are pinned by the caller.

use core::ffi::CStr;
use std::ffi::CString;

use pgrx::pg_sys::{self, Datum, Oid};

use super::{Problem, memory};

/// The value whose text this is, by the type's input function.
pub fn input(type_id: Oid, text: &[u8]) -> Result<Datum, Problem> {
    let text = CString::new(text).map_err(|_| Problem::Mismatch("a text with a zero byte".into()))?;
    let (mut function, mut parameter) = (Oid::INVALID, Oid::INVALID);
    // SAFETY: catalog lookups of an existing type, then its input function with a NUL-terminated text.
    unsafe {
        let written_as = written_as(pg_sys::getBaseType(type_id));
        pg_sys::getTypeInputInfo(written_as, &mut function, &mut parameter);
        Ok(pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), parameter, -1))
    }
}

/// The array whose own text this is, its elements read as type `element`.
pub fn array(element: Oid, text: &[u8]) -> Result<Datum, Problem> {
    let text = CString::new(text).map_err(|_| Problem::Mismatch("a text with a zero byte".into()))?;
    // SAFETY: array_in with a NUL-terminated text and the element's type.
    unsafe { Ok(pg_sys::OidInputFunctionCall(Oid::from(pg_sys::F_ARRAY_IN), text.as_ptr().cast_mut(), element, -1)) }
}

/// The type whose text the encoder writes, which is another one where a type's own text is ambiguous.
fn written_as(base: Oid) -> Oid {
    match base {
        pg_sys::REGPROCOID => pg_sys::REGPROCEDUREOID,
        pg_sys::REGOPEROID => pg_sys::REGOPERATOROID,
        _ => base,
    }
}

/// A name, cut where it would not fit.
pub fn name(text: &[u8]) -> Datum {
    let length = size_of::<pg_sys::NameData>();
    let mut bytes = text[..text.len().min(length - 1)].to_vec();
    bytes.resize(length, 0);
    memory::copy(&bytes)
}

/// A `"char"`: nothing for zero, `\ooo` for a byte that is no ASCII character, else the character.
pub fn char(text: &[u8]) -> Datum {
    let byte = match text {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            ((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0')
        }
        [byte, ..] => *byte,
        [] => 0,
    };
    // A "char" is a signed byte, and its datum keeps the sign (CharGetDatum).
    Datum::from(i8::from_ne_bytes([byte]))
}

/// Money from its text where lc_monetary is C.
pub fn money(text: &[u8]) -> Option<Datum> {
    let (negative, digits) = match text {
        [b'-', b'$', digits @ ..] => (true, digits),
        [b'$', digits @ ..] => (false, digits),
        _ => return None,
    };
    let mut value: i64 = 0;
    for byte in digits.iter().filter(|byte| !matches!(byte, b',' | b'.')) {
        let digit = i64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        // Counted down, because the least value has no positive counterpart.
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    Some(Datum::from(if negative { value } else { value.checked_neg()? }))
}

/// The bytes of lower-case hexadecimal digits.
pub fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The decimal text of a numeric.
pub fn number(numeric: &[u8]) -> Vec<u8> {
    let aligned = memory::copy(numeric);
    // SAFETY: numeric_out takes a numeric and returns a NUL-terminated text.
    unsafe {
        let text = pg_sys::OidOutputFunctionCall(Oid::from(pg_sys::F_NUMERIC_OUT), aligned);
        CStr::from_ptr(text).to_bytes().to_vec()
    }
}

/// A type's name, for messages.
pub fn type_name(type_id: Oid) -> String {
    // SAFETY: format_type_be returns a NUL-terminated text for every OID.
    unsafe { CStr::from_ptr(pg_sys::format_type_be(type_id)) }.to_string_lossy().into_owned()
}
