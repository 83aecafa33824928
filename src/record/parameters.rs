//! The parameters of an event that an application records: checked against their declarations, then written.

use pgrx::PgTryBuilder;
use pgrx::pg_sys::{self, Oid};
use sha2::{Digest, Sha256};

use super::declaration::{Declared, Parameter};
use crate::encode::{json, lookup, marker};
use crate::error::Error;
use crate::jsonb::{Container, Item, Kind, Writer};
use crate::pg::{datum, error, raw};
use crate::settings;

/// Refuses what is not an object, not declared, missing or no value of its type. `given` is a jsonb without header.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn check(declared: &Declared, event: &[u8], given: Option<&[u8]>) {
    let pairs = given.map(object).map(Container::members).unwrap_or_default();
    let event = String::from_utf8_lossy(event);
    for (name, item) in &pairs {
        let Some(parameter) = find(declared, name) else { refuse_unknown(declared, &event, name) };
        // SAFETY: per the contract.
        unsafe { check_value(parameter, &event, item) }
    }
    let is_missing = |parameter: &&Parameter| {
        parameter.is_required
            && !pairs.iter().any(|(name, item)| *name == parameter.name && !matches!(item, Item::Null))
    };
    if let Some(parameter) = declared.parameters.iter().find(is_missing) {
        Error::Parameter {
            problem: format!("event \"{event}\" lacks parameter \"{}\"", shown(&parameter.name)),
            detail: None,
            hint: format!("It is required, of type {}.", parameter.type_name),
        }
        .raise();
    }
}

/// Writes checked parameters as one object, sensitive ones masked and those over the cap by their digest. False
/// where there are none.
pub fn write(writer: &mut Writer, declared: &Declared, given: Option<&[u8]>) -> bool {
    let pairs = given.map(object).map(Container::members).unwrap_or_default();
    if pairs.is_empty() {
        return false;
    }
    let cap = settings::max_value_bytes();
    writer.begin();
    let mut members = writer.object(pairs.len());
    for (name, _) in &pairs {
        writer.key(&mut members, name);
    }
    for (name, item) in &pairs {
        let is_sensitive = find(declared, name).is_none_or(|parameter| parameter.is_sensitive);
        let kind = match item {
            Item::Null => Kind::Null,
            _ if is_sensitive => marker::word(writer, b"masked"),
            Item::Bool(value) => Kind::of(*value),
            Item::Number(number) => {
                writer.pad();
                writer.push(number);
                Kind::Number
            }
            Item::String(bytes) => capped(writer, bytes, cap).unwrap_or_else(|| {
                writer.push(bytes);
                Kind::String
            }),
            Item::Array(container) | Item::Object(container) => {
                capped(writer, container.bytes(), cap).unwrap_or_else(|| json::binary(writer, container.bytes()))
            }
        };
        writer.close(&mut members, kind);
    }
    true
}

fn capped(writer: &mut Writer, bytes: &[u8], cap: usize) -> Option<Kind> {
    (bytes.len() > cap).then(|| marker::capped(writer, bytes.len(), &Sha256::digest(bytes)))
}

fn object(given: &[u8]) -> Container<'_> {
    match Item::of(given) {
        Item::Object(container) => container,
        other => Error::BadArgument {
            problem: format!("parameters must be a JSON object, not {}", other.kind()),
            hint: "Pass the parameters by name, as in {\"amount\": 100}.",
        }
        .raise(),
    }
}

fn find<'a>(declared: &'a Declared, name: &[u8]) -> Option<&'a Parameter> {
    declared.parameters.iter().find(|parameter| parameter.name == name)
}

fn refuse_unknown(declared: &Declared, event: &str, name: &[u8]) -> ! {
    let names: Vec<_> = declared.parameters.iter().map(|parameter| shown(&parameter.name)).collect();
    Error::Parameter {
        problem: format!("event \"{event}\" has no parameter \"{}\"", shown(name)),
        detail: None,
        hint: if names.is_empty() {
            "It takes no parameters; audit.define_event_type declares them.".to_owned()
        } else {
            format!("Its parameters are {}.", names.join(", "))
        },
    }
    .raise()
}

