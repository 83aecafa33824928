//! What a relation's descriptor and the catalogs say, in Rust's terms. Cold paths only.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Oid, ffi};

use super::{list, raw};

/// The languages of PostgreSQL's own C functions and of those in libraries (pg_language.dat).
const INTERNAL_LANGUAGE: u32 = 12;
const C_LANGUAGE: u32 = 13;

/// One attribute of a row type.
pub struct Attribute {
    /// Zero-based position in the tuple.
    pub index: usize,
    pub number: i16,
    pub name: Vec<u8>,
    pub type_id: Oid,
    pub type_modifier: i32,
    pub length: i16,
    pub by_value: bool,
    pub dropped: bool,
    /// A virtual generated column (18): it has no stored value.
    pub unstored: bool,
}

/// The attributes of a descriptor, dropped ones included.
pub fn attributes(descriptor: pg_sys::TupleDesc) -> impl Iterator<Item = Attribute> {
    // SAFETY: callers pass a live descriptor; its length is its own.
    let count = unsafe { usize::try_from((*descriptor).natts).unwrap_or(0) };
    (0..count).map(move |index| {
        // SAFETY: `index` is below the descriptor's number of attributes.
        let attribute = unsafe { &*super::version::attribute(descriptor, index) };
        Attribute {
            index,
            number: attribute.attnum,
            name: name(&attribute.attname).to_vec(),
            type_id: attribute.atttypid,
            type_modifier: attribute.atttypmod,
            length: attribute.attlen,
            by_value: attribute.attbyval,
            dropped: attribute.attisdropped,
            unstored: u8::try_from(attribute.attgenerated) == Ok(b'v'),
        }
    })
}

/// A tuple of these values, in the current memory context. The descriptor may have more columns, which are NULL, or
/// fewer: what it has no column for is left off.
///
/// # Safety
/// The values must be of the types of the descriptor's first columns.
pub unsafe fn form(descriptor: pg_sys::TupleDesc, values: &[Option<pg_sys::Datum>]) -> pg_sys::HeapTuple {
    // SAFETY: per the contract; the arrays have an element for each column.
    unsafe {
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0);
        let datums = pg_sys::palloc(columns * size_of::<pg_sys::Datum>()).cast::<pg_sys::Datum>();
        let nulls = pg_sys::palloc(columns).cast::<bool>();
        for column in 0..columns {
            let value = values.get(column).copied().flatten();
            datums.add(column).write(value.unwrap_or(pg_sys::Datum::null()));
            nulls.add(column).write(value.is_none());
        }
        let tuple = pg_sys::heap_form_tuple(descriptor, datums, nulls);
        pg_sys::pfree(nulls.cast());
        pg_sys::pfree(datums.cast());
        tuple
    }
}

/// The bytes of a catalog name.
pub fn name(name: &pg_sys::NameData) -> &[u8] {
    // SAFETY: a NameData is NUL-terminated within its 64 bytes.
    unsafe { CStr::from_ptr(name.data.as_ptr()) }.to_bytes()
}

/// Gives back a descriptor of lookup_rowtype_tupdesc.
pub fn release_descriptor(descriptor: pg_sys::TupleDesc) {
    // SAFETY: the descriptor came from the type cache and is live.
    unsafe {
        if (*descriptor).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(descriptor);
        }
    }
}

/// Whether a function is one of PostgreSQL's built-in C functions under another name.
///
/// # Safety
/// `function` must exist.
pub unsafe fn is_internal_function(function: Oid) -> bool {
    // SAFETY: per the contract.
    unsafe { language_of(function) == Some(INTERNAL_LANGUAGE) }
}

/// Whether a function is written in C, by PostgreSQL or by an extension, which takes a superuser to create.
///
/// # Safety
/// As [`is_internal_function`].
pub unsafe fn is_c_function(function: Oid) -> bool {
    // SAFETY: per the contract.
    unsafe { matches!(language_of(function), Some(INTERNAL_LANGUAGE | C_LANGUAGE)) }
}

/// # Safety
/// As [`is_internal_function`].
unsafe fn language_of(function: Oid) -> Option<u32> {
    // SAFETY: the tuple is held until it is released, and read as what the cache says it is.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as i32, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_proc>(tuple);
        let language = (*form).prolang.to_u32();
        pg_sys::ReleaseSysCache(tuple);
        Some(language)
    }
}

/// The schema-qualified name of a relation, quoted where SQL needs it.
pub fn qualified_name(schema: &CStr, table: &CStr) -> String {
    quoted(schema) + "." + &quoted(table)
}

/// A name, quoted where SQL needs it.
pub fn quoted_name(name: &[u8]) -> String {
    std::ffi::CString::new(name).map(|name| quoted(&name)).unwrap_or_default()
}

fn quoted(identifier: &CStr) -> String {
    // SAFETY: quote_identifier returns its argument or a palloc'd copy, both NUL-terminated.
    let quoted = unsafe { CStr::from_ptr(pg_sys::quote_identifier(identifier.as_ptr())) };
    String::from_utf8_lossy(quoted.to_bytes()).into_owned()
}

/// A relation and everything that inherits from it, locked.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn members(target: Oid, lock: u32) -> impl Iterator<Item = Oid> {
    let lock = lock.cast_signed();
    // SAFETY: inside a transaction; the boundary carries an ERROR.
    unsafe { list::oids(ffi::pg_guard_ffi_boundary(|| raw::find_all_inheritors(target, lock, core::ptr::null_mut()))) }
}

/// The direct children of a relation, locked.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn children(target: Oid, lock: u32) -> impl Iterator<Item = Oid> {
    let lock = lock.cast_signed();
    // SAFETY: inside a transaction; the boundary carries an ERROR.
    unsafe { list::oids(ffi::pg_guard_ffi_boundary(|| raw::find_inheritance_children(target, lock))) }
}

/// The partitioned tables that a partition belongs to, its own parent first.
///
/// # Safety
/// Must run inside a transaction; the relation must be a partition.
pub unsafe fn ancestors(target: Oid) -> impl DoubleEndedIterator<Item = Oid> {
    // SAFETY: inside a transaction; the boundary carries an ERROR.
    unsafe { list::oids(ffi::pg_guard_ffi_boundary(|| raw::get_partition_ancestors(target))) }
}

/// The indexes of an open table.
///
/// # Safety
/// The table must be open.
pub unsafe fn indexes(table: pg_sys::Relation) -> impl Iterator<Item = Oid> {
    // SAFETY: the table is open; the list is a copy in the current memory context.
    unsafe { list::oids(pg_sys::RelationGetIndexList(table)) }
}
