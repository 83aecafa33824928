//! AFTER ROW triggers: one event a changed row, written before the trigger returns.
//!
//! The hot path. One guard a row; inside it raw calls, buffers that are kept between rows, no SPI. An ERROR
//! of PostgreSQL's leaves by longjmp, so nothing here owns memory across a call that may raise one.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::plan::{self, Column, Plan};
use super::options::Level;
use crate::context;
use crate::encode::jsonb::{Kind, Writer};
use crate::encode::{key, large, pin, value};
use crate::error::Error;
use crate::event::{Category, Event, kind};
use crate::pg::guard::entry_point;
use crate::pg::raw;
use crate::pg::trigger::{Call, Operation};
use crate::settings;
use crate::store::append;

entry_point!(audit_capture_row, pg_finfo_audit_capture_row, capture_row);

/// Lets aborts end what an ERROR left unfinished.
pub fn register() {
    // SAFETY: the callbacks are plain functions that live as long as the process.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction_ends), core::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), core::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn transaction_ends(_event: pg_sys::XactEvent::Type, _argument: *mut core::ffi::c_void) {
    // SAFETY: a plain variable of a single-threaded process.
    unsafe { BUSY = 0 }
}

unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    subtransaction: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut core::ffi::c_void,
) {
    // SAFETY: a plain variable of a single-threaded process.
    unsafe {
        if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB && subtransaction <= BUSY {
            BUSY = 0;
        }
    }
}

/// What is kept between rows.
struct Buffers {
    old: Vec<Datum>,
    old_nulls: Vec<bool>,
    new: Vec<Datum>,
    new_nulls: Vec<bool>,
    changed: Vec<usize>,
    changes: Writer,
    image: Writer,
    scratch: Writer,
    entity_id: Vec<u8>,
    new_entity_id: Vec<u8>,
    label: Vec<u8>,
    /// What a row's values take to detoast and print, reset after each row.
    context: pg_sys::MemoryContext,
}

static mut BUFFERS: Buffers = Buffers {
    old: Vec::new(),
    old_nulls: Vec::new(),
    new: Vec::new(),
    new_nulls: Vec::new(),
    changed: Vec::new(),
    changes: Writer::new(),
    image: Writer::new(),
    scratch: Writer::new(),
    entity_id: Vec::new(),
    new_entity_id: Vec::new(),
    label: Vec::new(),
    context: core::ptr::null_mut(),
};

/// The subtransaction in which a row is being recorded whose types run foreign code, 0 for none. Such code
/// could change audited rows, whose capture would overwrite the buffers.
static mut BUSY: u32 = 0;

/// Memory that a buffer keeps after an unusually large row.
const KEPT: usize = 1 << 20;

