//! The name of a place in a document: `a.b[2]`, with positions from 0 as in SQL's JSON paths. A key that is
//! no plain word is quoted as JSON: `a."b.c"`. The document itself has the empty path.

use std::io::Write;

#[derive(Default)]
pub struct Path {
    text: Vec<u8>,
}

impl Path {
    /// Goes to a member of an object; the result is for [`Path::leave`].
    pub fn enter_key(&mut self, key: &[u8]) -> usize {
        let parent = self.text.len();
        if parent > 0 {
            self.text.push(b'.');
        }
        if is_word(key) {
            self.text.extend_from_slice(key);
        } else {
            self.quote(key);
        }
        parent
    }

    /// Goes to an element of an array.
    pub fn enter_position(&mut self, position: usize) -> usize {
        let parent = self.text.len();
        // Writing to memory does not fail.
        let _ = write!(self.text, "[{position}]");
        parent
    }

    /// Goes back up.
    pub fn leave(&mut self, parent: usize) {
        self.text.truncate(parent);
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn quote(&mut self, key: &[u8]) {
        self.text.push(b'"');
        for byte in key {
            match byte {
                b'"' | b'\\' => self.text.extend_from_slice(&[b'\\', *byte]),
                0..0x20 => {
                    let _ = write!(self.text, "\\u{byte:04x}");
                }
                _ => self.text.push(*byte),
            }
        }
        self.text.push(b'"');
    }
}

/// Letters, digits and underscores that do not begin with a digit; any letter beyond ASCII will do.
fn is_word(key: &[u8]) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80;
    matches!(key, [first, rest @ ..]
        if is_letter(*first) && rest.iter().all(|byte| is_letter(*byte) || byte.is_ascii_digit()))
}
