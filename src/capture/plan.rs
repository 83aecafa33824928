//! What is known about an audited relation: made at its first row, dropped when PostgreSQL says that
//! something about the relation changed.

use core::ffi::CStr;
use std::collections::HashMap;

use pgrx::pg_sys::{self, Oid};

use super::options::{Level, Options};
use crate::context::StatementUse;
use crate::encode::codec::Codec;
use crate::encode::jsonb::{Template, key_order};
use crate::encode::key::Keyed;
use crate::encode::redact::{self, Redaction};
use crate::error::Error;
use crate::pg::relation::{self, Attribute};
use crate::settings;
use crate::store::relations::{self, Version};

/// The name of the row trigger: it sorts before any other.
const ROW_TRIGGER: &CStr = c"!audit_row";

/// One recorded column.
pub struct Column {
    /// Zero-based position in the tuple.
    pub index: usize,
    pub name: Vec<u8>,
    pub codec: Codec,
    pub length: i16,
    pub by_value: bool,
    pub redaction: Option<Redaction>,
}

impl Keyed for Column {
    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn index(&self) -> usize {
        self.index
    }

    fn redaction(&self) -> Option<&Redaction> {
        self.redaction.as_ref()
    }
}

pub struct Plan {
    pub level: Level,
    pub statement_use: StatementUse,
    /// In jsonb's key order, ignored columns left out.
    pub columns: Vec<Column>,
    /// The object of all columns.
    pub template: Template,
    /// Positions in `columns` of the key, in key order; empty without a key.
    pub key: Vec<usize>,
    /// Position in `columns` of the column whose value names the record.
    pub label: Option<usize>,
    /// Attributes of the relation, dropped and ignored ones included.
    pub attributes: usize,
    /// Whether tuples carry PostgreSQL's own headers, which say the command.
    pub is_heap: bool,
    /// Whether text of its types depends on settings.
    pub depends_on_settings: bool,
    /// Whether its types run code that is not PostgreSQL's own.
    pub calls_foreign_code: bool,
    /// Another trigger of ours on this relation records the same changes.
    pub is_redundant: bool,
    version: Version,
    /// The subtransaction that wrote the version's row, 0 for one that is committed; none before it is known.
    written: Option<(i32, u32)>,
    /// The relations of the row types among its columns.
    row_types: Vec<Oid>,
    context: pg_sys::MemoryContext,
    /// The top transaction whose suspension has been recorded.
    pub suspended_in: u64,
}

static mut PLANS: Option<HashMap<(Oid, Oid), Box<Plan>>> = None;
/// The plan used last and whether it still holds.
static mut LAST: Option<((Oid, Oid), *mut Plan)> = None;
/// Plans that are out of date, freed when no row is being captured.
static mut STALE: Vec<(Oid, Oid)> = Vec::new();

pub fn register() {
    // SAFETY: the callbacks are plain functions that live as long as the process.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0_usize));
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::TYPEOID as i32,
            Some(type_changed),
            pg_sys::Datum::from(0_usize),
        );
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            Some(schema_changed),
            pg_sys::Datum::from(0_usize),
        );
        pg_sys::RegisterXactCallback(Some(transaction_ends), core::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), core::ptr::null_mut());
    }
}

/// The plan for a relation under one of its triggers, made if need be. It stays in place until the next call.
///
/// # Safety
/// Both must be open and live; inside a transaction.
#[inline]
pub unsafe fn of(target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> &'static mut Plan {
    // SAFETY: plain variables of a single-threaded process.
    unsafe {
        let key = ((*target).rd_id, (*trigger).tgoid);
        if let Some((last, plan)) = LAST
            && last == key
        {
            return &mut *plan;
        }
        find_or_make(key, target, trigger)
    }
}

/// # Safety
/// As [`of`].
unsafe fn find_or_make(key: (Oid, Oid), target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> &'static mut Plan {
    // SAFETY: no reference to a plan is held here, so stale ones can go.
    unsafe {
        let plans = (*(&raw mut PLANS)).get_or_insert_with(HashMap::new);
        LAST = None;
        for stale in (*(&raw mut STALE)).drain(..) {
            if let Some(plan) = plans.remove(&stale) {
                pg_sys::MemoryContextDelete(plan.context);
            }
        }
        if !plans.contains_key(&key) {
            // Making a plan reads catalogs, which may mark others stale: nothing of the map is borrowed.
            let plan = Box::new(Plan::make(target, trigger));
            (*(&raw mut PLANS)).get_or_insert_with(HashMap::new).insert(key, plan);
        }
        let plans = (*(&raw mut PLANS)).get_or_insert_with(HashMap::new);
        let Some(plan) = plans.get_mut(&key) else {
            Error::Internal { problem: "a plan was lost".into() }.raise()
        };
        let plan: *mut Plan = &mut **plan;
        LAST = Some((key, plan));
        &mut *plan
    }
}

