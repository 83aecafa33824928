//! `audit`: the whole audit trail of a PostgreSQL database in one extension.
//!
//! * [`capture`] sees what happens: row triggers, TRUNCATE; [`record`] takes what only the application knows.
//! * [`protection`] keeps the evidence as it is, [`replication`] lets in that of other servers, [`hooks`] dispatches.
//! * [`encode`] turns values into jsonb and back, losslessly.
//! * [`context`] knows who and why: session, roles, actor, trace, reason.
//! * [`statement`] reads SQL text: comments that carry a trace, constants that must not be kept.
//! * [`event`] is the record that captures make, [`store`] appends it to the open leaf.
//! * [`history`] computes what is read from the trail.
//! * [`report`] draws the pages that people print or hand on.
//! * [`retention`] archives what is let go.
//! * [`worker`] does maintenance in the background, in every database that has the extension.
//! * [`settings`] and [`error`] are the voice; [`pg`] is the only place that knows PostgreSQL's insides.
//!
//! The SQL surface is in `sql/`, one file a subject, loaded in the order below.

use pgrx::prelude::*;

mod capture;
mod context;
mod encode;
mod error;
mod event;
mod history;
mod hooks;
mod pg;
mod protection;
mod record;
mod replication;
mod report;
mod retention;
mod settings;
mod statement;
mod store;
mod worker;

pgrx::pg_module_magic!();

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/functions.sql", name = "functions", requires = ["schema"]);
extension_sql_file!("../sql/rights.sql", name = "rights", requires = ["functions"]);
extension_sql_file!("../sql/event_types.sql", name = "event_types", requires = ["rights"]);
extension_sql_file!("../sql/leaves.sql", name = "leaves", requires = ["event_types"]);
extension_sql_file!("../sql/gathering.sql", name = "gathering", requires = ["leaves"]);
extension_sql_file!("../sql/moving.sql", name = "moving", requires = ["gathering"]);
extension_sql_file!("../sql/closing.sql", name = "closing", requires = ["moving"]);
extension_sql_file!("../sql/cutting.sql", name = "cutting", requires = ["closing"]);
extension_sql_file!("../sql/merging.sql", name = "merging", requires = ["cutting"]);
extension_sql_file!("../sql/retention.sql", name = "retention", requires = ["merging"]);
extension_sql_file!("../sql/holds.sql", name = "holds", requires = ["retention"]);
extension_sql_file!("../sql/pruning.sql", name = "pruning", requires = ["holds"]);
extension_sql_file!("../sql/dictionaries.sql", name = "dictionaries", requires = ["pruning"]);
extension_sql_file!("../sql/archiving.sql", name = "archiving", requires = ["dictionaries"]);
extension_sql_file!("../sql/maintenance.sql", name = "maintenance", requires = ["archiving"]);
extension_sql_file!("../sql/enable.sql", name = "enable", requires = ["maintenance"]);
extension_sql_file!("../sql/triggers.sql", name = "triggers", requires = ["enable"]);
extension_sql_file!("../sql/definitions.sql", name = "definitions", requires = ["triggers"]);
extension_sql_file!("../sql/trail.sql", name = "trail", requires = ["definitions"]);
extension_sql_file!("../sql/history.sql", name = "history", requires = ["trail"]);
extension_sql_file!("../sql/detail.sql", name = "detail", requires = ["history"]);
extension_sql_file!("../sql/search.sql", name = "search", requires = ["detail"]);
extension_sql_file!("../sql/follow.sql", name = "follow", requires = ["search"]);
extension_sql_file!("../sql/activity.sql", name = "activity", requires = ["follow"]);
extension_sql_file!("../sql/dashboard.sql", name = "dashboard", requires = ["activity"]);
extension_sql_file!("../sql/coverage.sql", name = "coverage", requires = ["dashboard"]);
extension_sql_file!("../sql/status.sql", name = "status", requires = ["coverage"]);
extension_sql_file!("../sql/record.sql", name = "record", requires = ["status"]);
extension_sql_file!("../sql/parameters.sql", name = "parameters", requires = ["record"]);
extension_sql_file!("../sql/executions.sql", name = "executions", requires = ["parameters"]);
extension_sql_file!("../sql/reports.sql", name = "reports", requires = ["executions"]);
extension_sql_file!("../sql/pages.sql", name = "pages", requires = ["reports"]);
extension_sql_file!("../sql/worker.sql", name = "worker", requires = ["pages"]);
extension_sql_file!("../sql/fleet.sql", name = "fleet", requires = ["worker"]);
extension_sql_file!("../sql/grants.sql", name = "grants", requires = ["fleet"], finalize);

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    encode::register();
    store::register();
    context::register();
    capture::register();
    record::register();
    protection::register();
    hooks::register();
    worker::register();
}
