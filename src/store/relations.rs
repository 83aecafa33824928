//! Audited relations as the trail knows them: `audit_internal.relations`, a row per version of name and columns.
//!
//! An OID never stands alone in stored data, because it does not survive dump and restore. A version is
//! found by everything it says; the lineage ties the versions of one table together.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::{FromDatum, IntoDatum, JsonB};
use serde_json::{Value, json};

use super::partition::Parent;
use super::{dictionary, remote};
use crate::pg::arguments::Arguments;
use crate::pg::clock;
use crate::pg::guard::entry_point;
use crate::pg::opened::Opened;
use crate::pg::raw;
use crate::pg::relation;
use crate::pg::scan;
use audit_model::schema::relations::{
    COLUMNS, COUNT, KEY_COLUMNS, LINEAGE, NODE_ID, RECORDED_COLUMNS, RELATION_ID, RELATION_OID, SCHEMA_NAME, SINCE,
    TABLE_NAME,
};

entry_point!(audit_has_name_of_another, pg_finfo_audit_has_name_of_another, has_name_of_another_sql);
entry_point!(audit_column_name, pg_finfo_audit_column_name, column_name);
entry_point!(audit_column_number, pg_finfo_audit_column_number, column_number);

/// `audit_internal.has_name_of_another(target regclass) returns boolean`: as [`has_name_of_another`].
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn has_name_of_another_sql(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the argument is a regclass.
    unsafe {
        let target = Arguments::new(arguments).oid(0).unwrap_or(Oid::INVALID);
        Datum::from(pg_sys::get_rel_relkind(target) != 0 && has_name_of_another(target))
    }
}

/// `audit_internal.column_name(target regclass, number integer) returns text`: the name of a column as it is now,
/// whatever snapshot the transaction reads with; NULL for one that was dropped.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn column_name(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration; the name is palloc'd.
    unsafe {
        let arguments = Arguments::new(arguments);
        let target = arguments.oid(0).unwrap_or(Oid::INVALID);
        let number = arguments.datum(1).map_or(0, |number| number.value() as i16);
        let name = pg_sys::get_attname(target, number, true);
        // A dropped column has a name too, by which it is not found.
        if name.is_null() || pg_sys::get_attnum(target, name) != number {
            return arguments.null();
        }
        Datum::from(pg_sys::cstring_to_text(name))
    }
}

/// `audit_internal.column_number(target regclass, name text) returns integer`: the number of a column as it is named
/// now; NULL without one.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn column_number(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        let target = arguments.oid(0).unwrap_or(Oid::INVALID);
        let name = arguments.bytes(1).and_then(|name| std::ffi::CString::new(name).ok()).unwrap_or_default();
        match pg_sys::get_attnum(target, name.as_ptr()) {
            0 => arguments.null(),
            number => Datum::from(i32::from(number)),
        }
    }
}

/// What a row of `audit_internal.relations` says about a table as it is now.
pub struct Version {
    pub oid: Oid,
    pub schema: String,
    pub table: String,
    /// `schema.table`, quoted where SQL needs it.
    pub entity: String,
    pub columns: Value,
    /// Names of the key's columns, in key order.
    pub key: Vec<String>,
    /// Names of the recorded columns as a jsonb array, in the order of a whole row's values; `None` where the table's
    /// events have no row values.
    pub recorded: Option<Vec<u8>>,
}

/// Describes a table.
///
/// # Safety
/// Must run inside a transaction; the table must exist.
pub unsafe fn describe(target: Oid) -> Version {
    // SAFETY: inside a transaction.
    let opened = unsafe { Opened::relation(target, pg_sys::AccessShareLock) }.and_unlocks();
    // SAFETY: the schema of a relation that is open is there, and its name ends with NUL.
    let schema = unsafe { CStr::from_ptr(pg_sys::get_namespace_name(opened.class().relnamespace)) };
    // SAFETY: a name ends with NUL.
    let table = unsafe { CStr::from_ptr(opened.class().relname.data.as_ptr()) };
    let attributes: Vec<_> = relation::attributes(opened.descriptor()).filter(|attribute| !attribute.dropped).collect();
    let key = key_numbers(&opened)
        .into_iter()
        .filter_map(|number| attributes.iter().find(|attribute| attribute.number == number))
        .map(|attribute| String::from_utf8_lossy(&attribute.name).into_owned())
        .collect();
    Version {
        oid: target,
        entity: relation::qualified_name(schema, table),
        schema: schema.to_string_lossy().into_owned(),
        table: table.to_string_lossy().into_owned(),
        columns: attributes.iter().map(description).collect(),
        key,
        recorded: None,
    }
}

