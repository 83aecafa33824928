//! Values to jsonb and back, losslessly.
//!
//! * [`codec`] decides once per column how its type is written, by what [`lookup`] finds; [`value`] writes one value,
//!   [`array`] many.
//! * [`number`], [`time`] and [`network`] write binary forms without PostgreSQL's output functions, with [`digits`].
//! * [`json`] embeds the types json and jsonb, [`scanner`] reads the former; [`marker`] writes what a plain value
//!   cannot say.
//! * [`irregular`] and [`query`] have the built-in types whose own text does not always read back.
//! * [`foreign`] is the only place that calls output code which is not PostgreSQL's own.
//! * [`pin`] holds the settings that text depends on still; [`large`] digests what is over the cap, with
//!   [`audit_inflate`].
//! * [`redact`] hides columns; [`key`] is the text a row is filed under; [`restore`] is the inverse.

mod array;
pub mod codec;
mod digits;
mod foreign;
mod irregular;
pub mod json;
pub mod key;
pub mod large;
pub mod lookup;
pub mod marker;
mod network;
pub mod number;
pub mod pin;
mod query;
pub mod redact;
pub mod restore;
mod scanner;
mod time;
pub mod value;

use crate::jsonb::Writer;

/// Registers what PostgreSQL has to tell the encoder.
pub fn register() {
    pin::register();
}

/// Writes an integer as a child of the container at hand.
pub fn integer(writer: &mut Writer, value: i64) {
    number::integer(writer, value);
}
