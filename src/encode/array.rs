//! Arrays.

use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::varsize_any;

use super::codec::ArrayCodec;
use super::{marker, value};
use crate::jsonb::{Kind, Writer};
use crate::pg::raw;

/// Writes an array as a JSON array of its elements, or as its own text where that would not say all.
///
/// # Safety
/// As [`value::write`].
pub unsafe fn write(writer: &mut Writer, codec: &ArrayCodec, value: Datum) -> Kind {
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
/// As [`value::write`].
unsafe fn text(writer: &mut Writer, codec: &ArrayCodec, array: *mut pg_sys::ArrayType) -> Kind {
    // SAFETY: the copy is the array with elements of a type that is stored alike.
    unsafe {
        if codec.text_type == codec.element_type {
            return value::write(writer, &codec.text, Datum::from(array));
        }
        let length = pgrx::varlena::varsize(array.cast());
        let copy = raw::palloc(length).cast::<pg_sys::ArrayType>();
        core::ptr::copy_nonoverlapping(array.cast::<u8>(), copy.cast::<u8>(), length);
        (*copy).elemtype = codec.text_type;
        value::write(writer, &codec.text, Datum::from(copy))
    }
}

/// # Safety
/// As [`value::write`]; `array` is one-dimensional.
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
            let kind =
                if *nulls.add(index) { Kind::Null } else { value::write(writer, &codec.element, *values.add(index)) };
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
            let kind = value::write(writer, &codec.element, Datum::from(element));
            writer.close(&mut container, kind);
            element = element.add(varsize_any(element.cast()));
        }
    }
    Kind::Container
}
