//! The pages: templates filled from documents.

use askama::Template;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use serde::de::DeserializeOwned;

use super::document::{Dashboard, Facts, Report};
use super::plot::{self, CATEGORIES};
use super::text::{Count, ascii};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;

entry_point!(audit_render_report, pg_finfo_audit_render_report, render_report);
entry_point!(audit_render_dashboard, pg_finfo_audit_render_dashboard, render_dashboard);

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    report: &'a Report,
    over_time: String,
    by_kind: String,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage<'a> {
    dashboard: &'a Dashboard,
    over_time: String,
}

/// `audit_internal.render_report(document bytea) returns text`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn render_report(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a bytea.
    let report: Report = unsafe { document(arguments) };
    let page =
        ReportPage { over_time: plot::over_time(&report.bars), by_kind: plot::by_kind(&report.kinds), report: &report };
    text(page.render())
}

/// `audit_internal.render_dashboard(document bytea) returns text`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn render_dashboard(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a bytea.
    let dashboard: Dashboard = unsafe { document(arguments) };
    let page = DashboardPage { over_time: plot::over_time(&dashboard.bars), dashboard: &dashboard };
    text(page.render())
}

/// # Safety
/// The first argument must be a bytea.
unsafe fn document<T: DeserializeOwned>(arguments: FunctionCallInfo) -> T {
    // SAFETY: per the contract.
    let bytes = unsafe { Arguments::new(arguments) }.bytes(0).unwrap_or_default();
    // What a database without an encoding holds may be anything.
    serde_json::from_str(&String::from_utf8_lossy(bytes)).unwrap_or_else(|error| {
        Error::BadArgument {
            problem: format!("this is no document of a page: {error}"),
            hint: "Call audit.report_html or audit.dashboard_html.",
        }
        .raise()
    })
}

fn text(page: askama::Result<String>) -> Datum {
    let page =
        page.unwrap_or_else(|error| Error::Internal { problem: format!("the page is not drawn: {error}") }.raise());
    let page = ascii(&page);
    let length = i32::try_from(page.len()).unwrap_or(i32::MAX);
    // SAFETY: the bytes are readable for their length; a text that is too long is an ERROR of PostgreSQL's.
    unsafe { Datum::from(pg_sys::cstring_to_text_with_len(page.as_ptr().cast(), length)) }
}

impl ReportPage<'_> {
    fn facts(&self) -> &Facts {
        &self.report.facts
    }

    /// How many entries the table has.
    fn shown(&self) -> Count {
        Count(self.report.rows.len() as u64)
    }

    /// The categories that occur, for the legend.
    fn categories(&self) -> Vec<(&'static str, String)> {
        CATEGORIES
            .iter()
            .filter(|(name, _)| self.report.kinds.iter().any(|kind| kind.category == *name))
            .map(|(name, _)| (*name, plot::css(name)))
            .collect()
    }

    /// The style of a column's cells, one of those in the style sheet.
    fn style(&self, index: &usize) -> &'static str {
        let kind = self.report.columns.get(*index).map(|column| column.kind.as_str());
        ["time", "name", "event", "word", "value", "number", "risk", "result"]
            .into_iter()
            .find(|known| Some(*known) == kind)
            .unwrap_or("text")
    }
}

impl DashboardPage<'_> {
    fn facts(&self) -> &Facts {
        &self.dashboard.facts
    }

    fn categories(&self) -> Vec<(&'static str, String)> {
        CATEGORIES.iter().map(|(name, _)| (*name, plot::css(name))).collect()
    }

    /// A category's share of all events, in percent.
    fn share(&self, events: &Count) -> String {
        let share = events.0 as f64 * 100.0 / self.dashboard.total.0.max(1) as f64;
        format!("{share:.1}")
    }
}
