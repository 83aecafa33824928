//! The background workers, which run maintenance where no scheduler calls `audit.maintain()`.
//!
//! * [`launcher`] lives as long as the server, where audit is preloaded, and runs maintenance in the databases one
//!   after another.
//! * [`audit_schedule`] says which one is next, [`run`] is one run as the launcher sees it.
//! * [`maintain`] is what is done in a database: the worker that the launcher starts there, and without preloading one
//!   that a backend starts. [`session`] is its connection.
//! * [`shared`] is the memory that all of them share, [`state`] shows it to SQL.

use core::time::Duration;

use pgrx::pg_sys;

use crate::pg::background;

mod launcher;
mod maintain;
mod run;
mod session;
mod shared;
mod state;

/// How long after its end the launcher is started anew.
const RESTART: Duration = Duration::from_secs(5);

/// Registers what commits do, and where the library is being preloaded the launcher. pg_upgrade wants no process that
/// writes.
pub fn register() {
    state::register();
    // SAFETY: plain variables of this process.
    let is_wanted = unsafe { pg_sys::process_shared_preload_libraries_in_progress && !pg_sys::IsBinaryUpgrade };
    if is_wanted {
        shared::register();
        background::set_launcher(shared::ask);
        background::register_permanent("audit launcher", "audit_launcher_main", RESTART);
    }
}
