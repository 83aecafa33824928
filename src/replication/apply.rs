//! Events of other servers as a subscription brings them: each is accepted once, into a partition that is open.
//!
//! The apply worker inserts through the executor, which routes a row to its partition and fires the partition's row
//! triggers but no statement triggers; the first copy of a table is a COPY, which meets the protection's statement
//! trigger too. See sql/replication/subscribe.sql for the rest.
//!
//! A source may publish more than `audit.publish` does: changes and deletions of events, or rows of the configuration.
//! Those are refused here, and the subscription stops with an error.

use audit_model::{Category, Column};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::spi::Spi;
use pgrx::{FromDatum, IntoDatum};

use crate::context;
use crate::error::Error;
use crate::pg::guard::entry_point;
use crate::pg::relation;
use crate::pg::scan::{self, Condition};
use crate::pg::trigger::{Call, Operation};
use crate::store::partition::Parent;
use crate::store::{append, namespace, open, partition};
use audit_model::schema::{contexts, nodes, relations, sessions};

entry_point!(audit_accept_row, pg_finfo_audit_accept_row, accept_row);
entry_point!(audit_refuse_applied, pg_finfo_audit_refuse_applied, refuse_applied);
entry_point!(audit_accepted_rows, pg_finfo_audit_accepted_rows, accepted_rows);

/// The columns of a dictionary's key, which are the same in all of them; a row of audit_internal.nodes is known by the first alone.
const NODE: i16 = nodes::NODE_ID;
const ID: i16 = relations::RELATION_ID;
const _: () = assert!(relations::NODE_ID == NODE && sessions::NODE_ID == NODE && contexts::NODE_ID == NODE);
const _: () = assert!(sessions::SESSION_ID == ID && contexts::CONTEXT_ID == ID);

/// The rows that this process has accepted, and left out because they were known, since a COPY began.
#[derive(Clone, Copy)]
struct Copied {
    accepted: i64,
    known: i64,
}

static mut COPIED: Copied = Copied { accepted: 0, known: 0 };

/// Whether the statement that inserts into `table` is the first copy of a subscription.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn is_first_copy(table: Oid) -> bool {
    // SAFETY: a plain variable of this process; SPI inside a transaction.
    unsafe {
        if !pg_sys::IsLogicalWorker() {
            return false;
        }
        let admitted = Spi::get_one_with_args::<bool>("SELECT audit_internal.admit_copy($1)", &[table.into()]);
        if admitted != Ok(Some(true)) {
            return false;
        }
        COPIED = Copied { accepted: 0, known: 0 };
    }
    true
}

/// `audit_internal.accepted_rows() returns bigint[]`: rows accepted and rows left out since a COPY began.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn accepted_rows(_arguments: FunctionCallInfo) -> Datum {
    // SAFETY: a plain variable of a single-threaded process.
    let Copied { accepted, known } = unsafe { COPIED };
    vec![accepted, known].into_datum().unwrap_or(Datum::null())
}

/// The trigger function on configuration: refuses what a subscription brings.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn refuse_applied(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the trigger manager's data is live for the call, and so are the table and the row.
    unsafe {
        let Some(call) = Call::of(arguments).filter(|call| call.is_before_row() || call.is_before_statement()) else {
            Error::NotATrigger { function: "refuse_applied" }.raise()
        };
        if pg_sys::IsLogicalWorker() {
            refuse(call);
        }
        Datum::from(call.unaltered())
    }
}

/// # Safety
/// The call must be current.
unsafe fn refuse(call: Call) -> ! {
    // SAFETY: the table of the call is open.
    let table = namespace::qualified_name(unsafe { (*call.data.tg_relation).rd_id });
    Error::AppliedChange { table, operation: call.operation.name() }.raise()
}

/// The trigger function on partitions: refuses changes and deletions that a subscription brings; accepts a row, leaves it out where it is known already, or routes it to the
/// overflow where the partition has closed. A trigger with an argument routes every row there.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn accept_row(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the trigger manager's data is live for the call, and so are the table and the row.
    unsafe {
        let Some(call) = Call::of(arguments).filter(|call| call.is_before_row() && is_partition(call.data.tg_relation))
        else {
            Error::NotATrigger { function: "accept_row" }.raise()
        };
        let (table, row) = (call.data.tg_relation, call.data.tg_trigtuple);
        if !pg_sys::IsLogicalWorker() {
            return Datum::from(call.unaltered());
        }
        if call.operation != Operation::Insert {
            refuse(call);
        }
        let is_event = name(table).starts_with(b"events");
        if if is_event { is_known_event(table, row) } else { is_known_row(table, row) } {
            COPIED.known += 1;
            return Datum::null();
        }
        COPIED.accepted += 1;
        if is_event && ((*call.data.tg_trigger).tgnargs > 0 || open::is_closed(table)) {
            route_to_overflow(row);
            return Datum::null();
        }
        if !is_event && name(table).starts_with(b"nodes") {
            record_remote_node(table, row);
        }
        Datum::from(row)
    }
}

