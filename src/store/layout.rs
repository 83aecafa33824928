//! Which columns the library knows of the tables that hold evidence, and whether a partition has them.
//!
//! Tuples are formed and read by position. Releases only append columns, nullable and without default, so that the columns
//! which the library and a partition have in common stand first in both, in the same order. A partition of a newer catalog
//! has more: they are NULL in what this library writes, as in rows that are older than the column. One of an older catalog has
//! fewer: the values of those that it lacks are left off, which `audit.status()` says. Columns that are never NULL cannot be left
//! off, and a partition with other columns in their place is refused.
//!
//! A partition is checked by name and type when it is opened, once for each generation of its relation cache entry.

use pgrx::pg_sys::{self, Oid};

use super::partition::Parent;
use super::tuple;
use crate::error::Error;
use crate::pg::{relation, version};

/// Name and type of a column.
pub type Column = (&'static [u8], Oid);

/// The columns of a table that holds evidence, in order (sql/catalog/tables.sql).
struct Layout {
    columns: &'static [Column],
    /// How many of them a partition must have: up to the last one that is never NULL.
    required: usize,
}

const EVENTS: Layout = Layout { columns: &tuple::DESCRIPTION, required: tuple::FIRST_OPTIONAL };
const NODES: Layout = Layout {
    columns: &[
        (b"node_id", pg_sys::INT4OID),
        (b"name", pg_sys::TEXTOID),
        (b"system_identifier", pg_sys::INT8OID),
        (b"database_oid", pg_sys::OIDOID),
        (b"database_name", pg_sys::TEXTOID),
        (b"timeline", pg_sys::INT4OID),
        (b"since", pg_sys::TIMESTAMPTZOID),
    ],
    required: 7,
};
const SESSIONS: Layout = Layout {
    columns: &[
        (b"node_id", pg_sys::INT4OID),
        (b"session_id", pg_sys::INT8OID),
        (b"token", pg_sys::TEXTOID),
        (b"login", pg_sys::TEXTOID),
        (b"authentication", pg_sys::TEXTOID),
        (b"client_addr", pg_sys::INETOID),
        (b"client_port", pg_sys::INT4OID),
        (b"application_name", pg_sys::TEXTOID),
        (b"backend_type", pg_sys::TEXTOID),
        (b"began_at", pg_sys::TIMESTAMPTZOID),
    ],
    required: 10,
};
const CONTEXTS: Layout = Layout {
    columns: &[
        (b"node_id", pg_sys::INT4OID),
        (b"context_id", pg_sys::INT8OID),
        (b"session_id", pg_sys::INT8OID),
        (b"login", pg_sys::TEXTOID),
        (b"role", pg_sys::TEXTOID),
        (b"effective_role", pg_sys::TEXTOID),
        (b"application_name", pg_sys::TEXTOID),
        (b"actor", pg_sys::TEXTOID),
        (b"actor_source", pg_sys::TEXTOID),
        (b"trace_id", pg_sys::TEXTOID),
        (b"reason", pg_sys::TEXTOID),
        (b"context", pg_sys::JSONBOID),
        (b"statement", pg_sys::TEXTOID),
        (b"statement_parameters", pg_sys::JSONBOID),
        (b"origin", pg_sys::TEXTOID),
    ],
    required: 9,
};
const RELATIONS: Layout = Layout {
    columns: &[
        (b"node_id", pg_sys::INT4OID),
        (b"relation_id", pg_sys::INT4OID),
        (b"lineage", pg_sys::UUIDOID),
        (b"relation_oid", pg_sys::OIDOID),
        (b"entity", pg_sys::TEXTOID),
        (b"schema_name", pg_sys::TEXTOID),
        (b"table_name", pg_sys::TEXTOID),
        (b"columns", pg_sys::JSONBOID),
        (b"key_columns", pg_sys::TEXTARRAYOID),
        (b"since", pg_sys::TIMESTAMPTZOID),
        (b"recorded_columns", pg_sys::JSONBOID),
    ],
    required: 10,
};

/// How many partitions are remembered: those that a transaction keeps open, and some that are read.
const REMEMBERED: usize = 16;

/// Partitions that have been checked since they were last invalidated, and how many of the known columns each has.
static mut CHECKED: [(Oid, usize); REMEMBERED] = [(Oid::INVALID, 0); REMEMBERED];
/// The place of the next one.
static mut NEXT: usize = 0;

pub fn register() {
    // SAFETY: the callback is a plain function that lives as long as the process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0_usize)) }
}

unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: Oid) {
    // SAFETY: a plain variable of a single-threaded process.
    for checked in unsafe { (*(&raw mut CHECKED)).iter_mut() } {
        if relation == Oid::INVALID || relation == checked.0 {
            *checked = (Oid::INVALID, 0);
        }
    }
}

/// How many of the columns that the library knows a partition of `parent` has. An ERROR where others stand in their place.
///
/// # Safety
/// The relation must be open and locked.
pub unsafe fn known(partition: pg_sys::Relation, parent: Parent) -> usize {
    // SAFETY: plain variables of a single-threaded process; the relation is open.
    unsafe {
        let oid = (*partition).rd_id;
        if let Some((_, columns)) = (*(&raw const CHECKED)).iter().find(|checked| checked.0 == oid) {
            return *columns;
        }
        let Some(columns) = common((*partition).rd_att, &layout(parent)) else {
            let name = relation::name(&(*(*partition).rd_rel).relname);
            Error::ForeignPartition { partition: String::from_utf8_lossy(name).into_owned() }.raise()
        };
        CHECKED[NEXT] = (oid, columns);
        NEXT = (NEXT + 1) % REMEMBERED;
        columns
    }
}

const fn layout(parent: Parent) -> Layout {
    match parent {
        Parent::Events(_) | Parent::Dedicated(_) => EVENTS,
        Parent::Sessions => SESSIONS,
        Parent::Contexts => CONTEXTS,
        Parent::Relations => RELATIONS,
        Parent::Nodes => NODES,
    }
}

/// How many columns of the layout the descriptor has, none where it cannot be written or read by position.
///
/// # Safety
/// The descriptor must be live.
unsafe fn common(descriptor: pg_sys::TupleDesc, layout: &Layout) -> Option<usize> {
    // SAFETY: per the contract; positions are below the descriptor's number of attributes.
    unsafe {
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0).min(layout.columns.len());
        let is_same = |position: usize| {
            let attribute = &*version::attribute(descriptor, position);
            let (name, type_id) = layout.columns[position];
            !attribute.attisdropped && attribute.atttypid == type_id && relation::name(&attribute.attname) == name
        };
        (columns >= layout.required && (0..columns).all(is_same)).then_some(columns)
    }
}

/// Whether rows of one table of the trail can be put into another as they are: it has the same columns, and may have more.
///
/// # Safety
/// Both must be open.
pub unsafe fn accepts(to: pg_sys::Relation, from: pg_sys::Relation) -> bool {
    // SAFETY: per the contract; positions are below both numbers of attributes.
    unsafe {
        let (to, from) = ((*to).rd_att, (*from).rd_att);
        let columns = usize::try_from((*from).natts).unwrap_or(0);
        (*from).natts <= (*to).natts
            && (0..columns).all(|position| {
                let (one, other) = (&*version::attribute(to, position), &*version::attribute(from, position));
                one.attisdropped == other.attisdropped
                    && one.atttypid == other.atttypid
                    && relation::name(&one.attname) == relation::name(&other.attname)
            })
    }
}
