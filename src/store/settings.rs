//! Which tables `audit.enable` was asked for, and how: `audit_internal.table_settings`.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::namespace;
use super::relations::{self, Version};
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::scan::{self, Condition};
use audit_model::schema::table_settings::{OPTIONS, RELATION_OID, SCHEMA_NAME, TABLE_NAME};

entry_point!(audit_stale_settings_of, pg_finfo_audit_stale_settings_of, stale_settings_of);

/// The options of the table with this OID, as the jsonb without its header; `None` for one that is not enabled.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn options_of(table: Oid) -> Option<Vec<u8>> {
    let condition =
        Condition { attribute: RELATION_OID, procedure: Oid::from(pg_sys::F_OIDEQ), value: Datum::from(table) };
    let mut found = None;
    // SAFETY: the condition is of the column's type, and the attributes are those of the table.
    unsafe {
        scan::along_index(namespace::relation(c"table_settings"), &condition, |descriptor, tuple| {
            found = scan::attribute(tuple, OPTIONS, descriptor).map(|options| scan::payload(options).to_vec());
            false
        });
    }
    found
}

/// The options that are set for a table of this name, whatever OID it had when they were set.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn options_by_name(version: &Version) -> Option<Vec<u8>> {
    let mut found = None;
    // SAFETY: the attributes are those of the table.
    unsafe {
        named(version, |descriptor, tuple| {
            found = scan::attribute(tuple, OPTIONS, descriptor).map(|options| scan::payload(options).to_vec());
            found.is_none()
        });
    }
    found
}

/// Calls `visit` with the rows for tables of this name, until it returns false.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn named(version: &Version, mut visit: impl FnMut(pg_sys::TupleDesc, pg_sys::HeapTuple) -> bool) {
    // SAFETY: the attributes are those of the table.
    unsafe {
        scan::rows(namespace::relation(c"table_settings"), &[], |descriptor, tuple| {
            let is = |number, name: &str| {
                scan::attribute(tuple, number, descriptor)
                    .is_some_and(|text| String::from_utf8_lossy(scan::payload(text)) == name)
            };
            !(is(SCHEMA_NAME, &version.schema) && is(TABLE_NAME, &version.table)) || visit(descriptor, tuple)
        });
    }
}

/// `audit_internal.stale_settings_of(target regclass) returns audit_internal.table_settings`: what is set under the
/// name of a table for one that is not there any more, as a restore may leave it; NULL without such.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn stale_settings_of(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a regclass; the row is copied while it is live.
    unsafe {
        let arguments = Arguments::new(arguments);
        let target = arguments.oid(0).unwrap_or(Oid::INVALID);
        if pg_sys::get_rel_relkind(target) == 0 {
            return arguments.null();
        }
        let mut found = None;
        named(&relations::describe(target), |descriptor, tuple| {
            let table = scan::attribute(tuple, RELATION_OID, descriptor);
            let is_gone = table.is_none_or(|oid| pg_sys::get_rel_relkind(Oid::from(oid.value() as u32)) == 0);
            found = is_gone.then(|| pg_sys::heap_copy_tuple_as_datum(tuple, descriptor));
            found.is_none()
        });
        found.unwrap_or_else(|| arguments.null())
    }
}
