//! Events of other servers.
//!
//! * [`apply`] lets in what a subscription brings.

pub mod apply;
