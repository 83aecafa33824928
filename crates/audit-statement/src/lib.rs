//! The text of SQL statements: what can be read from it without PostgreSQL's parser.
//!
//! - [`lexer`]: the tokens of a text, and what a [token](lexer::Token) is
//! - [`comment`]: trace context that an application or its driver wrote into a comment
//! - [`redact()`]: a text with its values taken out
//! - [`single`]: one statement out of a text of several
//!
//! A text is bytes in the server encoding, as PostgreSQL holds it. Nothing here fails: a text may be one that
//! PostgreSQL refused. The crate knows neither PostgreSQL's memory nor its errors, so its tests need no server.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod comment;
pub mod lexer;
mod redact;
mod token;

pub use redact::redact;

use lexer::{Kind, Lexer, is_space};

/// One statement of `text`, at the location and length in bytes that PostgreSQL's parser gave it, without white space
/// at its ends: what `CleanQuerytext` (`src/backend/nodes/queryjumblefuncs.c`, before 16 in `pg_stat_statements.c`)
/// cuts, and the comments that belong to it.
///
/// A negative `location` means the whole text, a `len` of zero or less all from there on. Comments that follow, up to
/// the next `;`, belong to the statement; those after its `;` do when nothing but comments follows in the text, and
/// then the `;` is kept between. From PostgreSQL 18 on a statement's location is its first token: comments at the
/// very beginning of the text are given back to the first statement, those of a later statement are lost.
pub fn single(text: &[u8], location: i32, len: i32) -> &[u8] {
    let Ok(location) = usize::try_from(location) else {
        return trim(text);
    };
    let start = if text.get(..location).is_some_and(only_blanks) { 0 } else { location };
    let end = match usize::try_from(len) {
        Ok(len @ 1..) => location.saturating_add(len).min(text.len()),
        _ => text.len(),
    };
    let end = end + comments_after(text.get(end..).unwrap_or_default());
    trim(text.get(start..end).unwrap_or_default())
}

/// Length of what in `tail` belongs to the statement before it.
fn comments_after(tail: &[u8]) -> usize {
    let mut own = 0;
    let mut all = 0;
    let mut ended = false;
    // The setting concerns strings, and the first one ends the search.
    for token in Lexer::new(tail, true) {
        match token.kind {
            Kind::LineComment | Kind::BlockComment => all = token.end(),
            Kind::Space => continue,
            Kind::Punctuation if token.text == b";" => ended = true,
            _ => return own,
        }
        if !ended {
            own = all;
        }
    }
    all
}

fn only_blanks(text: &[u8]) -> bool {
    Lexer::new(text, true).all(|token| token.is_blank())
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}
