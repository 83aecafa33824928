//! Events of other servers.
//!
//! * [`apply`] lets in what a subscription brings, once [`check`] has found nothing wrong with it.

pub mod apply;
mod check;