impl Plan {
    /// The id of the relation's current version in `audit.relations`, written with the first event that needs it.
    ///
    /// # Safety
    /// Must run inside a transaction that may write.
    #[inline]
    pub unsafe fn relation_id(&mut self, node_id: i32) -> i32 {
        if let Some((id, _)) = self.written {
            return id;
        }
        // SAFETY: inside a transaction.
        let (id, pending) = unsafe { relations::find_or_write(&self.version, node_id) };
        self.written = Some((id, pending));
        id
    }

    /// The columns of the key, in key order.
    pub fn key_columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.key.iter().map(|position| &self.columns[*position])
    }

    /// # Safety
    /// As [`of`].
    unsafe fn make(target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> Plan {
        // SAFETY: the relation is open; the context belongs to the plan.
        unsafe {
            let context = pg_sys::AllocSetContextCreateExtended(
                pg_sys::CacheMemoryContext,
                c"audit plan".as_ptr(),
                0,
                1024,
                8192,
            );
            let descriptor = (*target).rd_att;
            let enabled = enabled_relation((*target).rd_id, trigger);
            let options = options(target, trigger);
            let version = relations::describe(enabled);
            let trusted = options.relation == enabled.to_u32() && !options.columns().any(|column| has_moved(column, enabled));
            // Options name columns of the table that was enabled; a partition may number its own otherwise.
            let named = |column: &super::options::ColumnName, attribute: &Attribute| {
                let number = if enabled == (*target).rd_id {
                    attribute.number
                } else {
                    number_of(enabled, &attribute.name)
                };
                column.is(&attribute.name, number, trusted)
            };

            let hash_key = settings::hash_key_file().and_then(|path| redact::key(path).ok());
            let mut columns: Vec<Column> = relation::attributes(descriptor)
                .filter(|attribute| !attribute.dropped && !attribute.unstored)
                .filter(|attribute| !options.ignored.iter().any(|ignored| named(ignored, attribute)))
                .map(|attribute| Column {
                    index: attribute.index,
                    redaction: options
                        .redacted
                        .iter()
                        .find(|(column, _)| named(column, &attribute))
                        .map(|(_, how)| Redaction::named(how, hash_key.as_deref())),
                    codec: Codec::of(attribute.type_id, context),
                    length: attribute.length,
                    by_value: attribute.by_value,
                    name: attribute.name,
                })
                .collect();
            columns.sort_by(|one, other| key_order(&one.name, &other.name));

            let label = options.label.as_ref().and_then(|label| {
                let label = relation::attributes(descriptor).find(|attribute| !attribute.dropped && named(label, attribute))?;
                columns.iter().position(|column| column.index == label.index && column.redaction.is_none())
            });
            let key = version
                .key
                .iter()
                .map(|name| columns.iter().position(|column| column.name == name.as_bytes()))
                .collect::<Option<Vec<usize>>>()
                .unwrap_or_default();
            let mut row_types = Vec::new();
            columns.iter().for_each(|column| column.codec.row_types(&mut row_types));
            let is_redacted = columns.iter().any(|column| column.redaction.is_some());
            Plan {
                level: options.level,
                statement_use: match (options.level, is_redacted) {
                    (Level::Comprehensive, false) => StatementUse::Full,
                    (Level::Comprehensive, true) => StatementUse::Redacted,
                    _ => StatementUse::Omit,
                },
                template: Template::new(columns.iter().map(|column| &*column.name)),
                key,
                label,
                attributes: usize::try_from((*descriptor).natts).unwrap_or(0),
                is_heap: (*(*target).rd_rel).relam == pg_sys::HEAP_TABLE_AM_OID,
                depends_on_settings: columns.iter().any(|column| column.codec.depends_on_settings()),
                calls_foreign_code: columns.iter().any(|column| column.codec.calls_foreign_code()),
                is_redundant: is_redundant(target, trigger),
                row_types,
                columns,
                version,
                written: None,
                context,
                suspended_in: 0,
            }
        }
    }
}

