//! Writes an event into its partition.

use audit_model::Column;
use pgrx::pg_sys::{self, Datum};

use super::id;
use super::open::{self, Index, Table};
use super::partition::Parent;
use super::tuple::{Former, Stamp};
use crate::error::Error;
use crate::event::Event;
use crate::pg::local::Local;
use crate::pg::{clock, raw, version};

/// A key that a B-tree, which takes a third of a page, may refuse.
const LONG: usize = 2000;

static FORMER: Local<Former> = Local::new(Former::new());

/// Writes `event` in the current transaction and returns its id. `context_id` and `node_id` are rows of the
/// dictionaries that this transaction, or one before it, has written.
///
/// # Safety
/// Must run inside a transaction that may write. Raw: an ERROR leaves by longjmp.
pub unsafe fn write(event: &Event, context_id: i64, node_id: i32) -> [u8; 16] {
    // SAFETY: inside a transaction; the former is used in this call alone.
    unsafe {
        let now = clock::now();
        let parent = event.retention_id.map_or(Parent::Events(event.category), Parent::Dedicated);
        let mut table = open::table(parent, now);
        if table.refuses_long_keys
            && [event.entity_id, event.new_entity_id].iter().flatten().any(|key| key.len() > LONG)
        {
            table = open::overflow(parent);
        }
        let stamp = Stamp {
            occurred_at: now,
            id: id::next(now),
            transaction_id: raw::GetTopFullTransactionId().value.cast_signed(),
            context_id,
            node_id,
        };
        let former = FORMER.in_place();
        let mut tuple = former.form(event, &stamp, table.columns);
        // A partition is only appended to: the overflow is emptied from its beginning, and what retention deletes row
        // by row is in closed partitions.
        let options = options() | pg_sys::HEAP_INSERT_SKIP_FSM.cast_signed();
        raw::heap_insert(table.relation, &mut tuple, raw::GetCurrentCommandId(true), options, core::ptr::null_mut());
        if table.has_plain_indexes {
            for index in table.indexes {
                insert_plain(table, index, &mut tuple, |column| former.value(column, event, &stamp));
            }
        } else {
            insert_any(table.relation, table.oid, &mut tuple);
        }
        stamp.id
    }
}

/// Past logical decoding, unless the trail is meant to be replicated.
pub fn options() -> i32 {
    if crate::settings::replicate() { 0 } else { pg_sys::HEAP_INSERT_NO_LOGICAL.cast_signed() }
}

/// # Safety
/// The tuple must have just been inserted into the table that the index belongs to; `value` gives its columns.
unsafe fn insert_plain(
    table: &Table,
    index: &Index,
    tuple: pg_sys::HeapTuple,
    value: impl Fn(Column) -> Option<Datum>,
) {
    if index.required.is_some_and(|column| value(column).is_none()) {
        return;
    }
    let mut values = [Datum::null(); open::PLAIN_COLUMNS];
    let mut nulls = [false; open::PLAIN_COLUMNS];
    // SAFETY: per the contract; attribute numbers of a plain index are those of an event's columns.
    unsafe {
        let columns = usize::try_from((*index.info).ii_NumIndexAttrs).unwrap_or(0);
        for position in 0..columns {
            let column = Column::numbered((*index.info).ii_IndexAttrNumbers[position]);
            nulls[position] = column.and_then(&value).map(|value| values[position] = value).is_none();
        }
        let owner = pg_sys::CurrentResourceOwner;
        if index.keeps_pages {
            pg_sys::CurrentResourceOwner = pg_sys::TopTransactionResourceOwner;
        }
        raw::index_insert(
            index.relation,
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
            &mut (*tuple).t_self,
            table.relation,
            pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO,
            false,
            index.info,
        );
        pg_sys::CurrentResourceOwner = owner;
    }
}

/// Inserts a tuple into a table of ours with all its indexes, past the executor's checks and past decoding.
///
/// # Safety
/// The table must be open and the tuple be of its columns, or of the first of them.
pub unsafe fn insert(table: pg_sys::Relation, oid: pg_sys::Oid, tuple: pg_sys::HeapTuple) {
    // SAFETY: per the contract.
    unsafe { insert_with(table, oid, tuple, options()) }
}

/// As [`insert`], with these options of heap_insert.
///
/// # Safety
/// As [`insert`].
pub unsafe fn insert_with(table: pg_sys::Relation, oid: pg_sys::Oid, tuple: pg_sys::HeapTuple, options: i32) {
    // SAFETY: per the contract.
    unsafe {
        // Extra values would be read as values of columns added later.
        let columns = u32::from((*(*tuple).t_data).t_infomask2) & pg_sys::HEAP_NATTS_MASK;
        if columns > (*(*table).rd_att).natts.cast_unsigned() {
            Error::Internal { problem: "a row has more columns than its table".into() }.raise();
        }
        pg_sys::heap_insert(table, tuple, pg_sys::GetCurrentCommandId(true), options, core::ptr::null_mut());
        insert_any(table, oid, tuple);
    }
}

/// Inserts a tuple into indexes of any kind, through the executor.
///
/// # Safety
/// The tuple must have just been inserted into the table, which must be open.
unsafe fn insert_any(table: pg_sys::Relation, oid: pg_sys::Oid, tuple: pg_sys::HeapTuple) {
    // SAFETY: the executor's own sequence for a table that it inserts into (CopyFrom).
    unsafe {
        let state = pg_sys::CreateExecutorState();
        let context = pg_sys::MemoryContextSwitchTo((*state).es_query_cxt);
        let target = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
        pg_sys::InitResultRelInfo(target, table, 1, core::ptr::null_mut(), 0);
        pg_sys::ExecOpenIndices(target, false);
        if (*target).ri_NumIndices > 0 {
            let slot = pg_sys::MakeSingleTupleTableSlot((*table).rd_att, &raw const pg_sys::TTSOpsHeapTuple);
            pg_sys::ExecStoreHeapTuple(tuple, slot, false);
            (*slot).tts_tid = (*tuple).t_self;
            (*slot).tts_tableOid = oid;
            version::insert_index_tuples(target, slot, state);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
        pg_sys::ExecCloseIndices(target);
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::FreeExecutorState(state);
    }
}
