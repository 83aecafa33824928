//! An event in one sentence, by the rules of the model.

use audit_model::Changes;
use audit_model::summary::{self, Parts};
use pgrx::pg_sys::{Datum, FunctionCallInfo};

use super::call;
use super::values::held_by;
use crate::pg::arguments::Arguments;
use crate::pg::datum;
use crate::pg::guard::entry_point;

entry_point!(audit_summary, pg_finfo_audit_summary, summary);

/// `summary(actor, phrase, entity, entity_id, entity_label text, event_type integer, changes jsonb) returns text`.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn summary(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql.
    unsafe {
        let arguments = Arguments::new(arguments);
        let [actor, phrase, entity, entity_id, entity_label] =
            [0, 1, 2, 3, 4].map(|position| arguments.bytes(position));
        let is_update = held_by(call::integer(arguments, 5)) == Some(Changes::Columns);
        let changes = if is_update { call::jsonb(arguments, 6) } else { None };
        let mut sentence = Vec::with_capacity(128);
        let parts = Parts { actor, phrase, entity, entity_id, entity_label };
        summary::write(&mut sentence, parts, changes.map(|changes| (changes.len(), changes.names())));
        datum::text(&sentence)
    }
}
