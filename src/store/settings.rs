//! Which tables `audit.enable` was asked for: `audit.table_settings`.

use pgrx::FromDatum;
use pgrx::pg_sys::Oid;

use super::leaf;
use super::relations::Version;
use crate::pg::scan;

/// Whether a table is to be audited: by its name, as after a restore, or by its OID, as while it is being renamed.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn has(version: &Version) -> bool {
    // SAFETY: per the contract.
    unsafe { options(version) }.is_some()
}

/// The options of a table, a jsonb without its header: by its name, else by its OID.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn options(version: &Version) -> Option<Vec<u8>> {
    let mut found = None;
    // SAFETY: the attributes are those of audit.table_settings in order (sql/schema.sql).
    unsafe {
        scan::rows(leaf::relation(c"table_settings"), &[], |descriptor, tuple| {
            let attribute = |number| scan::attribute(tuple, number, descriptor);
            let text = |number| attribute(number).and_then(|datum| String::from_datum(datum, false));
            let has_name = text(1).as_deref() == Some(&version.schema) && text(2).as_deref() == Some(&version.table);
            if has_name || attribute(3).is_some_and(|oid| Oid::from(oid.value() as u32) == version.oid) {
                found = attribute(4).map(|options| scan::payload(options).to_vec());
            }
            !has_name
        });
    }
    found
}
