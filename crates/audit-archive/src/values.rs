//! What a row event says, in JSON text: which columns changed, the values before, the values after. Where they are
//! stored is told by the model ([`audit_model::Changes::source`]). Values are copied as text and never parsed.

use std::fmt;

use audit_model::{EventType, Shape, Side, Source, merge};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

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
    /// What the type of the event says that its changes are.
    held: Option<audit_model::Changes>,
    shape: Option<Shape>,
}

impl<'a> Changes<'a> {
    pub fn of(event: &Event<'a>) -> serde_json::Result<Changes<'a>> {
        let held = EventType::numbered(event.event_type).and_then(EventType::changes);
        let mut changes = Changes { pairs: None, row: None, names: Vec::new(), image: None, held, shape: None };
        let Some(held) = held else { return Ok(changes) };
        if let Some(document) = event.changes.map(RawValue::get) {
            let shape = if document.starts_with('{') { Shape::Object } else { Shape::Array };
            changes.shape = Some(shape);
            match (held, shape) {
                (audit_model::Changes::Row(_), _) => changes.row = Some(serde_json::from_str(document)?),
                (audit_model::Changes::Columns, Shape::Object) => changes.pairs = Some(serde_json::from_str(document)?),
                (audit_model::Changes::Columns, Shape::Array) => changes.names = serde_json::from_str(document)?,
            }
        }
        if let (audit_model::Changes::Columns, Some(image)) = (held, event.image) {
            changes.image = Some(serde_json::from_str(image.get())?);
        }
        Ok(changes)
    }

    /// How many columns an update changed, and their names; none for other events.
    pub fn columns(&self) -> Option<(usize, impl Iterator<Item = &str>)> {
        let pairs = self.pairs.iter().flat_map(|pairs| pairs.0.iter()).map(|(name, _)| &**name);
        let names = self.names.iter().map(|name| &**name);
        let count = self.pairs.as_ref().map_or(0, |pairs| pairs.0.len()) + self.names.len();
        (self.held == Some(audit_model::Changes::Columns)).then(|| (count, pairs.chain(names)))
    }

    /// Appends those names as an array; false for other events.
    pub fn write_columns(&self, out: &mut String) -> bool {
        let Some((_, columns)) = self.columns() else { return false };
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

    /// Appends the values of this side as an object; false where there are none.
    pub fn write(&self, side: Side, names: Option<&Names>, out: &mut String) -> bool {
        let source = self.held.and_then(|held| held.source(side, self.shape, self.image.is_some()));
        match (source, &self.row, &self.image, &self.pairs) {
            (Some(Source::Row), Some(row), ..) => write_row(names, row, out),
            (Some(Source::Image), _, Some(image), _) => write_row(names, image, out),
            (Some(Source::Overlay), _, Some(image), Some(pairs)) => write_overlay(names, image, pairs, out),
            (Some(Source::Columns), .., Some(pairs)) => write_side(pairs, side, out),
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
fn write_side(pairs: &Pairs, side: Side, out: &mut String) {
    for (place, (name, pair)) in pairs.0.iter().enumerate() {
        separate(out, place == 0);
        out.push_str(&member(name));
        out.push_str(one_of(pair, side));
    }
    finish(out, pairs.0.is_empty());
}

/// This side of `[old, new]`; what is no such pair stands for both.
fn one_of(pair: &RawValue, side: Side) -> &str {
    let sides: Option<Vec<&RawValue>> = serde_json::from_str(pair.get()).ok();
    sides.and_then(|sides| sides.get(side as usize).copied()).unwrap_or(pair).get()
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
    let old = columns.iter().map(String::as_str).zip(image);
    let new = pairs.0.iter().map(|(name, pair)| (&**name, pair));
    let mut is_empty = true;
    for (name, kept, changed) in merge(old, new) {
        separate(out, is_empty);
        is_empty = false;
        out.push_str(&member(name));
        let value = changed.map(|pair| one_of(pair, Side::New)).or(kept.map(|value| value.get()));
        out.push_str(value.unwrap_or("null"));
    }
    finish(out, is_empty);
}
