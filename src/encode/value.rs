//! Writes one value by its codec. The hot path: raw calls only, nothing with a destructor.

use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::{varatt_is_1b, varatt_is_1b_e, vardata_any, varsize_any, varsize_any_exhdr};

use super::codec::{ArrayCodec, Codec, CompositeCodec};
use super::digits::HEXADECIMAL;
use super::jsonb::{Kind, Writer};
use super::{foreign, irregular, json, marker, network, number, pin, time};
use crate::pg::raw;

/// Writes `value`, which is not NULL, and returns the type bits of its entry.
///
/// # Safety
/// `value` must be of the codec's type. Allocates in the current memory context, may raise an ERROR by
/// longjmp (out of memory, cancelled), never because of the value.
pub unsafe fn write(writer: &mut Writer, codec: &Codec, value: Datum) -> Kind {
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
            Codec::Query { output, input } => return irregular::query(writer, *output, *input, value),
            Codec::Address { output: function, is_network } => {
                if !network::ipv4(writer, packed(value), *is_network) {
                    output(writer, *function, value);
                }
            }
            Codec::Json => return json::text(writer, packed(value)),
            Codec::Jsonb => return json::binary(writer, packed(value)),
            Codec::Array(codec) => return array(writer, codec, value),
            Codec::Composite(codec) => return composite(writer, codec, value),
            Codec::Output(function) => output(writer, *function, value),
            Codec::Named(function) => pin::with_names(|| output(writer, *function, value)),
            Codec::Foreign(function) => return foreign::output(writer, *function, value),
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
        return marker::stored(writer, b"NaN", &value.to_bits().to_be_bytes());
    }
    let mut text = [0_u8; 32];
    // SAFETY: the buffer is larger than DOUBLE_SHORTEST_DECIMAL_LEN (25).
    let length = unsafe { raw::double_to_shortest_decimal_buf(value, text.as_mut_ptr().cast()) };
    float(writer, value.is_finite() && !(value == 0.0 && value.is_sign_negative()), &text, length)
}

fn float4(writer: &mut Writer, value: f32) -> Kind {
    if value.is_nan() && value.to_bits() != f32::NAN.to_bits() {
        return marker::stored(writer, b"NaN", &value.to_bits().to_be_bytes());
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
unsafe fn array(writer: &mut Writer, codec: &ArrayCodec, value: Datum) -> Kind {
    // SAFETY: the datum is an array of the codec's element type; the arrays that deconstruct_array makes
    // hold `count` entries.
    unsafe {
        let array = raw::pg_detoast_datum(value.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let dimensions = (*array).ndim;
        let bounds = array.cast::<i32>().add(4);
        if dimensions == 0 {
            writer.array(0);
            return Kind::Container;
        }
        let plain = codec.native && dimensions == 1 && *bounds.add(1) == 1;
        let body =
            |writer: &mut Writer| if plain { elements(writer, codec, array) } else { text(writer, codec, array) };
        if (*array).dataoffset != 0 && !raw::array_contains_nulls(array) {
            return marker::wrap(writer, b"bitmap", body);
        }
        body(writer)
    }
}

/// The array's own text.
///
/// # Safety
/// As [`write`].
unsafe fn text(writer: &mut Writer, codec: &ArrayCodec, array: *mut pg_sys::ArrayType) -> Kind {
    // SAFETY: the copy is the array with elements of a type that is stored alike.
    unsafe {
        if codec.text_type == codec.element_type {
            return write(writer, &codec.text, Datum::from(array));
        }
        let length = pgrx::varlena::varsize(array.cast());
        let copy = raw::palloc(length).cast::<pg_sys::ArrayType>();
        core::ptr::copy_nonoverlapping(array.cast::<u8>(), copy.cast::<u8>(), length);
        (*copy).elemtype = codec.text_type;
        write(writer, &codec.text, Datum::from(copy))
    }
}

/// # Safety
/// As [`write`]; `array` is one-dimensional.
unsafe fn elements(writer: &mut Writer, codec: &ArrayCodec, array: *mut pg_sys::ArrayType) -> Kind {
    // SAFETY: the array is of the codec's element type.
    unsafe {
        if codec.length == -1 && (*array).dataoffset == 0 {
            return varlenas(writer, codec, array);
        }
    }
    let (mut values, mut nulls, mut count) = (core::ptr::null_mut(), core::ptr::null_mut(), 0);
    // SAFETY: the storage properties are those of the element type.
    unsafe {
        raw::deconstruct_array(
            array,
            codec.element_type,
            i32::from(codec.length),
            codec.by_value,
            codec.alignment,
            &mut values,
            &mut nulls,
            &mut count,
        );
        let count = usize::try_from(count).unwrap_or(0);
        let mut container = writer.array(count);
        for index in 0..count {
            let kind = if *nulls.add(index) { Kind::Null } else { write(writer, &codec.element, *values.add(index)) };
            writer.close(&mut container, kind);
        }
    }
    Kind::Container
}

/// The elements of an array of varlenas without NULLs, where they stand.
///
/// # Safety
/// As [`elements`].
unsafe fn varlenas(writer: &mut Writer, codec: &ArrayCodec, array: *mut pg_sys::ArrayType) -> Kind {
    let alignment = if codec.alignment == b'd'.cast_signed() { 8 } else { 4 };
    // SAFETY: the array's header, one length and one bound are 24 bytes; an element begins where the one before
    // ends or, unless its header is of one byte, at its alignment (att_align_pointer of access/tupmacs.h).
    unsafe {
        let count = usize::try_from(*array.cast::<i32>().add(4)).unwrap_or(0);
        let mut container = writer.array(count);
        let mut element = array.cast::<u8>().add(24);
        for _ in 0..count {
            if *element == 0 {
                element = element.add(element.align_offset(alignment));
            }
            let kind = write(writer, &codec.element, Datum::from(element));
            writer.close(&mut container, kind);
            element = element.add(varsize_any(element.cast()));
        }
    }
    Kind::Container
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
