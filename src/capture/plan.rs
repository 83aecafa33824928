//! What is known about an audited relation: its columns and how each is written, its key, its level.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

use super::options::{Level, Options};
use super::triggers::{enabled_relation, is_redundant};
use crate::context::StatementUse;
use crate::encode::codec::Codec;
use crate::encode::jsonb::{self, key_order};
use crate::encode::key::Keyed;
use crate::encode::redact::{self, Redaction};
use crate::error::Error;
use crate::pg::relation::{self, Attribute};
use crate::settings;
use crate::store::relations::{self, Version};
use crate::store::settings as settings_of_tables;

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
    /// The retention of its own that the table has.
    pub retention_id: Option<i32>,
    version: Version,
    /// The subtransaction that wrote the version's row, 0 for one that is committed; none before it is known.
    written: Option<(i32, u32)>,
    /// The relations of the row types among its columns.
    row_types: Vec<Oid>,
    context: pg_sys::MemoryContext,
    /// The top transaction whose suspension has been recorded.
    pub suspended_in: u64,
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

    /// The table that was enabled: the relation itself or one above it.
    pub fn enabled(&self) -> Oid {
        self.version.oid
    }

    /// The row types that its codecs hold copies of, as relations.
    pub fn row_types(&self) -> &[Oid] {
        &self.row_types
    }

    /// Lets `keep` decide about the version's row by the subtransaction that wrote it.
    pub fn settle(&mut self, keep: impl Fn(u32) -> Option<u32>) {
        self.written = self.written.and_then(|(id, pending)| keep(pending).map(|pending| (id, pending)));
    }

    /// Frees what the plan allocated in PostgreSQL's memory.
    ///
    /// # Safety
    /// Nothing may use the plan's codecs after it.
    pub unsafe fn free(self) {
        // SAFETY: the context was made for this plan alone.
        unsafe { pg_sys::MemoryContextDelete(self.context) }
    }

    /// The columns of the key, in key order.
    pub fn key_columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.key.iter().map(|position| &self.columns[*position])
    }

    /// # Safety
    /// Both must be open and live; inside a transaction.
    pub unsafe fn make(target: pg_sys::Relation, trigger: *const pg_sys::Trigger) -> Plan {
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
            let mut version = relations::describe(enabled);
            // The function is open to PUBLIC, because PostgreSQL asks whoever adds a partition for it.
            if !settings_of_tables::has(&version) {
                Error::NotEnabled { table: version.entity }.raise();
            }
            let trusted =
                options.relation == enabled.to_u32() && !options.columns().any(|column| has_moved(column, enabled));
            // Options name columns of the table that was enabled; a partition may number its own otherwise.
            let named = |column: &super::options::ColumnName, attribute: &Attribute| {
                let number =
                    if enabled == (*target).rd_id { attribute.number } else { number_of(enabled, &attribute.name) };
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
                let label =
                    relation::attributes(descriptor).find(|attribute| !attribute.dropped && named(label, attribute))?;
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
            version.recorded = Some(jsonb::strings(columns.iter().map(|column| &*column.name)));
            let is_redacted = columns.iter().any(|column| column.redaction.is_some());
            Plan {
                level: options.level,
                statement_use: match (options.level, is_redacted) {
                    (Level::Comprehensive, false) => StatementUse::Full,
                    (Level::Comprehensive, true) => StatementUse::Redacted,
                    _ => StatementUse::Omit,
                },
                key,
                label,
                attributes: usize::try_from((*descriptor).natts).unwrap_or(0),
                is_heap: (*(*target).rd_rel).relam == pg_sys::HEAP_TABLE_AM_OID,
                depends_on_settings: columns.iter().any(|column| column.codec.depends_on_settings()),
                calls_foreign_code: columns.iter().any(|column| column.codec.calls_foreign_code()),
                is_redundant: is_redundant(target, trigger),
                retention_id: options.retention_id,
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
        let parsed =
            if (*trigger).tgnargs == 1 { Options::parse(CStr::from_ptr(*(*trigger).tgargs).to_bytes()) } else { None };
        parsed.unwrap_or_else(|| {
            let table = relations::entity_of((*target).rd_id);
            Error::BadTriggerOptions { table }.raise()
        })
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
