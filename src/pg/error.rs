//! What an error that was caught says.

use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};

/// Whether it is a cancelled statement or a shutdown, which ends the statement and says nothing about a value.
pub fn is_cancel(error: &CaughtError) -> bool {
    use pgrx::PgSqlErrorCode::{ERRCODE_ADMIN_SHUTDOWN, ERRCODE_QUERY_CANCELED};
    matches!(report(error).sql_error_code(), ERRCODE_QUERY_CANCELED | ERRCODE_ADMIN_SHUTDOWN)
}

/// The primary message.
pub fn message(error: &CaughtError) -> String {
    report(error).message().to_owned()
}

/// The SQLSTATE.
pub fn code(error: &CaughtError) -> pgrx::PgSqlErrorCode {
    report(error).sql_error_code()
}

fn report(error: &CaughtError) -> &ErrorReportWithLevel {
    match error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report,
    }
}
