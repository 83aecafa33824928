//! The two schemas of the extension: `audit` is what people call and read, `audit_internal` everything else.
//!
//! Objects are looked up in the schemas themselves: neither a search path nor the rights of the caller have a say.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

use crate::pg::local::Local;

/// Their OIDs, `audit` first; invalid where they have not been looked up, or are not there.
static SCHEMAS: Local<[Oid; 2]> = Local::new([Oid::INVALID; 2]);
const NAMES: [&CStr; 2] = [c"audit", c"audit_internal"];

pub fn register() {
    // SAFETY: the callback is a plain function that lives as long as the process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0_usize)) }
}

unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, _relation: Oid) {
    SCHEMAS.set([Oid::INVALID; 2]);
}

fn schemas() -> [Oid; 2] {
    let mut schemas = SCHEMAS.get();
    if schemas.contains(&Oid::INVALID) {
        // SAFETY: catalog lookups by NUL-terminated names; the variable is reset with the relation cache.
        schemas = NAMES.map(|name| unsafe { pg_sys::get_namespace_oid(name.as_ptr(), true) });
        SCHEMAS.set(schemas);
    }
    schemas
}

/// Whether a schema is one of the two. Must be called inside a transaction.
pub fn owns(schema: Oid) -> bool {
    schema != Oid::INVALID && schemas().contains(&schema)
}

/// Whether a relation is in one of the two. Must be called inside a transaction.
pub fn owns_relation(relation: Oid) -> bool {
    // SAFETY: a catalog lookup, which has an answer for every OID.
    owns(unsafe { pg_sys::get_rel_namespace(relation) })
}

/// The OID of a relation of the extension, invalid where there is none. Must be called inside a transaction.
pub fn relation(name: &CStr) -> Oid {
    let [public, internal] = schemas();
    // SAFETY: catalog lookups by a NUL-terminated name.
    unsafe {
        match pg_sys::get_relname_relid(name.as_ptr(), internal) {
            Oid::INVALID => pg_sys::get_relname_relid(name.as_ptr(), public),
            relation => relation,
        }
    }
}

/// The name of a relation with its schema, for messages.
pub fn qualified_name(relation: Oid) -> String {
    // SAFETY: the lookups have an answer, null without one, for every OID.
    let [schema, name] =
        unsafe { [pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relation)), pg_sys::get_rel_name(relation)] };
    let text = |name: *mut core::ffi::c_char| match name.is_null() {
        true => String::new(),
        // SAFETY: a palloc'd name, which ends with NUL.
        false => unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned(),
    };
    format!("{}.{}", text(schema), text(name))
}
