//! What the integration tests of the extension share.
//!
//! - [`server`]: PostgreSQL servers of their own, and a connection pool in front of one
//! - [`trail`]: the events of a table as lines, and whether every event has all that it refers to
//! - [`retention`]: a trail whose clock the test sets, and whether every event is kept or archived
//! - [`fleet`]: servers whose trails are gathered in another
//! - [`maintenance`]: databases that give the background worker something to do
//! - [`catalog`]: what an installed extension consists of, to compare two
//! - [`upgrade`]: made-up versions of the extension, and databases to upgrade
//!
//! Nothing here returns an error: what fails panics, which fails the test that called it.

#![warn(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a library for tests, where clippy.toml cannot permit these by function"
)]

pub mod catalog;
pub mod fleet;
pub mod maintenance;
pub mod retention;
pub mod server;
pub mod trail;
pub mod upgrade;
