//! Arrays, from JSON arrays and from their own text.

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::codec::ArrayCodec;
use super::reader::Container;
use super::{Problem, memory, text, value};

/// A one-dimensional array that counts from 1, or an empty one.
pub fn from_elements(codec: &ArrayCodec, elements: Container<'_>) -> Result<Datum, Problem> {
    let (mut values, mut nulls) = (Vec::new(), Vec::new());
    for item in elements.elements() {
        let element = value::nullable(&codec.element, codec.element_type, item)?;
        nulls.push(element.is_none());
        values.push(element.unwrap_or(Datum::null()));
    }
    if values.is_empty() {
        // SAFETY: an element type is all it takes.
        return Ok(Datum::from(unsafe { pg_sys::construct_empty_array(codec.element_type) }));
    }
    let mut length = i32::try_from(values.len()).unwrap_or(i32::MAX);
    // SAFETY: both arrays hold `length` entries; the storage properties are those of the element type.
    Ok(Datum::from(unsafe {
        pg_sys::construct_md_array(
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
            1,
            &mut length,
            &mut 1,
            codec.element_type,
            i32::from(codec.length),
            codec.by_value,
            codec.alignment,
        )
    }))
}

/// An array of any other shape.
pub fn from_text(codec: &ArrayCodec, type_id: Oid, text: &[u8]) -> Result<Datum, Problem> {
    // SAFETY: a catalog lookup of an existing type.
    let base = unsafe { pg_sys::getBaseType(type_id) };
    if base == pg_sys::INT2VECTOROID || base == pg_sys::OIDVECTOROID {
        return text::input(base, text);
    }
    if text == b"{}" {
        return Ok(empty_vector(codec.element_type));
    }
    let array = text::array(codec.text_type, text)?;
    // SAFETY: array_in returns an array of its own; both types are stored alike.
    unsafe { (*array.cast_mut_ptr::<pg_sys::ArrayType>()).elemtype = codec.element_type };
    Ok(array)
}

/// What an empty int2vector or oidvector is when it is cast to an array: one dimension without elements,
/// counted from zero. An ordinary empty array stands as a JSON array.
fn empty_vector(element_type: Oid) -> Datum {
    let words = [memory::header(24), 1, 0, element_type.to_u32(), 0, 0];
    memory::copy(&words.map(u32::to_ne_bytes).concat())
}

/// The same array with a null bitmap that says that no element is NULL.
pub fn with_bitmap(plain: Datum) -> Datum {
    // SAFETY: the datum is a plain array just made, in the layout of src/include/utils/array.h.
    let (dimensions, words, bytes) = unsafe {
        let array = plain.cast_mut_ptr::<pg_sys::ArrayType>();
        let dimensions = usize::try_from((*array).ndim).unwrap_or(0);
        if dimensions == 0 || (*array).dataoffset != 0 {
            return plain;
        }
        let words = core::slice::from_raw_parts(array.cast::<u32>(), 4 + dimensions * 2);
        (dimensions, words, core::slice::from_raw_parts(array.cast::<u8>(), pgrx::varlena::varsize(array.cast())))
    };
    let count: usize = words[4..4 + dimensions].iter().map(|length| usize::try_from(*length).unwrap_or(0)).product();
    let fixed = words.len() * 4;
    let data = &bytes[fixed.next_multiple_of(8)..];
    let offset = (fixed + count.div_ceil(8)).next_multiple_of(8);

    let mut result = vec![0_u8; offset];
    result[..fixed].copy_from_slice(&bytes[..fixed]);
    result[..4].copy_from_slice(&memory::header(offset + data.len()).to_ne_bytes());
    result[8..12].copy_from_slice(&u32::try_from(offset).unwrap_or(0).to_ne_bytes());
    for element in 0..count {
        result[fixed + element / 8] |= 1 << (element % 8);
    }
    result.extend_from_slice(data);
    memory::copy(&result)
}
