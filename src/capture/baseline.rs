//! `audit.baseline`: one event a row that exists now, so that history begins at the beginning.
//!
//! Writers of the table wait until it ends: between its snapshot and its events no version can slip in.

use audit_model::EventType;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::image::Row;
use super::plan::Plan;
use super::plans;
use super::row;
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::opened::{self, Opened};
use crate::pg::{heap, relation};

entry_point!(audit_baseline, pg_finfo_audit_baseline, baseline);

/// `audit.baseline(target regclass) returns bigint`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn baseline(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a regclass; the lock is held to the end of the transaction.
    unsafe {
        let target = Arguments::new(arguments).oid(0).unwrap_or(Oid::INVALID);
        if target == Oid::INVALID {
            Error::NoTarget.raise()
        }
        if pg_sys::get_rel_relkind(target) == 0 {
            Error::NoRelation { oid: target.to_u32() }.raise()
        }
        refuse_unaudited(target);
        let tables = relation::members(target, pg_sys::ShareLock);
        let is_partitioned = pg_sys::get_rel_relkind(target).cast_unsigned() == pg_sys::RELKIND_PARTITIONED_TABLE;
        let mut rows = 0_i64;
        for table in tables {
            // Children of plain inheritance are tables of their own.
            if table != target && !is_partitioned {
                continue;
            }
            opened::with(table, pg_sys::ShareLock, |opened| match u8::try_from((*(*opened).rd_rel).relkind) {
                Ok(pg_sys::RELKIND_RELATION) => rows += images(opened, EventType::RowBaseline, i64::MAX),
                Ok(pg_sys::RELKIND_PARTITIONED_TABLE) => {}
                _ => Error::BadArgument {
                    problem: format!("{} holds no rows of its own", crate::store::relations::entity_of(table)),
                    hint: "A baseline is taken of ordinary and partitioned tables.",
                }
                .raise(),
            });
        }
        Datum::from(rows)
    }
}

/// # Safety
/// The relation must exist.
unsafe fn refuse_unaudited(target: Oid) {
    // SAFETY: inside a transaction; the relation is open while its plan is asked for.
    unsafe {
        let opened = Opened::relation(target, pg_sys::AccessShareLock);
        if !plans::of(opened.as_ptr()).has_row_trigger() {
            Error::NotAudited { table: crate::store::relations::entity_of(target) }.raise()
        }
    }
}

/// Writes an event for up to `most` rows of an open, audited table; returns how many there were room for.
///
/// # Safety
/// The table must be open and locked against writers.
pub unsafe fn images(table: pg_sys::Relation, event_type: EventType, most: i64) -> i64 {
    // SAFETY: the table is open.
    let (descriptor, is_audited) = unsafe { ((*table).rd_att, plans::of(table).has_row_trigger()) };
    if !is_audited {
        // SAFETY: the table exists.
        Error::NotAudited { table: unsafe { crate::store::relations::entity_of((*table).rd_id) } }.raise()
    }
    let mut rows = 0;
    if most <= 0 {
        return rows;
    }
    // SAFETY: the table is open; a slot's tuple is read before the next one comes.
    unsafe {
        heap::rows(table, |slot| {
            let mut should_free = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut should_free);
            let plan: &mut Plan = plans::of(table);
            let image = match event_type {
                EventType::RowBaseline => Row { event_type, old: None, new: Some(tuple) },
                _ => Row { event_type, old: Some(tuple), new: None },
            };
            row::record(plan, descriptor, image);
            if should_free {
                pg_sys::heap_freetuple(tuple);
            }
            rows += 1;
            rows < most
        });
    }
    rows
}
