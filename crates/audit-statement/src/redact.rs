//! Statement text without its values, for statements on tables with redacted columns.
//!
//! - Every constant becomes `?`: strings of all kinds, numbers, TRUE, FALSE and NULL, together with a sign where no
//!   operator can stand. Parameters (`$1`) hold no value and stay.
//! - Every comment becomes a space: applications write values there too.
//! - `standard_conforming_strings` cannot be asked for: a text may have been parsed under another setting than is in
//!   force now (prepared statements, SET within the same string). Both readings are taken side by side, and where
//!   they part, at a string with a backslash before a quote, the rest of the text becomes one `?`.
//! - An identifier is no value. One whose closing quote is missing may have swallowed some, and becomes `?`.
//! - What names a secret otherwise, as a password statement does, is not looked for.

use crate::lexer::{Kind, Lexer, Token};

/// The text with `?` for each constant and no comments, in the encoding of the text; white space at its ends is
/// dropped.
pub fn redact(text: &[u8]) -> Vec<u8> {
    // What ends amid a constant under either setting has never run, and what seems an identifier may be none.
    if [true, false].iter().all(|setting| Lexer::new(text, *setting).any(|token| !token.terminated)) {
        return b"?".to_vec();
    }
    let mut writer = Writer { out: Vec::with_capacity(text.len()), signs: None, operand: false };
    for (token, other) in Lexer::new(text, true).zip(Lexer::new(text, false)) {
        if token != other {
            writer.constant();
            break;
        }
        writer.token(token);
    }
    writer.out.truncate(writer.out.trim_ascii_end().len());
    writer.out
}

struct Writer {
    out: Vec<u8>,
    /// Length of `out` before the signs it ends with, if they can only belong to an operand that follows.
    signs: Option<usize>,
    /// Whether an operand came last, so that a sign now is an operator between two.
    operand: bool,
}

impl Writer {
    fn token(&mut self, token: Token) {
        match token.kind {
            Kind::Space if !self.out.is_empty() => self.out.extend_from_slice(token.text),
            Kind::Space => {}
            Kind::LineComment | Kind::BlockComment => self.separate(),
            Kind::Number | Kind::String | Kind::DollarString => self.constant(),
            Kind::QuotedIdentifier if !token.terminated => self.constant(),
            Kind::Word if is_among(CONSTANTS, token.text) => self.constant(),
            Kind::Operator if matches!(token.text, b"+" | b"-") && !self.operand => {
                self.signs = self.signs.or(Some(self.out.len()));
                self.out.extend_from_slice(token.text);
            }
            kind => {
                self.operand = match kind {
                    Kind::Word => !is_among(BEFORE_OPERAND, token.text),
                    Kind::QuotedIdentifier | Kind::Parameter => true,
                    _ => matches!(token.text, b")" | b"]"),
                };
                self.signs = None;
                self.out.extend_from_slice(token.text);
            }
        }
    }

    fn constant(&mut self) {
        self.out.truncate(self.signs.take().unwrap_or(self.out.len()));
        self.out.push(b'?');
        self.operand = true;
    }

    /// Keeps apart what a comment kept apart.
    fn separate(&mut self) {
        if self.out.last().is_some_and(|byte| !byte.is_ascii_whitespace()) {
            self.out.push(b' ');
        }
    }
}

fn is_among(words: &str, word: &[u8]) -> bool {
    words.split(' ').any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// Words that are constants.
const CONSTANTS: &str = "true false null";

/// Keywords that no operand ends in, so that a sign after them belongs to what follows.
const BEFORE_OPERAND: &str = "all and any as asymmetric between both by case default distinct else except fetch for \
    from having ilike in intersect is leading like limit not offset on or returning select some symmetric then to \
    trailing union when where";
