//! The key of an audited table: its columns, which of them are hashed, and for whom.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

use crate::jsonb::Item;
use crate::pg::opened::Opened;
use crate::pg::relation;
use crate::store::relations;
use crate::store::settings as settings_of_tables;

/// A column of the key of an audited table.
pub struct Column {
    name: Vec<u8>,
    pub number: i16,
    pub declared: Oid,
    pub modifier: i32,
    pub is_hashed: bool,
}

impl Column {
    /// The type with its modifier, for messages.
    pub fn type_name(&self) -> String {
        // SAFETY: a NUL-terminated text for every OID and modifier.
        unsafe { CStr::from_ptr(pg_sys::format_type_with_typemod(self.declared, self.modifier)) }
            .to_string_lossy()
            .into_owned()
    }
}

/// The columns of a table's key in order; none without a key.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn columns(table: Oid) -> Vec<Column> {
    // SAFETY: inside a transaction.
    let (opened, options) = unsafe {
        (Opened::relation(table, pg_sys::AccessShareLock).and_unlocks(), settings_of_tables::options_of(table))
    };
    let attributes: Vec<_> = relation::attributes(opened.descriptor()).collect();
    relations::key_numbers(&opened)
        .into_iter()
        .filter_map(|number| attributes.iter().find(|attribute| attribute.number == number))
        .map(|attribute| Column {
            name: attribute.name.clone(),
            number: attribute.number,
            declared: attribute.type_id,
            modifier: attribute.type_modifier,
            is_hashed: options.as_deref().is_some_and(|options| hashes(options, &attribute.name)),
        })
        .collect()
}

/// Whether the options of a table, a jsonb without its header, say that this column is hashed.
fn hashes(options: &[u8], column: &[u8]) -> bool {
    let redact = member(Item::of(options), b"redact");
    matches!(redact.and_then(|redact| member(redact, column)), Some(Item::String(b"hash")))
}

fn member<'a>(item: Item<'a>, name: &[u8]) -> Option<Item<'a>> {
    let Item::Object(object) = item else { return None };
    object.pairs().find(|(key, _)| *key == name).map(|(_, value)| value.item())
}

/// What a person has to pass instead.
pub fn hint(columns: &[Column]) -> String {
    match columns {
        [only] => format!("The key is {}, of type {}.", relation::quoted_name(&only.name), only.type_name()),
        _ => format!(
            "Pass a JSON array of {} values in the order of the key, as entity_id of audit.trail has it.",
            columns.len()
        ),
    }
}

/// Whether the caller may read every value of a column, so that its hash says nothing new.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn may_read(table: Oid, column: i16) -> bool {
    // SAFETY: catalog lookups of an existing table and column.
    unsafe {
        let caller = pg_sys::GetUserId();
        let mode = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
        let is_allowed = pg_sys::AclResult::ACLCHECK_OK;
        (pg_sys::pg_class_aclcheck(table, caller, mode) == is_allowed
            || pg_sys::pg_attribute_aclcheck(table, column, caller, mode) == is_allowed)
            && pg_sys::check_enable_rls(table, caller, true) != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    }
}
