//! Points at which a test ends the process as a crash would. In any other build they are nothing.

use pgrx::pg_sys::{Datum, FunctionCallInfo};

use super::arguments::Arguments;
use super::clock;
use super::guard::entry_point;

entry_point!(audit_injection_point, pg_finfo_audit_injection_point, injection_point);
entry_point!(audit_clock, pg_finfo_audit_clock, clock_of_server);

/// Ends the process where a test has named this injection point.
pub fn reach(name: &str) {
    #[cfg(feature = "testing")]
    if crate::settings::crash_at() == name {
        // SAFETY: plain functions; the process ends at once, as when the system kills it.
        unsafe {
            pgrx::log!("crash at {name}");
            libc::kill(libc::getpid(), libc::SIGKILL);
        }
    }
    let _ = name;
}

/// `audit_internal.injection_point(point text) returns void`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn injection_point(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is of the type in the declaration.
    unsafe { reach(&Arguments::new(arguments).text(0).unwrap_or_default()) };
    Datum::null()
}

/// `audit_internal.clock() returns timestamptz`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn clock_of_server(_arguments: FunctionCallInfo) -> Datum {
    Datum::from(clock::now())
}
