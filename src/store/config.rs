//! Writes rows of the configuration tables past logical decoding.
//!
//! A FOR ALL TABLES publication would send a subscriber rows of tables that it does not have. The tables
//! have REPLICA IDENTITY NOTHING, so a deleted row is not sent, and rows are inserted past decoding.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::{append, namespace};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::opened::Opened;
use crate::pg::relation;
use crate::pg::scan::{self, Condition};

entry_point!(audit_upsert_config, pg_finfo_audit_upsert_config, upsert_config);
entry_point!(audit_delete_config, pg_finfo_audit_delete_config, delete_config);
entry_point!(audit_current_row, pg_finfo_audit_current_row, current_row);

/// `audit_internal.upsert_config(settings_row anyelement) returns void`: stores a row, in place of the one with the
/// same key.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn upsert_config(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a row of a configuration table, which is open to the end.
    unsafe {
        let (table, mut tuple) = row(Arguments::new(arguments));
        delete(table.as_ptr(), &mut tuple);
        let copy = pg_sys::heap_copytuple(&mut tuple);
        append::insert(table.as_ptr(), table.oid(), copy);
        announce(table.as_ptr(), &mut tuple);
        drop(table);
        pg_sys::CommandCounterIncrement();
    }
    Datum::null()
}

/// `audit_internal.delete_config(settings_row anyelement) returns void`: deletes the row with the same key.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn delete_config(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: as in `upsert_config`.
    unsafe {
        let (table, mut tuple) = row(Arguments::new(arguments));
        delete(table.as_ptr(), &mut tuple);
        announce(table.as_ptr(), &mut tuple);
        drop(table);
        pg_sys::CommandCounterIncrement();
    }
    Datum::null()
}

/// `audit_internal.current_row(base anyelement, object oid) returns anyelement`: the row of a configuration table about
/// an object, as it is now, whatever snapshot the transaction reads with; NULL without one. The base says the table,
/// and is not read.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn current_row(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the first two arguments are of the types in the declaration; the row is copied while it is live.
    unsafe {
        let arguments = Arguments::new(arguments);
        let table = pg_sys::get_typ_typrelid(arguments.type_of(0));
        let number = match pg_sys::get_attnum(table, OBJECT.as_ptr()) {
            0 => pg_sys::get_attnum(table, c"schema_oid".as_ptr()),
            number => number,
        };
        if number == 0 || !namespace::owns_relation(table) {
            Error::Internal { problem: "not a row of a configuration table about an object".into() }.raise()
        }
        let object = arguments.oid(1).unwrap_or(pg_sys::Oid::INVALID);
        let equal = pg_sys::Oid::from(pg_sys::F_OIDEQ);
        let condition = Condition { attribute: number, procedure: equal, value: Datum::from(object) };
        let mut found = None;
        scan::along_index(table, &condition, |descriptor, row| {
            found = Some(pg_sys::heap_copy_tuple_as_datum(row, descriptor));
            false
        });
        found.unwrap_or_else(|| arguments.null())
    }
}

/// The column of a configuration table that says which object a row is about.
const OBJECT: &core::ffi::CStr = c"relation_oid";

/// Tells backends that keep what they read of a configuration table to read it again, once this is committed; where a
/// row is about a table, those that have a plan for that.
///
/// # Safety
/// The table must be open and the tuple be of its type.
unsafe fn announce(table: pg_sys::Relation, tuple: pg_sys::HeapTuple) {
    // SAFETY: per the contract; an attribute of that name holds an OID.
    unsafe {
        pg_sys::CacheInvalidateRelcache(table);
        let number = pg_sys::get_attnum((*table).rd_id, OBJECT.as_ptr());
        let about = (number != 0).then(|| scan::attribute(tuple, number, (*table).rd_att)).flatten();
        if let Some(about) = about.map(|oid| pg_sys::Oid::from(oid.value() as u32))
            && pg_sys::get_rel_relkind(about) != 0
        {
            pg_sys::CacheInvalidateRelcacheByRelid(about);
        }
    }
}

/// The configuration table that the argument is a row of, open, and the row.
///
/// # Safety
/// The arguments must be those of the current call.
unsafe fn row(arguments: Arguments) -> (Opened, pg_sys::HeapTupleData) {
    // SAFETY: a composite datum has a tuple's header.
    unsafe {
        let relation = pg_sys::get_typ_typrelid(arguments.type_of(0));
        let Some(datum) = arguments.datum(0).filter(|_| namespace::owns_relation(relation)) else {
            Error::Internal { problem: "not a row of a configuration table".into() }.raise()
        };
        let header = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let tuple = pg_sys::HeapTupleData {
            t_len: u32::try_from(pgrx::varlena::varsize(header.cast())).unwrap_or(0),
            t_data: header,
            ..Default::default()
        };
        (Opened::table(relation, pg_sys::RowExclusiveLock), tuple)
    }
}

/// Deletes the row that has the same primary key.
///
/// # Safety
/// The table must be open and the tuple be of its type.
unsafe fn delete(table: pg_sys::Relation, tuple: pg_sys::HeapTuple) {
    // SAFETY: the table is open; its list of indexes says which is the primary key.
    let index = unsafe {
        pg_sys::RelationGetIndexList(table);
        Opened::index((*table).rd_pkindex, pg_sys::AccessShareLock).and_unlocks()
    };
    let numbers = index.key().map(|(_, numbers)| numbers.to_vec()).unwrap_or_default();
    drop(index);

    // SAFETY: the table is open.
    let descriptor = unsafe { (*table).rd_att };
    let attributes: Vec<_> = relation::attributes(descriptor).collect();
    let condition = |number: &i16| {
        let type_id = attributes.iter().find(|attribute| attribute.number == *number)?.type_id;
        // SAFETY: the type of a column is there; the cache keeps its entries. The tuple is of the descriptor.
        let (procedure, value) = unsafe {
            let entry = pg_sys::lookup_type_cache(type_id, pg_sys::TYPECACHE_EQ_OPR_FINFO.cast_signed());
            ((*entry).eq_opr_finfo.fn_oid, scan::attribute(tuple, *number, descriptor)?)
        };
        Some(Condition { attribute: *number, procedure, value })
    };
    let conditions: Vec<_> = numbers.iter().filter_map(condition).collect();
    if conditions.len() != numbers.len() {
        Error::Internal { problem: "a configuration row needs its whole key".into() }.raise();
    }
    let mut found = Vec::new();
    // SAFETY: the conditions compare the columns with their types' equality.
    unsafe {
        scan::rows((*table).rd_id, &conditions, |_, row| {
            found.push((*row).t_self);
            true
        });
    }
    for mut position in found {
        // SAFETY: the row is there: no other session writes the configuration of the same object.
        unsafe { pg_sys::simple_heap_delete(table, &mut position) };
    }
}