/// A column as `audit_internal.relations` has it.
fn description(attribute: &relation::Attribute) -> Value {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    // SAFETY: a NUL-terminated text for every type and modifier.
    let type_name = unsafe {
        let flags = u16::try_from(flags).unwrap_or(0);
        CStr::from_ptr(pg_sys::format_type_extended(attribute.type_id, attribute.type_modifier, flags))
    };
    json!({
        "number": attribute.number,
        "name": String::from_utf8_lossy(&attribute.name),
        "type": type_name.to_string_lossy(),
    })
}

/// The qualified name of a relation.
///
/// # Safety
/// As [`describe`].
pub unsafe fn entity_of(target: Oid) -> String {
    // SAFETY: per the contract.
    unsafe { describe(target).entity }
}

/// Attribute numbers of the primary key, or else of the replica identity's index; empty without either.
pub fn key_numbers(opened: &Opened) -> Vec<i16> {
    if !matches!(opened.kind(), pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE) {
        return Vec::new();
    }
    let mut identity = Vec::new();
    // Not rd_pkindex, which leaves out a deferrable key: that is a key to people all the same.
    // SAFETY: the table is open.
    for index in unsafe { relation::indexes(opened.as_ptr()) } {
        // SAFETY: the indexes of an open table are there.
        let index = unsafe { Opened::index(index, pg_sys::AccessShareLock) }.and_unlocks();
        match index.key() {
            Some((row, numbers)) if row.indisprimary => return numbers.to_vec(),
            Some((row, numbers)) if row.indisreplident => identity = numbers.to_vec(),
            _ => {}
        }
    }
    identity
}

/// The id of the version's row, and the subtransaction that wrote it, 0 for one that was there.
///
/// # Safety
/// Must run inside a transaction that may write.
pub unsafe fn find_or_write(version: &Version, node_id: i32) -> (i32, u32) {
    // SAFETY: the values are those of the columns in order.
    unsafe {
        let known = look_up(version, node_id);
        if let Some(found) = known.found {
            return found;
        }
        // relation_id is an int4, and the sequence is shared with wider ids: the lower 31 bits of its number.
        let id = i32::try_from(dictionary::next_number() & i64::from(i32::MAX)).unwrap_or(1);
        let lineage = known.lineage.unwrap_or_else(new_lineage);
        let key = (!version.key.is_empty()).then(|| version.key.clone());
        let values: [Option<Datum>; COUNT] = [
            Some(Datum::from(node_id)),
            Some(Datum::from(id)),
            lineage.into_datum(),
            Some(Datum::from(version.oid)),
            version.entity.clone().into_datum(),
            version.schema.clone().into_datum(),
            version.table.clone().into_datum(),
            JsonB(version.columns.clone()).into_datum(),
            key.into_datum(),
            Some(Datum::from(clock::now())),
            version.recorded.as_ref().map(|names| Datum::from(names.as_ptr())),
        ];
        dictionary::append(Parent::Relations, i64::from(id), &values);
        (id, raw::GetCurrentSubTransactionId())
    }
}

/// Whether another table that is still enabled has been recorded under the name of this one.
///
/// # Safety
/// Must run inside a transaction; the table must exist.
pub unsafe fn has_name_of_another(target: Oid) -> bool {
    let mut others = Vec::new();
    // SAFETY: the attributes are those of audit_internal.relations in order.
    unsafe {
        let version = describe(target);
        dictionary::rows(Parent::Relations, &[], |descriptor, tuple| {
            let is = |number, name: &str| {
                scan::attribute(tuple, number, descriptor)
                    .is_some_and(|text| String::from_utf8_lossy(scan::payload(text)) == name)
            };
            let is_remote =
                scan::attribute(tuple, NODE_ID, descriptor).is_none_or(|node| remote::has(node.value() as i32));
            if is(SCHEMA_NAME, &version.schema) && is(TABLE_NAME, &version.table) && !is_remote {
                others
                    .extend(scan::attribute(tuple, RELATION_OID, descriptor).map(|oid| Oid::from(oid.value() as u32)));
            }
            true
        });
        others.into_iter().any(|other| other != target && super::settings::options_of(other).is_some())
    }
}

