//! What sees things happen, one file per source.
//!
//! * [`row`]: AFTER ROW triggers, over the [`plan`] of each relation and its [`options`];
//! * [`truncate`]: TRUNCATE; [`baseline`]: the rows that exist when auditing begins;
//! * [`definition`]: changes of definitions that concern audited tables or the evidence;
//! * [`emit`]: events that the extension's own SQL functions write;
//! * [`guardian`]: refuses what would change or drop evidence.

mod baseline;
mod definition;
mod emit;
mod guardian;
mod image;
mod options;
mod plan;
mod plans;
mod row;
mod triggers;
mod truncate;

/// Registers callbacks and hooks.
pub fn register() {
    plans::register();
    row::register();
    guardian::register();
}
