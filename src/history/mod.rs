//! What is computed from the trail, for the views and functions that read it.
//!
//! * [`values`] gives an event's changed columns, its values before and its values after;
//! * [`columns`] gives the same as one row a column, [`diff`] compares any two documents, [`path`] names their parts;
//! * [`summary`] says an event in one sentence; [`lookup`] turns a key as a person types it, one of a table's [`keys`],
//!   into the trail's text;
//! * [`attribution`] finds who did it and why;
//! * [`search`] says whether an event contains a [`word`]; [`follow`] how far transaction ids have been given out;
//! * [`server`] says how the library is loaded.
//!
//! All of it works on the binary form through [`jsonb`](crate::jsonb), whole rows through [`row`]: numbers keep their
//! scale, nested values are copied.

mod attribution;
mod call;
mod columns;
mod diff;
mod follow;
mod keys;
mod lookup;
mod path;
mod row;
mod search;
mod server;
mod summary;
mod values;
mod word;
