//! Which nodes of the trail are other servers, whose events a subscription brings: `audit_internal.remote_nodes`.

use pgrx::pg_sys::{self, Datum, Oid};

use super::namespace;
use crate::pg::scan::{self, Condition};
use audit_model::schema::remote_nodes;

/// Whether a node is another server; else it is this database, now or before it was restored, copied or promoted.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn has(node_id: i32) -> bool {
    let condition = Condition {
        attribute: remote_nodes::NODE_ID,
        procedure: Oid::from(pg_sys::F_INT4EQ),
        value: Datum::from(node_id),
    };
    let mut found = false;
    // SAFETY: the condition is of the column's type.
    unsafe {
        scan::rows(namespace::relation(c"remote_nodes"), &[condition], |_, _| {
            found = true;
            false
        });
    }
    found
}
