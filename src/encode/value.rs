//! Writes one value by its codec. The hot path: raw calls only, nothing with a destructor.

use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::{varatt_is_1b, varatt_is_1b_e, vardata_any, varsize_any_exhdr};

use super::codec::{Codec, CompositeCodec};
use super::digits::HEXADECIMAL;
use super::{array, foreign, irregular, json, marker, network, number, pin, query, time};
use crate::jsonb::{Kind, Writer};
use crate::pg::raw;

/// Writes `value`, which is not NULL, and returns the type bits of its entry.
///
/// # Safety
/// `value` must be of the codec's type. Allocates in the current memory context, may raise an ERROR by
/// longjmp (out of memory, cancelled), never because of the value.
pub unsafe fn write(writer: &mut Writer, codec: &Codec, value: Datum) -> Kind {
    // One match: taken apart into functions it costs one in a hundred instructions of a row.
    // SAFETY: the codec says how the datum is passed.
    unsafe {
        match codec {
            Codec::Bool => return Kind::of(value.value() as u8 != 0),
            Codec::Int2 => return integer(writer, i64::from(value.value() as i16)),
            Codec::Int4 => return integer(writer, i64::from(value.value() as i32)),
            Codec::Int8 => return integer(writer, value.value() as i64),
            Codec::Float4 => return float4(writer, f32::from_bits(value.value() as u32)),
            Codec::Float8 => return float8(writer, f64::from_bits(value.value() as u64)),
            Codec::Numeric => return numeric(writer, packed(value)),
            Codec::Text => writer.push(packed(value)),
            Codec::Name => writer.push(core::ffi::CStr::from_ptr(value.cast_mut_ptr()).to_bytes()),
            Codec::Char => irregular::char(writer, value.value() as u8),
            Codec::Uuid => uuid(writer, core::slice::from_raw_parts(value.cast_mut_ptr(), 16)),
            Codec::Bytea => {
                writer.push(b"\\x");
                marker::hexadecimal(writer, packed(value));
            }
            Codec::Date => time::date(writer, value.value() as i32),
            Codec::Time => time::time(writer, value.value() as i64),
            Codec::TimeTz => {
                let value = value.cast_mut_ptr::<pg_sys::TimeTzADT>();
                time::time(writer, (*value).time);
                time::zone(writer, (*value).zone);
            }
            Codec::Timestamp => time::timestamp(writer, value.value() as i64, b""),
            Codec::TimestampTz => time::timestamp(writer, value.value() as i64, b"+00:00"),
            Codec::Money => money(writer, value.value() as i64),
            Codec::Interval(function) => return irregular::interval(writer, *function, value),
            Codec::Query { output, input } => return query::write(writer, *output, *input, value),
            Codec::Address { output: function, is_network } => {
                if !network::ipv4(writer, packed(value), *is_network) {
                    output(writer, *function, value);
                }
            }
            Codec::Json => return json::text(writer, packed(value)),
            Codec::Jsonb => return json::binary(writer, packed(value)),
            Codec::Array(codec) => return array::write(writer, codec, value),
            Codec::Composite(codec) => return composite(writer, codec, value),
            Codec::Output(function) => output(writer, *function, value),
            Codec::Named(function) => pin::with_names(|| output(writer, *function, value)),
            Codec::Foreign(function) => return foreign::output(writer, *function, value),
            Codec::Opaque(codec) => return write(writer, codec, value),
        }
    }
    Kind::String
}

/// The bytes of a varlena without its header, decompressed and fetched where it has to be.
///
/// # Safety
/// `value` must be a varlena. The bytes live as long as the tuple or the current memory context.
#[inline]
pub unsafe fn packed<'a>(value: Datum) -> &'a [u8] {
    // SAFETY: per the contract of this function.
    unsafe {
        let mut value = value.cast_mut_ptr::<pg_sys::varlena>();
        if !is_short(value) {
            value = raw::pg_detoast_datum_packed(value);
        }
        core::slice::from_raw_parts(vardata_any(value).cast(), varsize_any_exhdr(value))
    }
}

/// Whether a varlena has a one-byte header and follows it, which is what most values are.
///
/// # Safety
/// `value` must be a varlena.
#[inline]
pub unsafe fn is_short(value: *const pg_sys::varlena) -> bool {
    // SAFETY: per the contract; these read the first byte.
    unsafe { varatt_is_1b(value) && !varatt_is_1b_e(value) }
}

fn integer(writer: &mut Writer, value: i64) -> Kind {
    number::integer(writer, value);
    Kind::Number
}