/// # Safety
/// Called by PostgreSQL.
unsafe fn capture_row(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the trigger manager's data is live for the call.
    unsafe {
        let Some(call) = Call::of(arguments).filter(|call| call.is_after_row()) else {
            Error::NotATrigger { function: "capture_row" }.raise()
        };
        let plan = plan::of(call.data.tg_relation, call.data.tg_trigger);
        if plan.is_redundant {
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
        record(plan, (*call.data.tg_relation).rd_att, Row { kind: kind_of(call.operation), old, new });
    }
    Datum::null()
}

/// The versions of a row that an event is about.
pub struct Row {
    pub kind: i32,
    pub old: Option<pg_sys::HeapTuple>,
    pub new: Option<pg_sys::HeapTuple>,
}

/// Records a change of a row.
///
/// # Safety
/// The tuples must be of `descriptor`, which must be the one that the plan was made for.
pub unsafe fn record(plan: &mut Plan, descriptor: pg_sys::TupleDesc, row: Row) {
    // SAFETY: the buffers are used by one thread and not across calls; no user code runs in between but
    // foreign output functions, which write nothing that is audited.
    unsafe {
        if BUSY != 0 {
            Error::Internal { problem: "a type's output function changes audited tables".into() }.raise();
        }
        if plan.calls_foreign_code {
            BUSY = raw::GetCurrentSubTransactionId();
        }
        let buffers = &mut *(&raw mut BUFFERS);
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
        BUSY = 0;
        if is_recorded {
            buffers.write(plan, &row);
        }
        pg_sys::CurrentMemoryContext = caller;
        raw::MemoryContextReset(buffers.context);
        buffers.changes.shrink(KEPT);
        buffers.image.shrink(KEPT);
    }
}

impl Buffers {
    /// # Safety
    /// Must run on the backend's thread.
    unsafe fn enter(&mut self, attributes: usize) {
        if self.context.is_null() {
            // SAFETY: the context lives as long as the process.
            self.context = unsafe {
                pg_sys::AllocSetContextCreateExtended(
                    pg_sys::TopMemoryContext,
                    c"audit row".as_ptr(),
                    0,
                    8 * 1024,
                    8 * 1024 * 1024,
                )
            };
        }
        if self.old.len() < attributes {
            self.old.resize(attributes, Datum::null());
            self.old_nulls.resize(attributes, true);
            self.new.resize(attributes, Datum::null());
            self.new_nulls.resize(attributes, true);
        }
    }

    /// Takes the tuples apart; false where an update changed nothing that is recorded.
    ///
    /// # Safety
    /// As [`record`].
    unsafe fn read(&mut self, plan: &Plan, descriptor: pg_sys::TupleDesc, row: &Row) -> bool {
        // SAFETY: the arrays have an entry per attribute.
        unsafe {
            if let Some(old) = row.old {
                raw::heap_deform_tuple(old, descriptor, self.old.as_mut_ptr(), self.old_nulls.as_mut_ptr());
            }
            if let Some(new) = row.new {
                raw::heap_deform_tuple(new, descriptor, self.new.as_mut_ptr(), self.new_nulls.as_mut_ptr());
            }
            if row.old.is_none() || row.new.is_none() {
                return true;
            }
            self.changed.clear();
            for (position, column) in plan.columns.iter().enumerate() {
                if self.is_changed(column) {
                    self.changed.push(position);
                }
            }
        }
        !self.changed.is_empty() || plan.level == Level::Comprehensive
    }

    /// Whether the two images of a column differ. An equal TOAST pointer is an equal value and is not fetched;
    /// what differs in its bytes alone, as by compression, is compared as PostgreSQL compares images.
    ///
    /// # Safety
    /// Both tuples must have been taken apart.
    #[inline]
    unsafe fn is_changed(&self, column: &Column) -> bool {
        let index = column.index;
        if self.old_nulls[index] || self.new_nulls[index] {
            return self.old_nulls[index] != self.new_nulls[index];
        }
        let (old, new) = (self.old[index], self.new[index]);
        if column.by_value {
            return old.value() != new.value();
        }
        // SAFETY: neither is NULL, and both are of the column's type.
        unsafe {
            if column.length == -1 {
                let (one, other) = (old.cast_mut_ptr::<pg_sys::varlena>(), new.cast_mut_ptr::<pg_sys::varlena>());
                let (size, other_size) = (pgrx::varlena::varsize_any(one), pgrx::varlena::varsize_any(other));
                if size == other_size
                    && core::slice::from_raw_parts(one.cast::<u8>(), size)
                        == core::slice::from_raw_parts(other.cast::<u8>(), size)
                {
                    return false;
                }
            }
            !raw::datum_image_eq(old, new, false, i32::from(column.length))
        }
    }

    /// # Safety
    /// As [`record`], after [`Buffers::read`].
    unsafe fn encode(&mut self, plan: &Plan, row: &Row) {
        // SAFETY: the tuples have been taken apart into the buffers.
        unsafe {
            let cap = settings::max_value_bytes();
            match (row.old.is_some(), row.new.is_some()) {
                (true, true) => {
                    if plan.level == Level::Minimal {
                        self.names(plan);
                    } else {
                        self.differences(plan, cap);
                    }
                    if plan.level == Level::Comprehensive {
                        whole(plan, &mut self.image, &mut self.scratch, &self.old, &self.old_nulls, cap);
                    }
                }
                (true, false) if plan.level != Level::Minimal => {
                    whole(plan, &mut self.changes, &mut self.scratch, &self.old, &self.old_nulls, cap);
                }
                (false, true) if plan.level != Level::Minimal => {
                    whole(plan, &mut self.changes, &mut self.scratch, &self.new, &self.new_nulls, cap);
                }
                _ => {}
            }
            self.keys(plan, row);
        }
    }

    /// `["column", …]`
    fn names(&mut self, plan: &Plan) {
        self.changes.begin();
        let mut array = self.changes.array(self.changed.len());
        for position in &self.changed {
            self.changes.string(&mut array, &plan.columns[*position].name);
        }
    }

    /// `{"column": [before, after], …}`
    ///
    /// # Safety
    /// As [`Buffers::encode`].
    unsafe fn differences(&mut self, plan: &Plan, cap: usize) {
        self.changes.begin();
        let mut object = self.changes.object(self.changed.len());
        for position in &self.changed {
            self.changes.key(&mut object, &plan.columns[*position].name);
        }
        for position in &self.changed {
            let column = &plan.columns[*position];
            let index = column.index;
            let mut pair = self.changes.array(2);
            for (value, is_null) in [(self.old[index], self.old_nulls[index]), (self.new[index], self.new_nulls[index])] {
                // SAFETY: per the contract.
                let kind = unsafe { one(column, &mut self.changes, &mut self.scratch, value, is_null, cap) };
                self.changes.close(&mut pair, kind);
            }
            self.changes.close(&mut object, Kind::Container);
        }
    }

    /// # Safety
    /// As [`Buffers::encode`].
    unsafe fn keys(&mut self, plan: &Plan, row: &Row) {
        let (values, nulls) = match row.old {
            Some(_) => (&self.old, &self.old_nulls),
            None => (&self.new, &self.new_nulls),
        };
        // SAFETY: per the contract.
        unsafe {
            key::write(&mut self.entity_id, &mut self.scratch, plan.key_columns(), values, nulls);
            self.new_entity_id.clear();
            if row.old.is_some() && row.new.is_some() && plan.key.iter().any(|position| self.changed.contains(position)) {
                key::write(&mut self.new_entity_id, &mut self.scratch, plan.key_columns(), &self.new, &self.new_nulls);
            }
            self.label.clear();
            if let Some(label) = plan.label {
                let column = &plan.columns[label];
                let (values, nulls) = match row.new {
                    Some(_) => (&self.new, &self.new_nulls),
                    None => (&self.old, &self.old_nulls),
                };
                if !nulls[column.index] {
                    key::text(&mut self.label, &mut self.scratch, column, values[column.index]);
                }
            }
        }
    }

    /// # Safety
    /// As [`record`], after [`Buffers::encode`].
    unsafe fn write(&mut self, plan: &mut Plan, row: &Row) {
        // SAFETY: inside a transaction that changed a row, which may therefore write.
        unsafe {
            let reference = context::current(plan.statement_use);
            let is_update = row.old.is_some() && row.new.is_some();
            let has_changes = is_update || plan.level != Level::Minimal;
            let event = Event {
                relation_id: plan.relation_id(reference.node_id),
                command_id: command(plan, row),
                entity_id: (!plan.key.is_empty()).then_some(&*self.entity_id),
                changes: has_changes.then(|| self.changes.finish()),
                image: (is_update && plan.level == Level::Comprehensive).then(|| self.image.finish()),
                entity_label: (!self.label.is_empty()).then_some(&*self.label),
                new_entity_id: (!self.new_entity_id.is_empty()).then_some(&*self.new_entity_id),
                ..Event::new(row.kind, Category::Data)
            };
            append::write(&event, reference.context_id, reference.node_id);
        }
    }
}

/// `{"column": value, …}` of all columns.
///
/// # Safety
/// As [`Buffers::encode`].
unsafe fn whole(plan: &Plan, writer: &mut Writer, scratch: &mut Writer, values: &[Datum], nulls: &[bool], cap: usize) {
    writer.begin();
    let mut object = writer.object_from(&plan.template);
    for column in &plan.columns {
        // SAFETY: per the contract.
        let kind = unsafe { one(column, writer, scratch, values[column.index], nulls[column.index], cap) };
        writer.close(&mut object, kind);
    }
}

/// One value of a column, redacted or capped where it has to be.
///
/// # Safety
/// As [`Buffers::encode`].
#[inline]
unsafe fn one(column: &Column, writer: &mut Writer, scratch: &mut Writer, value: Datum, is_null: bool, cap: usize) -> Kind {
    // SAFETY: per the contract.
    unsafe {
        if let Some(redaction) = &column.redaction {
            return redaction.write(writer, scratch, &column.codec, (!is_null).then_some(value));
        }
        if is_null {
            return Kind::Null;
        }
        if column.length == -1 && large::is_over(writer, cap, value) {
            return large::write(writer, value);
        }
        value::write(writer, &column.codec, value)
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
        match (row.kind, row.old, row.new) {
            (kind::ROW_INSERT | kind::ROW_UPDATE, _, Some(new)) if plan.is_heap => raw::HeapTupleHeaderGetCmin((*new).t_data),
            (kind::ROW_DELETE, Some(old), _) if plan.is_heap => raw::HeapTupleHeaderGetCmax((*old).t_data),
            _ => raw::GetCurrentCommandId(false),
        }
    }
}

fn kind_of(operation: Operation) -> i32 {
    match operation {
        Operation::Insert => kind::ROW_INSERT,
        Operation::Update => kind::ROW_UPDATE,
        _ => kind::ROW_DELETE,
    }
}
