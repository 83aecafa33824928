//! What a row event says: which columns changed, the values before, the values after.
//!
//! An insert or baseline holds the new values of a whole row, a delete or the image of a truncated row the old
//! ones, without the names, which the version of the table has; an update {column: [old, new]}; at level minimal
//! an update holds the names alone, and at level comprehensive the whole old row beside the changes.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::call;
use super::reader::{Container, Value, merge};
use super::row::Row;
use crate::encode::jsonb::{Kind, Writer};
use crate::event::kind;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::raw;

entry_point!(audit_changed_columns, pg_finfo_audit_changed_columns, changed_columns);
entry_point!(audit_old_values, pg_finfo_audit_old_values, old_values);
entry_point!(audit_new_values, pg_finfo_audit_new_values, new_values);

/// Kept between calls, as an ERROR of PostgreSQL's frees nothing of Rust's.
static mut WRITER: Writer = Writer::new();

/// Memory that the writer keeps after an unusually large value.
const KEPT: usize = 1 << 20;

/// Which side of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Old,
    New,
}

impl Side {
    /// This side of an update's `[old, new]`.
    pub fn of(self, pair: Value<'_>) -> Option<Value<'_>> {
        pair.container()?.elements().nth(self as usize)
    }

    /// Whether the values of this kind of event are those of this side.
    pub const fn is_all_of(self, event_type: i32) -> bool {
        match self {
            Side::Old => matches!(event_type, kind::ROW_DELETE | kind::ROW_TRUNCATE),
            Side::New => matches!(event_type, kind::ROW_INSERT | kind::ROW_BASELINE),
        }
    }
}

/// `changed_columns(event_type, changes) returns text[]`: of an update only.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn changed_columns(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql.
    unsafe {
        let arguments = Arguments::new(arguments);
        if call::integer(arguments, 0) != kind::ROW_UPDATE {
            return arguments.null();
        }
        let changes = call::jsonb(arguments, 1);
        let count = changes.map_or(0, Container::len);
        let names = raw::palloc(count.max(1) * size_of::<Datum>()).cast::<Datum>();
        for (position, name) in changes.iter().flat_map(|changes| changes.names()).enumerate() {
            names.add(position).write(call::text_value(name));
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
    // SAFETY: the declarations in sql/read/values.sql; the static is used by one thread and not across calls.
    unsafe {
        let arguments = Arguments::new(arguments);
        let event_type = call::integer(arguments, 0);
        let names = call::jsonb(arguments, 3);
        let row = |position| call::jsonb(arguments, position).map(|values| Row { values, names });
        let writer = &mut *(&raw mut WRITER);
        if side.is_all_of(event_type) {
            match row(1) {
                Some(row) => row.write(writer),
                None => return arguments.null(),
            }
        } else if event_type != kind::ROW_UPDATE {
            return arguments.null();
        } else {
            let changes = call::jsonb(arguments, 1).filter(|changes| changes.is_object());
            match (row(2), changes) {
                (Some(image), _) if side == Side::Old => image.write(writer),
                (Some(image), changes) => overlay(writer, image, changes),
                (None, Some(changes)) => one_side(writer, changes, side),
                (None, None) => return arguments.null(),
            }
        }
        let result = call::varlena_value(writer.finish());
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
        let kind = side.of(pair).unwrap_or(pair).write(writer);
        writer.close(&mut object, kind);
    }
}

/// The whole old row with the new values of what changed.
fn overlay(writer: &mut Writer, image: Row, changes: Option<Container>) {
    let merged = || merge(image.pairs(), changes.into_iter().flat_map(Container::pairs));
    writer.begin();
    let mut object = writer.object(merged().count());
    for (name, _, _) in merged() {
        writer.key(&mut object, name);
    }
    for (_, old, change) in merged() {
        let new = change.map(|pair| Side::New.of(pair).unwrap_or(pair)).or(old);
        let kind = new.map_or(Kind::Null, |new| new.write(writer));
        writer.close(&mut object, kind);
    }
}
