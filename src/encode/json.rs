//! Embeds the types json and jsonb.
//!
//! jsonb is copied as it is. json is text: it is embedded only where jsonb would print exactly that text,
//! decided here without calling PostgreSQL's parser, which refuses `\u0000` and would fail the statement.

use super::marker;
use super::scanner::Scanner;
use crate::jsonb::layout::{COUNT, LENGTH, OBJECT, SCALAR, word};
use crate::jsonb::{Kind, Writer};

/// Embeds a jsonb value given without its varlena header.
pub fn binary(writer: &mut Writer, bytes: &[u8]) -> Kind {
    let header = word(bytes, 0);
    if header & SCALAR != 0 {
        return scalar(writer, word(bytes, 4), bytes.get(8..).unwrap_or_default());
    }
    if is_marker(bytes, header) {
        return marker::wrap(writer, b"json", |writer| copy(writer, bytes));
    }
    copy(writer, bytes)
}

fn copy(writer: &mut Writer, bytes: &[u8]) -> Kind {
    writer.pad();
    writer.push(bytes);
    Kind::Container
}

fn scalar(writer: &mut Writer, entry: u32, data: &[u8]) -> Kind {
    match Kind::of_entry(entry) {
        Kind::Number => {
            writer.pad();
            writer.push(data);
            Kind::Number
        }
        kind @ (Kind::False | Kind::True) => kind,
        Kind::Null => marker::wrap(writer, b"json", |_| Kind::Null),
        Kind::String | Kind::Container => {
            writer.push(data);
            Kind::String
        }
    }
}

/// Whether an object has the marker as its only key.
fn is_marker(bytes: &[u8], header: u32) -> bool {
    header & OBJECT != 0
        && header & COUNT == 1
        && usize::try_from(word(bytes, 4) & LENGTH) == Ok(marker::KEY.len())
        && bytes.get(12..12 + marker::KEY.len()) == Some(marker::KEY)
}

/// Embeds a json value: natively where its text is jsonb's own, else as `{"$audit": {"text": …}}`.
pub fn text(writer: &mut Writer, text: &[u8]) -> Kind {
    let start = writer.len();
    if text == b"null" {
        return marker::wrap(writer, b"json", |_| Kind::Null);
    }
    let mut scanner = Scanner::new(text);
    match scanner.value(writer, 0) {
        Some((kind, false)) if scanner.is_at_end() => kind,
        _ => {
            writer.truncate(start);
            marker::text(writer, b"text", text)
        }
    }
}
