//! Events of other servers as a subscription brings them: each is accepted once, into a partition that is open.
//!
//! The apply worker inserts through the executor, which routes a row to its partition and fires the partition's row
//! triggers but no statement triggers; the first copy of a table is a COPY, which meets the protection's statement
//! trigger too. See sql/replication/subscribe.sql for the rest.
//!
//! A source may publish more than `audit.publish` does: changes and deletions of events, or rows of the configuration.
//! Those are refused here, and the subscription stops with an error. So are rows that no server writes ([`check`]), and rows
//! under the key of a stored one with other content. Rows of this database's own nodes are never inserted.

use audit_model::{Category, Column};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::spi::Spi;
use pgrx::{FromDatum, IntoDatum, PgLogLevel, PgSqlErrorCode, function_name};

use super::check::{self, Table};
use crate::context;
use crate::error::Error;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::scan::{self, Condition};
use crate::pg::trigger::{Call, Operation};
use crate::pg::{relation, version};
use crate::store::partition::Parent;
use crate::store::{append, dictionary, namespace, open, partition, remote};
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

/// A tuple and its descriptor.
type Tuple = (pg_sys::HeapTuple, pg_sys::TupleDesc);

/// The node of another server whose row came last.
static OTHER: Local<Option<i32>> = Local::new(None);
static HAS_WARNED: Local<bool> = Local::new(false);
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

/// The trigger function on partitions: refuses changes and deletions that a subscription brings, and rows that no server
/// writes; accepts a row, leaves it out where it is known already, or routes it to the overflow where the partition has
/// closed. A trigger with an argument routes every row there.
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
        let Some(kind) = Table::of_partition(relation::name(&(*(*table).rd_rel).relname)) else {
            check::refuse((*table).rd_id, "it is no partition of events or of a dictionary".into())
        };
        check::row(table, kind, row);
        if is_known(table, kind, row) {
            COPIED.known += 1;
            return Datum::null();
        }
        COPIED.accepted += 1;
        if kind == Table::Events && ((*call.data.tg_trigger).tgnargs > 0 || open::is_closed(table)) {
            route_to_overflow(row);
            return Datum::null();
        }
        if kind == Table::Nodes {
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

/// Whether a row is to be left out: it is here already, or it is said to be this database's own.
///
/// # Safety
/// The row must be of `partition`, which must be open and belong to `table`; the row must have been checked.
unsafe fn is_known(partition: pg_sys::Relation, table: Table, row: pg_sys::HeapTuple) -> bool {
    // SAFETY: per the contract.
    unsafe {
        let (node, stored) = match table {
            Table::Events | Table::Overflow => (Column::NodeId.number(), find_event(partition, row)),
            _ => (NODE, find_entry(partition, table, row)),
        };
        match stored {
            Stored::Same => true,
            // Which of the two is the true one cannot be told here.
            Stored::Other => check::refuse((*partition).rd_id, "a row with this key and other content exists".into()),
            Stored::No => {
                let node = scan::attribute(row, node, (*partition).rd_att).map_or(0, |node| node.value() as i32);
                let is_own = is_own(node);
                // An event may be in a partition that is dedicated to its table.
                if is_own && table != Table::Events {
                    warn_of_own_row(partition);
                }
                is_own
            }
        }
    }
}

/// What is stored under the key of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    No,
    Same,
    Other,
}

/// Whether an event was captured here, or has been accepted before: in this partition, or in the overflow.
///
/// # Safety
/// The row must be of the open table, a partition of events.
unsafe fn find_event(table: pg_sys::Relation, row: pg_sys::HeapTuple) -> Stored {
    // SAFETY: per the contract.
    unsafe {
        let columns = (*table).rd_att;
        let Some(occurred_at) = scan::attribute(row, Column::OccurredAt.number(), columns) else { return Stored::No };
        let at = Condition {
            attribute: Column::OccurredAt.number(),
            procedure: Oid::from(pg_sys::F_TIMESTAMPTZ_EQ),
            value: occurred_at,
        };
        let mut stored = Stored::No;
        for place in [(*table).rd_id, partition::overflow()] {
            scan::along_index(place, &at, |found, tuple| {
                if is_same_value((row, columns), (tuple, found), Column::EventId.number()) {
                    stored = compared((row, columns), (tuple, found), &[Column::RetentionId.number()]);
                }
                stored == Stored::No
            });
            if stored != Stored::No {
                break;
            }
        }
        stored
    }
}

