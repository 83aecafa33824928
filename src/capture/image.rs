//! The images of a row: taken apart, compared and written into buffers that are kept between rows.

use audit_model::EventType;
use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::{varsize_1b, varsize_any};

use super::options::Level;
use super::plan::{Column, Plan};
use crate::encode::{key, large, value};
use crate::jsonb::{Kind, Writer};
use crate::pg::local::Local;
use crate::pg::raw;
use crate::settings;

/// The versions of a row that an event is about.
pub struct Row {
    pub event_type: EventType,
    pub old: Option<pg_sys::HeapTuple>,
    pub new: Option<pg_sys::HeapTuple>,
}

/// What is kept between rows.
pub struct Buffers {
    old: Vec<Datum>,
    old_nulls: Vec<bool>,
    new: Vec<Datum>,
    new_nulls: Vec<bool>,
    changed: Vec<usize>,
    pub changes: Writer,
    pub image: Writer,
    scratch: Writer,
    pub entity_id: Vec<u8>,
    pub new_entity_id: Vec<u8>,
    /// Whether an update changed the key; the new one may be an empty text.
    pub has_new_key: bool,
    pub label: Vec<u8>,
    /// What a row's values take to detoast and print, reset after each row.
    pub context: pg_sys::MemoryContext,
}

pub static BUFFERS: Local<Buffers> = Local::new(Buffers {
    old: Vec::new(),
    old_nulls: Vec::new(),
    new: Vec::new(),
    new_nulls: Vec::new(),
    changed: Vec::new(),
    changes: Writer::new(),
    image: Writer::new(),
    scratch: Writer::new(),
    entity_id: Vec::new(),
    new_entity_id: Vec::new(),
    has_new_key: false,
    label: Vec::new(),
    context: core::ptr::null_mut(),
});

impl Buffers {
    /// # Safety
    /// Must run on the backend's thread.
    pub unsafe fn enter(&mut self, attributes: usize) {
        if self.context.is_null() {
            // SAFETY: the context lives as long as the process.
            self.context = unsafe {
                pg_sys::AllocSetContextCreateExtended(
                    pg_sys::TopMemoryContext,
                    c"audit row".as_ptr(),
                    0,
                    8 * 1024,
                    8 * 1024 * 1024,
                )
            };
        }
        if self.old.len() < attributes {
            self.old.resize(attributes, Datum::null());
            self.old_nulls.resize(attributes, true);
            self.new.resize(attributes, Datum::null());
            self.new_nulls.resize(attributes, true);
        }
    }

    /// Takes the tuples apart; false where an update changed nothing that is recorded.
    ///
    /// # Safety
    /// The tuples must be of the descriptor, which must be the one that the plan was made for.
    pub unsafe fn read(&mut self, plan: &Plan, descriptor: pg_sys::TupleDesc, row: &Row) -> bool {
        // SAFETY: the arrays have an entry per attribute.
        unsafe {
            if let Some(old) = row.old {
                raw::heap_deform_tuple(old, descriptor, self.old.as_mut_ptr(), self.old_nulls.as_mut_ptr());
            }
            if let Some(new) = row.new {
                raw::heap_deform_tuple(new, descriptor, self.new.as_mut_ptr(), self.new_nulls.as_mut_ptr());
            }
            if row.old.is_none() || row.new.is_none() {
                return true;
            }
            self.changed.clear();
            for (position, column) in plan.columns.iter().enumerate() {
                if self.is_changed(column) {
                    self.changed.push(position);
                }
            }
        }
        !self.changed.is_empty() || plan.level == Level::Comprehensive
    }

    /// Whether the two images of a column differ. An equal TOAST pointer is an equal value and is not fetched;
    /// what differs in its bytes alone, as by compression, is compared as PostgreSQL compares images.
    ///
    /// # Safety
    /// Both tuples must have been taken apart.
    #[inline]
    unsafe fn is_changed(&self, column: &Column) -> bool {
        let index = column.index;
        if self.old_nulls[index] || self.new_nulls[index] {
            return self.old_nulls[index] != self.new_nulls[index];
        }
        let (old, new) = (self.old[index], self.new[index]);
        if column.by_value {
            return old.value() != new.value();
        }
        let (one, other) = (old.cast_mut_ptr::<u8>(), new.cast_mut_ptr::<u8>());
        // SAFETY: neither is NULL, and both are of the column's type.
        unsafe {
            if let Ok(length) = usize::try_from(column.length) {
                return !is_equal(one, other, length);
            }
            if column.length == -1 {
                // Two values with headers of one byte, as most are, are equal where their bytes are.
                if value::is_short(one.cast()) && value::is_short(other.cast()) {
                    return *one != *other || !is_equal(one, other, varsize_1b(one.cast()));
                }
                let size = varsize_any(one.cast());
                if size == varsize_any(other.cast()) && is_equal(one, other, size) {
                    return false;
                }
            }
            !raw::datum_image_eq(old, new, false, i32::from(column.length))
        }
    }

