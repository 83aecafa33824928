//! An event in one sentence: `ann@example.org updated public.customer CUST-1 (Acme): credit`.

use std::fmt;

/// How many changed columns are named.
const NAMED: usize = 5;
/// What a phrase may end with, and is left off where no object follows: "recorded order.approved of" nothing in
/// particular.
const PREPOSITIONS: [&str; 4] = [" of", " in", " on", " to"];

/// The text that a sentence is made of and written to: `str` in a `String`, or bytes in the server's encoding in a
/// `Vec<u8>`.
pub trait Sentence {
    type Word: ?Sized + PartialEq;

    fn is_empty(&self) -> bool;
    fn push(&mut self, word: &Self::Word);
    fn push_ascii(&mut self, text: &str);
    fn push_format(&mut self, text: fmt::Arguments);
    fn without<'a>(word: &'a Self::Word, end: &str) -> Option<&'a Self::Word>;
}

impl Sentence for String {
    type Word = str;

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn push(&mut self, word: &str) {
        self.push_str(word);
    }

    fn push_ascii(&mut self, text: &str) {
        self.push_str(text);
    }

    fn push_format(&mut self, text: fmt::Arguments) {
        // Writing to a String does not fail.
        let _ = fmt::Write::write_fmt(self, text);
    }

    fn without<'a>(word: &'a str, end: &str) -> Option<&'a str> {
        word.strip_suffix(end)
    }
}

impl Sentence for Vec<u8> {
    type Word = [u8];

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn push(&mut self, word: &[u8]) {
        self.extend_from_slice(word);
    }

    fn push_ascii(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    fn push_format(&mut self, text: fmt::Arguments) {
        // Writing to memory does not fail.
        let _ = std::io::Write::write_fmt(self, text);
    }

    fn without<'a>(word: &'a [u8], end: &str) -> Option<&'a [u8]> {
        word.strip_suffix(end.as_bytes())
    }
}

/// What the sentence is made of.
pub struct Parts<'a, W: ?Sized> {
    pub actor: Option<&'a W>,
    pub phrase: Option<&'a W>,
    pub entity: Option<&'a W>,
    pub entity_id: Option<&'a W>,
    pub entity_label: Option<&'a W>,
}

/// Appends the sentence. An update has `columns`: how many have changed, and their names, of which the first are read.
pub fn write<'a, S: Sentence<Word: 'a>>(
    sentence: &mut S,
    parts: Parts<'_, S::Word>,
    columns: Option<(usize, impl Iterator<Item = &'a S::Word>)>,
) {
    let has_object = parts.entity.or(parts.entity_id).is_some();
    let phrase = if has_object { parts.phrase } else { parts.phrase.map(without_preposition::<S>) };
    for word in [parts.actor, phrase, parts.entity, parts.entity_id].into_iter().flatten() {
        if !sentence.is_empty() {
            sentence.push_ascii(" ");
        }
        sentence.push(word);
    }
    if let Some(label) = parts.entity_label.filter(|label| Some(*label) != parts.entity_id) {
        sentence.push_ascii(" (");
        sentence.push(label);
        sentence.push_ascii(")");
    }
    if let Some((count, names)) = columns {
        enumerate(sentence, count, names);
    }
}

fn without_preposition<S: Sentence>(phrase: &S::Word) -> &S::Word {
    PREPOSITIONS.iter().find_map(|preposition| S::without(phrase, preposition)).unwrap_or(phrase)
}

/// `: credit, name, city, street, zip and 7 more`
fn enumerate<'a, S: Sentence<Word: 'a>>(sentence: &mut S, count: usize, names: impl Iterator<Item = &'a S::Word>) {
    for (position, name) in names.take(NAMED).enumerate() {
        sentence.push_ascii(if position == 0 { ": " } else { ", " });
        sentence.push(name);
    }
    if count > NAMED {
        sentence.push_format(format_args!(" and {} more", count - NAMED));
    }
}
