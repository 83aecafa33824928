//! Tables kept open from the first event of a transaction to its end, with what their indexes need.
//!
//! Opening a partition and building its IndexInfo costs more than the insert. References belong to the top
//! transaction's resource owner: a commit closes them here, an abort by itself.

use audit_model::Column;
use pgrx::pg_sys::{self, Oid};

use super::partition::Parent;
use super::{layout, partition};
use crate::error::Error;
use crate::pg::list;
use crate::pg::local::Local;
use crate::pg::transaction::{self, Event, Step};
use crate::pg::{catalog, trigger, version};

/// pg_trigger.tgtype of a statement trigger that fires before INSERT (catalog/pg_trigger.h).
const BEFORE_INSERT: i16 = (pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_INSERT) as i16;

/// A partition that stays open, with its indexes, until the transaction ends.
pub struct Table {
    pub oid: Oid,
    pub relation: pg_sys::Relation,
    /// How many of the columns that the library knows it has.
    pub columns: usize,
    pub indexes: &'static [Index],
    /// Whether every index is one that the writer fills itself.
    pub has_plain_indexes: bool,
    /// Whether a B-tree over keys refuses those that are too long for it: the partition has closed.
    pub refuses_long_keys: bool,
}

/// An index of a partition.
pub struct Index {
    pub relation: pg_sys::Relation,
    pub info: *mut pg_sys::IndexInfo,
    /// The column that must not be NULL for an event to be in the index.
    pub required: Option<Column>,
    /// Whether it keeps pages between inserts, which are then the top transaction's.
    pub keeps_pages: bool,
}

/// The most columns of an index that the writer fills itself.
pub const PLAIN_COLUMNS: usize = 8;

/// Enough for the tables that a transaction writes to at a time: six categories, four dictionaries and the overflow.
/// One that goes through more partitions closes them all and begins anew.
const MOST: usize = 12;

static TABLES: Local<[Option<Table>; MOST]> = Local::new([const { None }; MOST]);

pub fn register() {
    transaction::register(Step::Partitions, ends);
}

/// The open partition of `parent` for `key`.
///
/// # Safety
/// Must run inside a transaction; the reference is good until it ends.
#[inline]
pub unsafe fn table(parent: Parent, key: i64) -> &'static Table {
    loop {
        // SAFETY: inside a transaction.
        unsafe {
            let (oid, is_late) = partition::find(parent, key);
            let table = match opened(oid) {
                Some(table) => table,
                None => match open(oid, parent, !parent.overflows()) {
                    // The lock may have been waited for, and the partition may be another one by now.
                    Some(table) if partition::find(parent, key).0 == oid => table,
                    Some(_) => continue,
                    // Closing a partition holds its lock for as long as its indexes take. No statement waits for it.
                    None => overflow(parent),
                },
            };
            if is_late {
                partition::request_partitions();
            }
            return table;
        }
    }
}

/// # Safety
/// As [`table`].
unsafe fn opened(oid: Oid) -> Option<&'static Table> {
    // SAFETY: a table that is open is changed by nothing until all are closed.
    unsafe { (*TABLES.as_ptr()).iter().flatten().find(|table| table.oid == oid) }
}

/// The partition for what `parent`'s own cannot take now.
///
/// # Safety
/// As [`table`].
pub unsafe fn overflow(parent: Parent) -> &'static Table {
    let oid = partition::overflow();
    // SAFETY: per the contract.
    unsafe { opened(oid).or_else(|| open(oid, parent, true)) }.unwrap_or_else(|| Error::NoOverflow.raise())
}

/// Closes everything. Called before the definition of a partition is changed in a transaction that wrote events.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn close_all() {
    // SAFETY: the references are counted in the top transaction's resource owner, where they were taken.
    unsafe {
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::CurrentResourceOwner = pg_sys::TopTransactionResourceOwner;
        for slot in TABLES.in_place().iter_mut() {
            if let Some(table) = slot.take() {
                for index in table.indexes {
                    version::index_insert_cleanup(index.relation, index.info);
                    pg_sys::index_close(index.relation, pg_sys::NoLock as i32);
                }
                pg_sys::table_close(table.relation, pg_sys::NoLock as i32);
            }
        }
        pg_sys::CurrentResourceOwner = owner;
    }
}

fn ends(event: Event) {
    match event {
        // SAFETY: still inside the transaction.
        Event::Ending => unsafe { close_all() },
        // The resource owner has released, or is about to release, what the entries point to.
        Event::Commit | Event::Prepare | Event::Abort => TABLES.set([const { None }; MOST]),
        // The tables are the top transaction's.
        Event::SubAbort(_) => {}
    }
}

