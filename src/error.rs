//! The errors that the extension raises: SQLSTATE, message, DETAIL and HINT in one place.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

/// One variant for each message; [`Error::raise`] does not return.
pub enum Error {
    /// An internal trigger function was not called by its trigger.
    NotATrigger { function: &'static str },
    /// The same of a function of the triggers that `audit.enable` creates.
    NotAnAuditTrigger { function: &'static str },
    /// Neither a partition nor the overflow exists.
    NoPartition { parent: String },
    /// `events_overflow` has lost its only partition.
    NoOverflow,
    /// A partition has other columns than its parent had when it was created.
    ForeignPartition { partition: String },
    /// A command would drop evidence, or change its definition.
    Evidence { action: &'static str, object: String },
    /// A command would take away what the extension works with.
    Required { action: &'static str, object: String },
    /// A statement would change evidence.
    EvidenceChanged { table: String, operation: &'static str },
    /// A subscription applies something other than new events.
    AppliedChange { table: String, operation: &'static str },
    /// A subscription inserts a row that the other server cannot have written.
    AppliedRow { table: String, problem: String },
    /// The image has a marker or nothing in place of the value; `why` is the DETAIL.
    NoValue { column: String, why: String },
    /// `audit.history` cannot read the text as values of the key's columns.
    NotAKey { entity_id: String, table: String, problem: String, hint: String },
    /// Events of the table have no `entity_id`, by which `audit.history` finds them.
    NoKey { table: String },
    /// Values of a key's type cannot be read without running code of its owner.
    KeyRunsCode { table: String, type_name: String },
    /// The caller may not read the values of a key, and so may not compute their hash.
    HashedKey { table: String },
    /// The column's type would round, cut or pad the value.
    Misfit { column: String, type_name: String },
    /// Only the server creates values of the column's type.
    NotRestorable { column: String, type_name: String },
    /// A type contains so many types that its description would take too much memory.
    TooComplex { type_name: String },
    /// What `audit.row` was given is no image of a row of this table.
    BadImage { problem: String },
    /// An internal function was called with unexpected arguments.
    Internal { problem: String },
    /// The hint names what the function accepts.
    BadArgument { problem: String, hint: &'static str },
    /// The argument that names a table is NULL.
    NoTarget,
    /// The relation was dropped, or the regclass was made from a number.
    NoRelation { oid: u32 },
    /// The table has no options, so that nothing says what of it to record.
    NotAudited { table: String },
    /// Neither the extension nor `audit.define_event_type` has defined it.
    UnknownEventType { name: String },
    /// Required arguments are NULL.
    NullArgument { names: &'static str, hint: &'static str },
    /// The extension captures events of this type itself.
    CapturedEventType { name: String },
    /// `audit.record` accepts `autonomous` only as false.
    Autonomous,
    /// `audit-archive` could not be started.
    NoArchiver { program: String, problem: String },
    /// `audit-archive` reported this; `kind` chooses the SQLSTATE.
    Archiver { kind: String, message: String, hint: Option<String> },
    /// A parameter of an event is not what its declaration asks for.
    Parameter { problem: String, detail: Option<String>, hint: String },
}

impl Error {
    /// Raises the error; nothing after it runs.
    #[track_caller]
    pub fn raise(self) -> ! {
        self.report().report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }

    fn report(self) -> ErrorReport {
        use PgSqlErrorCode::*;
        let (code, message, detail, hint): (_, _, Option<String>, Option<String>) = match self {
            Error::NotATrigger { function } => {
                (ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, not_by_its_trigger(function), None, None)
            }
            Error::NotAnAuditTrigger { function } => (
                ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                not_by_its_trigger(function),
                None,
                Some("Use audit.enable, which creates the triggers.".into()),
            ),
            Error::NoPartition { parent } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("audit_internal.{parent} has no partition to write to, and there is no overflow"),
                None,
                Some("Run CALL audit.maintain().".into()),
            ),
            Error::NoOverflow => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "audit_internal.events_overflow has no partition".into(),
                None,
                Some("Run CALL audit.maintain().".into()),
            ),
            Error::ForeignPartition { partition } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{partition} does not have the columns of the trail"),
                None,
                Some("Detach the table, then run CALL audit.maintain().".into()),
            ),
            Error::Evidence { action, object } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot {action} {object}: it holds audit evidence"),
                Some("Evidence is removed by retention, or together with the whole trail.".into()),
                Some(
                    "audit.set_retention sets how long events are kept. To remove the trail, run SELECT audit.uninstall('…'): an error says which text confirms it.".into(),
                ),
            ),
            Error::Required { action, object } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot {action} {object}: auditing requires it"),
                None,
                Some("audit.uninstall() removes the extension with the whole trail.".into()),
            ),
            Error::EvidenceChanged { table, operation } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot {operation} {table}: evidence cannot be changed"),
                None,
                Some("Events are removed by retention (audit.set_retention), or with the whole trail (audit.uninstall).".into()),
            ),
            Error::AppliedChange { table, operation } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("a subscription cannot {operation} {table}"),
                Some("A server may send new events, event types and parameters, as audit.publish publishes them.".into()),
                Some("Drop the subscription and check what the server publishes.".into()),
            ),
            Error::AppliedRow { table, problem } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("a subscription cannot insert {table}: {problem}"),
                None,
                Some("Drop the subscription and check what the server publishes, and its clock.".into()),
            ),
            Error::NoValue { column, why } => (
                ERRCODE_NO_DATA_FOUND,
                format!("the image has no value for column \"{column}\""),
                Some(why),
                Some("Remove the column from the image to take its value from the base row.".into()),
            ),
            Error::NotAKey { entity_id, table, problem, hint } => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("entity_id \"{entity_id}\" is not a key of {table}: {problem}"),
                None,
                Some(hint),
            ),
            Error::NoKey { table } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{table} has no primary key, so its rows have no history of their own"),
                None,
                Some("Read the events of the whole table from audit.trail by entity.".into()),
            ),
            Error::KeyRunsCode { table, type_name } => (
                ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("cannot read a key of {table}: type {type_name} runs code of its owner"),
                None,
                Some("Read the events of the row from audit.trail by entity and entity_id.".into()),
            ),
            Error::HashedKey { table } => (
                ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied to hash a key of {table}"),
                None,
                Some(
                    "Pass the digest that audit.trail shows as entity_id. Roles with SELECT on the key may pass its values."
                        .into(),
                ),
            ),
            Error::Misfit { column, type_name } => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("the value of column \"{column}\" does not fit type {type_name}"),
                None,
                Some(
                    "The column had another type when the value was recorded. Change the type, or the value in the image."
                        .into(),
                ),
            ),
            Error::NotRestorable { column, type_name } => (
                ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("column \"{column}\" cannot be restored: only the server creates values of type {type_name}"),
                None,
                Some("Remove the column from the image to take its value from the base row.".into()),
            ),
            Error::TooComplex { type_name } => (
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("type {type_name} contains too many other types"),
                None,
                Some("A composite type that contains another one more than once multiplies with each level.".into()),
            ),
            Error::BadImage { problem } => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                problem,
                None,
                Some("Pass old_values or new_values of an event of this table.".into()),
            ),
            Error::Internal { problem } => (ERRCODE_INTERNAL_ERROR, problem, None, None),
            Error::BadArgument { problem, hint } => (ERRCODE_INVALID_PARAMETER_VALUE, problem, None, Some(hint.into())),
            Error::NoTarget => (
                ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "target must not be null".into(),
                None,
                Some("Name an audited table.".into()),
            ),
            Error::NoRelation { oid } => (
                ERRCODE_UNDEFINED_TABLE,
                format!("relation with OID {oid} does not exist"),
                None,
                Some("Name an existing table.".into()),
            ),
            Error::NotAudited { table } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{table} is not audited"),
                None,
                Some("audit.tables lists the audited tables.".into()),
            ),
            Error::UnknownEventType { name } => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("event type \"{name}\" does not exist"),
                None,
                Some("audit.event_types lists the event types.".into()),
            ),
            Error::NullArgument { names, hint } => {
                (ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("{names} must not be null"), None, Some(hint.into()))
            }
            Error::CapturedEventType { name } => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("cannot record events of type \"{name}\": the extension captures them"),
                None,
                Some("Record execution.*, error.* or a type that audit.define_event_type has defined.".into()),
            ),
            Error::Autonomous => (
                ERRCODE_FEATURE_NOT_SUPPORTED,
                "this version cannot record autonomous events".into(),
                None,
                Some("Omit autonomous: the event is then part of the transaction.".into()),
            ),
            Error::NoArchiver { program, problem } => (
                ERRCODE_CONFIG_FILE_ERROR,
                format!("could not run {program}: {problem}"),
                None,
                Some(
                    "The program is searched for beside the server's executables and on the server's PATH; set audit.archive_program if it is elsewhere."
                        .into(),
                ),
            ),
            Error::Archiver { kind, message, hint } => {
                let code = match kind.as_str() {
                    "disk_full" => ERRCODE_DISK_FULL,
                    "tampered" => ERRCODE_DATA_CORRUPTED,
                    "wrong_key" => ERRCODE_CONFIG_FILE_ERROR,
                    "unreachable" | "not_found" | "denied" => ERRCODE_IO_ERROR,
                    _ => ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
                };
                let usual = match kind.as_str() {
                    "not_found" => "Check audit.archive_location, audit.archive_key_file and audit.archive_options.",
                    "tampered" => "Compare the files with a backup.",
                    _ => "Nothing was deleted. The next maintenance run retries what is due.",
                };
                (code, message, None, hint.or_else(|| Some(usual.into())))
            }
            Error::Parameter { problem, detail, hint } => {
                (ERRCODE_INVALID_PARAMETER_VALUE, problem, detail, Some(hint))
            }
        };
        let mut report = ErrorReport::new(code, message, function_name!());
        if let Some(detail) = detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = hint {
            report = report.set_hint(hint);
        }
        report
    }
}

fn not_by_its_trigger(function: &str) -> String {
    format!("function \"{function}\" was not called by a trigger of its kind")
}
