//! `audit.row`: the row that an image describes, byte for byte the one it was made of.
//!
//! The inverse of the encoder, by the same codecs. A column that the image lacks comes from the base row;
//! where the image holds no value (masked, hashed, omitted, capped, unreadable) an error names the column.
//! What it cannot restore is what has gone from the catalogs since: a role, a table, an enum label by name.
//!
//! An image is hostile: any role may write one and pass it. [`value`] says how values are made of it, [`target`] what
//! they have to comply with, as if they were assigned to the column.

mod array;
mod composite;
mod constraint;
mod document;
pub mod key;
mod marker;
mod memory;
mod plan;
mod target;
mod text;
mod value;

use audit_model::key_order;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use self::composite::Row;
use self::plan::Plan;
use crate::error::Error;
use crate::jsonb::Item;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;

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
    /// The type would change the value: its name with its modifier.
    Misfit(String),
    /// The name of a type whose values only the server makes.
    Opaque(String),
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

    let declared = arguments.type_of(0);
    let header = composite_base(declared, base);
    let (type_id, type_modifier) = row_type(declared, header);
    // SAFETY: the lookup information of the call outlives it.
    let plan = unsafe { Plan::cached((*fcinfo).flinfo, declared, type_id, type_modifier) };
    let mut row = Row::empty(plan.descriptor);
    if let Some(header) = header {
        // SAFETY: the row carries the type that the plan was made for, and lives as long as the call.
        unsafe { row.fill(header) };
    }
    let pairs = object.members();
    plan.pinned(|| {
        for (name, item) in &pairs {
            let column = plan.column(name);
            match value::nullable(&column.codec, &column.target, *item) {
                Ok(value) => row.set(column.index, value),
                Err(problem) => column.refuse(problem),
            }
        }
    });
    for column in plan.constrained() {
        // What comes from the base is valid; without one, a domain may refuse the NULL of a column that the image
        // lacks.
        let is_given = || pairs.binary_search_by(|(name, _)| key_order(name, &column.name)).is_ok();
        if (header.is_none() || is_given())
            && let Err(problem) = column.target.verify(&column.codec, row.get(column.index))
        {
            column.refuse(problem);
        }
    }
    plan.finish(row)
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
