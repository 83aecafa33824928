//! Reads the one-key objects `{"$audit": …}` of [`super::super::marker`].

use super::super::marker::KEY;
use super::Problem;
use crate::jsonb::Item;

/// A marker that stands for a value.
pub enum Marker<'a> {
    /// The JSON value inside, as it is.
    Json(Item<'a>),
    /// The text of a json value.
    Text(&'a [u8]),
    /// An array that carries a null bitmap though none of its elements is NULL.
    Bitmap(Item<'a>),
    /// A composite whose only attribute has the marker's name.
    Row(Item<'a>),
    /// The stored bytes, in hexadecimal.
    Bytes(&'a [u8]),
}

/// The marker that `item` is, if it is one.
pub fn read<'a>(item: &Item<'a>) -> Result<Option<Marker<'a>>, Problem> {
    let Item::Object(object) = item else { return Ok(None) };
    let [(KEY, content)] = object.members()[..] else { return Ok(None) };
    let pairs = match content {
        Item::String(word) => return Err(hidden(word)),
        Item::Object(inner) => inner.members(),
        _ => return Err(unknown()),
    };
    match pairs[..] {
        [(b"json", item)] => Ok(Some(Marker::Json(item))),
        [(b"text", Item::String(text))] => Ok(Some(Marker::Text(text))),
        [(b"text", _), (b"bytes", Item::String(digits))] => Ok(Some(Marker::Bytes(digits))),
        [(b"bitmap", item)] => Ok(Some(Marker::Bitmap(item))),
        [(b"row", item)] => Ok(Some(Marker::Row(item))),
        [(b"hash", _)] => Err(Problem::NoValue("Only a keyed hash of the value is kept.".into())),
        [(b"capped", _)] => Err(Problem::NoValue(
            "The value was over audit.max_value_bytes; only its length and SHA-256 are kept.".into(),
        )),
        [(b"unreadable", Item::String(message))] => Err(Problem::NoValue(format!(
            "The output function of its type failed: {}",
            String::from_utf8_lossy(message)
        ))),
        _ => Err(unknown()),
    }
}

fn hidden(word: &[u8]) -> Problem {
    match word {
        b"masked" => Problem::NoValue("The value is masked.".into()),
        b"omitted" => Problem::NoValue("The value is omitted.".into()),
        _ => unknown(),
    }
}

fn unknown() -> Problem {
    Problem::Mismatch("a \"$audit\" object of a kind that this version does not know".into())
}
