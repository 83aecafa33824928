//! A word of a search, and whether a text or a value contains it.
//!
//! Texts hold a word anywhere and in any case; a number is the same however it is written, 1250 or 1250.00; `true` and
//! `false` are also booleans. A word of ASCII letters is looked for in the bytes as they lie, which holds in every
//! encoding of a server: bytes below 128 stand for ASCII alone there.

use core::ffi::c_char;

use memchr::{memchr2_iter, memmem};
use pgrx::pg_sys;

use crate::encode::marker;
use crate::encode::number;
use crate::jsonb::{Container, Kind, Value, Writer};

/// The most digits of a word that is also a number.
const DIGITS: usize = 30;

/// Bytes by how often they stand in texts, the commonest first.
const COMMON: &[u8] = b" eatoinsrldch0um1pg2f.y53b-w49v687k";

/// A word, ready to be looked for.
pub struct Word {
    /// In lower case, and in UTF-8 if it is not ASCII.
    text: Vec<u8>,
    /// Where its rarest byte stands.
    pivot: usize,
    is_ascii: bool,
    /// The payload of the numeric that it is.
    number: Option<Vec<u8>>,
    boolean: Option<Kind>,
}

impl Word {
    /// The word of a text in the server's encoding.
    pub fn new(text: &[u8]) -> Word {
        let is_ascii = text.is_ascii();
        let text = if is_ascii { text.to_ascii_lowercase() } else { lower_case(text) };
        let rank = |byte: &u8| COMMON.iter().position(|common| common == byte).unwrap_or(COMMON.len());
        let pivot = text.iter().enumerate().max_by_key(|(_, byte)| rank(byte)).map_or(0, |(place, _)| place);
        let boolean = match &*text {
            b"true" => Some(Kind::True),
            b"false" => Some(Kind::False),
            _ => None,
        };
        Word { pivot, is_ascii, number: number_of(&text), boolean, text }
    }

    /// Whether a text in the server's encoding contains the word.
    pub fn is_in(&self, text: &[u8]) -> bool {
        if self.is_ascii {
            return self.is_in_ascii(text);
        }
        // Lower case makes no letter beyond ASCII of one within.
        !text.is_ascii() && memmem::find(&lower_case(text), &self.text).is_some()
    }

    fn is_in_ascii(&self, text: &[u8]) -> bool {
        let Some(pivot) = self.text.get(self.pivot) else { return true };
        memchr2_iter(*pivot, pivot.to_ascii_uppercase(), text).any(|found| {
            found
                .checked_sub(self.pivot)
                .and_then(|start| text.get(start..start + self.text.len()))
                .is_some_and(|part| part.eq_ignore_ascii_case(&self.text))
        })
    }

    /// Whether the values of a row, of changes by column or of parameters hold the word; their names do not count.
    pub fn is_in_values(&self, document: Container) -> bool {
        if document.is_object() {
            return document.pairs().any(|(_, value)| self.is_in_value(value, 0));
        }
        document.elements().any(|value| self.is_in_value(value, 0))
    }

    /// Whether a value contains the word, as text of it, as one of its parts or as a key within it.
    fn is_in_value(&self, value: Value, depth: usize) -> bool {
        match value.kind {
            Kind::String => self.is_in(value.bytes()),
            Kind::Number => self.number.as_deref().is_some_and(|number| is_same(number, value.bytes())),
            Kind::True | Kind::False => self.boolean == Some(value.kind),
            Kind::Null => false,
            Kind::Container => value.container().is_some_and(|container| self.is_in_container(container, depth + 1)),
        }
    }

    fn is_in_container(&self, container: Container, depth: usize) -> bool {
        if depth.is_multiple_of(16) {
            // SAFETY: PostgreSQL's own limit for a backend that recurses.
            unsafe { pg_sys::check_stack_depth() };
        }
        if !container.is_object() {
            return container.elements().any(|element| self.is_in_value(element, depth));
        }
        if container.len() == 1
            && let Some((marker::KEY, marked)) = container.pairs().next()
        {
            return self.is_in_marked(marked, depth);
        }
        container.pairs().any(|(key, value)| self.is_in(key) || self.is_in_value(value, depth))
    }

    /// What stands for a value is not that value: of a masked, omitted or capped one there is nothing to find, of a
    /// hashed one the whole digest.
    fn is_in_marked(&self, marked: Value, depth: usize) -> bool {
        let Some(inner) = marked.container().filter(|inner| inner.is_object()) else { return false };
        inner.pairs().any(|(name, value)| match name {
            b"text" | b"json" | b"row" => self.is_in_value(value, depth),
            b"hash" => value.kind == Kind::String && value.bytes() == self.text,
            _ => false,
        })
    }
}

/// The text in lower case and UTF-8, letter by letter.
fn lower_case(text: &[u8]) -> Vec<u8> {
    // SAFETY: the text is readable for its length; a conversion's result is NUL-terminated and lives in the current
    // memory context.
    let text = unsafe {
        let length = i32::try_from(text.len()).unwrap_or(0);
        let converted =
            pg_sys::pg_server_to_any(text.as_ptr().cast::<c_char>(), length, pg_sys::pg_enc::PG_UTF8 as i32);
        if converted.cast_const().cast() == text.as_ptr() {
            text
        } else {
            core::ffi::CStr::from_ptr(converted).to_bytes()
        }
    };
    String::from_utf8_lossy(text).chars().flat_map(char::to_lowercase).collect::<String>().into_bytes()
}

/// The payload of the numeric that a word such as `-1250.00` is.
fn number_of(word: &[u8]) -> Option<Vec<u8>> {
    let unsigned = word.strip_prefix(b"+").unwrap_or(word);
    let digits = unsigned.strip_prefix(b"-").unwrap_or(unsigned);
    let is_number = digits.len() <= DIGITS
        && digits.iter().any(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && digits.iter().filter(|byte| **byte == b'.').count() <= 1;
    if !is_number {
        return None;
    }
    let mut writer = Writer::new();
    number::decimal(&mut writer, unsigned);
    writer.written().get(4..).map(<[u8]>::to_vec)
}

/// Whether a numeric, with its header, is the same number as a payload: digits after the point that are zero count
/// for nothing.
fn is_same(number: &[u8], other: &[u8]) -> bool {
    other.get(4..).is_some_and(|other| number::parts(number).is_some_and(|parts| number::parts(other) == Some(parts)))
}
