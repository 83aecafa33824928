//! What sees things happen, one file per source.
//!
//! * [`row`]: AFTER ROW triggers, over the [`plan`] of each relation and its [`options`]; [`triggers`] says which of several
//!   records, [`installation`] puts them on tables;
//! * [`truncate`]: TRUNCATE; [`baseline`]: the rows that exist when auditing begins;
//! * [`definition`]: changes of definitions that concern audited tables or the evidence;
//! * [`emit`]: events that the extension's own SQL functions write;
//! * [`record`]: events of applications, with [`parameters`] checked against each [`declaration`];
//! * [`guardian`]: refuses what would change or drop evidence; [`arrival`] lets in what a subscription brings.

mod arrival;
mod baseline;
mod declaration;
mod definition;
mod emit;
mod guardian;
mod image;
mod installation;
mod options;
mod parameters;
mod plan;
mod plans;
mod record;
mod row;
mod triggers;
mod truncate;

/// Registers callbacks and hooks.
pub fn register() {
    plans::register();
    row::register();
    guardian::register();
    declaration::register();
}
