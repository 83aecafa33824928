//! How rows of one type are restored, kept for the calls of one place in a query.

use core::ffi::c_void;

use audit_model::key_order;
use pgrx::PgMemoryContexts;
use pgrx::pg_sys::{self, Datum, Oid};

use super::super::codec::Codec;
use super::super::pin;
use super::composite::Row;
use super::constraint::Domain;
use super::target::{Purpose, Target};
use super::{Problem, text};
use crate::error::Error;
use crate::pg::relation;

/// How rows of one type are restored.
pub struct Plan {
    type_id: Oid,
    /// PostgreSQL's number of this state of the type: it changes with every ALTER.
    identity: u64,
    pub descriptor: pg_sys::TupleDesc,
    /// The row types inside, with the numbers of their states.
    row_types: Vec<(Oid, u64)>,
    /// In jsonb's order of keys.
    columns: Vec<Column>,
    depends_on_settings: bool,
    has_xml: bool,
    /// The domain that the row is to be of, where it is not of the row type itself.
    domain: Option<Domain>,
}

pub struct Column {
    pub index: usize,
    pub name: Vec<u8>,
    pub codec: Codec,
    pub target: Target,
}

impl Plan {
    /// The plan of a type, made at the first call.
    ///
    /// # Safety
    /// `function` must be the lookup information of the current call.
    pub unsafe fn cached<'a>(
        function: *mut pg_sys::FmgrInfo,
        declared: Oid,
        type_id: Oid,
        type_modifier: i32,
    ) -> &'a Plan {
        // SAFETY: only this function uses the call's extra field; what it holds lives as long as the field.
        unsafe {
            let identity = identity_of(type_id, type_modifier);
            if let Some(plan) = (*function).fn_extra.cast::<Plan>().as_ref()
                && plan.type_id == type_id
                && plan.identity == identity
                && plan.row_types.iter().all(|(type_id, identity)| identity_of(*type_id, -1) == *identity)
            {
                return plan;
            }
            let context = (*function).fn_mcxt;
            let plan = Plan::new(declared, type_id, type_modifier, identity, context);
            let plan = PgMemoryContexts::For(context).leak_and_drop_on_delete(plan);
            (*function).fn_extra = plan.cast::<c_void>();
            &*plan
        }
    }

    fn new(declared: Oid, type_id: Oid, type_modifier: i32, identity: u64, context: pg_sys::MemoryContext) -> Plan {
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
            .map(|attribute| {
                let codec = Codec::of(attribute.type_id, context);
                let target = Target::of(&codec, attribute.type_id, attribute.type_modifier, Purpose::Row, context);
                Column { index: attribute.index, name: attribute.name, codec, target }
            })
            .collect();
        columns.sort_by(|one, other| key_order(&one.name, &other.name));
        let depends_on_settings = columns.iter().any(|column| column.target.depends_on_settings(&column.codec));
        let has_xml = columns.iter().any(|column| column.target.has_xml());
        let mut row_types = Vec::new();
        columns.iter().for_each(|column| row_types_in(&column.codec, &mut row_types));
        // SAFETY: a catalog lookup of an existing type.
        let is_domain = unsafe { pg_sys::getBaseType(declared) } != declared;
        let domain = is_domain.then(|| Domain::new(declared, context));
        Plan { type_id, identity, descriptor, row_types, columns, depends_on_settings, has_xml, domain }
    }

    pub fn column(&self, name: &[u8]) -> &Column {
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

    /// The columns whose values have to be verified.
    pub fn constrained(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.target.is_free())
    }

    /// The row as a datum of the declared type.
    pub fn finish(&self, row: Row) -> Datum {
        let value = row.form();
        if let Some(domain) = &self.domain {
            domain.check(Some(value));
        }
        value
    }

    /// Runs `body` under the settings that the encoder writes with.
    pub fn pinned(&self, body: impl FnOnce()) {
        if !self.depends_on_settings {
            return body();
        }
        // SAFETY: inside a transaction.
        unsafe { pin::for_reading(self.has_xml, body) }
    }
}

impl Column {
    /// Raises the error of a value that cannot be restored.
    pub fn refuse(&self, problem: Problem) -> ! {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        match problem {
            Problem::NoValue(why) => Error::NoValue { column: name, why }.raise(),
            Problem::Misfit(type_name) => Error::Misfit { column: name, type_name }.raise(),
            Problem::Opaque(type_name) => Error::NotRestorable { column: name, type_name }.raise(),
            Problem::Mismatch(what) => {
                Error::BadImage { problem: format!("the image has, for column \"{name}\", {what}") }.raise()
            }
        }
    }
}

/// PostgreSQL's number of the state of a row type.
fn identity_of(type_id: Oid, type_modifier: i32) -> u64 {
    // SAFETY: a lookup of an existing type in the type cache.
    unsafe { pg_sys::assign_record_type_identifier(type_id, type_modifier) }
}

/// Adds the row types that a codec holds copies of.
fn row_types_in(codec: &Codec, found: &mut Vec<(Oid, u64)>) {
    match codec {
        Codec::Composite(composite) => {
            // SAFETY: the descriptor lives as long as the codec.
            let type_id = unsafe { (*composite.descriptor).tdtypeid };
            found.push((type_id, identity_of(type_id, -1)));
            composite.fields.iter().for_each(|(_, _, field)| row_types_in(field, found));
        }
        Codec::Array(array) => row_types_in(&array.element, found),
        _ => {}
    }
}
