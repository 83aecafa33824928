//! Whether the library is preloaded, and its version.

use pgrx::IntoDatum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};

use crate::pg::guard::entry_point;
use crate::settings;

entry_point!(audit_is_preloaded, pg_finfo_audit_is_preloaded, is_preloaded);
entry_point!(audit_library_version, pg_finfo_audit_library_version, library_version);

/// `is_preloaded() returns boolean`: whether every connection has the library from its start.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn is_preloaded(_arguments: FunctionCallInfo) -> Datum {
    let libraries = settings::of_server(c"shared_preload_libraries").map(|libraries| libraries.to_bytes());
    Datum::from(libraries.is_some_and(|libraries| libraries.split(|byte| *byte == b',').any(is_ours)))
}

/// `library_version() returns text`: the release that this session's library is of. It was loaded with the session, or
/// with the server where it is preloaded, and may be older or newer than the catalog.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn library_version(_arguments: FunctionCallInfo) -> Datum {
    env!("CARGO_PKG_VERSION").into_datum().unwrap_or(Datum::null())
}

/// Whether an entry of the list is this library, with or without directory, suffix and quotes.
fn is_ours(entry: &[u8]) -> bool {
    let name = entry.trim_ascii();
    let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    file.strip_suffix(b".so").unwrap_or(file) == b"audit"
}