/// Opens a partition; `None` where its lock would have to be waited for or it has closed, unless `waits`.
///
/// # Safety
/// As [`table`].
unsafe fn open(oid: Oid, parent: Parent, waits: bool) -> Option<&'static Table> {
    // A transaction that lasts through many partitions keeps none that it is done with.
    // SAFETY: inside a transaction; nobody holds on to a table that is closed here.
    unsafe {
        if TABLES.in_place().iter().all(Option::is_some) {
            close_all();
        }
    }
    // SAFETY: references and memory live as long as the top transaction.
    let table = unsafe {
        let owner = pg_sys::CurrentResourceOwner;
        let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
        pg_sys::CurrentResourceOwner = pg_sys::TopTransactionResourceOwner;
        if !waits && !pg_sys::ConditionalLockRelationOid(oid, pg_sys::RowExclusiveLock as i32) {
            pg_sys::CurrentResourceOwner = owner;
            pg_sys::MemoryContextSwitchTo(context);
            return None;
        }
        let relation = pg_sys::table_open(oid, if waits { pg_sys::RowExclusiveLock } else { pg_sys::NoLock } as i32);
        let columns = layout::known(relation, parent);
        if parent.overflows() && !waits && is_closed(relation) {
            pg_sys::table_close(relation, pg_sys::RowExclusiveLock as i32);
            pg_sys::CurrentResourceOwner = owner;
            pg_sys::MemoryContextSwitchTo(context);
            return None;
        }

        let (indexes, has_plain_indexes, refuses_long_keys) = open_indexes(relation);
        pg_sys::CurrentResourceOwner = owner;
        pg_sys::MemoryContextSwitchTo(context);
        Table { oid, relation, columns, indexes, has_plain_indexes, refuses_long_keys }
    };
    // SAFETY: opening a table changes no other.
    let tables = unsafe { TABLES.in_place() };
    let free = tables.iter().position(Option::is_none).unwrap_or(0);
    Some(tables[free].insert(table))
}

/// Opens the indexes of a partition; whether all are plain, and whether one refuses long keys.
///
/// # Safety
/// `relation` must be open; what is opened and allocated belongs to the current resource owner and memory context.
unsafe fn open_indexes(relation: pg_sys::Relation) -> (&'static [Index], bool, bool) {
    let (mut has_plain_indexes, mut refuses_long_keys) = (true, false);
    // SAFETY: the indexes are those of an open relation; the array has room for all of them.
    let indexes = unsafe {
        let list = list::oids(pg_sys::RelationGetIndexList(relation));
        let count = list.len();
        let indexes = pg_sys::palloc(count.max(1) * size_of::<Index>()).cast::<Index>();
        for (position, index) in list.enumerate() {
            let opened = pg_sys::index_open(index, pg_sys::RowExclusiveLock as i32);
            let info = pg_sys::BuildIndexInfo(opened);
            let condition = condition(&*info);
            refuses_long_keys |= (*(*opened).rd_rel).relam == pg_sys::BTREE_AM_OID && has_text(&*info);
            has_plain_indexes &= condition.is_some() && is_plain(&*info);
            let keeps_pages = version::keeps_pages(opened);
            indexes.add(position).write(Index { relation: opened, info, required: condition.flatten(), keeps_pages });
        }
        core::slice::from_raw_parts(indexes, count)
    };
    (indexes, has_plain_indexes, refuses_long_keys)
}

/// Whether a partition has closed: what comes late reaches it by way of the overflow, and so is counted
/// (sql/partition/close.sql).
///
/// The state is a column of partition_catalog. Here it is known by a trigger of this function, made in the transaction
/// that sets the column: reading it from the relation cache costs nothing, and both change in one transaction.
///
/// # Safety
/// `relation` must be open.
pub unsafe fn is_closed(relation: pg_sys::Relation) -> bool {
    // SAFETY: the relation is open, inside a transaction.
    unsafe {
        // No other trigger on a partition is for INSERT alone, so that the function is looked up where it is met.
        trigger::triggers(relation).iter().any(|trigger| {
            trigger.tgtype == BEFORE_INSERT
                && trigger.tgfoid == catalog::trigger_function(c"audit_internal", c"reject_insert")
        })
    }
}

/// Whether the index is over plain columns, without uniqueness or exclusion.
fn is_plain(info: &pg_sys::IndexInfo) -> bool {
    let columns = usize::try_from(info.ii_NumIndexAttrs).unwrap_or(0);
    // One that CREATE INDEX CONCURRENTLY is still making is not plain: the executor skips it.
    info.ii_ReadyForInserts
        && columns <= PLAIN_COLUMNS
        && info.ii_Expressions.is_null()
        && info.ii_ExclusionOps.is_null()
        && !info.ii_Unique
        && info.ii_IndexAttrNumbers[..columns].iter().all(|number| Column::numbered(*number).is_some())
}

/// Whether a column of the index may be of any length.
fn has_text(info: &pg_sys::IndexInfo) -> bool {
    let columns = usize::try_from(info.ii_NumIndexAttrs).unwrap_or(0);
    info.ii_IndexAttrNumbers[..columns]
        .iter()
        .filter_map(|number| Column::numbered(*number))
        .any(|column| column.data_type().size().is_none())
}

/// The column that an index's predicate wants not to be NULL, none of an index without predicate; `None` where the
/// predicate is another one.
///
/// # Safety
/// Must be that of an open index.
unsafe fn condition(info: &pg_sys::IndexInfo) -> Option<Option<Column>> {
    // SAFETY: a predicate is a list of expressions, whose tags say what they are.
    unsafe {
        let mut tests = list::pointers::<pg_sys::NullTest>(info.ii_Predicate);
        match (tests.next(), tests.len()) {
            (None, _) => Some(None),
            (Some(test), 0) => {
                let is_null_test = (*test).xpr.type_ == pg_sys::NodeTag::T_NullTest
                    && (*test).nulltesttype == pg_sys::NullTestType::IS_NOT_NULL
                    && (*(*test).arg).type_ == pg_sys::NodeTag::T_Var;
                let variable = (*test).arg.cast::<pg_sys::Var>();
                if is_null_test { Column::numbered((*variable).varattno).map(Some) } else { None }
            }
            _ => None,
        }
    }
}
