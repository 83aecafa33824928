//! The event trigger on ddl_command_start: refuses changes of definition that would change evidence.
//!
//! At the start of a command names have not been resolved nor rights been checked. Nothing is locked, changed or recorded
//! here: the function runs as the caller, and at most refuses what the owner of evidence would do to it. Its call loads
//! the library, and with it the hook that meets every DROP. Everything else follows at the command's end, by the OIDs
//! that PostgreSQL has altered (sql/capture/definitions.sql). An upgrade script of the extension may alter what it has to, also in a
//! transaction that has written events.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::evidence;
use crate::error::Error;
use crate::pg::guard::entry_point;
use crate::pg::list;
use crate::store::{namespace, open};

entry_point!(audit_definition_starts, pg_finfo_audit_definition_starts, definition_starts);

/// `audit_internal.definition_starts() returns event_trigger`
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn definition_starts(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the context's node tag says what it is; the parse tree is live for the call.
    unsafe {
        let context = (*arguments).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_EventTriggerData {
            Error::NotATrigger { function: "definition_starts" }.raise();
        }
        let statement = (*context.cast::<pg_sys::EventTriggerData>()).parsetree;
        match statement.as_ref().map(|statement| statement.type_) {
            Some(pg_sys::NodeTag::T_AlterTableStmt) if evidence::is_upgrade() => open::close_all(),
            Some(pg_sys::NodeTag::T_AlterTableStmt) => {
                refuse_alteration(&*statement.cast::<pg_sys::AlterTableStmt>());
            }
            Some(pg_sys::NodeTag::T_RenameStmt) => {
                let statement = &*statement.cast::<pg_sys::RenameStmt>();
                refuse_schema(statement);
                evidence::refuse_alteration(look_up(statement.relation));
            }
            Some(pg_sys::NodeTag::T_CreateTrigStmt) => {
                let statement = &*statement.cast::<pg_sys::CreateTrigStmt>();
                // A restore creates the triggers of partitions that have rows; it replaces none.
                if statement.replace {
                    evidence::refuse_alteration(look_up(statement.relation));
                }
            }
            Some(pg_sys::NodeTag::T_RuleStmt) => {
                evidence::refuse_alteration(look_up((*statement.cast::<pg_sys::RuleStmt>()).relation));
            }
            Some(pg_sys::NodeTag::T_AlterExtensionContentsStmt) => {
                refuse_removal(&*statement.cast::<pg_sys::AlterExtensionContentsStmt>());
            }
            Some(pg_sys::NodeTag::T_AlterObjectSchemaStmt) => {
                evidence::refuse_alteration(look_up((*statement.cast::<pg_sys::AlterObjectSchemaStmt>()).relation));
            }
            Some(pg_sys::NodeTag::T_DropStmt) => {
                let statement = &*statement.cast::<pg_sys::DropStmt>();
                refuse_extension(statement);
                refuse_trigger(statement);
            }
            _ => {}
        }
    }
    Datum::null()
}

/// Refuses DROP EXTENSION audit with a hint of ours: PostgreSQL's own would recommend CASCADE. What else would
/// take the extension along meets the hook.
///
/// # Safety
/// The statement must be live.
unsafe fn refuse_extension(statement: &pg_sys::DropStmt) {
    // SAFETY: extensions are named by String nodes.
    unsafe {
        if statement.removeType != pg_sys::ObjectType::OBJECT_EXTENSION {
            return;
        }
        let names_us =
            list::pointers::<pg_sys::String>(statement.objects).any(|name| CStr::from_ptr((*name).sval) == c"audit");
        if names_us {
            evidence::refuse_extension();
        }
    }
}

/// Refuses to rename a schema of the extension: triggers on users' tables would not find their functions, and changes go
/// unrecorded.
///
/// # Safety
/// The statement must be live.
unsafe fn refuse_schema(statement: &pg_sys::RenameStmt) {
    // SAFETY: the schema's name ends with NUL.
    unsafe {
        if statement.renameType == pg_sys::ObjectType::OBJECT_SCHEMA
            && !statement.subname.is_null()
            && namespace::owns(pg_sys::get_namespace_oid(statement.subname, true))
            && !evidence::is_upgrade()
        {
            let name = CStr::from_ptr(statement.subname).to_string_lossy();
            Error::Required { action: "rename", object: format!("schema {name}") }.raise();
        }
    }
}

/// Refuses ALTER EXTENSION audit DROP: what is not a member is not protected as one.
///
/// # Safety
/// The statement must be live.
unsafe fn refuse_removal(statement: &pg_sys::AlterExtensionContentsStmt) {
    // SAFETY: the extension's name ends with NUL.
    unsafe {
        if statement.action < 0
            && !statement.extname.is_null()
            && CStr::from_ptr(statement.extname) == c"audit"
            && !evidence::is_upgrade()
        {
            Error::Required { action: "remove an object from", object: "extension audit".into() }.raise();
        }
    }
}

/// Refuses ALTER TABLE where it would change evidence, hide a partition or take its protection away.
///
/// # Safety
/// The statement must be live.
unsafe fn refuse_alteration(statement: &pg_sys::AlterTableStmt) {
    use pg_sys::AlterTableType as Kind;
    const REFUSED: [Kind::Type; 17] = [
        Kind::AT_AttachPartition,
        Kind::AT_DetachPartition,
        // The place of a column that a release appends.
        Kind::AT_AddColumn,
        Kind::AT_DropColumn,
        Kind::AT_AlterColumnType,
        Kind::AT_EnableTrig,
        Kind::AT_EnableReplicaTrig,
        Kind::AT_DisableTrig,
        Kind::AT_EnableTrigAll,
        Kind::AT_DisableTrigAll,
        Kind::AT_EnableTrigUser,
        Kind::AT_DisableTrigUser,
        // A crash empties an unlogged table.
        Kind::AT_SetUnLogged,
        Kind::AT_EnableRowSecurity,
        Kind::AT_ForceRowSecurity,
        Kind::AT_AddInherit,
        Kind::AT_ChangeOwner,
    ];
    // SAFETY: the commands are AlterTableCmd nodes.
    unsafe {
        let is_refused = list::pointers::<pg_sys::AlterTableCmd>(statement.cmds)
            .any(|command| REFUSED.contains(&(*command).subtype));
        if is_refused {
            evidence::refuse_alteration(look_up(statement.relation));
        }
    }
}

/// Refuses to drop a trigger of a table that holds evidence: it is the one that protects it.
///
/// # Safety
/// The statement must be live.
unsafe fn refuse_trigger(statement: &pg_sys::DropStmt) {
    // SAFETY: triggers are named by lists of String nodes, the table's name before the trigger's own.
    unsafe {
        if statement.removeType != pg_sys::ObjectType::OBJECT_TRIGGER {
            return;
        }
        for name in list::pointers::<pg_sys::List>(statement.objects) {
            let length = (*name).length - 1;
            if length > 0 {
                let table = pg_sys::makeRangeVarFromNameList(pg_sys::list_truncate(pg_sys::list_copy(name), length));
                evidence::refuse_alteration(look_up(table));
            }
        }
    }
}

/// The table of that name, invalid where there is none.
///
/// # Safety
/// The name must be null or live.
unsafe fn look_up(name: *mut pg_sys::RangeVar) -> Oid {
    if name.is_null() {
        return Oid::INVALID;
    }
    // SAFETY: per the contract; nothing is locked.
    unsafe {
        pg_sys::RangeVarGetRelidExtended(
            name,
            pg_sys::NoLock as i32,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            core::ptr::null_mut(),
        )
    }
}
