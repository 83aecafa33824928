//! Creates, replaces and drops audit triggers, by OID.
//!
//! Not by CREATE TRIGGER and DROP TRIGGER: what PostgreSQL's own functions do here meets no event trigger, so that
//! every command on these triggers that an event trigger sees comes from elsewhere (sql/capture/definitions.sql), and
//! no name is looked up again. An existing trigger of the name is replaced in place, for which readers need not wait.

use core::ffi::CStr;
use std::ffi::CString;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::catalog;
use crate::pg::guard::entry_point;

entry_point!(audit_write_row_trigger, pg_finfo_audit_write_row_trigger, write_row_trigger);
entry_point!(audit_write_truncate_trigger, pg_finfo_audit_write_truncate_trigger, write_truncate_trigger);
entry_point!(audit_remove_trigger, pg_finfo_audit_remove_trigger, remove_trigger);

/// `audit_internal.write_row_trigger(target regclass, name text, operations integer, argument text) returns void`: the
/// operations are bits of `pg_trigger.tgtype`. Partitions get clones.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn write_row_trigger(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        let operations = arguments.datum(2).map_or(0, |bits| bits.value() as i16);
        write(&Wanted {
            target: arguments.oid(0).unwrap_or(Oid::INVALID),
            name: string(arguments, 1).unwrap_or_default(),
            function: c"capture_row",
            is_row: true,
            timing: pg_sys::TRIGGER_TYPE_AFTER as i16,
            operations,
            argument: string(arguments, 3),
        });
    }
    Datum::null()
}

/// `audit_internal.write_truncate_trigger(target regclass, argument text) returns void`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn write_truncate_trigger(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        write(&Wanted {
            target: arguments.oid(0).unwrap_or(Oid::INVALID),
            name: c"!audit_truncate".to_owned(),
            function: c"capture_truncate",
            is_row: false,
            timing: pg_sys::TRIGGER_TYPE_BEFORE as i16,
            operations: pg_sys::TRIGGER_TYPE_TRUNCATE as i16,
            argument: string(arguments, 1),
        });
    }
    Datum::null()
}

struct Wanted {
    target: Oid,
    name: CString,
    function: &'static CStr,
    is_row: bool,
    timing: i16,
    operations: i16,
    argument: Option<CString>,
}

/// # Safety
/// Must run inside a transaction.
unsafe fn write(wanted: &Wanted) {
    // SAFETY: inside a transaction.
    let function = unsafe { catalog::trigger_function(c"audit", wanted.function) };
    if function == Oid::INVALID {
        Error::Internal { problem: format!("audit.{} is missing", wanted.function.to_string_lossy()) }.raise();
    }
    let none = Oid::INVALID;
    // SAFETY: the statement is one as the parser makes it; what PostgreSQL does not get is null or invalid.
    unsafe {
        pg_sys::CreateTriggerFiringOn(
            statement(wanted),
            core::ptr::null(),
            wanted.target,
            none,
            none,
            none,
            function,
            none,
            core::ptr::null_mut(),
            false,
            false,
            pg_sys::TRIGGER_FIRES_ALWAYS.cast_signed(),
        );
        pg_sys::CommandCounterIncrement();
    }
}

/// The statement in the current memory context.
fn statement(wanted: &Wanted) -> *mut pg_sys::CreateTrigStmt {
    // SAFETY: zeroed memory is a node without contents; the names end with NUL and are copied.
    unsafe {
        let statement = pg_sys::palloc0(size_of::<pg_sys::CreateTrigStmt>()).cast::<pg_sys::CreateTrigStmt>();
        (*statement).type_ = pg_sys::NodeTag::T_CreateTrigStmt;
        (*statement).replace = true;
        (*statement).trigname = pg_sys::pstrdup(wanted.name.as_ptr());
        (*statement).row = wanted.is_row;
        (*statement).timing = wanted.timing;
        (*statement).events = wanted.operations;
        if let Some(argument) = &wanted.argument {
            let node = pg_sys::makeString(pg_sys::pstrdup(argument.as_ptr()));
            (*statement).args = pg_sys::lappend(core::ptr::null_mut(), node.cast());
        }
        statement
    }
}

/// `audit_internal.remove_trigger(trigger oid) returns void`: with its clones.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn remove_trigger(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is an OID; one that is gone has been removed.
    unsafe {
        let trigger = Arguments::new(arguments).oid(0).unwrap_or(Oid::INVALID);
        // The table first, as DROP TRIGGER does: another session may be replacing or dropping this trigger.
        if let Some(table) = catalog::table_of_trigger(trigger) {
            pg_sys::LockRelationOid(table, pg_sys::AccessExclusiveLock as i32);
        }
        if catalog::table_of_trigger(trigger).is_some() {
            let address =
                pg_sys::ObjectAddress { classId: pg_sys::TriggerRelationId, objectId: trigger, objectSubId: 0 };
            let flags = pg_sys::PERFORM_DELETION_INTERNAL.cast_signed();
            pg_sys::performDeletion(&address, pg_sys::DropBehavior::DROP_RESTRICT, flags);
            pg_sys::CommandCounterIncrement();
        }
    }
    Datum::null()
}

/// A text argument as PostgreSQL's C functions take it.
fn string(arguments: Arguments, position: usize) -> Option<CString> {
    CString::new(arguments.bytes(position)?).ok()
}
