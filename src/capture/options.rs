//! How a table is audited: the options that `audit.enable` keeps in `audit_internal.table_settings`.
//!
//! A trigger's argument is configuration in the hands of the table's owner, so nothing of it is believed but
//! the redaction of a table that has no settings, as after a restore of that table alone: it can only hide.

use crate::jsonb::{Container, Item};

/// How much a row event holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Level {
    Minimal,
    Standard,
    Comprehensive,
}

/// The options of one audited table.
pub struct Options {
    pub level: Level,
    pub ignored: Vec<ColumnName>,
    pub redacted: Vec<(ColumnName, Vec<u8>)>,
    pub label: Option<ColumnName>,
    /// What is recorded of INSERT, DELETE and UPDATE, in the bits of `pg_trigger.tgtype`, and TRUNCATE.
    pub operations: i16,
    /// The retention of its own that the table has.
    pub retention_id: Option<i32>,
}

/// A column as it was named when the options were written, in the server's encoding, and its number, which a
/// rename leaves as it is; 0 where that is not known.
pub struct ColumnName {
    pub name: Vec<u8>,
    pub number: i16,
}

impl Options {
    /// What holds for a table without settings: everything is recorded at level `standard`.
    pub fn unconfigured() -> Options {
        Options {
            level: Level::Standard,
            ignored: Vec::new(),
            redacted: Vec::new(),
            label: None,
            operations: i16::MAX,
            retention_id: None,
        }
    }

    /// Reads the jsonb of `audit_internal.table_settings`. What is missing or of another kind is as without settings.
    pub fn read(item: Item<'_>) -> Options {
        let mut options = Options::unconfigured();
        let Item::Object(object) = item else { return options };
        let pairs = object.members();
        let value = |key: &[u8]| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let numbers = if let Some(Item::Object(numbers)) = value(b"columns") { numbers.members() } else { Vec::new() };
        let column = |name: &[u8]| ColumnName {
            name: name.to_vec(),
            number: numbers
                .iter()
                .find(|(known, _)| *known == name)
                .and_then(|(_, number)| integer(number))
                .unwrap_or(0),
        };
        match value(b"level") {
            Some(Item::String(b"minimal")) => options.level = Level::Minimal,
            Some(Item::String(b"comprehensive")) => options.level = Level::Comprehensive,
            _ => {}
        }
        if let Some(Item::Array(names)) = value(b"operations") {
            options.operations = names.items().iter().fold(0, |bits, item| bits | operation(item));
        }
        if let Some(Item::Array(names)) = value(b"ignore_columns") {
            options.ignored = strings(names).map(column).collect();
        }
        if let Some(redact) = value(b"redact") {
            options.redacted = redaction(redact).into_iter().map(|(name, how)| (column(name), how.to_vec())).collect();
        }
        if let Some(Item::String(name)) = value(b"label_column") {
            options.label = Some(column(name));
        }
        options.retention_id = value(b"retention").as_ref().and_then(integer);
        options
    }

    /// Adds the redaction that other options have, by the names of the columns.
    pub fn redact_as(&mut self, others: Options) {
        for (column, how) in others.redacted {
            self.hide(column.name, &how);
        }
    }

    /// Adds the redaction that a trigger's argument asks for. What is no JSON of ours asks for nothing.
    pub fn redact_as_seed(&mut self, seed: &[u8]) {
        let Ok(seed) = serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(seed)) else { return };
        let Some(columns) = seed.get("redact").and_then(serde_json::Value::as_object) else { return };
        for (name, how) in columns {
            self.hide(name.clone().into_bytes(), how.as_str().unwrap_or_default().as_bytes());
        }
    }

    /// Masks a column, or omits it. Nothing is hashed for a table without settings: its owner, who may read the trail,
    /// could look up what a hash in another table stands for.
    fn hide(&mut self, name: Vec<u8>, how: &[u8]) {
        if !self.redacted.iter().any(|(column, _)| column.name == name) {
            let how: &[u8] = if how == b"omit" { b"omit" } else { b"mask" };
            self.redacted.push((ColumnName { name, number: 0 }, how.to_vec()));
        }
    }

    /// Masks these columns where a redaction names one that is none of them: it may have been renamed.
    pub fn hide_all_if_lost<'a>(&mut self, columns: impl Iterator<Item = &'a [u8]> + Clone) {
        let is_lost = |column: &ColumnName| !columns.clone().any(|name| column.is(name, 0));
        if self.redacted.iter().any(|(column, _)| is_lost(column)) {
            columns.clone().for_each(|name| self.hide(name.to_vec(), b"mask"));
        }
    }
}

impl ColumnName {
    /// Whether this is the column of that name and number, by the name alone where no number is known. A name that came
    /// as UTF-8 is met by any that looks like it.
    pub fn is(&self, name: &[u8], number: i16) -> bool {
        match self.number {
            0 => self.name == name || self.name == String::from_utf8_lossy(name).as_bytes(),
            known => known == number,
        }
    }
}

/// The columns of an object of column and method; a method that is no string masks.
fn redaction(item: Item<'_>) -> Vec<(&[u8], &[u8])> {
    let Item::Object(columns) = item else { return Vec::new() };
    let method = |how| if let Item::String(how) = how { how } else { b"mask".as_slice() };
    columns.members().into_iter().map(|(name, how)| (name, method(how))).collect()
}

fn strings(array: Container<'_>) -> impl Iterator<Item = &[u8]> {
    array.items().into_iter().filter_map(|item| if let Item::String(text) = item { Some(text) } else { None })
}

/// The bit of an operation's name in `pg_trigger.tgtype`.
fn operation(item: &Item<'_>) -> i16 {
    use pgrx::pg_sys::{TRIGGER_TYPE_DELETE, TRIGGER_TYPE_INSERT, TRIGGER_TYPE_TRUNCATE, TRIGGER_TYPE_UPDATE};
    let bit = match item {
        Item::String(b"insert") => TRIGGER_TYPE_INSERT,
        Item::String(b"update") => TRIGGER_TYPE_UPDATE,
        Item::String(b"delete") => TRIGGER_TYPE_DELETE,
        Item::String(b"truncate") => TRIGGER_TYPE_TRUNCATE,
        _ => 0,
    };
    i16::try_from(bit).unwrap_or(0)
}

/// A whole number.
fn integer<T: std::str::FromStr>(item: &Item<'_>) -> Option<T> {
    let Item::Number(number) = item else { return None };
    std::str::from_utf8(&crate::encode::restore::decimal(number)).ok()?.parse().ok()
}
