//! What sees things happen, one file per source.
//!
//! * [`row`]: AFTER ROW triggers, over the [`plan`] of each relation and its [`options`]; [`triggers`] says which of
//!   several records, [`installation`] puts them on tables, [`partition`] says what ATTACH and DETACH have moved;
//! * [`truncate`]: TRUNCATE; [`baseline`]: the rows that exist when auditing begins;
//! * [`emit`]: events that the extension's own SQL functions write.

mod baseline;
mod emit;
mod image;
mod installation;
mod options;
mod partition;
mod plan;
mod plans;
mod row;
mod triggers;
mod truncate;

/// Plans follow changes of definitions; the mark of a row that is being recorded ends with its transaction.
pub fn register() {
    plans::register();
    row::register();
}
