//! `audit.row`: the row that an image describes, byte for byte the one it was made of.
//!
//! The inverse of the encoder, by the same codecs. A column that the image lacks comes from the base row;
//! where the image holds no value (masked, hashed, omitted, capped, unreadable) an error names the column.
//! What it cannot restore is what has gone from the catalogs since: a role, a table, an enum label by name.

mod array;
mod composite;
mod document;
mod marker;
mod memory;
pub mod reader;
mod text;
mod value;

use core::ffi::c_void;

use pgrx::PgMemoryContexts;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use self::composite::Row;
use self::reader::Item;
use super::codec::Codec;
use super::jsonb::key_order;
use super::pin;
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::relation;

entry_point!(audit_row, pg_finfo_audit_row, row);

/// The decimal text of a numeric, given as the whole varlena.
pub fn decimal(numeric: &[u8]) -> Vec<u8> {
    text::number(numeric)
}

/// Why a value cannot be restored.
enum Problem {
    /// The image says nothing about it; the sentence says why.
    NoValue(String),
    /// What the image has instead, as in "a number that is no value of type uuid".
    Mismatch(String),
}

/// `audit.row(base anyelement, image jsonb) returns anyelement`. Without an image it is the base itself.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn row(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: these are the arguments of the current call.
    let arguments = unsafe { Arguments::new(fcinfo) };
    let base = arguments.datum(0);
    let Some(image) = arguments.varlena(1) else {
        return base.unwrap_or_else(|| arguments.null());
    };
    let item = Item::of(image.get(4..).unwrap_or_default());
    let Item::Object(object) = item else {
        Error::BadImage { problem: format!("an image is a JSON object, not {}", item.kind()) }.raise();
    };

    let header = composite_base(arguments.type_of(0), base);
    let (type_id, type_modifier) = row_type(arguments.type_of(0), header);
    // SAFETY: the lookup information of the call outlives it.
    let plan = unsafe { Plan::cached((*fcinfo).flinfo, type_id, type_modifier) };
    let mut row = Row::empty(plan.descriptor);
    if let Some(header) = header {
        // SAFETY: the row carries the type that the plan was made for, and lives as long as the call.
        unsafe { row.fill(header) };
    }
    plan.pinned(|| {
        for (name, item) in object.pairs() {
            let column = plan.column(name);
            match value::nullable(&column.codec, column.type_id, item) {
                Ok(value) => row.set(column.index, value),
                Err(problem) => column.refuse(problem),
            }
        }
    });
    row.form()
}

/// The base row, decompressed; refuses what is no row at all.
fn composite_base(declared: Oid, base: Option<Datum>) -> Option<pg_sys::HeapTupleHeader> {
    // SAFETY: catalog lookups of an existing type.
    if declared == Oid::INVALID || unsafe { !pg_sys::type_is_rowtype(pg_sys::getBaseType(declared)) } {
        Error::BadArgument {
            problem: "the base of audit.row is not a row".into(),
            hint: "Pass a row of the table, or NULL of its type, as in audit.row(null::public.orders, new_values).",
        }
        .raise();
    }
    // SAFETY: a value of a row type is a varlena.
    base.map(|datum| unsafe { pg_sys::pg_detoast_datum(datum.cast_mut_ptr()) }.cast())
}

/// Type and modifier of the row: its own, or the declared ones for NULL.
fn row_type(declared: Oid, header: Option<pg_sys::HeapTupleHeader>) -> (Oid, i32) {
    if let Some(header) = header {
        // SAFETY: a composite datum carries its type where a stored tuple carries its transactions.
        let fields = unsafe { (*header).t_choice.t_datum };
        return (fields.datum_typeid, fields.datum_typmod);
    }
    // SAFETY: a catalog lookup of an existing type.
    let type_id = unsafe { pg_sys::getBaseType(declared) };
    if type_id == pg_sys::RECORDOID {
        Error::BadArgument {
            problem: "the row type of a NULL record is not known".into(),
            hint: "Pass NULL of the table's type, as in audit.row(null::public.orders, new_values).",
        }
        .raise();
    }
    (type_id, -1)
}

