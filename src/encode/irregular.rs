//! Built-in types whose own text does not always read back as the same bytes. Beside such a text stand the bytes of the
//! type's send function, from which its receive function makes the value again.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, FmgrInfo};

use super::marker;
use crate::jsonb::{Kind, Writer};
use crate::pg::{raw, version};

/// A `"char"` as charout prints it since 16: nothing for zero, `\ooo` for what is no ASCII character.
pub fn char(writer: &mut Writer, byte: u8) {
    match byte {
        0 => {}
        0x80.. => writer.push(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        _ => writer.push(&[byte]),
    }
}

/// interval_in refuses what interval_out prints for the least number of microseconds. The order of the fields is that
/// of interval_send.
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
        let mut bytes = [0_u8; 16];
        bytes[..8].copy_from_slice(&interval.time.to_be_bytes());
        bytes[8..12].copy_from_slice(&interval.day.to_be_bytes());
        bytes[12..].copy_from_slice(&interval.month.to_be_bytes());
        marker::sent(writer, text.to_bytes(), &bytes)
    }
}
