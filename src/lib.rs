//! `audit`: the whole audit trail of a PostgreSQL database in one extension.
//!
//! * [`capture`] sees what happens: row triggers, TRUNCATE; [`record`] takes what only the application knows.
//! * [`protection`] keeps the evidence as it is, [`replication`] lets in that of other servers, [`hooks`] dispatches.
//! * [`encode`] turns values into jsonb and back, losslessly; [`jsonb`] is its binary form.
//! * [`context`] knows who and why: session, roles, actor, trace, reason.
//! * [`event`] is the record that captures make, of a type that [`audit_model`] lists, and [`store`] appends it to the
//!   open partition.
//! * [`history`] computes what is read from the trail.
//! * [`report`] draws the pages that people print or hand on.
//! * [`retention`] archives what it deletes.
//! * [`worker`] does maintenance in the background, in every database that has the extension.
//! * [`settings`] defines the GUCs, [`error`] every message; [`pg`] is the only place that knows PostgreSQL's insides.
//!
//! What needs no PostgreSQL is in `crates/`: [`audit_model`] says what an event is, for the archive executable too:
//! types, columns, how values are read from them; [`audit_statement`] reads SQL text for comments that carry a trace
//! and for constants that must not be kept, [`audit_inflate`] decompresses what [`encode`] digests, [`audit_schedule`]
//! says where [`worker`] runs next.
//!
//! The SQL surface is in `sql/`, in rooms of the same kind; [`sql`] has the order of its files.

use pgrx::prelude::*;

mod capture;
mod context;
mod encode;
mod error;
mod event;
mod history;
mod hooks;
mod jsonb;
mod pg;
mod protection;
mod record;
mod replication;
mod report;
mod retention;
mod settings;
mod sql;
mod store;
mod worker;

pgrx::pg_module_magic!();

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    pg::transaction::attach();
    encode::register();
    store::register();
    context::register();
    capture::register();
    record::register();
    protection::register(replication::apply::is_first_copy);
    hooks::register();
    worker::register();
}
