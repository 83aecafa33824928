//! Reads JSON text that is exactly as jsonb prints it, writing the binary form as it goes.
//!
//! Whatever is not of that form is no error: the caller keeps the text instead.

use audit_model::key_order;

use super::{marker, number};
use crate::jsonb::{Kind, Open, Writer};

/// Nesting beyond this is kept as text.
const DEPTH: usize = 48;

/// Reads JSON in exactly the form in which jsonb prints it, writing as it goes.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    /// Whether all of the text has been read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// One value: its kind, and whether it is an object that looks like a marker.
    pub fn value(&mut self, writer: &mut Writer, depth: usize) -> Option<(Kind, bool)> {
        if depth > DEPTH {
            return None;
        }
        let plain = match self.peek()? {
            b'{' => return self.object(writer, depth).map(|marker| (Kind::Container, marker)),
            b'[' => {
                self.array(writer, depth)?;
                Kind::Container
            }
            b'"' => {
                self.string(writer)?;
                Kind::String
            }
            b't' => self.literal(b"true").then_some(Kind::True)?,
            b'f' => self.literal(b"false").then_some(Kind::False)?,
            b'n' => self.literal(b"null").then_some(Kind::Null)?,
            _ => {
                self.number(writer)?;
                Kind::Number
            }
        };
        Some((plain, false))
    }

    fn object(&mut self, writer: &mut Writer, depth: usize) -> Option<bool> {
        let count = self.children()?;
        self.at += 1;
        let mut container = writer.object(count);
        // Keys come first in the binary form: read them, skipping the values, then read the values.
        let body = self.at;
        let mut previous: Option<(usize, usize)> = None;
        let mut marked = false;
        for index in 0..count {
            self.separator(index)?;
            let start = writer.len();
            self.string(writer)?;
            if !self.literal(b": ") {
                return None;
            }
            let key = (start, writer.len());
            if let Some(before) = previous
                && !writer.ordered(before, key)
            {
                return None;
            }
            marked = count == 1 && writer.is(key, marker::KEY);
            previous = Some(key);
            writer.close(&mut container, Kind::String);
            self.skip()?;
        }
        self.at = body;
        for index in 0..count {
            self.separator(index)?;
            self.skip_string()?;
            self.at += 2;
            let (kind, _) = self.value(writer, depth + 1)?;
            writer.close(&mut container, kind);
        }
        self.literal(b"}").then_some(marked)
    }

    fn array(&mut self, writer: &mut Writer, depth: usize) -> Option<()> {
        let count = self.children()?;
        self.at += 1;
        let mut container: Open = writer.array(count);
        for index in 0..count {
            self.separator(index)?;
            let (kind, _) = self.value(writer, depth + 1)?;
            writer.close(&mut container, kind);
        }
        self.literal(b"]").then_some(())
    }

    fn separator(&mut self, index: usize) -> Option<()> {
        (index == 0 || self.literal(b", ")).then_some(())
    }

    /// Writes the string with its escapes resolved, refusing escapes that jsonb would print otherwise.
    fn string(&mut self, writer: &mut Writer) -> Option<()> {
        self.at += 1;
        loop {
            match self.take()? {
                b'"' => return Some(()),
                b'\\' => {
                    let byte = match self.take()? {
                        b'"' => b'"',
                        b'\\' => b'\\',
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'u' => self.control()?,
                        _ => return None,
                    };
                    writer.push(&[byte]);
                }
                byte if byte < 0x20 => return None,
                byte => writer.push(&[byte]),
            }
        }
    }

    /// The rest of `\u00XX`, the only escape of this form that jsonb prints: other control characters.
    fn control(&mut self) -> Option<u8> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let text = core::str::from_utf8(digits).ok()?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let code = u8::try_from(u16::from_str_radix(text, 16).ok()?).ok()?;
        self.at += 4;
        (code != 0 && code < 0x20 && !matches!(code, 8 | 9 | 10 | 12 | 13)).then_some(code)
    }

    /// A number as numeric_out prints it.
    fn number(&mut self, writer: &mut Writer) -> Option<()> {
        let start = self.at;
        self.literal(b"-");
        let integer = self.digits();
        let leading_zero = self.text.get(self.at - integer) == Some(&b'0');
        if integer == 0 || (leading_zero && integer > 1) {
            return None;
        }
        if self.literal(b".") && self.digits() == 0 {
            return None;
        }
        let text = &self.text[start..self.at];
        let negative_zero = text.starts_with(b"-") && !text.iter().any(|byte| (b'1'..=b'9').contains(byte));
        if text.len() > 32 || negative_zero {
            return None;
        }
        number::decimal(writer, text);
        Some(())
    }

    fn digits(&mut self) -> usize {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// How many children the container at hand has.
    fn children(&mut self) -> Option<usize> {
        let start = self.at;
        self.at += 1;
        let mut count = 0;
        if !matches!(self.peek()?, b'}' | b']') {
            loop {
                self.skip()?;
                if self.literal(b": ") {
                    self.skip()?;
                }
                count += 1;
                if !self.literal(b", ") {
                    break;
                }
            }
        }
        self.at = start;
        Some(count)
    }

    /// Passes over one value without looking at its form.
    fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_string(),
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    match self.peek()? {
                        b'"' => {
                            self.skip_string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        return Some(());
                    }
                }
            }
            _ => {
                let length =
                    self.text[self.at..].iter().take_while(|byte| !matches!(byte, b',' | b'}' | b']' | b':')).count();
                self.at += length;
                (length > 0).then_some(())
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.take()? {
                b'"' => return Some(()),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    fn literal(&mut self, text: &[u8]) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        if found {
            self.at += text.len();
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

impl Writer {
    /// Whether one written key sorts strictly before another.
    fn ordered(&mut self, one: (usize, usize), other: (usize, usize)) -> bool {
        let bytes = self.written();
        key_order(&bytes[one.0..one.1], &bytes[other.0..other.1]).is_lt()
    }

    fn is(&mut self, range: (usize, usize), text: &[u8]) -> bool {
        &self.written()[range.0..range.1] == text
    }
}
