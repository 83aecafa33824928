//! An event in one sentence: `ann@example.org updated public.customer CUST-1 (Acme): credit`.

use std::io::Write;

use pgrx::pg_sys::{Datum, FunctionCallInfo};

use super::call;
use super::reader::Container;
use crate::event::kind;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;

entry_point!(audit_summary, pg_finfo_audit_summary, summary);

/// How many changed columns are named.
const NAMED: usize = 5;

/// `summary(actor, phrase, entity, entity_id, entity_label text, event_type integer, changes jsonb) returns text`.
///
/// # Safety
/// Called by PostgreSQL with arguments of these types.
unsafe fn summary(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql.
    unsafe {
        let arguments = Arguments::new(arguments);
        let [actor, phrase, entity, id] = [0, 1, 2, 3].map(|position| arguments.bytes(position));
        let label = arguments.bytes(4).filter(|label| Some(*label) != id);
        let is_update = call::integer(arguments, 5) == kind::ROW_UPDATE;
        let changes = if is_update { call::jsonb(arguments, 6) } else { None };

        let mut sentence = Vec::with_capacity(128);
        // "recorded order.approved of" nothing in particular.
        let phrase = if entity.or(id).is_some() { phrase } else { phrase.map(without_preposition) };
        for word in [actor, phrase, entity, id].into_iter().flatten() {
            if !sentence.is_empty() {
                sentence.push(b' ');
            }
            sentence.extend_from_slice(word);
        }
        if let Some(label) = label {
            sentence.extend_from_slice(b" (");
            sentence.extend_from_slice(label);
            sentence.push(b')');
        }
        if let Some(changes) = changes {
            enumerate(&mut sentence, changes);
        }
        call::text_value(&sentence)
    }
}

fn without_preposition(phrase: &[u8]) -> &[u8] {
    let prepositions: [&[u8]; 4] = [b" of", b" in", b" on", b" to"];
    prepositions.iter().find_map(|preposition| phrase.strip_suffix(*preposition)).unwrap_or(phrase)
}

/// `: credit, name and 7 more`
fn enumerate(sentence: &mut Vec<u8>, changes: Container) {
    for (position, name) in changes.names().take(NAMED).enumerate() {
        sentence.extend_from_slice(if position == 0 { b": " } else { b", " });
        sentence.extend_from_slice(name);
    }
    if changes.len() > NAMED {
        // Writing to memory does not fail.
        let _ = write!(sentence, " and {} more", changes.len() - NAMED);
    }
}