/// Refuses a value that its type's input function does not take. No code of the type's owner runs with the rights of
/// the role that records: a type may have changed since it was declared.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn check_value(parameter: &Parameter, event: &str, item: &Item) {
    if parameter.type_id == Oid::INVALID {
        Error::Parameter {
            problem: format!(
                "the type of parameter \"{}\" of event \"{event}\" does not exist",
                shown(&parameter.name)
            ),
            detail: None,
            hint: format!("Create the type {}, or define the event type again.", parameter.type_name),
        }
        .raise();
    }
    if is_plain(parameter.type_id, item) {
        return;
    }
    if parameter.type_id.to_u32() >= pg_sys::FirstNormalObjectId && !lookup::reads_by_c_code(parameter.type_id) {
        Error::Parameter {
            problem: format!(
                "the type of parameter \"{}\" of event \"{event}\" runs code of its owner",
                shown(&parameter.name)
            ),
            detail: None,
            hint: format!("Define the event type again with what {} is made of.", parameter.type_name),
        }
        .raise();
    }
    // An input function raises what it likes, after which the transaction is to end anyway: its message becomes the
    // detail of ours, unless it could show what is to stay hidden.
    // SAFETY: the type exists.
    let reason = PgTryBuilder::new(|| unsafe { convert(parameter.type_id, item) })
        .catch_others(|error| if error::is_cancel(&error) { error.rethrow() } else { Err(error::message(&error)) })
        .execute();
    let Err(reason) = reason else { return };
    Error::Parameter {
        problem: format!("parameter \"{}\" of event \"{event}\" is no {}", shown(&parameter.name), parameter.type_name),
        detail: (!parameter.is_sensitive && !reason.is_empty()).then_some(reason),
        hint: format!("Pass a value of type {}.", parameter.type_name),
    }
    .raise()
}

/// Values that need no look at the catalog.
fn is_plain(type_id: Oid, item: &Item) -> bool {
    match item {
        Item::Null => true,
        Item::String(_) => type_id == pg_sys::TEXTOID || is_document(type_id),
        Item::Number(_) => type_id == pg_sys::NUMERICOID || is_document(type_id),
        Item::Bool(_) => type_id == pg_sys::BOOLOID || is_document(type_id),
        Item::Array(_) | Item::Object(_) => is_document(type_id),
    }
}

fn is_document(type_id: Oid) -> bool {
    type_id == pg_sys::JSONBOID || type_id == pg_sys::JSONOID
}

/// Runs the type's input function, and that of the elements for a JSON array.
///
/// # Safety
/// The type must exist.
unsafe fn convert(type_id: Oid, item: &Item) -> Result<(), String> {
    // Arrays in arrays, as deep as jsonb can be.
    // SAFETY: an ERROR where the stack is used up.
    unsafe { pg_sys::check_stack_depth() };
    let text = match item {
        Item::Null => return Ok(()),
        Item::Bool(value) => (if *value { c"true" } else { c"false" }).as_ptr().cast_mut(),
        // SAFETY: the bytes are readable for their length; the copy ends with NUL.
        Item::String(bytes) => unsafe { pg_sys::pnstrdup(bytes.as_ptr().cast(), bytes.len()) },
        // SAFETY: a jsonb holds whole numerics.
        Item::Number(number) => unsafe { number_text(number) },
        Item::Array(container) | Item::Object(container) if is_document(type_id) => {
            let bytes = container.bytes();
            let length = i32::try_from(bytes.len()).unwrap_or(0);
            // SAFETY: a copy of a whole container, aligned as PostgreSQL wants it.
            unsafe { raw::JsonbToCString(core::ptr::null_mut(), datum::copy(bytes).cast_mut_ptr(), length) }
        }
        // SAFETY: the type exists.
        Item::Array(container) => return unsafe { convert_elements(type_id, container) },
        Item::Object(_) => return Err(String::new()),
    };
    let (mut function, mut parameter) = (Oid::INVALID, Oid::INVALID);
    // SAFETY: the type exists; its input function takes a NUL-terminated text.
    unsafe {
        pg_sys::getTypeInputInfo(type_id, &mut function, &mut parameter);
        pg_sys::OidInputFunctionCall(function, text, parameter, -1);
    }
    Ok(())
}

/// # Safety
/// As [`convert`].
unsafe fn convert_elements(type_id: Oid, container: &Container) -> Result<(), String> {
    // SAFETY: a catalog lookup, invalid for a type that is no array.
    let element = unsafe { pg_sys::get_element_type(type_id) };
    if element == Oid::INVALID {
        return Err(String::new());
    }
    for item in container.items() {
        // An array in an array is another dimension of the same type.
        let is_nested = matches!(item, Item::Array(_));
        let expected = if is_nested { type_id } else { element };
        if !is_plain(expected, &item) {
            // SAFETY: an array's type and that of its elements exist.
            unsafe { convert(expected, &item)? };
        }
    }
    Ok(())
}

/// # Safety
/// `number` must be a whole numeric.
unsafe fn number_text(number: &[u8]) -> *mut core::ffi::c_char {
    let copy = datum::copy(number);
    // SAFETY: a whole numeric, aligned as PostgreSQL wants it.
    unsafe { raw::DirectFunctionCall1Coll(Some(raw::numeric_out), Oid::INVALID, copy).cast_mut_ptr() }
}

/// A name of a parameter in a message.
fn shown(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}
