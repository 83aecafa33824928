//! Trace context in comments, as the sqlcommenter specification writes it: `/*key='value',key='value'*/`.
//!
//! Keys and values are URL-encoded, and a backslash takes the next byte as it is. What is decoded are bytes that the
//! application chose: neither their encoding nor their content is vouched for, except that they hold no NUL.

use crate::lexer::{Kind, Lexer, Token};

/// One `key='value'` of a comment, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name, never empty.
    pub key: Vec<u8>,
    /// The value, maybe empty.
    pub value: Vec<u8>,
}

/// The pairs in the comment of a statement, in their order; none when it has no comment that is wholly of this form.
///
/// The comment is the last `/* */` after the statement's last token (a `;` apart), or, when none is there, the last
/// one before its first token. Comments amid the statement and `--` comments do not count.
/// `standard_conforming_strings` is the setting under which the text was parsed.
pub fn pairs(statement: &[u8], standard_conforming_strings: bool) -> Option<Vec<Pair>> {
    // Most statements have no comment: this costs them one pass without lexing.
    if !statement.windows(2).any(|pair| pair == b"/*") {
        return None;
    }
    parse(content(statement, standard_conforming_strings)?)
}

/// The value of the first pair with this key.
pub fn value<'a>(pairs: &'a [Pair], key: &[u8]) -> Option<&'a [u8]> {
    pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_slice())
}

/// The trace id in a W3C `traceparent` of version 00 (`00-<trace id>-<parent id>-<flags>`, lower-case hexadecimal,
/// neither id all zeros); none when it is anything else.
pub fn trace_id(traceparent: &[u8]) -> Option<&str> {
    let mut fields = traceparent.split(|&byte| byte == b'-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let identifies = |id: &[u8]| id.iter().any(|&byte| byte != b'0');
    let valid = fields.next().is_none()
        && version == b"00"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && identifies(trace)
        && identifies(parent);
    if !valid {
        return None;
    }
    std::str::from_utf8(trace).ok()
}

/// What stands between `/*` and `*/` of the statement's comment.
fn content(statement: &[u8], standard_conforming_strings: bool) -> Option<&[u8]> {
    let mut leading = None;
    let mut trailing = None;
    let mut begun = false;
    for token in Lexer::new(statement, standard_conforming_strings) {
        match token.kind {
            Kind::BlockComment if begun => trailing = Some(token),
            Kind::BlockComment => leading = Some(token),
            _ if token.is_blank() || token.text == b";" => {}
            _ => (begun, trailing) = (true, None),
        }
    }
    let comment: Token = trailing.or(leading).filter(|comment: &Token| comment.terminated)?;
    comment.text.strip_prefix(b"/*")?.strip_suffix(b"*/")
}

fn parse(content: &[u8]) -> Option<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut rest = content;
    loop {
        let (key, after) = until(rest, b'=')?;
        let (value, after) = until(after.trim_ascii_start().strip_prefix(b"'")?, b'\'')?;
        let key = decode(key.trim_ascii())?;
        if key.is_empty() {
            return None;
        }
        pairs.push(Pair { key, value: decode(value)? });
        rest = match after.trim_ascii_start() {
            [] => return Some(pairs),
            [b',', next @ ..] => next,
            _ => return None,
        };
    }
}

/// Splits at the first `mark` without a backslash before it; a key ends in neither a quote nor a comma.
fn until(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            byte if byte == mark => return Some((bytes.get(..at)?, bytes.get(at + 1..)?)),
            b'\'' | b',' if mark == b'=' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Undoes the backslashes, then the URL encoding.
fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next()? } else { byte });
    }
    let mut decoded = Vec::with_capacity(plain.len());
    let mut bytes = plain.into_iter();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte };
        if byte == 0 {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn is_hex(field: &[u8], length: usize) -> bool {
    field.len() == length && field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
