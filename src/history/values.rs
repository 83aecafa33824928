//! What a row event says: which columns changed, the values before, the values after. Where they are stored is told by
//! the model ([`Changes::source`]).

use audit_model::{Changes, EventType, Shape, Side, Source, merge};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::call;
use super::row::Row;
use crate::jsonb::{Container, Kind, Value, Writer};
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::{datum, raw};

entry_point!(audit_changed_columns, pg_finfo_audit_changed_columns, changed_columns);
entry_point!(audit_old_values, pg_finfo_audit_old_values, old_values);
entry_point!(audit_new_values, pg_finfo_audit_new_values, new_values);

/// Kept between calls, as an ERROR of PostgreSQL's frees nothing of Rust's.
static WRITER: Local<Writer> = Local::new(Writer::new());

/// Memory that the writer keeps after an unusually large value.
const KEPT: usize = 1 << 20;

/// This side of an update's `[old, new]`; `None` of what is no such pair.
pub fn side_of(side: Side, pair: Value<'_>) -> Option<Value<'_>> {
    pair.container().filter(|pair| pair.is_array())?.elements().nth(side as usize)
}

/// What events of the type hold in `changes`; `None` where they are not about a row.
pub fn held_by(event_type: i32) -> Option<Changes> {
    EventType::numbered(event_type).and_then(EventType::changes)
}

/// `changed_columns(event_type, changes) returns text[]`: of an update only.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn changed_columns(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql.
    unsafe {
        let arguments = Arguments::new(arguments);
        if held_by(call::integer(arguments, 0)) != Some(Changes::Columns) {
            return arguments.null();
        }
        let changes = call::jsonb(arguments, 1);
        let count = changes.map_or(0, Container::len);
        let names = raw::palloc(count.max(1) * size_of::<Datum>()).cast::<Datum>();
        for (position, name) in changes.iter().flat_map(|changes| changes.names()).enumerate() {
            names.add(position).write(datum::text(name));
        }
        let mut length = i32::try_from(count).unwrap_or(0);
        let mut lower_bound = 1;
        let array = raw::construct_md_array(
            names,
            core::ptr::null_mut(),
            i32::from(count > 0),
            &mut length,
            &mut lower_bound,
            pg_sys::TEXTOID,
            -1,
            false,
            pg_sys::TYPALIGN_INT as core::ffi::c_char,
        );
        Datum::from(array)
    }
}

/// `old_values(event_type, changes, image, recorded_columns) returns jsonb`.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn old_values(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: per the contract.
    unsafe { values(arguments, Side::Old) }
}

/// `new_values(event_type, changes, image, recorded_columns) returns jsonb`.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn new_values(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: per the contract.
    unsafe { values(arguments, Side::New) }
}

/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn values(arguments: FunctionCallInfo, side: Side) -> Datum {
    // SAFETY: the declarations in sql/read/values.sql; the writer is used in this call alone.
    unsafe {
        let arguments = Arguments::new(arguments);
        let Some(held) = held_by(call::integer(arguments, 0)).filter(|held| held.has(side)) else {
            return arguments.null();
        };
        let [changes, image, names] = [1, 2, 3].map(|position| call::jsonb(arguments, position));
        let row = |values| Row { values, names };
        let shape = changes.map(|changes| if changes.is_object() { Shape::Object } else { Shape::Array });
        let writer = WRITER.in_place();
        match (held.source(side, shape, image.is_some()), changes, image) {
            (Some(Source::Row), Some(changes), _) => row(changes).write(writer),
            (Some(Source::Image), _, Some(image)) => row(image).write(writer),
            (Some(Source::Overlay), Some(changes), Some(image)) => overlay(writer, row(image), changes),
            (Some(Source::Columns), Some(changes), _) => one_side(writer, changes, side),
            _ => return arguments.null(),
        }
        let result = datum::copy(writer.finish());
        writer.shrink(KEPT);
        result
    }
}

/// One side of every change.
fn one_side(writer: &mut Writer, changes: Container, side: Side) {
    writer.begin();
    let mut object = writer.object(changes.len());
    for name in changes.names() {
        writer.key(&mut object, name);
    }
    for (_, pair) in changes.pairs() {
        let kind = side_of(side, pair).unwrap_or(pair).write(writer);
        writer.close(&mut object, kind);
    }
}

/// The whole old row with the new values of what changed.
fn overlay(writer: &mut Writer, image: Row, changes: Container) {
    let merged = || merge(image.pairs(), changes.pairs());
    writer.begin();
    let mut object = writer.object(merged().count());
    for (name, _, _) in merged() {
        writer.key(&mut object, name);
    }
    for (_, old, change) in merged() {
        let new = change.map(|pair| side_of(Side::New, pair).unwrap_or(pair)).or(old);
        let kind = new.map_or(Kind::Null, |new| new.write(writer));
        writer.close(&mut object, kind);
    }
}
