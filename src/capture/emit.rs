//! Events that the extension's own SQL functions write, and the one that says that auditing was off.

use audit_model::EventType;
use pgrx::pg_sys::{Datum, FunctionCallInfo};

use super::plan::Plan;
use crate::context::{self, StatementUse};
use crate::error::Error;
use crate::event::Event;
use crate::jsonb::Writer;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::trigger::Operation;
use crate::pg::{datum, raw};
use crate::store::unconfigured::{self, Recorded};
use crate::store::{append, event_types, relations};

entry_point!(audit_emit, pg_finfo_audit_emit, emit);

/// `audit_internal.emit(event text, parameters jsonb, entity text, entity_id text, target regclass, result text)
/// returns uuid`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn emit(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        let name = arguments.text(0).unwrap_or_default();
        let Some(declared) = event_types::named(name.as_bytes()) else { Error::UnknownEventType { name }.raise() };
        let reference = context::current(StatementUse::Omit);
        let relation_id = match arguments.oid(4) {
            Some(target) => relations::find_or_write(&relations::describe(target), reference.node_id).0,
            None => 0,
        };
        let event = Event {
            relation_id,
            command_id: raw::GetCurrentCommandId(false),
            parameters: arguments.varlena(1),
            entity: arguments.bytes(2),
            entity_id: arguments.bytes(3),
            failed: arguments.bytes(5) == Some(b"failure"),
            ..Event::declared(declared.number, declared.category)
        };
        let id = append::write(&event, reference.context_id, reference.node_id);
        datum::copy(&id)
    }
}

/// Records, once a transaction and table, that changes are not being recorded.
///
/// # Safety
/// Must run inside a transaction that may write.
pub unsafe fn suspended(plan: &mut Plan, operation: Operation) {
    // SAFETY: per the contract.
    unsafe {
        let transaction = raw::GetTopFullTransactionId().value;
        if plan.suspended_in == transaction {
            return;
        }
        plan.suspended_in = transaction;
        let reference = context::current(StatementUse::Omit);
        let mut writer = Writer::new();
        writer.begin();
        let mut object = writer.object(1);
        writer.key(&mut object, b"operation");
        writer.string(&mut object, operation.name().as_bytes());
        let event = Event {
            relation_id: plan.relation_id(reference.node_id),
            command_id: raw::GetCurrentCommandId(false),
            parameters: Some(writer.finish()),
            ..Event::new(EventType::AuditSuspend)
        };
        append::write(&event, reference.context_id, reference.node_id);
    }
}

/// Records, once a table, that it has audit triggers but no settings.
///
/// # Safety
/// Must run inside a transaction that may write.
pub unsafe fn unconfigured(plan: &mut Plan) {
    // SAFETY: per the contract.
    unsafe {
        let outcome = unconfigured::record(plan.enabled());
        if outcome != Recorded::Later {
            plan.recorded_unconfigured = Some(raw::GetCurrentSubTransactionId());
        }
        if outcome != Recorded::Added {
            return;
        }
        let reference = context::current(StatementUse::Omit);
        let event = Event {
            relation_id: plan.relation_id(reference.node_id),
            command_id: raw::GetCurrentCommandId(false),
            ..Event::new(EventType::TableUnconfigured)
        };
        append::write(&event, reference.context_id, reference.node_id);
    }
}