struct Known {
    /// The id and the subtransaction that wrote the row.
    found: Option<(i32, u32)>,
    lineage: Option<pgrx::Uuid>,
}

/// Finds the row that says the same, and the lineage of the table: by its OID on this node, else, as after a
/// restore, by its name on one that this database was before.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn look_up(version: &Version, node_id: i32) -> Known {
    let mut known = Known { found: None, lineage: None };
    let mut by_name: Option<(i64, pgrx::Uuid)> = None;
    let mut by_oid: Option<(i64, pgrx::Uuid)> = None;
    let visit = |descriptor, tuple| {
        let row = Recorded { descriptor, tuple };
        let Some(lineage) = row.value::<pgrx::Uuid>(LINEAGE) else { return true };
        let is_here = row.value(NODE_ID) == Some(node_id);
        let since = row.attribute(SINCE).map_or(0, |since| since.value() as i64);
        let same_name = row.value::<String>(SCHEMA_NAME).as_ref() == Some(&version.schema)
            && row.value::<String>(TABLE_NAME).as_ref() == Some(&version.table);
        if is_here && row.value(RELATION_OID) == Some(version.oid) {
            if by_oid.is_none_or(|(newest, _)| since >= newest) {
                by_oid = Some((since, lineage));
                // Only the newest version counts: a name that comes back is a version again.
                known.found = (same_name && row.says(version)).then(|| row.id());
            }
        } else if same_name
            && !is_here
            && by_name.is_none_or(|(newest, _)| since >= newest)
            // SAFETY: inside a transaction.
            && !row.value(NODE_ID).is_some_and(|node| unsafe { remote::has(node) })
        {
            by_name = Some((since, lineage));
        }
        true
    };
    // SAFETY: inside a transaction; each row is read while it is visited.
    unsafe { dictionary::rows(Parent::Relations, &[], visit) };
    known.lineage = by_oid.or(by_name).map(|(_, lineage)| lineage);
    known
}

/// A row of `audit_internal.relations` that is being visited.
struct Recorded {
    descriptor: pg_sys::TupleDesc,
    tuple: pg_sys::HeapTuple,
}

impl Recorded {
    fn attribute(&self, number: i16) -> Option<Datum> {
        // SAFETY: the row is live, and of the table's columns.
        unsafe { scan::attribute(self.tuple, number, self.descriptor) }
    }

    /// The value of a column that has this type.
    fn value<T: FromDatum>(&self, number: i16) -> Option<T> {
        // SAFETY: the type is the column's (sql/catalog/tables.sql).
        self.attribute(number).and_then(|value| unsafe { T::from_datum(value, false) })
    }

    /// Whether it has the version's columns and key, and those recorded where the version names them.
    fn says(&self, version: &Version) -> bool {
        let key = self.value::<Vec<String>>(KEY_COLUMNS).unwrap_or_default();
        // SAFETY: a jsonb, which is read at once.
        let recorded = self.attribute(RECORDED_COLUMNS).map(|names| unsafe { scan::payload(names) });
        self.value::<JsonB>(COLUMNS).is_some_and(|columns| columns.0 == version.columns)
            && key == version.key
            && version.recorded.as_ref().is_none_or(|names| recorded == names.get(4..))
    }

    /// Its id and the subtransaction that wrote it, 0 for one that is committed.
    fn id(&self) -> (i32, u32) {
        // SAFETY: the row is live.
        (self.value(RELATION_ID).unwrap_or(0), unsafe { scan::pending(self.tuple) })
    }
}

fn new_lineage() -> pgrx::Uuid {
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer has the length that is passed.
    unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) };
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    pgrx::Uuid::from_bytes(bytes)
}
