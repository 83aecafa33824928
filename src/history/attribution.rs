//! Who and why of an event: a row of the contexts with what its session adds.
//!
//! The dictionaries have as many partitions as the trail has months. Joined, each partition would be planned and locked
//! for every query, and a day's events would meet a hash of all contexts ever; here an event opens the one partition
//! that its context's id leads to. Neighbours in time share contexts, and rows are never updated: what is found is kept
//! for the transaction.

use core::ptr;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::opened::Opened;
use crate::pg::scan::{self, Condition, Scan};
use crate::pg::{partition, relation};
use crate::store::layout;
use crate::store::namespace;
use crate::store::partition::Parent;
use audit_model::schema::{attribution, contexts, sessions};

entry_point!(audit_attribution, pg_finfo_audit_attribution, attribution);

/// Columns of the type audit_internal.attribution.
const COLUMNS: usize = attribution::COUNT;
/// Contexts that a transaction keeps, by the lower bits of their ids: neighbours in time have consecutive ones.
const KEPT: usize = 1024;
/// The longest row that is kept.
const LONGEST: usize = 8192;
/// The columns of both dictionaries that are their key.
const NODE: i16 = contexts::NODE_ID;
const ID: i16 = contexts::CONTEXT_ID;
const _: () = assert!(sessions::NODE_ID == NODE && sessions::SESSION_ID == ID);
/// What the result shows of a context: these columns of audit_internal.contexts in their order, before those of the
/// session.
const SHOWN: core::ops::RangeInclusive<i16> = contexts::LOGIN..=contexts::STATEMENT_PARAMETERS;
const _: () = assert!(attribution::TOKEN - attribution::LOGIN == contexts::STATEMENT_PARAMETERS - contexts::LOGIN + 1);
/// And of its session, with the position in the result.
const SHOWN_OF_SESSION: [(usize, i16); 2] = [
    (attribution::TOKEN as usize - 1, sessions::TOKEN),
    (attribution::CLIENT_ADDR as usize - 1, sessions::CLIENT_ADDR),
];

/// What the transaction has looked up, in its memory; null before the first.
static KNOWN: Local<*mut Known> = Local::new(ptr::null_mut());

struct Known {
    descriptor: pg_sys::TupleDesc,
    forget: pg_sys::MemoryContextCallback,
    rows: [Row; KEPT],
}

struct Row {
    node_id: i32,
    context_id: i64,
    /// Null where nothing is kept.
    row: *mut pg_sys::HeapTupleHeaderData,
}

/// `audit_internal.attribution(node_id integer, context_id bigint) returns audit_internal.attribution`: null where
/// there is no such context. The result is the caller's own copy: the next call may take the place of what is kept.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn attribution(call: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/values.sql. Nothing here owns memory of Rust's.
    unsafe {
        let arguments = Arguments::new(call);
        let (Some(node), Some(context)) = (arguments.datum(0), arguments.datum(1)) else { return arguments.null() };
        let (node_id, context_id) = (node.value() as i32, context.value() as i64);
        let known = known(call);
        let kept = &mut (*known).rows[usize::try_from(context_id & (KEPT as i64 - 1)).unwrap_or(0)];
        if !kept.row.is_null() && kept.node_id == node_id && kept.context_id == context_id {
            return Datum::from(copy(kept.row, pg_sys::CurrentMemoryContext));
        }
        let Some(found) = look_up((*known).descriptor, node_id, context_id) else { return arguments.null() };
        if pgrx::varlena::varsize(found.cast()) <= LONGEST {
            if !kept.row.is_null() {
                pg_sys::pfree(kept.row.cast());
                kept.row = ptr::null_mut();
            }
            *kept = Row { node_id, context_id, row: copy(found, pg_sys::TopTransactionContext) };
        }
        Datum::from(found)
    }
}

/// # Safety
/// `row` must be a composite datum.
unsafe fn copy(
    row: *mut pg_sys::HeapTupleHeaderData,
    memory: pg_sys::MemoryContext,
) -> *mut pg_sys::HeapTupleHeaderData {
    // SAFETY: a composite datum says its length as every varlena does.
    unsafe {
        let length = pgrx::varlena::varsize(row.cast());
        let copy = pg_sys::MemoryContextAlloc(memory, length).cast::<u8>();
        copy.copy_from_nonoverlapping(row.cast(), length);
        copy.cast()
    }
}

