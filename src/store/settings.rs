//! Which tables `audit.enable` was asked for, and how: `audit.table_settings`.

use pgrx::pg_sys::{self, Datum, Oid};

use super::partition;
use super::relations::Version;
use crate::pg::scan::{self, Condition};

/// Attributes of audit.table_settings (sql/catalog/tables.sql).
const SCHEMA_NAME: i32 = 1;
const TABLE_NAME: i32 = 2;
const RELATION_OID: i16 = 3;
const OPTIONS: i32 = 4;

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
        scan::along_index(partition::relation(c"table_settings"), &condition, |descriptor, tuple| {
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
        scan::rows(partition::relation(c"table_settings"), &[], |descriptor, tuple| {
            let is = |number, name: &str| {
                scan::attribute(tuple, number, descriptor)
                    .is_some_and(|text| String::from_utf8_lossy(scan::payload(text)) == name)
            };
            if is(SCHEMA_NAME, &version.schema) && is(TABLE_NAME, &version.table) {
                found = scan::attribute(tuple, OPTIONS, descriptor).map(|options| scan::payload(options).to_vec());
            }
            found.is_none()
        });
    }
    found
}