/// How rows of one type are restored, kept for the calls of one place in a query.
struct Plan {
    type_id: Oid,
    /// PostgreSQL's number of this state of the type: it changes with every ALTER.
    identity: u64,
    descriptor: pg_sys::TupleDesc,
    /// In jsonb's order of keys.
    columns: Vec<Column>,
    depends_on_settings: bool,
}

struct Column {
    index: usize,
    name: Vec<u8>,
    type_id: Oid,
    codec: Codec,
}

impl Plan {
    /// The plan of a type, made at the first call.
    ///
    /// # Safety
    /// `function` must be the lookup information of the current call.
    unsafe fn cached<'a>(function: *mut pg_sys::FmgrInfo, type_id: Oid, type_modifier: i32) -> &'a Plan {
        // SAFETY: only this function uses the call's extra field; what it holds lives as long as the field.
        unsafe {
            let identity = pg_sys::assign_record_type_identifier(type_id, type_modifier);
            if let Some(plan) = (*function).fn_extra.cast::<Plan>().as_ref()
                && plan.type_id == type_id
                && plan.identity == identity
            {
                return plan;
            }
            let context = (*function).fn_mcxt;
            let plan = Plan::new(type_id, type_modifier, identity, context);
            let plan = PgMemoryContexts::For(context).leak_and_drop_on_delete(plan);
            (*function).fn_extra = plan.cast::<c_void>();
            &*plan
        }
    }

    fn new(type_id: Oid, type_modifier: i32, identity: u64, context: pg_sys::MemoryContext) -> Plan {
        // SAFETY: the descriptor is copied, with its missing values, before it is given back.
        let descriptor = unsafe {
            let found = pg_sys::lookup_rowtype_tupdesc(type_id, type_modifier);
            let previous = pg_sys::MemoryContextSwitchTo(context);
            let copy = pg_sys::CreateTupleDescCopyConstr(found);
            pg_sys::MemoryContextSwitchTo(previous);
            relation::release_descriptor(found);
            copy
        };
        let mut columns: Vec<Column> = relation::attributes(descriptor)
            .filter(|attribute| !attribute.dropped)
            .map(|attribute| Column {
                index: attribute.index,
                codec: Codec::of(attribute.type_id, context),
                name: attribute.name,
                type_id: attribute.type_id,
            })
            .collect();
        columns.sort_by(|one, other| key_order(&one.name, &other.name));
        let depends_on_settings = columns.iter().any(|column| column.codec.depends_on_settings());
        Plan { type_id, identity, descriptor, columns, depends_on_settings }
    }

    fn column(&self, name: &[u8]) -> &Column {
        match self.columns.binary_search_by(|column| key_order(&column.name, name)) {
            Ok(found) => &self.columns[found],
            Err(_) => Error::BadImage {
                problem: format!(
                    "the image has a column \"{}\" that {} lacks",
                    String::from_utf8_lossy(name),
                    text::type_name(self.type_id)
                ),
            }
            .raise(),
        }
    }

    /// Runs `body` under the settings that the encoder writes with.
    fn pinned(&self, body: impl FnOnce()) {
        if !self.depends_on_settings {
            return body();
        }
        // SAFETY: inside a transaction, whose abort puts the settings back where `body` ends by ERROR.
        unsafe {
            let nested = pin::is_held();
            pin::hold();
            pin::with_names(body);
            if !nested {
                pin::release();
            }
        }
    }
}

impl Column {
    fn refuse(&self, problem: Problem) -> ! {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        match problem {
            Problem::NoValue(why) => Error::NoValue { column: name, why }.raise(),
            Problem::Mismatch(what) => {
                Error::BadImage { problem: format!("the image has, for column \"{name}\", {what}") }.raise()
            }
        }
    }
}
