//! The one-key objects `{"$audit": …}` that stand where a plain JSON value would mislead.

use super::digits::HEXADECIMAL;
use crate::jsonb::{Kind, Open, Writer};

/// The key that marks such an object.
pub const KEY: &[u8] = b"$audit";

/// `{"$audit": "<word>"}`: a value that is not shown at all.
pub fn word(writer: &mut Writer, word: &[u8]) -> Kind {
    let mut outer = writer.object(1);
    writer.key(&mut outer, KEY);
    writer.string(&mut outer, word);
    Kind::Container
}

/// `{"$audit": {"<name>": …}}`, whose inner value `body` writes.
pub fn wrap(writer: &mut Writer, name: &[u8], body: impl FnOnce(&mut Writer) -> Kind) -> Kind {
    let mut outer = writer.object(1);
    writer.key(&mut outer, KEY);
    let mut inner = writer.object(1);
    writer.key(&mut inner, name);
    let kind = body(writer);
    writer.close(&mut inner, kind);
    writer.close(&mut outer, Kind::Container);
    Kind::Container
}

/// `{"$audit": {"<name>": "<text>"}}`.
pub fn text(writer: &mut Writer, name: &[u8], text: &[u8]) -> Kind {
    wrap(writer, name, |writer| {
        writer.push(text);
        Kind::String
    })
}

/// `{"$audit": {"text": "…", "bytes": "<hex>"}}`: a value whose text does not read back as the same value. The bytes
/// are those of its type's send function.
pub fn sent(writer: &mut Writer, text: &[u8], bytes: &[u8]) -> Kind {
    let mut outer = writer.object(1);
    writer.key(&mut outer, KEY);
    let mut inner = writer.object(2);
    writer.key(&mut inner, b"text");
    writer.key(&mut inner, b"bytes");
    writer.string(&mut inner, text);
    hexadecimal(writer, bytes);
    writer.close(&mut inner, Kind::String);
    writer.close(&mut outer, Kind::Container);
    Kind::Container
}

/// `{"$audit": {"capped": {"bytes": n, "sha256": "…"}}}`: a value over the cap, by its length and digest.
pub fn capped(writer: &mut Writer, bytes: usize, digest: &[u8]) -> Kind {
    wrap(writer, b"capped", |writer| {
        let mut object: Open = writer.object(2);
        writer.key(&mut object, b"bytes");
        writer.key(&mut object, b"sha256");
        super::number::integer(writer, i64::try_from(bytes).unwrap_or(i64::MAX));
        writer.close(&mut object, Kind::Number);
        hexadecimal(writer, digest);
        writer.close(&mut object, Kind::String);
        Kind::Container
    })
}

/// Lower-case hexadecimal digits.
pub fn hexadecimal(writer: &mut Writer, bytes: &[u8]) {
    for chunk in bytes.chunks(32) {
        let mut text = [[0; 2]; 32];
        for (pair, byte) in text.iter_mut().zip(chunk) {
            *pair = HEXADECIMAL[usize::from(*byte)];
        }
        writer.push(text[..chunk.len()].as_flattened());
    }
}
