//! Composite values, from objects by attribute name.

use audit_model::key_order;
use pgrx::pg_sys::{self, Datum};

use super::super::codec::CompositeCodec;
use super::super::lookup;
use super::target::Target;
use super::{Problem, value};
use crate::jsonb::Container;

/// The row that the object describes. An attribute that it lacks is NULL: it is younger than the image.
pub fn read(codec: &CompositeCodec, target: &Target, object: Container<'_>) -> Result<Datum, Problem> {
    lookup::check_depth();
    let mut row = Row::empty(codec.descriptor);
    for (name, item) in object.members() {
        let Ok(found) = codec.fields.binary_search_by(|(_, field, _)| key_order(field, name)) else {
            return Err(Problem::Mismatch(format!(
                "an attribute \"{}\" that its type lacks",
                String::from_utf8_lossy(name)
            )));
        };
        let (index, _, field) = &codec.fields[found];
        row.set(*index, value::nullable(field, &target.parts[found], item)?);
    }
    Ok(row.form())
}

/// Verifies each attribute of a composite value.
pub fn verify(codec: &CompositeCodec, attributes: &[Target], value: Datum) -> Result<(), Problem> {
    let mut row = Row::empty(codec.descriptor);
    // SAFETY: the datum is a row of the codec's type, packed where it comes from a row, and lives as long as the call.
    unsafe { row.fill(pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast()) };
    for ((index, _, field), attribute) in codec.fields.iter().zip(attributes) {
        attribute.verify(field, row.get(*index))?;
    }
    Ok(())
}

/// A row that is being put together.
pub struct Row {
    descriptor: pg_sys::TupleDesc,
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

impl Row {
    /// A row of NULLs. The descriptor must outlive it.
    pub fn empty(descriptor: pg_sys::TupleDesc) -> Row {
        // SAFETY: the descriptor is live.
        let count = unsafe { usize::try_from((*descriptor).natts).unwrap_or(0) };
        Row { descriptor, values: vec![Datum::null(); count], nulls: vec![true; count] }
    }

    /// Takes the values of an existing row, for attributes that are younger than it their missing values.
    ///
    /// # Safety
    /// `header` must be a row of the descriptor's type, not in TOAST itself, and outlive this.
    pub unsafe fn fill(&mut self, header: pg_sys::HeapTupleHeader) {
        // SAFETY: per the contract; the arrays have an entry per attribute.
        unsafe {
            let mut tuple = pg_sys::HeapTupleData {
                t_len: u32::try_from(pgrx::varlena::varsize(header.cast())).unwrap_or(0),
                t_data: header,
                ..Default::default()
            };
            pg_sys::heap_deform_tuple(&mut tuple, self.descriptor, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
        }
        for attribute in crate::pg::relation::attributes(self.descriptor) {
            self.nulls[attribute.index] |= attribute.dropped;
        }
    }

    /// Sets an attribute, `None` being NULL.
    pub fn set(&mut self, index: usize, value: Option<Datum>) {
        self.nulls[index] = value.is_none();
        self.values[index] = value.unwrap_or(Datum::null());
    }

    /// The value of an attribute, `None` being NULL.
    pub fn get(&self, index: usize) -> Option<Datum> {
        (!self.nulls[index]).then(|| self.values[index])
    }

    /// The row as a composite datum.
    pub fn form(mut self) -> Datum {
        // SAFETY: the arrays have an entry per attribute of the descriptor, which names the row's type.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.descriptor, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
            pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
        }
    }
}
