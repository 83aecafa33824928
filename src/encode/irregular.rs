//! Built-in types whose own text does not always read back as the same bytes.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, FmgrInfo};

use super::jsonb::{Kind, Writer};
use super::marker;
use super::value::packed;
use crate::pg::{raw, version};

/// A `"char"` as charout prints it since 16: nothing for zero, `\ooo` for what is no ASCII character.
pub fn char(writer: &mut Writer, byte: u8) {
    match byte {
        0 => {}
        0x80.. => writer.push(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        _ => writer.push(&[byte]),
    }
}

/// interval_in refuses what interval_out prints for the least number of microseconds.
///
/// # Safety
/// As [`super::value::write`].
pub unsafe fn interval(writer: &mut Writer, function: *mut FmgrInfo, value: Datum) -> Kind {
    // SAFETY: the datum is an interval.
    unsafe {
        let text = CStr::from_ptr(raw::OutputFunctionCall(function, value));
        let interval = &*value.cast_mut_ptr::<pg_sys::Interval>();
        if interval.time != i64::MIN || version::is_infinite(interval) {
            writer.push(text.to_bytes());
            return Kind::String;
        }
        let bytes = core::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), size_of::<pg_sys::Interval>());
        marker::stored(writer, text.to_bytes(), bytes)
    }
}

/// `a & (b & c)` prints without parentheses, and operators lay operands out in another order than the parser:
/// where the text would read back as other bytes, they stand beside it.
///
/// # Safety
/// As [`super::value::write`].
pub unsafe fn query(writer: &mut Writer, output: *mut FmgrInfo, input: *mut FmgrInfo, value: Datum) -> Kind {
    // SAFETY: a tsquery prints as text that its input function reads; an empty one would raise a NOTICE.
    unsafe {
        let text = raw::OutputFunctionCall(output, value);
        let bytes = packed(value);
        let written = CStr::from_ptr(text).to_bytes();
        if written.is_empty() || packed(raw::InputFunctionCall(input, text, pg_sys::InvalidOid, -1)) == bytes {
            writer.push(written);
            return Kind::String;
        }
        marker::stored(writer, written, bytes)
    }
}
