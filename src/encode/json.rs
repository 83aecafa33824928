//! Embeds the types json and jsonb.
//!
//! jsonb is copied as it is. json is text: it is embedded only where jsonb would print exactly that text,
//! decided here without calling PostgreSQL's parser, which refuses `\u0000` and would fail the statement.

use super::jsonb::{Kind, Writer};
use super::marker;
use super::scanner::Scanner;

const COUNT: u32 = 0x0FFF_FFFF;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ENTRY_KIND: u32 = 0x7000_0000;

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
    match entry & ENTRY_KIND {
        0x1000_0000 => {
            writer.pad();
            writer.push(data);
            Kind::Number
        }
        0x2000_0000 => Kind::False,
        0x3000_0000 => Kind::True,
        0x4000_0000 => marker::wrap(writer, b"json", |_| Kind::Null),
        _ => {
            writer.push(data);
            Kind::String
        }
    }
}

/// Whether an object has the marker as its only key.
fn is_marker(bytes: &[u8], header: u32) -> bool {
    header & OBJECT != 0
        && header & COUNT == 1
        && usize::try_from(word(bytes, 4) & COUNT) == Ok(marker::KEY.len())
        && bytes.get(12..12 + marker::KEY.len()) == Some(marker::KEY)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
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