/// Only on the trail's own partitions: on another table the trigger would let any role write to the overflow.
///
/// # Safety
/// The table must be open.
unsafe fn is_partition(table: pg_sys::Relation) -> bool {
    // SAFETY: per the contract.
    unsafe { namespace::owns((*(*table).rd_rel).relnamespace) && (*(*table).rd_rel).relispartition }
}

/// # Safety
/// The table must be open while the name is used.
unsafe fn name<'a>(table: pg_sys::Relation) -> &'a [u8] {
    // SAFETY: per the contract.
    unsafe { relation::name(&(*(*table).rd_rel).relname) }
}

/// Whether an event was captured here, or has been accepted before: in this partition, or in the overflow.
///
/// # Safety
/// The row must be of the open table, a partition of events.
unsafe fn is_known_event(table: pg_sys::Relation, row: pg_sys::HeapTuple) -> bool {
    // SAFETY: per the contract; the columns are never null.
    unsafe {
        let columns = (*table).rd_att;
        let value = |tuple, column: Column| scan::attribute(tuple, column.number(), columns).unwrap_or(Datum::null());
        // Back from a server that gathers this one's events.
        if value(row, Column::NodeId).value() as i32 == context::node() {
            return true;
        }
        let at = Condition {
            attribute: Column::OccurredAt.number(),
            procedure: Oid::from(pg_sys::F_TIMESTAMPTZ_EQ),
            value: value(row, Column::OccurredAt),
        };
        let id = *value(row, Column::EventId).cast_mut_ptr::<[u8; 16]>();
        [(*table).rd_id, partition::overflow()].into_iter().any(|place| {
            let mut found = false;
            scan::along_index(place, &at, |_, tuple| {
                found = *value(tuple, Column::EventId).cast_mut_ptr::<[u8; 16]>() == id;
                !found
            });
            found
        })
    }
}

/// Whether a row of a dictionary is here.
///
/// # Safety
/// The row must be of the open table, a partition of a dictionary.
unsafe fn is_known_row(table: pg_sys::Relation, row: pg_sys::HeapTuple) -> bool {
    // SAFETY: per the contract; the columns are never null.
    unsafe {
        let columns = (*table).rd_att;
        let value = |tuple, number| scan::attribute(tuple, number, columns).unwrap_or(Datum::null());
        let node = value(row, NODE).value() as i32;
        let key = if name(table).starts_with(b"nodes") {
            Condition { attribute: NODE, procedure: Oid::from(pg_sys::F_INT4EQ), value: value(row, NODE) }
        } else if name(table).starts_with(b"relations") {
            Condition { attribute: ID, procedure: Oid::from(pg_sys::F_INT4EQ), value: value(row, ID) }
        } else {
            Condition { attribute: ID, procedure: Oid::from(pg_sys::F_INT8EQ), value: value(row, ID) }
        };
        let mut found = false;
        scan::along_index((*table).rd_id, &key, |_, tuple| {
            found = value(tuple, NODE).value() as i32 == node;
            !found
        });
        found
    }
}

/// Puts an event into the overflow, from where maintenance takes it to its partition and counts it, and asks for that.
///
/// # Safety
/// The row must be of a partition of events.
unsafe fn route_to_overflow(row: pg_sys::HeapTuple) {
    // SAFETY: the overflow has the columns of every partition.
    unsafe {
        let overflow = open::overflow(Parent::Events(Category::Data));
        let copy = pg_sys::heap_copytuple(row);
        append::insert(overflow.relation, overflow.oid, copy);
        partition::request_partitions();
    }
}

/// Remembers that a node's events come from elsewhere: its tables are not those of the same names here.
///
/// # Safety
/// The row must be of audit_internal.nodes.
unsafe fn record_remote_node(table: pg_sys::Relation, row: pg_sys::HeapTuple) {
    // SAFETY: per the contract.
    let node = unsafe { scan::attribute(row, NODE, (*table).rd_att) };
    let node = node.and_then(|node| {
        // SAFETY: an int4.
        unsafe { i32::from_datum(node, false) }
    });
    if let Err(error) = Spi::run_with_args("SELECT audit_internal.record_remote_node($1)", &[node.into()]) {
        Error::Internal { problem: format!("could not record a node: {error}") }.raise();
    }
}