/// # Safety
/// The call must be current, inside a transaction.
unsafe fn known(call: FunctionCallInfo) -> *mut Known {
    // SAFETY: zeroed memory is a Known that keeps nothing, and it is forgotten before it is freed.
    unsafe {
        if KNOWN.get().is_null() {
            let memory = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
            let known = pg_sys::palloc0(size_of::<Known>()).cast::<Known>();
            let mut descriptor = ptr::null_mut();
            pg_sys::get_call_result_type(call, ptr::null_mut(), &mut descriptor);
            (*known).descriptor = pg_sys::CreateTupleDescCopy(descriptor);
            (*known).forget.func = Some(forget);
            pg_sys::MemoryContextRegisterResetCallback(pg_sys::TopTransactionContext, &mut (*known).forget);
            pg_sys::MemoryContextSwitchTo(memory);
            KNOWN.set(known);
        }
        KNOWN.get()
    }
}

unsafe extern "C-unwind" fn forget(_argument: *mut core::ffi::c_void) {
    KNOWN.set(ptr::null_mut());
}

/// Forms the row in the current memory context, which the executor resets for each.
///
/// # Safety
/// The descriptor must be the result's; inside a query.
unsafe fn look_up(
    descriptor: pg_sys::TupleDesc,
    node_id: i32,
    context_id: i64,
) -> Option<*mut pg_sys::HeapTupleHeaderData> {
    let mut values = [None; COLUMNS];
    let mut formed = None;
    // SAFETY: values point into the tuples, which live until their visit ends.
    unsafe {
        visit(Parent::Contexts, node_id, context_id, |context, columns| {
            for (position, number) in SHOWN.enumerate() {
                values[position] = scan::attribute(context, number, columns);
            }
            let session_id = scan::attribute(context, contexts::SESSION_ID, columns).map_or(0, |id| id.value() as i64);
            let has_session = visit(Parent::Sessions, node_id, session_id, |session, columns| {
                for (position, number) in SHOWN_OF_SESSION {
                    values[position] = scan::attribute(session, number, columns);
                }
                formed = Some(form(descriptor, &values));
            });
            if !has_session {
                formed = Some(form(descriptor, &values));
            }
        });
    }
    formed
}

/// # Safety
/// The values must be of the descriptor.
unsafe fn form(descriptor: pg_sys::TupleDesc, values: &[Option<Datum>; COLUMNS]) -> *mut pg_sys::HeapTupleHeaderData {
    // SAFETY: per the contract. Values out of line are brought in, as a datum may not point to TOAST.
    unsafe {
        let tuple = relation::form(descriptor, values);
        pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data).cast_mut_ptr()
    }
}

/// Finds the row of a dictionary that has this id, and says whether there is one.
///
/// # Safety
/// As [`look_up`].
unsafe fn visit(
    parent: Parent,
    node_id: i32,
    id: i64,
    mut found: impl FnMut(pg_sys::HeapTuple, pg_sys::TupleDesc),
) -> bool {
    // SAFETY: the partition stays open for the scan; the snapshot is that of the query.
    unsafe {
        // The lock stays to the end of the transaction, as that of a table in a query does.
        let dictionary = Opened::table(namespace::relation(&parent.name()), pg_sys::AccessShareLock);
        let partition = partition::holding(dictionary.as_ptr(), id).partition;
        drop(dictionary);
        if partition == Oid::INVALID {
            return false;
        }
        let opened = Opened::table(partition, pg_sys::AccessShareLock);
        layout::known(opened.as_ptr(), parent);
        let index = scan::btree_over(opened.as_ptr(), ID);
        let equal = Condition { attribute: ID, procedure: Oid::from(pg_sys::F_INT8EQ), value: Datum::from(id) };
        for tuple in Scan::begin(opened.as_ptr(), index, pg_sys::GetActiveSnapshot(), &[equal]) {
            let node = scan::attribute(tuple, NODE, opened.descriptor());
            if node.is_some_and(|node| node.value() as i32 == node_id) {
                found(tuple, opened.descriptor());
                return true;
            }
        }
        false
    }
}
