//! Event types by name, as `audit.event_types` has them: also those that applications have declared, and those of a
//! catalog that is newer than this library.

use audit_model::Category;
use pgrx::FromDatum;
use pgrx::pg_sys::{self, Datum, Oid};

use super::namespace;
use crate::pg::scan::{self, Condition};
use audit_model::schema::event_types;

/// What a row of `audit.event_types` says to the writer of an event.
pub struct Declared {
    pub number: i32,
    pub category: Category,
    pub is_built_in: bool,
}

/// The event type of that name.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn named(name: &[u8]) -> Option<Declared> {
    let mut found = None;
    // SAFETY: the condition is of the column's type; the attributes are those of the table.
    unsafe {
        let text = pg_sys::cstring_to_text_with_len(name.as_ptr().cast(), i32::try_from(name.len()).ok()?);
        let condition = Condition {
            attribute: event_types::NAME,
            procedure: Oid::from(pg_sys::F_TEXTEQ),
            value: Datum::from(text),
        };
        scan::rows(namespace::relation(c"event_types"), &[condition], |descriptor, tuple| {
            let attribute = |number| scan::attribute(tuple, number, descriptor);
            let number = attribute(event_types::EVENT_TYPE).map(|number| number.value() as i32);
            let category = attribute(event_types::CATEGORY)
                .and_then(|category| String::from_datum(category, false))
                .and_then(|category| Category::named(&category));
            let is_built_in = attribute(event_types::BUILT_IN).is_some_and(|built_in| built_in.value() as u8 != 0);
            found = number.zip(category).map(|(number, category)| Declared { number, category, is_built_in });
            false
        });
    }
    found
}
