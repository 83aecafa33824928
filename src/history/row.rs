//! A whole row as an event holds it: the values without their names, which the version of the table has once.

use std::sync::LazyLock;

use crate::jsonb::{Container, Kind, Value, Writer};

/// The columns of the largest table (MaxTupleAttributeNumber).
const MOST_COLUMNS: usize = 1664;

/// What columns are called whose names are gone: by their place, from 1 on.
static PLACES: LazyLock<Vec<String>> = LazyLock::new(|| (1..=MOST_COLUMNS).map(|place| place.to_string()).collect());

/// The values of a row and the names of its columns, both in jsonb's order of keys.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub values: Container<'a>,
    /// Missing where retention or a partial copy of the trail has lost the version.
    pub names: Option<Container<'a>>,
}

impl<'a> Row<'a> {
    /// The columns in jsonb's order of keys.
    pub fn pairs(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let names = self.names.filter(|names| names.len() == self.values.len() && has_only_strings(*names));
        let is_named = names.is_some();
        let places = PLACES.iter().map(|place| place.as_bytes()).filter(move |_| !is_named);
        names.into_iter().flat_map(Container::names).chain(places).zip(self.values.elements())
    }

    /// Writes the row as an object.
    pub fn write(self, writer: &mut Writer) {
        writer.begin();
        let mut object = writer.object(self.values.len());
        for (name, _) in self.pairs() {
            writer.key(&mut object, name);
        }
        for (_, value) in self.pairs() {
            let kind = value.write(writer);
            writer.close(&mut object, kind);
        }
    }
}

/// What is not text would be written as a key all the same.
fn has_only_strings(names: Container) -> bool {
    names.elements().all(|name| name.kind == Kind::String)
}
