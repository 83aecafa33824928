//! Which columns the library knows of the tables that hold evidence, and whether a partition has them.
//!
//! Tuples are formed and read by position. Releases only append columns, nullable and without default, so that the
//! columns which the library and a partition have in common stand first in both, in the same order. A partition of a
//! newer catalog has more: they are NULL in what this library writes, as in rows that are older than the column. One of
//! an older catalog has fewer: the values of those that it lacks are left off, which `audit.status()` says. Columns
//! that are never NULL cannot be left off, and a partition with other columns in their place is refused.
//!
//! A partition is checked by name and type when it is opened, once for each generation of its relation cache entry.

use audit_model::schema::{contexts, nodes, relations, sessions};
use audit_model::{Column, DataType};
use pgrx::pg_sys::{
    self, INETOID as INET, INT4OID as INT4, INT8OID as INT8, JSONBOID as JSONB, OIDOID as OID, Oid,
    TEXTARRAYOID as TEXTS, TEXTOID as TEXT, TIMESTAMPTZOID as TIME, UUIDOID as UUID,
};

use super::partition::Parent;
use super::{namespace, tuple};
use crate::error::Error;
use crate::pg::local::Local;
use crate::pg::{relation, version};

/// The columns of a table that holds evidence, in order: the names are the model's.
struct Layout {
    /// In capitals or not.
    names: &'static [&'static str],
    types: &'static [Oid],
    /// How many of them a partition must have: up to the last one that is never NULL.
    required: usize,
}

const EVENTS: Layout = Layout { names: &EVENT_NAMES, types: &EVENT_TYPES, required: tuple::FIRST_OPTIONAL };
const EVENT_NAMES: [&str; Column::COUNT] = {
    let mut names = [""; Column::COUNT];
    let mut position = 0;
    while position < Column::COUNT {
        names[position] = Column::ALL[position].name();
        position += 1;
    }
    names
};
const EVENT_TYPES: [Oid; Column::COUNT] = {
    let mut types = [Oid::INVALID; Column::COUNT];
    let mut position = 0;
    while position < Column::COUNT {
        types[position] = match Column::ALL[position].data_type() {
            DataType::Bigint => INT8,
            DataType::Integer => INT4,
            DataType::Jsonb => JSONB,
            DataType::Text => TEXT,
            DataType::Timestamptz => TIME,
            DataType::Uuid => UUID,
        };
        position += 1;
    }
    types
};
const NODES: Layout =
    Layout { names: nodes::ALL, types: &[INT4, TEXT, INT8, OID, TEXT, INT4, TIME], required: nodes::COUNT };
const SESSIONS: Layout = Layout {
    names: sessions::ALL,
    types: &[INT4, INT8, TEXT, TEXT, TEXT, INET, INT4, TEXT, TEXT, TIME],
    required: sessions::COUNT,
};
const CONTEXTS: Layout = Layout {
    names: contexts::ALL,
    types: &[INT4, INT8, INT8, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, JSONB, TEXT, JSONB, TEXT],
    required: contexts::ACTOR_SOURCE as usize,
};
const RELATIONS: Layout = Layout {
    names: relations::ALL,
    types: &[INT4, INT4, UUID, OID, TEXT, TEXT, TEXT, JSONB, TEXTS, TIME, JSONB],
    required: relations::SINCE as usize,
};

/// How many partitions are remembered: those that a transaction keeps open, and some that are read.
const REMEMBERED: usize = 16;

/// Partitions that have been checked since they were last invalidated, and how many of the known columns each has.
static CHECKED: Local<[(Oid, usize); REMEMBERED]> = Local::new([(Oid::INVALID, 0); REMEMBERED]);
/// The place of the next one.
static NEXT: Local<usize> = Local::new(0);

pub fn register() {
    // SAFETY: the callback is a plain function that lives as long as the process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0_usize)) }
}

unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: Oid) {
    // SAFETY: nothing is called while the entries are walked.
    for checked in unsafe { CHECKED.in_place() } {
        if relation == Oid::INVALID || relation == checked.0 {
            *checked = (Oid::INVALID, 0);
        }
    }
}

/// How many of the columns that the library knows a partition of `parent` has. An ERROR where others stand in their
/// place.
///
/// # Safety
/// The relation must be open and locked.
pub unsafe fn known(partition: pg_sys::Relation, parent: Parent) -> usize {
    // SAFETY: the relation is open.
    let (oid, descriptor) = unsafe { ((*partition).rd_id, (*partition).rd_att) };
    // SAFETY: nothing is called while the entries are searched.
    if let Some((_, columns)) = unsafe { CHECKED.in_place() }.iter().find(|checked| checked.0 == oid) {
        return *columns;
    }
    // SAFETY: the descriptor is that of the open relation.
    let Some(columns) = (unsafe { common(descriptor, &layout(parent)) }) else {
        Error::ForeignPartition { partition: namespace::qualified_name(oid) }.raise()
    };
    // SAFETY: nothing is called while the entry is written, whose place is below their number.
    unsafe { CHECKED.in_place()[NEXT.get()] = (oid, columns) };
    NEXT.set((NEXT.get() + 1) % REMEMBERED);
    columns
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
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0).min(layout.names.len());
        let mut known = layout.names.iter().zip(layout.types).take(columns).enumerate();
        let are_same = known.all(|(position, (name, type_id))| {
            let attribute = &*version::attribute(descriptor, position);
            !attribute.attisdropped
                && attribute.atttypid == *type_id
                && relation::name(&attribute.attname).eq_ignore_ascii_case(name.as_bytes())
        });
        (columns >= layout.required && are_same).then_some(columns)
    }
}

/// Whether rows of one table of the trail can be put into another as they are: it has the same columns, and may have
/// more.
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
