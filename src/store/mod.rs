//! Where events go: straight into the open partition, in the caller's transaction, without routing and without SPI.
//!
//! * [`append`] writes an event; [`tuple`] forms it, [`id`] numbers it.
//! * [`namespace`] finds the extension's own tables.
//! * [`partition`] knows which partition is open; [`open`] keeps it open until the transaction ends.
//! * [`layout`] knows the columns of partitions, and checks that they have them.
//! * [`bounds`] says which time a partition holds.
//! * [`dictionary`] writes and finds rows of sessions, contexts, relations and nodes.
//! * [`lock`] keeps sessions from doing the same work at once.
//! * [`settings`] knows which tables `audit.enable` was asked for, [`enabled`] whose settings hold for a
//!   partition, [`unconfigured`] which tables have audit triggers but no settings.
//! * [`event_types`] reads what the catalog declares of an event type.
//! * [`remote`] knows which nodes are other servers.
//! * [`relations`] knows audited tables by more than their OID.
//! * [`config`] writes configuration, [`moving`] moves events to other partitions, and [`copy`] copies and deletes rows
//!   without logical replication.

pub mod append;
mod bounds;
mod config;
mod copy;
pub mod dictionary;
pub mod enabled;
pub mod event_types;
mod id;
pub mod layout;
mod lock;
mod moving;
pub mod namespace;
pub mod open;
pub mod partition;
pub mod relations;
pub mod remote;
pub mod settings;
mod tuple;
pub mod unconfigured;

/// Registers what PostgreSQL has to tell the store.
pub fn register() {
    namespace::register();
    partition::register();
    layout::register();
    open::register();
}
