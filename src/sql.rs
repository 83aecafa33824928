//! The SQL files of the extension, in the order in which they are loaded.
//!
//! A file stands after those whose tables, types and functions it names outside of function bodies in PL/pgSQL, which
//! PostgreSQL reads when they are called. Rooms are those of `src/`, but that `partition` is `store` there, and `read`
//! is `history`. The top level of `sql/` is for upgrade scripts.

use pgrx::prelude::*;

/// Loads the files one after the other: each requires the one before it.
macro_rules! in_order {
    ($name:literal $file:literal, $($rest:tt)+) => {
        extension_sql_file!($file, name = $name, bootstrap);
        in_order!(@after $name $($rest)+);
    };
    (@after $previous:literal $name:literal $file:literal,) => {
        extension_sql_file!($file, name = $name, requires = [$previous], finalize);
    };
    (@after $previous:literal $name:literal $file:literal, $($rest:tt)+) => {
        extension_sql_file!($file, name = $name, requires = [$previous]);
        in_order!(@after $name $($rest)+);
    };
}

in_order! {
    // The model and the configuration; what the rest is built with.
    "catalog_tables" "../sql/catalog/tables.sql",
    "catalog_clock" "../sql/catalog/clock.sql",
    "catalog_locks" "../sql/catalog/locks.sql",
    "catalog_current" "../sql/catalog/current.sql",
    "catalog_privileged" "../sql/catalog/privileged.sql",
    "catalog_rights" "../sql/catalog/rights.sql",
    "catalog_event_types" "../sql/catalog/event_types.sql",
    "protection_evidence" "../sql/protection/evidence.sql",
    "read_values" "../sql/read/values.sql",
    // The life of a partition; whose events it may hold; when it is dropped.
    "partition_layout" "../sql/partition/layout.sql",
    "partition_create" "../sql/partition/create.sql",
    "replication_subscribe" "../sql/replication/subscribe.sql",
    "partition_overflow" "../sql/partition/overflow.sql",
    "partition_close" "../sql/partition/close.sql",
    "partition_split" "../sql/partition/split.sql",
    "partition_merge" "../sql/partition/merge.sql",
    "retention_policy" "../sql/retention/policy.sql",
    "retention_overview" "../sql/retention/overview.sql",
    "retention_hold" "../sql/retention/hold.sql",
    "retention_due" "../sql/retention/due.sql",
    "retention_prune" "../sql/retention/prune.sql",
    "retention_delete" "../sql/retention/delete.sql",
    "partition_dictionary" "../sql/partition/dictionary.sql",
    "retention_archiver" "../sql/retention/archiver.sql",
    "retention_archive" "../sql/retention/archive.sql",
    "retention_restore" "../sql/retention/restore.sql",
    "worker_maintenance" "../sql/worker/maintenance.sql",
    // What is captured.
    "capture_capture" "../sql/capture/capture.sql",
    "capture_options" "../sql/capture/options.sql",
    "capture_triggers" "../sql/capture/triggers.sql",
    "capture_enable" "../sql/capture/enable.sql",
    "capture_definitions" "../sql/capture/definitions.sql",
    "protection_uninstall" "../sql/protection/uninstall.sql",
    // What is read.
    "read_trail" "../sql/read/trail.sql",
    "read_history" "../sql/read/history.sql",
    "read_event" "../sql/read/event.sql",
    "read_related" "../sql/read/related.sql",
    "read_search" "../sql/read/search.sql",
    "read_filter" "../sql/read/filter.sql",
    "read_follow" "../sql/read/follow.sql",
    "read_activity" "../sql/read/activity.sql",
    "read_dashboard" "../sql/read/dashboard.sql",
    "read_tables" "../sql/read/tables.sql",
    "read_coverage" "../sql/read/coverage.sql",
    "worker_status" "../sql/worker/status.sql",
    // What applications say and record, and the pages that show it all.
    "context_set" "../sql/context/set.sql",
    "record_record" "../sql/record/record.sql",
    "record_parameters" "../sql/record/parameters.sql",
    "read_executions" "../sql/read/executions.sql",
    "report_views" "../sql/report/views.sql",
    "report_columns" "../sql/report/columns.sql",
    "report_pages" "../sql/report/pages.sql",
    "report_dashboard" "../sql/report/dashboard.sql",
    "worker_state" "../sql/worker/state.sql",
    "replication_publish" "../sql/replication/publish.sql",
    // Last: every object is there.
    "catalog_grants" "../sql/catalog/grants.sql",
}
