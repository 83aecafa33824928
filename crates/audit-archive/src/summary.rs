//! An event in one sentence, as `audit_internal.summary` says it: `ann@example.org updated public.customer CUST-1 (Acme): credit`.

use std::fmt::Write;

/// How many changed columns are named.
const NAMED: usize = 5;

/// What the sentence is made of.
pub struct Parts<'a> {
    pub actor: Option<&'a str>,
    pub phrase: Option<&'a str>,
    pub entity: Option<&'a str>,
    pub entity_id: Option<&'a str>,
    pub entity_label: Option<&'a str>,
}

/// Writes the sentence in place of what `sentence` held.
pub fn write<'a>(parts: Parts<'_>, columns: Option<impl Iterator<Item = &'a str>>, sentence: &mut String) {
    sentence.clear();
    let has_object = parts.entity.or(parts.entity_id).is_some();
    // "recorded order.approved of" nothing in particular.
    let phrase = if has_object { parts.phrase } else { parts.phrase.map(without_preposition) };
    for word in [parts.actor, phrase, parts.entity, parts.entity_id].into_iter().flatten() {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
    }
    // Writing to a String does not fail.
    if let Some(label) = parts.entity_label.filter(|label| Some(*label) != parts.entity_id) {
        let _ = write!(sentence, " ({label})");
    }
    let Some(columns) = columns else { return };
    let mut more = 0;
    for (position, name) in columns.enumerate() {
        if position < NAMED {
            sentence.push_str(if position == 0 { ": " } else { ", " });
            sentence.push_str(name);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        let _ = write!(sentence, " and {more} more");
    }
}

fn without_preposition(phrase: &str) -> &str {
    let prepositions = [" of", " in", " on", " to"];
    prepositions.iter().find_map(|preposition| phrase.strip_suffix(preposition)).unwrap_or(phrase)
}
