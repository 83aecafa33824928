//! How a table is audited: the JSON object that `audit.enable` wrote as the trigger's argument.
//!
//! The trigger carries its options, so a dump, a partition's clone and a renamed table carry them too.

use serde_json::Value;

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
    pub redacted: Vec<(ColumnName, String)>,
    pub label: Option<ColumnName>,
    /// The retention of its own that the table has.
    pub retention_id: Option<i32>,
    /// The table that the attribute numbers are of; another one after a restore.
    pub relation: u32,
}

/// A column as it was named when the options were written, and its number, which a rename leaves as it is.
pub struct ColumnName {
    pub name: String,
    pub number: i16,
}

impl Options {
    /// Parses the argument; none where it is not what `audit.enable` writes.
    pub fn parse(text: &[u8]) -> Option<Options> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let numbers = value.get("columns").and_then(Value::as_object);
        let column = |name: &str| ColumnName {
            name: name.to_owned(),
            number: numbers
                .and_then(|numbers| numbers.get(name)?.as_i64())
                .and_then(|number| i16::try_from(number).ok())
                .unwrap_or(0),
        };
        let level = match value.get("level")?.as_str()? {
            "minimal" => Level::Minimal,
            "standard" => Level::Standard,
            "comprehensive" => Level::Comprehensive,
            _ => return None,
        };
        let ignored = match value.get("ignore_columns") {
            None | Some(Value::Null) => Vec::new(),
            Some(names) => names.as_array()?.iter().filter_map(Value::as_str).map(column).collect(),
        };
        let redacted = match value.get("redact") {
            None | Some(Value::Null) => Vec::new(),
            Some(names) => names
                .as_object()?
                .iter()
                .map(|(name, how)| Some((column(name), how.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
        };
        let relation =
            value.get("relation").and_then(Value::as_u64).and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0);
        Some(Options {
            level,
            ignored,
            redacted,
            retention_id: value.get("retention").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok()),
            label: value.get("label_column").and_then(Value::as_str).map(column),
            relation,
        })
    }
}

impl Options {
    /// Every column that the options name.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnName> {
        self.ignored.iter().chain(self.redacted.iter().map(|(column, _)| column)).chain(&self.label)
    }
}

impl ColumnName {
    /// Whether this is the column of that name and number, in a table whose numbers are `trusted` or not.
    pub fn is(&self, name: &[u8], number: i16, trusted: bool) -> bool {
        if trusted && self.number != 0 { self.number == number } else { self.name.as_bytes() == name }
    }
}
