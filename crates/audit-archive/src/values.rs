//! What a row event says, in JSON text: which columns changed, the values before, the values after. The rules are those
//! of `audit_internal.old_values`, `audit_internal.new_values` and `audit_internal.changed_columns`.
//!
//! An insert holds the new values of a whole row as an array without the names, which the version of the table has; a
//! delete the old ones; an update `{column: [old, new]}`, or the names alone at level minimal, and at level
//! comprehensive the whole old row as its image. Values are copied as text and never parsed.

use std::cmp::Ordering;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::kind::{ROW_BASELINE, ROW_DELETE, ROW_INSERT, ROW_TRUNCATE, ROW_UPDATE};
use crate::event::{Event, Text};

/// The names of a version's columns, in the order of whole rows, each as the beginning of a member: `"name":`.
pub struct Names {
    names: Vec<String>,
    members: Vec<String>,
}

impl Names {
    pub fn new(names: Vec<String>) -> Names {
        let members = names.iter().map(|name| member(name)).collect();
        Names { names, members }
    }
}

/// What is read of an event's changes.
pub struct Changes<'a> {
    /// Column and `[old, new]` of an update.
    pairs: Option<Pairs<'a>>,
    /// The values of a whole row.
    row: Option<Vec<&'a RawValue>>,
    /// The columns of an update at level minimal.
    names: Vec<Text<'a>>,
    image: Option<Vec<&'a RawValue>>,
    event_type: i32,
}

impl<'a> Changes<'a> {
    pub fn of(event: &Event<'a>) -> serde_json::Result<Changes<'a>> {
        let mut changes =
            Changes { pairs: None, row: None, names: Vec::new(), image: None, event_type: event.event_type };
        let is_row = matches!(event.event_type, ROW_INSERT | ROW_DELETE | ROW_TRUNCATE | ROW_BASELINE);
        if !is_row && event.event_type != ROW_UPDATE {
            return Ok(changes);
        }
        if let Some(document) = event.changes.map(RawValue::get) {
            if is_row {
                changes.row = Some(serde_json::from_str(document)?);
            } else if document.starts_with('{') {
                changes.pairs = Some(serde_json::from_str(document)?);
            } else {
                changes.names = serde_json::from_str(document)?;
            }
        }
        if let (ROW_UPDATE, Some(image)) = (event.event_type, event.image) {
            changes.image = Some(serde_json::from_str(image.get())?);
        }
        Ok(changes)
    }

    /// The names of the columns that an update changed; none for other events.
    pub fn columns(&self) -> Option<impl Iterator<Item = &str>> {
        let pairs = self.pairs.iter().flat_map(|pairs| pairs.0.iter()).map(|(name, _)| &**name);
        let names = self.names.iter().map(|name| &**name);
        (self.event_type == ROW_UPDATE).then(|| pairs.chain(names))
    }

    /// Appends those names as an array; false for other events.
    pub fn write_columns(&self, out: &mut String) -> bool {
        let Some(columns) = self.columns() else { return false };
        out.push('[');
        for (place, name) in columns.enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push_str(&text(name));
        }
        out.push(']');
        true
    }

    /// Appends the values before as an object; false where there are none.
    pub fn write_old(&self, names: Option<&Names>, out: &mut String) -> bool {
        match (self.event_type, &self.image, &self.pairs, &self.row) {
            (ROW_DELETE | ROW_TRUNCATE, _, _, Some(row)) => write_row(names, row, out),
            (ROW_UPDATE, Some(image), _, _) => write_row(names, image, out),
            (ROW_UPDATE, None, Some(pairs), _) => write_side(pairs, 0, out),
            _ => return false,
        }
        true
    }

    /// Appends the values after as an object; false where there are none.
    pub fn write_new(&self, names: Option<&Names>, out: &mut String) -> bool {
        match (self.event_type, &self.image, &self.pairs, &self.row) {
            (ROW_INSERT | ROW_BASELINE, _, _, Some(row)) => write_row(names, row, out),
            (ROW_UPDATE, Some(image), Some(pairs), _) => write_overlay(names, image, pairs, out),
            (ROW_UPDATE, Some(image), None, _) => write_row(names, image, out),
            (ROW_UPDATE, None, Some(pairs), _) => write_side(pairs, 1, out),
            _ => return false,
        }
        true
    }
}

/// The members of an object, in their order.
struct Pairs<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<'a>, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A name as the beginning of a member.
fn member(name: &str) -> String {
    let mut member = text(name);
    member.push(':');
    member
}

/// A name as a JSON string, which every name has.
fn text(name: &str) -> String {
    serde_json::to_string(name).unwrap_or_default()
}

fn separate(out: &mut String, is_first: bool) {
    out.push(if is_first { '{' } else { ',' });
}

fn finish(out: &mut String, is_empty: bool) {
    out.push_str(if is_empty { "{}" } else { "}" });
}

/// A whole row. Where the version's names are lost, columns are called by their place, from 1 on.
fn write_row(names: Option<&Names>, row: &[&RawValue], out: &mut String) {
    let names = names.filter(|names| names.members.len() == row.len());
    for (place, value) in row.iter().enumerate() {
        separate(out, place == 0);
        match names {
            Some(names) => out.push_str(&names.members[place]),
            None => out.push_str(&member(&(place + 1).to_string())),
        }
        out.push_str(value.get());
    }
    finish(out, row.is_empty());
}

/// One side of every change.
fn write_side(pairs: &Pairs, side: usize, out: &mut String) {
    for (place, (name, pair)) in pairs.0.iter().enumerate() {
        separate(out, place == 0);
        out.push_str(&member(name));
        out.push_str(one_of(pair, side));
    }
    finish(out, pairs.0.is_empty());
}

/// This side of `[old, new]`; what is no such pair stands for both.
fn one_of(pair: &RawValue, side: usize) -> &str {
    let sides: Option<Vec<&RawValue>> = serde_json::from_str(pair.get()).ok();
    sides.and_then(|sides| sides.get(side).copied()).unwrap_or(pair).get()
}

/// The whole old row with the new values of what changed. Both have their members in jsonb's order of keys.
fn write_overlay(names: Option<&Names>, image: &[&RawValue], pairs: &Pairs, out: &mut String) {
    let names = names.filter(|names| names.names.len() == image.len());
    let places: Vec<String>;
    let columns: &[String] = match names {
        Some(names) => &names.names,
        None => {
            places = (1..=image.len()).map(|place| place.to_string()).collect();
            &places
        }
    };
    let mut old = columns.iter().zip(image).peekable();
    let mut new = pairs.0.iter().peekable();
    let mut is_empty = true;
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some((column, _)), Some((name, _))) => key_order(column, name),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let kept = if order.is_le() { old.next() } else { None };
        let changed = if order.is_ge() { new.next() } else { None };
        separate(out, is_empty);
        is_empty = false;
        match (kept, changed) {
            (_, Some((name, pair))) => {
                out.push_str(&member(name));
                out.push_str(one_of(pair, 1));
            }
            (Some((column, value)), None) => {
                out.push_str(&member(column));
                out.push_str(value.get());
            }
            (None, None) => break,
        }
    }
    finish(out, is_empty);
}

/// jsonb's order of keys: the shorter first (src/backend/utils/adt/jsonb_util.c, lengthCompareJsonbString).
fn key_order(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
