//! The only place for raw externs, RAII wrappers for PostgreSQL's resources and differences between versions.

pub mod arguments;
pub mod background;
pub mod catalog;
pub mod clock;
pub mod database;
pub mod datum;
pub mod error;
pub mod guard;
pub mod heap;
pub mod injection;
pub mod list;
pub mod local;
pub mod lock;
pub mod opened;
pub mod partition;
pub mod process;
pub mod raw;
pub mod relation;
pub mod rows;
pub mod scan;
pub mod transaction;
pub mod trigger;
pub mod version;
