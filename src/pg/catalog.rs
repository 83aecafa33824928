//! What the catalogs say about triggers and the functions they call. Cold paths only.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

/// pg_inherits, its index over the parent and the numbers of its first two columns (catalog/pg_inherits.h), which pgrx does
/// not bind.
const INHERITS: u32 = 2611;
const INHERITS_PARENT_INDEX: u32 = 2187;
const INHERITS_CHILD: i16 = 1;
const INHERITS_PARENT: i16 = 2;

/// The trigger function of this name in a schema, invalid where there is none. Looked up in the schema itself: neither a
/// search path nor the rights of the caller have a say.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn trigger_function(schema: &CStr, name: &CStr) -> Oid {
    // SAFETY: a lookup in a system cache by the columns of its key (pg_proc's name, argument types, schema).
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            i16::try_from(pg_sys::Anum_pg_proc_oid).unwrap_or(1),
            Datum::from(name.as_ptr()),
            Datum::from(pg_sys::buildoidvector(core::ptr::null(), 0)),
            Datum::from(schema),
            Datum::null(),
        )
    }
}

/// The table that a trigger is on; `None` for a trigger that is gone.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn table_of_trigger(trigger: Oid) -> Option<Oid> {
    // SAFETY: per the contract.
    unsafe { trigger_row(trigger).map(|(table, _)| table) }
}

/// The table whose trigger this one is, through however many partitions, a clone of; its own table where it is none.
/// `None` for a trigger that is gone.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn origin_of_trigger(trigger: Oid) -> Option<Oid> {
    let mut origin = None;
    let mut wanted = trigger;
    // SAFETY: per the contract.
    while let Some((table, parent)) = unsafe { trigger_row(wanted) } {
        origin = Some(table);
        wanted = parent;
    }
    origin
}

/// The table that a trigger is on and the trigger that it is a clone of, invalid where it is none.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn trigger_row(trigger: Oid) -> Option<(Oid, Oid)> {
    if trigger == Oid::INVALID {
        return None;
    }
    // SAFETY: the catalog stays open and its row live for the scan (catalog/pg_trigger.h).
    unsafe {
        let opened = pg_sys::table_open(pg_sys::TriggerRelationId, pg_sys::AccessShareLock as i32);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            i16::try_from(pg_sys::Anum_pg_trigger_oid).unwrap_or(1),
            pg_sys::BTEqualStrategyNumber as u16,
            Oid::from(pg_sys::F_OIDEQ),
            Datum::from(trigger),
        );
        let index = Oid::from(pg_sys::TriggerOidIndexId);
        let scan = pg_sys::systable_beginscan(opened, index, true, core::ptr::null_mut(), 1, &mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = (!tuple.is_null()).then(|| {
            let form = pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_trigger>(tuple);
            ((*form).tgrelid, (*form).tgparentid)
        });
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(opened, pg_sys::AccessShareLock as i32);
        found
    }
}

/// The partition that this transaction attached to a table last, or detached from it last; `None` where it did not.
///
/// PostgreSQL 15 does not tell event triggers which partition a command has moved, but pg_inherits does: the row that the
/// command has just written, or deleted, is the newest of this transaction's.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn moved_partition(parent: Oid, is_attached: bool) -> Option<Oid> {
    let mut newest: Option<(u32, Oid)> = None;
    // SAFETY: the catalog stays open and each row live while it is read; the command numbers are
    // asked for rows of the current transaction only. Any row is looked at, deleted ones too.
    unsafe {
        let opened = pg_sys::table_open(Oid::from(INHERITS), pg_sys::AccessShareLock as i32);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            INHERITS_PARENT,
            pg_sys::BTEqualStrategyNumber as u16,
            Oid::from(pg_sys::F_OIDEQ),
            Datum::from(parent),
        );
        let index = Oid::from(INHERITS_PARENT_INDEX);
        let snapshot = &raw mut pg_sys::SnapshotAnyData;
        let scan = pg_sys::systable_beginscan(opened, index, true, snapshot, 1, &mut key);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let header = (*tuple).t_data;
            let fields = (*header).t_choice.t_heap;
            let mask = u32::from((*header).t_infomask);
            let is_deleted = mask & pg_sys::HEAP_XMAX_INVALID == 0
                && mask & pg_sys::HEAP_XMAX_IS_MULTI == 0
                && pg_sys::TransactionIdIsCurrentTransactionId(fields.t_xmax);
            let is_new =
                mask & pg_sys::HEAP_XMIN_FROZEN == 0 && pg_sys::TransactionIdIsCurrentTransactionId(fields.t_xmin);
            let command = match is_attached {
                true if is_new && !is_deleted => super::raw::HeapTupleHeaderGetCmin(header),
                false if is_deleted => super::raw::HeapTupleHeaderGetCmax(header),
                _ => continue,
            };
            let child = super::scan::attribute(tuple, INHERITS_CHILD, (*opened).rd_att);
            if let Some(child) = child.filter(|_| newest.is_none_or(|(latest, _)| command >= latest)) {
                newest = Some((command, Oid::from(child.value() as u32)));
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(opened, pg_sys::AccessShareLock as i32);
    }
    newest.map(|(_, partition)| partition)
}