/// Whether a row of a dictionary is here.
///
/// # Safety
/// The row must be of the open table, a partition of a dictionary.
unsafe fn find_entry(partition: pg_sys::Relation, table: Table, row: pg_sys::HeapTuple) -> Stored {
    let (attribute, procedure) = match table {
        Table::Nodes => (NODE, pg_sys::F_INT4EQ),
        Table::Relations => (ID, pg_sys::F_INT4EQ),
        _ => (ID, pg_sys::F_INT8EQ),
    };
    // SAFETY: per the contract; the keys are of these types.
    unsafe {
        let columns = (*partition).rd_att;
        let Some(value) = scan::attribute(row, attribute, columns) else { return Stored::No };
        let key = Condition { attribute, procedure: Oid::from(procedure), value };
        let mut stored = Stored::No;
        scan::along_index((*partition).rd_id, &key, |found, tuple| {
            if is_same_value((row, columns), (tuple, found), NODE) {
                stored = compared((row, columns), (tuple, found), &[]);
            }
            stored == Stored::No
        });
        stored
    }
}

/// Compares a row with a stored one of the same table but for some columns.
///
/// # Safety
/// The tuples must be of the descriptors, those of tables with the same columns.
unsafe fn compared(row: Tuple, stored: Tuple, except: &[i16]) -> Stored {
    // SAFETY: the descriptor is live.
    let count = unsafe { (*row.1).natts };
    let mut columns = (1..=i16::try_from(count).unwrap_or(0)).filter(|number| !except.contains(number));
    // SAFETY: per the contract.
    match columns.all(|number| unsafe { is_same_value(row, stored, number) }) {
        true => Stored::Same,
        false => Stored::Other,
    }
}

/// Whether two rows have the same value in a column. A jsonb from text need not have the bytes of one that capture wrote.
///
/// # Safety
/// As [`compared`].
unsafe fn is_same_value(row: Tuple, stored: Tuple, number: i16) -> bool {
    // SAFETY: per the contract; the number is one of the descriptor's.
    unsafe {
        match (scan::attribute(row.0, number, row.1), scan::attribute(stored.0, number, stored.1)) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                let column = &*version::attribute(row.1, usize::try_from(number - 1).unwrap_or(0));
                if column.atttypid == pg_sys::JSONBOID {
                    let equal = Oid::from(pg_sys::F_JSONB_EQ);
                    return pg_sys::OidFunctionCall2Coll(equal, Oid::INVALID, one, other).value() as u8 != 0;
                }
                match column.attlen {
                    -1 => scan::payload(one) == scan::payload(other),
                    _ if column.attbyval => one.value() == other.value(),
                    length => {
                        let length = usize::try_from(length).unwrap_or(0);
                        let bytes = |value: Datum| core::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), length);
                        bytes(one) == bytes(other)
                    }
                }
            }
            _ => false,
        }
    }
}

/// Whether a node is this database, now or before it was restored, copied or promoted.
///
/// # Safety
/// Must run inside a transaction that may write.
unsafe fn is_own(node: i32) -> bool {
    // A node of another server is never one of this database later.
    if OTHER.get() == Some(node) {
        return false;
    }
    let same = Condition { attribute: NODE, procedure: Oid::from(pg_sys::F_INT4EQ), value: Datum::from(node) };
    // SAFETY: the condition is of the column's type; inside a transaction that may write.
    let is_own = unsafe {
        let mut is_known = node == context::node();
        dictionary::rows(Parent::Nodes, &[same], |_, _| {
            is_known = true;
            false
        });
        is_known && !remote::has(node)
    };
    if !is_own {
        OTHER.set(Some(node));
    }
    is_own
}

/// Says once that rows are left out that this database, whose they are said to be, does not have: retention has deleted
/// them, or the other server has made them up.
///
/// # Safety
/// The table must be open.
unsafe fn warn_of_own_row(table: pg_sys::Relation) {
    if HAS_WARNED.get() {
        return;
    }
    HAS_WARNED.set(true);
    // SAFETY: per the contract.
    let table = namespace::qualified_name(unsafe { (*table).rd_id });
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        format!("a subscription sends rows of this database to {table} that this database does not have"),
        function_name!(),
    )
    .set_detail("They are left out. Retention has deleted them, or the other server has made them up.")
    .report(PgLogLevel::WARNING);
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
