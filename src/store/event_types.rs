//! Event types by name, as `audit.event_types` has them.

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{FromDatum, IntoDatum};

use super::namespace;
use crate::event::Category;
use crate::pg::scan::{self, Condition};

/// The number and category of an event type.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn named(name: &str) -> Option<(i32, Category)> {
    let mut found = None;
    let condition = Condition {
        attribute: 2,
        procedure: Oid::from(pg_sys::F_TEXTEQ),
        value: name.into_datum().unwrap_or(Datum::null()),
    };
    // SAFETY: the attributes are those of audit.event_types (sql/catalog/tables.sql).
    unsafe {
        scan::rows(namespace::relation(c"event_types"), &[condition], |descriptor, tuple| {
            let number = scan::attribute(tuple, 1, descriptor).map(|number| number.value() as i32);
            let category = scan::attribute(tuple, 3, descriptor)
                .and_then(|category| String::from_datum(category, false))
                .and_then(|category| Category::named(&category));
            found = number.zip(category);
            false
        });
    }
    found
}
