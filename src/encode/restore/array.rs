//! Arrays, from JSON arrays and from their own text.

use pgrx::pg_sys::{self, Datum};

use super::super::codec::ArrayCodec;
use super::target::Target;
use super::{Problem, memory, value};
use crate::jsonb::Container;

/// A one-dimensional array that counts from 1, or an empty one.
pub fn from_elements(codec: &ArrayCodec, target: &Target, elements: Container<'_>) -> Result<Datum, Problem> {
    let (mut values, mut nulls) = (Vec::new(), Vec::new());
    for item in elements.items() {
        let element = value::nullable(&codec.element, &target.parts[0], item)?;
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
pub fn from_text(codec: &ArrayCodec, target: &Target, text: &[u8]) -> Result<Datum, Problem> {
    if target.is_vector() {
        return target.read(text);
    }
    // An ordinary empty array stands as a JSON array. The text is that of an empty int2vector or oidvector that was
    // cast to an array: one dimension without elements, counted from zero.
    if text == b"{}" && !target.is_for_key() {
        match codec.element_type {
            pg_sys::INT2OID => return Ok(empty_vector(pg_sys::F_INT2VECTORIN)),
            pg_sys::OIDOID => return Ok(empty_vector(pg_sys::F_OIDVECTORIN)),
            _ => {}
        }
    }
    let array = target.read(text)?;
    // SAFETY: array_in returns an array of its own. Its elements are of the type that the declared one is a domain
    // over, or of one that holds any OID like it: stored alike. What a domain demands is verified later.
    unsafe { (*array.cast_mut_ptr::<pg_sys::ArrayType>()).elemtype = codec.element_type };
    Ok(array)
}

/// The vector without elements, which can be cast to an array as it is.
fn empty_vector(function: u32) -> Datum {
    // SAFETY: the input function of a vector type takes a text.
    unsafe {
        pg_sys::OidInputFunctionCall(pg_sys::Oid::from(function), c"".as_ptr().cast_mut(), pg_sys::Oid::INVALID, -1)
    }
}

/// Verifies each element of an array.
pub fn verify(codec: &ArrayCodec, element: &Target, array: Datum) -> Result<(), Problem> {
    let (mut values, mut nulls, mut count) = (core::ptr::null_mut(), core::ptr::null_mut(), 0);
    // SAFETY: the datum is an array of the codec's element type, which is stored so, packed where it comes from a row;
    // both lists hold `count` entries.
    let (values, nulls) = unsafe {
        pg_sys::deconstruct_array(
            pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast(),
            codec.element_type,
            i32::from(codec.length),
            codec.by_value,
            codec.alignment,
            &mut values,
            &mut nulls,
            &mut count,
        );
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        (core::slice::from_raw_parts(values, count), core::slice::from_raw_parts(nulls, count))
    };
    for (value, is_null) in values.iter().zip(nulls) {
        element.verify(&codec.element, (!is_null).then_some(*value))?;
    }
    Ok(())
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
    if count == 0 {
        return plain;
    }
    let fixed = words.len() * 4;
    let data = &bytes[fixed.next_multiple_of(8)..];
    let offset = (fixed + count.div_ceil(8)).next_multiple_of(8);

    let mut head = vec![0_u8; offset];
    head[..fixed].copy_from_slice(&bytes[..fixed]);
    head[..4].copy_from_slice(&memory::header(offset + data.len()).to_ne_bytes());
    head[8..12].copy_from_slice(&u32::try_from(offset).unwrap_or(0).to_ne_bytes());
    for element in 0..count {
        head[fixed + element / 8] |= 1 << (element % 8);
    }
    memory::concatenated(&head, data)
}
