//! What differs between two documents, one row a place.
//!
//! Objects are compared by key and arrays by position, down to the first difference: a scalar, a value of
//! another kind, or a part that only one side has, which is shown whole. Values differ where their bytes do,
//! so 1.0 and 1.00 do.

use audit_model::merge;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::call;
use super::path::Path;
use crate::jsonb::{Container, Value, Writer};
use crate::pg::arguments::Arguments;
use crate::pg::datum;
use crate::pg::guard::entry_point;
use crate::pg::rows::Rows;

entry_point!(audit_diff_values, pg_finfo_audit_diff_values, diff_values);

/// `diff(old_values jsonb, new_values jsonb) returns table (path text, old_value jsonb, new_value jsonb)`.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn diff_values(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql.
    unsafe {
        let mut diff = Diff { rows: Rows::begin(arguments), path: Path::default(), writer: Writer::new() };
        let arguments = Arguments::new(arguments);
        // An insert has no old values: its new ones are compared with an object that has no keys.
        let (old, new) = (call::jsonb(arguments, 0), call::jsonb(arguments, 1));
        match (old, new) {
            (Some(old), Some(new)) => diff.values(old.value(), new.value()),
            (Some(old), None) if old.is_object() => diff.objects(Some(old), None),
            (None, Some(new)) if new.is_object() => diff.objects(None, Some(new)),
            (old, new) => diff.row(old.map(Container::value), new.map(Container::value)),
        }
    }
    Datum::null()
}

/// A comparison under way. Calls that may raise an ERROR are pgrx's guarded ones: this owns memory.
struct Diff {
    rows: Rows,
    path: Path,
    writer: Writer,
}

impl Diff {
    fn values(&mut self, old: Value, new: Value) {
        if old == new {
            return;
        }
        // SAFETY: PostgreSQL's own limits for a backend that recurses or works long.
        unsafe { pg_sys::check_stack_depth() };
        pgrx::check_for_interrupts!();
        match (old.container(), new.container()) {
            (Some(old), Some(new)) if old.is_object() && new.is_object() => self.objects(Some(old), Some(new)),
            (Some(old), Some(new)) if old.is_array() && new.is_array() => self.arrays(old, new),
            _ => self.row(Some(old), Some(new)),
        }
    }

    fn objects(&mut self, old: Option<Container>, new: Option<Container>) {
        for (name, old, new) in merge(pairs(old), pairs(new)) {
            let parent = self.path.enter_key(name);
            self.part(old, new);
            self.path.leave(parent);
        }
    }

    fn arrays(&mut self, old: Container, new: Container) {
        let (mut olds, mut news) = (old.elements(), new.elements());
        for position in 0..old.len().max(new.len()) {
            let parent = self.path.enter_position(position);
            self.part(olds.next(), news.next());
            self.path.leave(parent);
        }
    }

    fn part(&mut self, old: Option<Value>, new: Option<Value>) {
        match (old, new) {
            (Some(old), Some(new)) => self.values(old, new),
            (old, new) => self.row(old, new),
        }
    }

    fn row(&mut self, old: Option<Value>, new: Option<Value>) {
        if old.is_none() && new.is_none() {
            return;
        }
        // SAFETY: the types are those of the result's columns; the values are copied into the result.
        unsafe {
            let path = datum::text(self.path.text());
            let [old, new] = [old, new].map(|value| value.map(|value| value.datum(&mut self.writer)));
            self.rows.push([Some(path), old, new]);
            for value in [Some(path), old, new].into_iter().flatten() {
                pg_sys::pfree(value.cast_mut_ptr());
            }
        }
    }
}

/// The members of an object that may be missing.
fn pairs(object: Option<Container<'_>>) -> impl Iterator<Item = (&[u8], Value<'_>)> {
    object.into_iter().flat_map(Container::pairs)
}
