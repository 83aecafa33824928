//! Events that applications record: `audit.record`.
//!
//! The caller is the role that runs the statement, not the owner of a function in between, and nothing here runs with
//! rights that this role lacks, except to read the declarations and to write the event itself.

use audit_model::EventType;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::declaration;
use super::parameters;
use crate::context::{self, StatementUse};
use crate::error::Error;
use crate::event::Event;
use crate::jsonb::Writer;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::{datum, raw};
use crate::store::append;

entry_point!(audit_record, pg_finfo_audit_record, record);

/// Kept between calls, as an ERROR of PostgreSQL's frees nothing of Rust's.
static WRITER: Local<Writer> = Local::new(Writer::new());

/// Memory that the writer keeps after unusually large parameters.
const KEPT: usize = 1 << 20;

/// `audit.record(event text, parameters jsonb, entity text, entity_id text, result text, autonomous boolean) returns
/// uuid`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn record(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: those of the current call.
    let arguments = unsafe { Arguments::new(arguments) };
    let (Some(name), Some(result), Some(autonomous)) = (arguments.bytes(0), arguments.bytes(4), arguments.datum(5))
    else {
        Error::NullArgument { names: "event, result and autonomous", hint: "Name an event type of audit.event_types." }
            .raise()
    };
    if autonomous.value() as u8 != 0 {
        Error::Autonomous.raise();
    }
    if !matches!(result, b"success" | b"failure") {
        Error::BadArgument {
            problem: format!("unknown result \"{}\"", String::from_utf8_lossy(result)),
            hint: "The results are success and failure.",
        }
        .raise();
    }
    // SAFETY: an ERROR where the transaction may not write.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"audit.record()".as_ptr());
        pg_sys::PreventCommandIfParallelMode(c"audit.record()".as_ptr());
    }

    // SAFETY: inside a transaction.
    let declared = unsafe { declaration::named(name) };
    let built_in = EventType::numbered(declared.event_type.number);
    if declared.event_type.is_built_in && !built_in.is_some_and(EventType::is_recordable) {
        Error::CapturedEventType { name: String::from_utf8_lossy(name).into_owned() }.raise();
    }
    let given = arguments.bytes(1);
    // SAFETY: what checking a parameter may call, an input function of the user's own that records an event, has
    // returned before the writer is used, which is then in use in this call alone.
    let writer = unsafe {
        parameters::check(&declared, name, given);
        WRITER.in_place()
    };
    let has_parameters = parameters::write(writer, &declared, given);

    let (number, category) = (declared.event_type.number, declared.event_type.category);
    // From here on an ERROR jumps over this frame, which must own nothing.
    drop(declared);
    // SAFETY: inside a transaction that may write.
    let id = unsafe {
        let reference = context::current(StatementUse::Omit);
        let event = Event {
            command_id: raw::GetCurrentCommandId(false),
            parameters: has_parameters.then(|| writer.finish()),
            entity: arguments.bytes(2),
            entity_id: arguments.bytes(3),
            failed: result == b"failure" || built_in.is_some_and(EventType::is_failure),
            ..Event::declared(number, category)
        };
        append::write(&event, reference.context_id, reference.node_id)
    };
    writer.shrink(KEPT);
    datum::copy(&id)
}
