//! Values that stand as text.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::pin;
use super::{Problem, memory};

/// The value whose text this is, by an input function. The settings that are pinned for it stay pinned, whatever code
/// it runs.
///
/// # Safety
/// The function must be an input function and `parameter` what it takes beside the text.
pub unsafe fn input(
    function: *mut pg_sys::FmgrInfo,
    parameter: Oid,
    modifier: i32,
    text: &[u8],
) -> Result<Datum, Problem> {
    if text.contains(&0) {
        return Err(Problem::Mismatch("a text with a zero byte".into()));
    }
    let text = memory::concatenated(text, &[0]);
    let is_pinned = pin::is_held();
    // SAFETY: per the contract; a subtransaction inside, as of a constraint's function, releases what is pinned.
    unsafe {
        let value = pg_sys::InputFunctionCall(function, text.cast_mut_ptr(), parameter, modifier);
        if is_pinned {
            pin::hold();
        }
        Ok(value)
    }
}

/// The text of a value, by its type's output function.
///
/// # Safety
/// The value must be of the function's type.
pub unsafe fn output<'a>(function: Oid, value: Datum) -> &'a [u8] {
    // SAFETY: per the contract; the text is NUL-terminated and lives in the current memory context.
    unsafe { CStr::from_ptr(pg_sys::OidOutputFunctionCall(function, value)).to_bytes() }
}

/// A name, none where the text is longer than a name can be.
pub fn name(text: &[u8]) -> Option<Datum> {
    let mut bytes = text.to_vec();
    bytes.resize(size_of::<pg_sys::NameData>(), 0);
    (text.len() < bytes.len()).then(|| memory::copy(&bytes))
}

/// A `"char"`: nothing for zero, `\ooo` for a byte that is no ASCII character, else the character.
pub fn char(text: &[u8]) -> Option<Datum> {
    let byte = match text {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            ((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0')
        }
        [byte] => *byte,
        [] => 0,
        _ => return None,
    };
    // A "char" is a signed byte, and its datum keeps the sign (CharGetDatum).
    Some(Datum::from(i8::from_ne_bytes([byte])))
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
    // SAFETY: numeric_out takes a numeric.
    unsafe { output(Oid::from(pg_sys::F_NUMERIC_OUT), aligned) }.to_vec()
}

/// A type's name, for messages.
pub fn type_name(type_id: Oid) -> String {
    // SAFETY: format_type_be returns a NUL-terminated text for every OID.
    unsafe { CStr::from_ptr(pg_sys::format_type_be(type_id)) }.to_string_lossy().into_owned()
}

/// A type's name with what its modifier says, for messages.
pub fn type_name_with(type_id: Oid, modifier: i32) -> String {
    // SAFETY: as above, for every modifier.
    unsafe { CStr::from_ptr(pg_sys::format_type_with_typemod(type_id, modifier)) }.to_string_lossy().into_owned()
}
