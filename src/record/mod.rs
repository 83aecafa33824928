//! Events that only the application knows of.
//!
//! * [`event`] is `audit.record`, with [`parameters`] checked against the [`declaration`] of the event type.

mod declaration;
mod event;
mod parameters;

/// Registers callbacks.
pub fn register() {
    declaration::register();
}
