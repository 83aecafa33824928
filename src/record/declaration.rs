//! Event types with the parameters declared for them, as this backend has read them.
//!
//! `audit_internal.upsert_config` and `audit_internal.delete_config` tell every backend that a configuration table
//! changed, and a rollback tells the backend itself; then all that was read is forgotten.

use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::{FromDatum, IntoDatum};

use crate::encode::{lookup, pin};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::local::Local;
use crate::pg::scan::{self, Condition};
use crate::store::{event_types, namespace};
use audit_model::schema::event_parameters;

entry_point!(audit_is_plain_type, pg_finfo_audit_is_plain_type, is_plain_type);

/// `is_plain_type(type oid) returns boolean`: whether values can be read without running code of the type's owner.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn is_plain_type(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: these are the arguments of the current call.
    let type_id = unsafe { Arguments::new(arguments) }.oid(0);
    Datum::from(type_id.is_some_and(lookup::reads_by_c_code))
}

/// An event type with its parameters.
pub struct Declared {
    pub event_type: event_types::Declared,
    pub parameters: Vec<Parameter>,
}

/// A parameter that its events may carry.
pub struct Parameter {
    pub name: Vec<u8>,
    pub type_name: String,
    /// Invalid where the type is gone.
    pub type_id: Oid,
    pub is_required: bool,
    pub is_sensitive: bool,
}

static KNOWN: Local<Option<HashMap<Vec<u8>, Rc<Declared>>>> = Local::new(None);
/// The tables that it was read from.
static TABLES: Local<[Oid; 2]> = Local::new([Oid::INVALID; 2]);

pub fn register() {
    // SAFETY: the callbacks are plain functions that live as long as the process.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(table_changed), Datum::from(0_usize));
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::TYPEOID as i32,
            Some(type_changed),
            Datum::from(0_usize),
        );
    }
}

unsafe extern "C-unwind" fn table_changed(_argument: Datum, relation: Oid) {
    if relation == Oid::INVALID || TABLES.get().contains(&relation) {
        forget();
    }
}

unsafe extern "C-unwind" fn type_changed(_argument: Datum, _cache: i32, _hash: u32) {
    forget();
}

/// What is in use meanwhile is kept by its user.
fn forget() {
    KNOWN.set(None);
}

/// The event type of that name; an error where there is none.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn named(name: &[u8]) -> Rc<Declared> {
    // SAFETY: inside a transaction; nothing of the map is borrowed while catalogs are read.
    unsafe {
        if let Some(declared) = KNOWN.in_place().as_ref().and_then(|known| known.get(name)) {
            return Rc::clone(declared);
        }
        TABLES.set([namespace::relation(c"event_types"), namespace::relation(c"event_parameters")]);
        let Some(declared) = read(name) else {
            Error::UnknownEventType { name: String::from_utf8_lossy(name).into_owned() }.raise()
        };
        let declared = Rc::new(declared);
        KNOWN.in_place().get_or_insert_with(HashMap::new).insert(name.to_vec(), Rc::clone(&declared));
        declared
    }
}

/// # Safety
/// Must run inside a transaction.
unsafe fn read(name: &[u8]) -> Option<Declared> {
    // SAFETY: the condition is of the column's type; the attributes are those of audit.event_parameters.
    unsafe {
        let event_type = event_types::named(name)?;
        let mut parameters = Vec::new();
        let condition = Condition {
            attribute: event_parameters::EVENT_TYPE,
            procedure: Oid::from(pg_sys::F_INT4EQ),
            value: Datum::from(event_type.number),
        };
        scan::rows(TABLES.get()[1], &[condition], |descriptor, tuple| {
            let attribute = |number| scan::attribute(tuple, number, descriptor);
            let is_true = |number| attribute(number).is_some_and(|value| value.value() as u8 != 0);
            let type_name = attribute(event_parameters::DATA_TYPE).and_then(|name| String::from_datum(name, false));
            parameters.push(Parameter {
                name: attribute(event_parameters::NAME).map(|name| scan::payload(name).to_vec()).unwrap_or_default(),
                type_name: type_name.unwrap_or_default(),
                type_id: Oid::INVALID,
                is_required: is_true(event_parameters::REQUIRED),
                is_sensitive: is_true(event_parameters::SENSITIVE),
            });
            true
        });
        for parameter in &mut parameters {
            parameter.type_id = type_named(&parameter.type_name);
        }
        Some(Declared { event_type, parameters })
    }
}

/// The type that a stored name means, invalid where it is gone.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn type_named(name: &str) -> Oid {
    let mut found = None;
    // SAFETY: to_regtype takes a text and returns NULL for a type that is not there.
    unsafe {
        pin::with_names(|| {
            found = pgrx::direct_function_call::<Oid>(pg_sys::to_regtype, &[name.into_datum()]);
        });
    }
    found.unwrap_or(Oid::INVALID)
}
