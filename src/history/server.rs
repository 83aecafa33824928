//! What people who may not read the server's settings still have to know about it.

use pgrx::pg_sys::{Datum, FunctionCallInfo};

use crate::pg::guard::entry_point;
use crate::settings;

entry_point!(audit_is_preloaded, pg_finfo_audit_is_preloaded, is_preloaded);

/// `is_preloaded() returns boolean`: whether every connection has the library from its start.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn is_preloaded(_arguments: FunctionCallInfo) -> Datum {
    let libraries = settings::of_server(c"shared_preload_libraries").map(|libraries| libraries.to_bytes());
    Datum::from(libraries.is_some_and(|libraries| libraries.split(|byte| *byte == b',').any(is_ours)))
}

/// Whether an entry of the list is this library, with or without directory, suffix and quotes.
fn is_ours(entry: &[u8]) -> bool {
    let name = entry.trim_ascii();
    let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    file.strip_suffix(b".so").unwrap_or(file) == b"audit"
}
