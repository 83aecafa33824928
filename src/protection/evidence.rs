//! Refuses what would change or drop evidence, superusers included.
//!
//! Changes by SQL meet a statement trigger on every table that holds evidence; our writers go past the
//! executor and so past the trigger, a restore loads its rows before the triggers exist, and the first copy of a
//! subscription is let in. Drops meet the
//! object access hook, which sees every object of a cascade: it is in place once the library is loaded,
//! which the event trigger on ddl_command_start sees to.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::spi::Spi;

use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::opened::Opened;
use crate::pg::transaction::{self, Event, Step};
use crate::pg::trigger::{Call, Operation};
use crate::pg::{relation, version};
use crate::store::{namespace, open};

entry_point!(audit_reject_change, pg_finfo_audit_reject_change, reject_change);
entry_point!(audit_execute_permitted, pg_finfo_audit_execute_permitted, execute_permitted);

/// The subtransaction whose command may change evidence, because retention or uninstall runs it; 0 for none.
static PERMITTED_IN: Local<u32> = Local::new(0);

type Admits = unsafe fn(Oid) -> bool;

/// Set by `register`: whether an INSERT into this table is the first copy of a subscription. A pointer, so that this
/// module need not import `replication`.
static ADMITS: Local<Option<Admits>> = Local::new(None);

/// As [`super::register`].
pub fn register(admits: Admits) {
    ADMITS.set(Some(admits));
    transaction::register(Step::Permission, ends);
}

fn ends(event: Event) {
    match event {
        Event::SubAbort(subtransaction) if subtransaction > PERMITTED_IN.get() => {}
        _ => PERMITTED_IN.set(0),
    }
}

/// Refuses to drop a table that holds evidence, or the extension while there is any.
///
/// # Safety
/// Must run inside a transaction, before the object is dropped.
pub unsafe fn refuse_drop(class: Oid, object: Oid) {
    // SAFETY: catalog lookups.
    unsafe {
        if is_permitted() {
            return;
        }
        let is_extension = class == pg_sys::ExtensionRelationId;
        let is_table = class == pg_sys::RelationRelationId;
        if is_extension {
            let name = pg_sys::get_extension_name(object);
            if !name.is_null() && CStr::from_ptr(name) == c"audit" {
                refuse_extension();
            }
        } else if is_table && namespace::owns_relation(object) && is_evidence(object) && has_rows(object) {
            Error::Evidence { action: "drop", object: format!("table {}", namespace::qualified_name(object)) }.raise();
        }
    }
}

/// Refuses to drop the extension while there is evidence.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn refuse_extension() {
    // SAFETY: per the contract.
    if unsafe { !is_permitted() && has_evidence() } {
        Error::Evidence { action: "drop", object: "extension audit".into() }.raise();
    }
}

/// Whether the command is one of an upgrade script of the extension itself. That of another extension has no more
/// rights than its caller.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn is_upgrade() -> bool {
    // SAFETY: PostgreSQL's variables (commands/extension.c), and a catalog lookup.
    unsafe {
        pg_sys::creating_extension
            && pg_sys::CurrentExtensionObject == pg_sys::get_extension_oid(c"audit".as_ptr(), true)
    }
}

/// Refuses a change of definition that would change evidence, hide it or take its protection away.
///
/// # Safety
/// Must run inside a transaction, before the change.
pub unsafe fn refuse_alteration(target: Oid) {
    // SAFETY: catalog lookups.
    unsafe {
        // PostgreSQL itself refuses the command to non-owners, for whom nothing is locked here.
        if target == Oid::INVALID
            || is_permitted()
            || is_upgrade()
            || !version::owns_table(target, crate::pg::raw::GetUserId())
            || !namespace::owns_relation(target)
            || !matches!(
                pg_sys::get_rel_relkind(target).cast_unsigned(),
                pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE
            )
        {
            return;
        }
        let mut members = relation::members(target, pg_sys::AccessShareLock);
        let holds_evidence = members.any(|member| is_evidence(member) && has_rows(member));
        if holds_evidence {
            Error::Evidence { action: "alter", object: format!("table {}", namespace::qualified_name(target)) }.raise();
        }
    }
}

/// Whether a relation is a partition of the trail.
unsafe fn is_evidence(table: Oid) -> bool {
    // SAFETY: catalog lookups of a relation that exists.
    unsafe {
        if pg_sys::get_rel_relkind(table).cast_unsigned() != pg_sys::RELKIND_RELATION
            || !pg_sys::get_rel_relispartition(table)
        {
            return false;
        }
        let extension = pg_sys::get_extension_oid(c"audit".as_ptr(), true);
        extension != Oid::INVALID
            && relation::ancestors(table)
                .any(|ancestor| pg_sys::getExtensionOfObject(pg_sys::RelationRelationId, ancestor) == extension)
    }
}

/// Whether a table has had rows: its file is not empty. Cheap, and errs to the safe side.
unsafe fn has_rows(table: Oid) -> bool {
    // SAFETY: inside a transaction; the lock is no more than the drop itself holds.
    let opened = unsafe { Opened::if_there(table, pg_sys::AccessShareLock) };
    opened.is_some_and(|opened| {
        // SAFETY: the relation is open, and is one that has a file.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(opened.as_ptr(), pg_sys::ForkNumber::MAIN_FORKNUM) > 0 }
    })
}

/// Whether any partition of events, or the overflow, has had rows.
unsafe fn has_evidence() -> bool {
    // SAFETY: catalog lookups inside a transaction.
    unsafe {
        [c"events", c"events_overflow"].iter().any(|parent| {
            let parent = namespace::relation(parent);
            if parent == Oid::INVALID {
                return false;
            }
            relation::members(parent, pg_sys::AccessShareLock).any(|member| {
                pg_sys::get_rel_relkind(member).cast_unsigned() == pg_sys::RELKIND_RELATION && has_rows(member)
            })
        })
    }
}

fn is_permitted() -> bool {
    PERMITTED_IN.get() != 0
}

/// `audit_internal.execute_permitted(command text) returns void`: runs one command that evidence is protected against.
/// The permission ends with it, also by an ERROR: whatever else the caller's transaction does is checked as before. For
/// retention, maintenance and uninstall, which record events of their own; no role may call it.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn execute_permitted(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: inside a transaction. Partitions that are open here could not be dropped.
    unsafe {
        let command = Arguments::new(arguments).text(0).unwrap_or_default();
        let before = PERMITTED_IN.replace(crate::pg::raw::GetCurrentSubTransactionId());
        open::close_all();
        let done = Spi::run(&command);
        PERMITTED_IN.set(before);
        if let Err(problem) = done {
            Error::Internal { problem: problem.to_string() }.raise();
        }
    }
    Datum::null()
}

/// The trigger function on every table that holds evidence.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn reject_change(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the trigger manager's data is live for the call.
    unsafe {
        let Some(call) = Call::of(arguments) else { Error::NotATrigger { function: "reject_change" }.raise() };
        let table = (*call.data.tg_relation).rd_id;
        // Retention deletes past the executor, so that no permitted command changes or deletes rows.
        let admits = || ADMITS.get().is_some_and(|admits| admits(table));
        if call.operation == Operation::Insert && (is_permitted() || admits()) {
            return Datum::null();
        }
        Error::EvidenceChanged { table: namespace::qualified_name(table), operation: call.operation.name() }.raise()
    }
}
