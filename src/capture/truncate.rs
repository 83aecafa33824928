//! TRUNCATE: one event a table, before its rows are gone.
//!
//! Rows and bytes come from the catalog; at level comprehensive the rows are counted, and up to
//! `audit.truncate_rows` of them kept as `row.truncate` events. A partitioned table's event covers its
//! partitions, whose own triggers then keep still.

use audit_model::EventType;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::options::Level;
use super::plan::Plan;
use super::plans;
use crate::context;
use crate::error::Error;
use crate::event::Event;
use crate::jsonb::{Kind, Writer};
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::trigger::{Call, Operation};
use crate::pg::{heap, opened, raw, relation};
use crate::settings;
use crate::store::append;

entry_point!(audit_capture_truncate, pg_finfo_audit_capture_truncate, capture_truncate);

/// The command whose TRUNCATE of a partitioned table has been recorded: transaction, command, table.
static COVERED: Local<Option<(u64, u32, Oid)>> = Local::new(None);

/// What a TRUNCATE takes away.
#[derive(Default)]
struct Loss {
    rows: i64,
    bytes: i64,
    images: i64,
}

/// # Safety
/// Called by PostgreSQL.
unsafe fn capture_truncate(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the trigger manager's data is live for the call; PostgreSQL holds the tables exclusively.
    unsafe {
        let call =
            Call::of(arguments).filter(|call| call.operation == Operation::Truncate && call.is_before_statement());
        let Some(call) = call else { Error::NotAnAuditTrigger { function: "capture_truncate" }.raise() };
        let target = call.data.tg_relation;
        let command = (raw::GetTopFullTransactionId().value, raw::GetCurrentCommandId(false));
        if is_covered(target, command) {
            return Datum::null();
        }
        let plan = plans::of(target);
        if !plan.is_recorded_by((*call.data.tg_trigger).tgoid, Operation::Truncate) {
            return Datum::null();
        }
        if !settings::enabled() {
            super::emit::suspended(plan, Operation::Truncate);
            return Datum::null();
        }
        let is_exact = plan.level == Level::Comprehensive;
        let loss = loss(target, is_exact);
        if is_kind(target, pg_sys::RELKIND_PARTITIONED_TABLE) {
            COVERED.set(Some((command.0, command.1, (*target).rd_id)));
        }
        // Images of other tables came between.
        write(plans::of(target), is_exact, &loss);
    }
    Datum::null()
}

/// What the table and, where it is partitioned, its partitions hold.
///
/// # Safety
/// The table must be open and locked exclusively.
unsafe fn loss(target: pg_sys::Relation, is_exact: bool) -> Loss {
    let mut loss = Loss::default();
    // SAFETY: the table is open; its members are locked as it is.
    unsafe {
        let is_partitioned = is_kind(target, pg_sys::RELKIND_PARTITIONED_TABLE);
        for member in relation::members((*target).rd_id, pg_sys::AccessExclusiveLock) {
            if member == (*target).rd_id || is_partitioned {
                subtract(member, is_exact, &mut loss);
            }
        }
    }
    loss
}

/// Whether an ancestor is being truncated by the same command and has said so.
///
/// # Safety
/// The relation must be open.
unsafe fn is_covered(target: pg_sys::Relation, command: (u64, u32)) -> bool {
    // SAFETY: per the contract.
    unsafe {
        let Some((transaction, number, root)) = COVERED.get() else { return false };
        if (transaction, number) != command || !(*(*target).rd_rel).relispartition {
            return false;
        }
        relation::ancestors((*target).rd_id).any(|ancestor| ancestor == root)
    }
}

/// Adds what one table holds.
///
/// # Safety
/// The table must be locked exclusively.
unsafe fn subtract(table: Oid, is_exact: bool, loss: &mut Loss) {
    // SAFETY: inside a transaction; the table is open for the closure.
    unsafe {
        opened::with(table, pg_sys::AccessExclusiveLock, |opened| {
            if !is_kind(opened, pg_sys::RELKIND_RELATION) {
                return;
            }
            let size = pgrx::direct_function_call::<i64>(pg_sys::pg_total_relation_size, &[Some(Datum::from(table))]);
            loss.bytes += size.unwrap_or(0);
            if is_exact {
                let room = (settings::truncate_rows() - loss.images).max(0);
                if plans::of(opened).has_row_trigger() {
                    loss.images += super::baseline::images(opened, EventType::RowTruncate, room);
                }
                loss.rows += count(opened);
            } else {
                loss.rows += (f64::from((*(*opened).rd_rel).reltuples).max(0.0)) as i64;
            }
        });
    }
}

/// # Safety
/// The table must be open.
unsafe fn count(table: pg_sys::Relation) -> i64 {
    let mut rows = 0;
    // SAFETY: the table is open.
    unsafe {
        heap::rows(table, |_| {
            rows += 1;
            true
        });
    }
    rows
}

/// # Safety
/// Must run inside a transaction that may write.
unsafe fn write(plan: &mut Plan, is_exact: bool, loss: &Loss) {
    // SAFETY: per the contract.
    unsafe {
        if plan.is_unconfigured && plan.recorded_unconfigured.is_none() {
            super::emit::unconfigured(plan);
        }
        let reference = context::current(plan.statement_use);
        let parameters = parameters(is_exact, loss);
        let event = Event {
            relation_id: plan.relation_id(reference.node_id),
            command_id: raw::GetCurrentCommandId(false),
            parameters: Some(&parameters),
            retention_id: plan.retention_id,
            ..Event::new(EventType::TableTruncate)
        };
        append::write(&event, reference.context_id, reference.node_id);
    }
}

fn parameters(is_exact: bool, loss: &Loss) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    let mut object = writer.object(4);
    for name in [&b"rows"[..], b"bytes", b"images", b"rows_exact"] {
        writer.key(&mut object, name);
    }
    for number in [loss.rows, loss.bytes, loss.images] {
        crate::encode::integer(&mut writer, number);
        writer.close(&mut object, Kind::Number);
    }
    writer.close(&mut object, Kind::of(is_exact));
    writer.finish().to_vec()
}

/// # Safety
/// The relation must be open.
unsafe fn is_kind(opened: pg_sys::Relation, kind: u8) -> bool {
    // SAFETY: per the contract.
    unsafe { u8::try_from((*(*opened).rd_rel).relkind) == Ok(kind) }
}
