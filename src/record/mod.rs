//! Events that only the application knows of.
//!
//! * [`event`] is `audit.record`, with [`parameters`] checked against the [`declaration`] of the event type.

mod declaration;
mod event;
mod parameters;

/// What is kept of declarations follows the catalog.
pub fn register() {
    declaration::register();
}
