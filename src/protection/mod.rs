//! Keeps the evidence as it is.
//!
//! * [`evidence`] refuses changes and drops, superusers included, but for the commands of retention and uninstall;
//! * [`ddl`] refuses changes of definition at the start of a command.

mod ddl;
pub mod evidence;

/// Registers callbacks.
pub fn register() {
    evidence::register();
}
