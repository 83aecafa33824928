//! The tokens of an SQL text, cut as PostgreSQL's `src/backend/parser/scan.l` cuts them.
//!
//! - The text is bytes in the server encoding, UTF-8 or not: in every server encoding a byte below 128 is an ASCII
//!   character.
//! - The tokens are contiguous and together are the whole text, white space and comments included.
//! - Nothing is refused: what is unterminated ends with the text, and a byte that PostgreSQL does not know is
//!   punctuation.
//! - Where releases differ, the wider token is taken: letters after a number belong to it (an error in 15, `0x1F` and
//!   `1_000` from 16 on), and a vertical tab is white space (from 16 on).
//! - Keywords are not told from other words.

pub use crate::token::{Kind, Token};

/// Iterator over the tokens of a text.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    standard_conforming_strings: bool,
}

impl<'a> Lexer<'a> {
    /// Reads `text` from its beginning; the flag is the setting of that name under which the text was parsed.
    pub fn new(text: &'a [u8], standard_conforming_strings: bool) -> Self {
        Self { text, at: 0, standard_conforming_strings }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// The first offset from `at` on whose byte is not of the class.
    fn skip(&self, at: usize, class: fn(u8) -> bool) -> usize {
        let rest = self.rest(at);
        at + rest.iter().position(|&byte| !class(byte)).unwrap_or(rest.len())
    }

    /// Kind, end and termination of the token that begins with `first` at `at`.
    fn token(&self, first: u8, at: usize) -> (Kind, usize, bool) {
        let second = self.byte(at + 1);
        let plain = !self.standard_conforming_strings;
        match (first, second) {
            (byte, _) if is_space(byte) => (Kind::Space, self.skip(at, is_space), true),
            (b'-', Some(b'-')) => (Kind::LineComment, self.skip(at, is_not_newline), true),
            (b'/', Some(b'*')) => self.block_comment(at),
            (b'\'', _) => self.quoted(Kind::String, at + 1, plain),
            (b'n' | b'N', Some(b'\'')) => self.quoted(Kind::String, at + 2, plain),
            (b'e' | b'E', Some(b'\'')) => self.quoted(Kind::String, at + 2, true),
            (b'b' | b'B' | b'x' | b'X', Some(b'\'')) => self.quoted(Kind::String, at + 2, false),
            // Without standard_conforming_strings PostgreSQL refuses U&'…': then the setting's own reading stands.
            (b'u' | b'U', Some(b'&')) if self.byte(at + 2) == Some(b'\'') => self.quoted(Kind::String, at + 3, plain),
            (b'u' | b'U', Some(b'&')) if self.byte(at + 2) == Some(b'"') => {
                self.quoted(Kind::QuotedIdentifier, at + 3, false)
            }
            (b'"', _) => self.quoted(Kind::QuotedIdentifier, at + 1, false),
            (b'$', Some(b'0'..=b'9')) => (Kind::Parameter, self.skip(at + 1, |byte| byte.is_ascii_digit()), true),
            (b'$', _) => self.dollar_string(at).unwrap_or((Kind::Punctuation, at + 1, true)),
            (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => (Kind::Number, self.number(at), true),
            (byte, _) if is_word_start(byte) => (Kind::Word, self.skip(at, is_word), true),
            (byte, _) if is_operator(byte) => (Kind::Operator, self.operator(at), true),
            (b':', Some(b':' | b'=')) | (b'.', Some(b'.')) => (Kind::Punctuation, at + 2, true),
            _ => (Kind::Punctuation, at + 1, true),
        }
    }

    fn block_comment(&self, start: usize) -> (Kind, usize, bool) {
        let mut depth = 0_usize;
        let mut at = start;
        while let Some(byte) = self.byte(at) {
            match (byte, self.byte(at + 1)) {
                (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
                (b'*', Some(b'/')) if depth <= 1 => return (Kind::BlockComment, at + 2, true),
                (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
        }
        (Kind::BlockComment, self.text.len(), false)
    }

    /// The string or quoted identifier whose first content byte is at `at`. A doubled quote in `B'…'` and `X'…'`, which
    /// scan.l does not know, is taken as in the others: PostgreSQL's parser refuses such a text.
    fn quoted(&self, kind: Kind, mut at: usize, escapes: bool) -> (Kind, usize, bool) {
        let quote = if kind == Kind::String { b'\'' } else { b'"' };
        while let Some(byte) = self.byte(at) {
            at += 1 + usize::from(byte == b'\\' && escapes);
            if byte != quote {
                continue;
            }
            if self.byte(at) == Some(quote) {
                at += 1;
            } else if kind == Kind::String
                && let Some(next) = self.continuation(at)
            {
                at = next;
            } else {
                return (kind, at, true);
            }
        }
        (kind, self.text.len(), false)
    }

    /// Where a string closed before `at` goes on: behind a quote on a later line, with only white space and line
    /// comments between (scan.l's `quotecontinue`).
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.byte(at)? {
                b'\'' if newline => return Some(at + 1),
                b'-' if self.byte(at + 1) == Some(b'-') => at = self.skip(at, is_not_newline),
                byte if is_space(byte) => {
                    newline |= !is_not_newline(byte);
                    at += 1;
                }
                _ => return None,
            }
        }
    }

    /// The dollar-quoted string that the `$` at `start` begins, if it begins one.
    fn dollar_string(&self, start: usize) -> Option<(Kind, usize, bool)> {
        let tag_end = self.skip(start + 1, is_dollar_tag);
        if self.byte(tag_end)? != b'$' {
            return None;
        }
        let body = tag_end + 1;
        let delimiter = self.text.get(start..body)?;
        let closing = self.rest(body).windows(delimiter.len()).position(|window| window == delimiter);
        Some(match closing {
            Some(length) => (Kind::DollarString, body + length + delimiter.len(), true),
            None => (Kind::DollarString, self.text.len(), false),
        })
    }

    fn number(&self, start: usize) -> usize {
        let mut at = self.skip(start, is_digits);
        // 1..10 is a number, two dots, a number.
        if self.byte(at) == Some(b'.') && (at == start || self.byte(at + 1) != Some(b'.')) {
            at = self.skip(at + 1, is_digits);
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            let sign = usize::from(matches!(self.byte(at + 1), Some(b'+' | b'-')));
            if self.byte(at + 1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
                at = self.skip(at + 1 + sign, is_digits);
            }
        }
        match self.byte(at) {
            Some(byte) if is_word_start(byte) => self.skip(at, is_word),
            _ => at,
        }
    }

    fn operator(&self, start: usize) -> usize {
        let run = self.text.get(start..self.skip(start, is_operator)).unwrap_or_default();
        let comment = run.windows(2).position(|pair| pair == b"/*" || pair == b"--");
        let mut name = run.get(..comment.unwrap_or(run.len())).unwrap_or_default();
        // The SQL standard's operators do not end in a sign: `=-1` is `=` and `-`, but `@-` stays.
        while let [head @ .., b'+' | b'-'] = name
            && !head.is_empty()
            && !head.iter().any(|byte| b"~!@#^&|`?%".contains(byte))
        {
            name = head;
        }
        start + name.len()
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        let (kind, end, terminated) = self.token(self.byte(start)?, start);
        let text = self.text.get(start..end.min(self.text.len()))?;
        self.at = start + text.len();
        Some(Token { kind, start, text, terminated })
    }
}

/// Whether PostgreSQL's scanner takes the byte as white space (`scanner_isspace`).
#[inline]
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

fn is_not_newline(byte: u8) -> bool {
    !matches!(byte, b'\n' | b'\r')
}

fn is_digits(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_dollar_tag(byte: u8) -> bool {
    byte.is_ascii_digit() || is_word_start(byte)
}

fn is_word(byte: u8) -> bool {
    is_dollar_tag(byte) || byte == b'$'
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}
