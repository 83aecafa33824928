//! The model of the audit trail, as the extension and the archive executable share it.
//!
//! * [`Column`] lists the columns of an event, in the order of the stored tuple.
//! * [`EventType`] lists the built-in event types, [`Category`] the categories that they fall into.
//! * [`Changes`] says where a row event keeps the values before and the values after.
//! * [`key_order`] is jsonb's order of keys, [`merge`] walks two objects by it.
//! * [`schema`] numbers the columns of the other tables.
//! * [`summary`] says an event in one sentence.
//! * [`VECTORS`] are events with what is to be read from them, for the tests of every reader.
//!
//! SQL has the same facts in sql/catalog/tables.sql and sql/catalog/event_types.sql, which are what is installed.
//! tests/model.rs compares the two on a server. Nothing here allocates, except where [`summary`] appends to its
//! caller's buffer.

#![forbid(unsafe_code)]

mod category;
mod event;
mod event_type;
mod key;
pub mod schema;
pub mod summary;
mod values;

pub use category::Category;
pub use event::{Column, DataType};
pub use event_type::{EventType, Risk};
pub use key::{key_order, merge};
pub use values::{Changes, Shape, Side, Source};

/// Events as JSON: what is stored, and the values and the summary that readers have to make of it.
pub const VECTORS: &str = include_str!("../vectors.json");
