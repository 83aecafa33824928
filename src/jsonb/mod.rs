//! PostgreSQL's binary jsonb, written and read without its tree of values.
//!
//! * [`layout`] is the format; [`writer`] builds a value in one pass, [`reader`] reads one where it lies.

pub mod layout;
mod reader;
mod writer;

pub use layout::Kind;
pub use reader::{Container, Item, Value};
pub use writer::{Open, Writer, strings};
