//! AFTER ROW triggers: one event a changed row, written before the trigger returns.
//!
//! The hot path. One guard a row; inside it raw calls, buffers that are kept between rows, no SPI. An ERROR
//! of PostgreSQL's leaves by longjmp, so nothing here owns memory across a call that may raise one.

use audit_model::EventType;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::image::{BUFFERS, Buffers, Row};
use super::options::Level;
use super::plan::Plan;
use super::plans;
use crate::context;
use crate::encode::pin;
use crate::error::Error;
use crate::event::Event;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::raw;
use crate::pg::transaction::{self, Event as End, Step};
use crate::pg::trigger::{Call, Operation};
use crate::settings;
use crate::store::append;

entry_point!(audit_capture_row, pg_finfo_audit_capture_row, capture_row);

/// Lets aborts end what an ERROR left unfinished.
pub fn register() {
    transaction::register(Step::Row, ends);
}

fn ends(end: End) {
    match end {
        End::SubAbort(subtransaction) if subtransaction > BUSY.get() => {}
        _ => BUSY.set(0),
    }
}

/// The subtransaction in which a row is being recorded whose types run foreign code, 0 for none. Such code
/// could change audited rows, whose capture would overwrite the buffers.
static BUSY: Local<u32> = Local::new(0);

/// # Safety
/// Called by PostgreSQL.
unsafe fn capture_row(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the trigger manager's data is live for the call.
    unsafe {
        let Some(call) = Call::of(arguments).filter(|call| call.is_after_row()) else {
            Error::NotAnAuditTrigger { function: "capture_row" }.raise()
        };
        let plan = plans::of(call.data.tg_relation);
        if !plan.is_recorded_by((*call.data.tg_trigger).tgoid, call.operation) {
            return Datum::null();
        }
        if !settings::enabled() {
            super::emit::suspended(plan, call.operation);
            return Datum::null();
        }
        let (old, new) = match call.operation {
            Operation::Insert => (None, Some(call.data.tg_trigtuple)),
            Operation::Update => (Some(call.data.tg_trigtuple), Some(call.data.tg_newtuple)),
            _ => (Some(call.data.tg_trigtuple), None),
        };
        record(plan, (*call.data.tg_relation).rd_att, Row { event_type: event_type_of(call.operation), old, new });
    }
    Datum::null()
}

/// Records a change of a row.
///
/// # Safety
/// The tuples must be of `descriptor`, which must be the one that the plan was made for.
pub unsafe fn record(plan: &mut Plan, descriptor: pg_sys::TupleDesc, row: Row) {
    // SAFETY: the buffers are used in this call alone; no user code runs in between but
    // foreign output functions, which write nothing that is audited.
    unsafe {
        if BUSY.get() != 0 {
            Error::Internal { problem: "a type's output function changes audited tables".into() }.raise();
        }
        if plan.calls_foreign_code {
            BUSY.set(raw::GetCurrentSubTransactionId());
        }
        let buffers = BUFFERS.in_place();
        buffers.enter(plan.attributes);
        let caller = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = buffers.context;
        if plan.depends_on_settings {
            pin::hold();
        }
        let is_recorded = buffers.read(plan, descriptor, &row);
        if is_recorded {
            buffers.encode(plan, &row);
        }
        pin::release();
        BUSY.set(0);
        if is_recorded {
            write(buffers, plan, &row);
        }
        pg_sys::CurrentMemoryContext = caller;
        raw::MemoryContextReset(buffers.context);
        buffers.changes.shrink(KEPT);
        buffers.image.shrink(KEPT);
    }
}

/// Memory that a buffer keeps after an unusually large row.
const KEPT: usize = 1 << 20;

/// Writes the event whose images are in the buffers.
///
/// # Safety
/// After [`Buffers::encode`], inside a transaction that may write.
unsafe fn write(buffers: &mut Buffers, plan: &mut Plan, row: &Row) {
    // SAFETY: inside a transaction that changed a row, which may therefore write.
    unsafe {
        if plan.is_unconfigured && plan.recorded_unconfigured.is_none() {
            super::emit::unconfigured(plan);
        }
        let reference = context::current(plan.statement_use);
        let is_update = row.old.is_some() && row.new.is_some();
        let has_changes = is_update || plan.level != Level::Minimal;
        let event = Event {
            relation_id: plan.relation_id(reference.node_id),
            command_id: command(plan, row),
            entity_id: (!plan.key.is_empty()).then_some(&*buffers.entity_id),
            changes: has_changes.then(|| buffers.changes.finish()),
            image: (is_update && plan.level == Level::Comprehensive).then(|| buffers.image.finish()),
            entity_label: (!buffers.label.is_empty()).then_some(&*buffers.label),
            new_entity_id: buffers.has_new_key.then_some(&*buffers.new_entity_id),
            retention_id: plan.retention_id,
            ..Event::new(row.event_type)
        };
        append::write(&event, reference.context_id, reference.node_id);
    }
}

/// The command that made the change: versions of a row are ordered by it, because a user's own AFTER trigger
/// can change the row again before the outer change is captured.
///
/// # Safety
/// The tuples must be those that the trigger got.
unsafe fn command(plan: &Plan, row: &Row) -> u32 {
    // SAFETY: in a heap, the transaction that made or deleted the version is the current one.
    unsafe {
        match (row.event_type, row.old, row.new) {
            (EventType::RowInsert | EventType::RowUpdate, _, Some(new)) if plan.is_heap => {
                raw::HeapTupleHeaderGetCmin((*new).t_data)
            }
            (EventType::RowDelete, Some(old), _) if plan.is_heap => raw::HeapTupleHeaderGetCmax((*old).t_data),
            _ => raw::GetCurrentCommandId(false),
        }
    }
}

fn event_type_of(operation: Operation) -> EventType {
    match operation {
        Operation::Insert => EventType::RowInsert,
        Operation::Update => EventType::RowUpdate,
        _ => EventType::RowDelete,
    }
}
