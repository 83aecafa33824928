//! What differs between PostgreSQL 15 and 18, one function each.

use pgrx::pg_sys;

/// The description of attribute `index` of a descriptor (18 moved them behind compact ones).
///
/// # Safety
/// The descriptor must be live and `index` below its number of attributes.
#[inline]
pub unsafe fn attribute(descriptor: pg_sys::TupleDesc, index: usize) -> pg_sys::Form_pg_attribute {
    // SAFETY: per the contract of this function.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        (*descriptor).attrs.as_mut_ptr().add(index)
    }
    // SAFETY: the full descriptions follow the compact ones (TupleDescAttr of access/tupdesc.h).
    #[cfg(feature = "pg18")]
    unsafe {
        let count = usize::try_from((*descriptor).natts).unwrap_or(0);
        (*descriptor).compact_attrs.as_mut_ptr().add(count).cast::<pg_sys::FormData_pg_attribute>().add(index)
    }
}

/// Whether an index keeps pages pinned from one insert to the next (BRIN, 17). They then belong to the resource owner
/// of the first insert, which has to live as long as the index is open.
///
/// # Safety
/// The index must be open.
pub unsafe fn keeps_pages(_index: pg_sys::Relation) -> bool {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    {
        false
    }
    // SAFETY: per the contract of this function.
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    unsafe {
        (*(*_index).rd_rel).relam == pg_sys::BRIN_AM_OID
    }
}

/// Lets an index give back what it kept between inserts (17).
///
/// # Safety
/// The index must be open and `info` the one that was passed to every insert.
pub unsafe fn index_insert_cleanup(_index: pg_sys::Relation, _info: *mut pg_sys::IndexInfo) {
    // SAFETY: per the contract of this function.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    unsafe {
        pg_sys::index_insert_cleanup(_index, _info);
    }
}

/// Inserts a tuple into all indexes of a table, whatever their kind (16 added a parameter).
///
/// # Safety
/// `relation` must have its indexes open, `slot` hold the tuple just inserted, `state` be an executor state.
pub unsafe fn insert_index_tuples(
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    state: *mut pg_sys::EState,
) {
    let none = core::ptr::null_mut();
    // SAFETY: per the contract of this function.
    #[cfg(feature = "pg15")]
    unsafe {
        pg_sys::ExecInsertIndexTuples(relation, slot, state, false, false, none, none.cast());
    }
    // SAFETY: per the contract of this function.
    #[cfg(not(feature = "pg15"))]
    unsafe {
        pg_sys::ExecInsertIndexTuples(relation, slot, state, false, false, none, none.cast(), false);
    }
}

/// Whether an interval is one of the infinities (17 introduced them).
pub fn is_infinite(_interval: &pg_sys::Interval) -> bool {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    {
        false
    }
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    {
        [(i32::MIN, i64::MIN), (i32::MAX, i64::MAX)]
            .iter()
            .any(|(extreme, time)| _interval.month == *extreme && _interval.day == *extreme && _interval.time == *time)
    }
}

/// Method and identity of the client's authentication, where the server keeps them (16).
pub fn authentication() -> Option<String> {
    #[cfg(feature = "pg15")]
    {
        None
    }
    #[cfg(not(feature = "pg15"))]
    {
        let no_arguments: [Option<pg_sys::Datum>; 0] = [];
        // SAFETY: system_user takes no arguments and returns a text or NULL.
        unsafe {
            let identity = pgrx::direct_function_call_as_datum(pg_sys::system_user, &no_arguments)?;
            <String as pgrx::FromDatum>::from_datum(identity, false)
        }
    }
}

/// Installs a signal handler (18 renamed the server's own function).
pub fn handle_signal(signal: u32, handler: unsafe extern "C-unwind" fn(core::ffi::c_int)) {
    let signal = signal.cast_signed();
    // SAFETY: the handler is a plain function that only sets flags and the latch.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        pg_sys::pqsignal(signal, Some(handler));
    }
    // SAFETY: as above.
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// What ends a transaction that lasts too long (17), and how to switch it off.
pub const TRANSACTION_TIMEOUT: &[(&core::ffi::CStr, &core::ffi::CStr)] = &[
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    (c"transaction_timeout", c"0"),
];

/// Whether a role owns a table, as PostgreSQL asks it before an ALTER (16 has one function for all objects).
///
/// # Safety
/// Must run inside a transaction; the table must exist.
pub unsafe fn owns_table(table: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: per the contract of this function.
    #[cfg(feature = "pg15")]
    unsafe {
        pg_sys::pg_class_ownercheck(table, role)
    }
    // SAFETY: per the contract of this function.
    #[cfg(not(feature = "pg15"))]
    unsafe {
        pg_sys::object_ownercheck(pg_sys::RelationRelationId, table, role)
    }
}