/// The options that the trigger carries.
///
/// # Safety
/// Both must be live.
pub unsafe fn options(target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> Options {
    // SAFETY: a trigger has tgnargs NUL-terminated arguments.
    unsafe {
        let parsed = if (*trigger).tgnargs == 1 {
            Options::parse(CStr::from_ptr(*(*trigger).tgargs).to_bytes())
        } else {
            None
        };
        parsed.unwrap_or_else(|| {
            let table = relations::entity_of((*target).rd_id);
            Error::BadTriggerOptions { table }.raise()
        })
    }
}

/// The table that was enabled: for a partition whose trigger is a clone, the partitioned table at its origin.
///
/// # Safety
/// As [`of`].
unsafe fn enabled_relation(target: Oid, trigger: *const pg_sys::Trigger) -> Oid {
    // SAFETY: the trigger is live; the ancestors come root last.
    unsafe {
        if !(*trigger).tgisclone {
            return target;
        }
        let ancestors = crate::pg::raw::get_partition_ancestors(target);
        let count = relation::list_length(ancestors);
        (0..count)
            .map(|position| relation::list_oid(ancestors, position))
            .rfind(|ancestor| has_trigger(*ancestor, (*trigger).tgfoid))
            .unwrap_or(target)
    }
}

/// The row trigger of ours on an open relation: the clone of an ancestor's where there are two.
///
/// # Safety
/// The relation must be open.
pub unsafe fn row_trigger(target: pg_sys::Relation) -> Option<*const pg_sys::Trigger> {
    // SAFETY: per the contract.
    unsafe {
        triggers(target)
            .iter()
            .filter(|trigger| CStr::from_ptr(trigger.tgname) == ROW_TRIGGER)
            .max_by_key(|trigger| trigger.tgisclone)
            .map(core::ptr::from_ref)
    }
}

/// The table that was enabled, above or at a relation that carries a trigger of ours.
///
/// # Safety
/// Inside a transaction.
pub unsafe fn enabled_above(target: Oid) -> Oid {
    // SAFETY: the relation is open between the two calls.
    unsafe {
        let opened = pg_sys::relation_open(target, pg_sys::AccessShareLock as i32);
        let enabled = row_trigger(opened).map_or(target, |trigger| enabled_relation(target, trigger));
        pg_sys::relation_close(opened, pg_sys::NoLock as i32);
        enabled
    }
}

/// Whether a relation has a trigger that calls this function.
///
/// # Safety
/// Inside a transaction; the relation is an ancestor of one that is open, so it cannot go.
unsafe fn has_trigger(target: Oid, function: Oid) -> bool {
    // SAFETY: the relation is open between the two calls.
    unsafe {
        let opened = pg_sys::relation_open(target, pg_sys::AccessShareLock as i32);
        let found = triggers(opened).iter().any(|trigger| trigger.tgfoid == function);
        pg_sys::relation_close(opened, pg_sys::NoLock as i32);
        found
    }
}

/// Whether a clone of an ancestor's trigger records what this trigger of the table's own would record again.
///
/// # Safety
/// As [`of`].
unsafe fn is_redundant(target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> bool {
    // SAFETY: both are live.
    unsafe {
        !(*trigger).tgisclone
            && triggers(target).iter().any(|other| other.tgfoid == (*trigger).tgfoid && other.tgisclone)
    }
}

/// The triggers of an open relation.
///
/// # Safety
/// The relation must be open.
unsafe fn triggers<'a>(target: pg_sys::Relation) -> &'a [pg_sys::Trigger] {
    // SAFETY: the description has numtriggers entries.
    unsafe {
        match (*target).trigdesc.as_ref() {
            Some(description) => {
                core::slice::from_raw_parts(description.triggers, usize::try_from(description.numtriggers).unwrap_or(0))
            }
            None => &[],
        }
    }
}

/// Whether a column of that name has another number: the numbers are then those of another table, whose OID this
/// one got by a restore.
fn has_moved(column: &super::options::ColumnName, table: Oid) -> bool {
    let number = number_of(table, column.name.as_bytes());
    number != 0 && number != column.number
}

/// The number of a column by name.
fn number_of(target: Oid, name: &[u8]) -> i16 {
    let Ok(name) = std::ffi::CString::new(name) else { return 0 };
    // SAFETY: a catalog lookup that returns 0 for a column that is not there.
    unsafe { pg_sys::get_attnum(target, name.as_ptr()) }
}

unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: Oid) {
    // A partition's plan says the name and key of the table that was enabled.
    mark_stale(|key, plan| {
        relation == Oid::INVALID || key.0 == relation || plan.version.oid == relation || plan.row_types.contains(&relation)
    });
}

unsafe extern "C-unwind" fn type_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    mark_stale(|_, plan| !plan.row_types.is_empty());
}

unsafe extern "C-unwind" fn schema_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    mark_stale(|_, _| true);
}

/// Notes plans as out of date. They may be in use: they go at the next look-up.
fn mark_stale(is_stale: impl Fn(&(Oid, Oid), &Plan) -> bool) {
    // SAFETY: plain variables of a single-threaded process.
    unsafe {
        LAST = None;
        let Some(plans) = &*(&raw const PLANS) else { return };
        for (key, plan) in plans {
            if is_stale(key, plan) && !(*(&raw const STALE)).contains(key) {
                (*(&raw mut STALE)).push(*key);
            }
        }
    }
}

unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut core::ffi::c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_COMMIT => settle(|_| Some(0)),
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => settle(|pending| (pending == 0).then_some(0)),
        _ => {}
    }
}

unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    subtransaction: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut core::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        settle(|pending| (pending < subtransaction).then_some(pending));
    }
}

/// Lets `keep` decide about every version's row by the subtransaction that wrote it.
fn settle(keep: impl Fn(u32) -> Option<u32>) {
    // SAFETY: plain variables of a single-threaded process.
    unsafe {
        let Some(plans) = &mut *(&raw mut PLANS) else { return };
        for plan in plans.values_mut() {
            plan.written = plan.written.and_then(|(id, pending)| keep(pending).map(|pending| (id, pending)));
        }
    }
}
