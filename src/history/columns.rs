//! A row event as one row a column: `audit.diff` of an event and `audit.changes` are made of it.

use audit_model::{Changes, Side};
use pgrx::pg_sys::{Datum, FunctionCallInfo};

use super::call;
use super::row::Row;
use super::values::{self, side_of};
use crate::jsonb::{Value, Writer};
use crate::pg::arguments::Arguments;
use crate::pg::datum;
use crate::pg::guard::entry_point;
use crate::pg::rows::Rows;

entry_point!(audit_column_changes, pg_finfo_audit_column_changes, column_changes);

/// `column_changes(event_type, changes, recorded_columns) returns table (column_name text, old_value jsonb, new_value
/// jsonb)`: every column of an insert or delete, the changed ones of an update, of which level minimal has no values.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn column_changes(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql. Calls that may raise an ERROR are pgrx's guarded ones.
    unsafe {
        let mut rows = Rows::begin(arguments);
        let arguments = Arguments::new(arguments);
        let Some(changes) = call::jsonb(arguments, 1) else { return Datum::null() };
        let row = Row { values: changes, names: call::jsonb(arguments, 2) };
        let mut writer = Writer::new();
        let mut push = |name: &[u8], old: Option<Value>, new: Option<Value>| {
            let [old, new] = [old, new].map(|value| value.map(|value| value.datum(&mut writer)));
            rows.push([Some(datum::text(name)), old, new]);
        };
        match values::held_by(call::integer(arguments, 0)) {
            Some(Changes::Columns) if changes.is_array() => changes.names().for_each(|name| push(name, None, None)),
            Some(Changes::Columns) => {
                changes.pairs().for_each(|(name, pair)| push(name, side_of(Side::Old, pair), side_of(Side::New, pair)))
            }
            Some(Changes::Row(Side::Old)) => row.pairs().for_each(|(name, value)| push(name, Some(value), None)),
            Some(Changes::Row(Side::New)) => row.pairs().for_each(|(name, value)| push(name, None, Some(value))),
            None => {}
        }
    }
    Datum::null()
}