fn float8(writer: &mut Writer, value: f64) -> Kind {
    if value.is_nan() && value.to_bits() != f64::NAN.to_bits() {
        return marker::sent(writer, b"NaN", &value.to_bits().to_be_bytes());
    }
    let mut text = [0_u8; 32];
    // SAFETY: the buffer is larger than DOUBLE_SHORTEST_DECIMAL_LEN (25).
    let length = unsafe { raw::double_to_shortest_decimal_buf(value, text.as_mut_ptr().cast()) };
    float(writer, value.is_finite() && !(value == 0.0 && value.is_sign_negative()), &text, length)
}

fn float4(writer: &mut Writer, value: f32) -> Kind {
    if value.is_nan() && value.to_bits() != f32::NAN.to_bits() {
        return marker::sent(writer, b"NaN", &value.to_bits().to_be_bytes());
    }
    let mut text = [0_u8; 32];
    // SAFETY: the buffer is larger than FLOAT_SHORTEST_DECIMAL_LEN (16).
    let length = unsafe { raw::float_to_shortest_decimal_buf(value, text.as_mut_ptr().cast()) };
    float(writer, value.is_finite() && !(value == 0.0 && value.is_sign_negative()), &text, length)
}

fn float(writer: &mut Writer, plain: bool, text: &[u8; 32], length: i32) -> Kind {
    let text = &text[..usize::try_from(length).unwrap_or(0)];
    if plain {
        number::decimal(writer, text);
        return Kind::Number;
    }
    writer.push(text);
    Kind::String
}

fn numeric(writer: &mut Writer, payload: &[u8]) -> Kind {
    if number::is_special(payload) {
        writer.push(number::special_text(payload));
        return Kind::String;
    }
    number::numeric(writer, payload);
    Kind::Number
}

fn uuid(writer: &mut Writer, bytes: &[u8]) {
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut position = 0;
    for byte in bytes {
        text[position..position + 2].copy_from_slice(&HEXADECIMAL[usize::from(*byte)]);
        position += if let 6 | 11 | 16 | 21 = position { 3 } else { 2 };
    }
    writer.push(&text);
}

/// Money as cash_out prints it where lc_monetary is C, so that the setting does not show in the trail.
fn money(writer: &mut Writer, value: i64) {
    let mut text = [0_u8; 32];
    let mut start = text.len();
    let mut rest = value.unsigned_abs();
    let mut places = 0;
    while rest != 0 || places < 3 {
        start -= 1;
        text[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        places += 1;
        if places == 2 {
            start -= 1;
            text[start] = b'.';
        } else if places > 2 && (places - 2) % 3 == 0 && rest != 0 {
            start -= 1;
            text[start] = b',';
        }
    }
    writer.push(if value < 0 { b"-$" } else { b"$" });
    writer.push(&text[start..]);
}

/// # Safety
/// As [`write`].
unsafe fn output(writer: &mut Writer, function: *mut pg_sys::FmgrInfo, value: Datum) {
    // SAFETY: output functions return a NUL-terminated string in the current memory context.
    unsafe { writer.push(core::ffi::CStr::from_ptr(raw::OutputFunctionCall(function, value)).to_bytes()) }
}

/// # Safety
/// As [`write`].
unsafe fn composite(writer: &mut Writer, codec: &CompositeCodec, value: Datum) -> Kind {
    // SAFETY: per the contract.
    unsafe {
        if codec.marked {
            return marker::wrap(writer, b"row", |writer| attributes(writer, codec, value));
        }
        attributes(writer, codec, value)
    }
}

/// # Safety
/// As [`write`].
unsafe fn attributes(writer: &mut Writer, codec: &CompositeCodec, value: Datum) -> Kind {
    // SAFETY: the datum is a row of the codec's type; the arrays have an entry per attribute.
    unsafe {
        raw::check_stack_depth();
        let header = raw::pg_detoast_datum(value.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let mut tuple = pg_sys::HeapTupleData {
            t_len: u32::try_from(pgrx::varlena::varsize(header.cast())).unwrap_or(0),
            t_data: header,
            ..Default::default()
        };
        let count = usize::try_from((*codec.descriptor).natts).unwrap_or(0);
        let values = raw::palloc(count * size_of::<Datum>()).cast::<Datum>();
        let nulls = raw::palloc(count).cast::<bool>();
        raw::heap_deform_tuple(&mut tuple, codec.descriptor, values, nulls);

        let mut container = writer.object(codec.fields.len());
        for (_, name, _) in &codec.fields {
            writer.key(&mut container, name);
        }
        for (index, _, field) in &codec.fields {
            let kind = if *nulls.add(*index) { Kind::Null } else { write(writer, field, *values.add(*index)) };
            writer.close(&mut container, kind);
        }
    }
    Kind::Container
}