    /// # Safety
    /// After [`Buffers::read`].
    pub unsafe fn encode(&mut self, plan: &Plan, row: &Row) {
        // SAFETY: the tuples have been taken apart into the buffers.
        unsafe {
            let cap = settings::max_value_bytes();
            match (row.old.is_some(), row.new.is_some()) {
                (true, true) => {
                    if plan.level == Level::Minimal {
                        self.names(plan);
                    } else {
                        self.differences(plan, cap);
                    }
                    if plan.level == Level::Comprehensive {
                        whole(plan, &mut self.image, &mut self.scratch, &self.old, &self.old_nulls, cap);
                    }
                }
                (true, false) if plan.level != Level::Minimal => {
                    whole(plan, &mut self.changes, &mut self.scratch, &self.old, &self.old_nulls, cap);
                }
                (false, true) if plan.level != Level::Minimal => {
                    whole(plan, &mut self.changes, &mut self.scratch, &self.new, &self.new_nulls, cap);
                }
                _ => {}
            }
            self.keys(plan, row);
        }
    }

    /// `["column", …]`
    fn names(&mut self, plan: &Plan) {
        self.changes.begin();
        let mut array = self.changes.array(self.changed.len());
        for position in &self.changed {
            self.changes.string(&mut array, &plan.columns[*position].name);
        }
    }

    /// `{"column": [before, after], …}`
    ///
    /// # Safety
    /// As [`Buffers::encode`].
    unsafe fn differences(&mut self, plan: &Plan, cap: usize) {
        self.changes.begin();
        let mut object = self.changes.object(self.changed.len());
        for position in &self.changed {
            self.changes.key(&mut object, &plan.columns[*position].name);
        }
        for position in &self.changed {
            let column = &plan.columns[*position];
            let index = column.index;
            let mut pair = self.changes.pair();
            for (value, is_null) in [(self.old[index], self.old_nulls[index]), (self.new[index], self.new_nulls[index])]
            {
                // SAFETY: per the contract.
                let kind = unsafe { one(column, &mut self.changes, &mut self.scratch, value, is_null, cap) };
                self.changes.close(&mut pair, kind);
            }
            self.changes.close(&mut object, Kind::Container);
        }
    }

    /// # Safety
    /// As [`Buffers::encode`].
    unsafe fn keys(&mut self, plan: &Plan, row: &Row) {
        let (values, nulls) = match row.old {
            Some(_) => (&self.old, &self.old_nulls),
            None => (&self.new, &self.new_nulls),
        };
        // SAFETY: per the contract.
        unsafe {
            key::write(&mut self.entity_id, &mut self.scratch, plan.key_columns(), values, nulls);
            self.has_new_key = row.old.is_some()
                && row.new.is_some()
                && plan.key.iter().any(|position| self.changed.contains(position));
            if self.has_new_key {
                key::write(&mut self.new_entity_id, &mut self.scratch, plan.key_columns(), &self.new, &self.new_nulls);
            }
            self.label.clear();
            if let Some(label) = plan.label {
                let column = &plan.columns[label];
                let (values, nulls) = match row.new {
                    Some(_) => (&self.new, &self.new_nulls),
                    None => (&self.old, &self.old_nulls),
                };
                if !nulls[column.index] {
                    key::text(&mut self.label, &mut self.scratch, column, values[column.index]);
                }
            }
        }
    }
}

/// # Safety
/// Both must be so long.
#[inline]
unsafe fn is_equal(one: *const u8, other: *const u8, length: usize) -> bool {
    // SAFETY: per the contract.
    unsafe { core::slice::from_raw_parts(one, length) == core::slice::from_raw_parts(other, length) }
}

/// `[value, …]` of all columns; their names stand once in `audit_internal.relations`.
///
/// # Safety
/// As [`Buffers::encode`].
unsafe fn whole(plan: &Plan, writer: &mut Writer, scratch: &mut Writer, values: &[Datum], nulls: &[bool], cap: usize) {
    writer.begin();
    let mut array = writer.array(plan.columns.len());
    for column in &plan.columns {
        // SAFETY: per the contract.
        let kind = unsafe { one(column, writer, scratch, values[column.index], nulls[column.index], cap) };
        writer.close(&mut array, kind);
    }
}

/// One value of a column, redacted or capped where it has to be.
///
/// # Safety
/// As [`Buffers::encode`].
#[inline]
unsafe fn one(
    column: &Column,
    writer: &mut Writer,
    scratch: &mut Writer,
    value: Datum,
    is_null: bool,
    cap: usize,
) -> Kind {
    // SAFETY: per the contract.
    unsafe {
        if let Some(redaction) = &column.redaction {
            return redaction.write(writer, scratch, &column.codec, (!is_null).then_some(value));
        }
        if is_null {
            return Kind::Null;
        }
        let is_small = column.length != -1 || (cap >= 126 && value::is_short(value.cast_mut_ptr()));
        if !is_small && large::is_over(writer, cap, value) {
            return large::write(writer, value);
        }
        value::write(writer, &column.codec, value)
    }
}
