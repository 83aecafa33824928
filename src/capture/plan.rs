//! What is known about an audited relation: its columns and how each is written, its key, its level.

use audit_model::key_order;
use pgrx::pg_sys::{self, Oid};

use super::options::{ColumnName, Level, Options};
use super::triggers::{self, Acting};
use crate::context::StatementUse;
use crate::encode::codec::Codec;
use crate::encode::key::Keyed;
use crate::encode::redact::{self, Redaction};
use crate::jsonb;
use crate::jsonb::Item;
use crate::pg::relation::{self, Attribute};
use crate::pg::trigger::Operation;
use crate::settings;
use crate::store::relations::{self, Version};
use crate::store::{enabled as enabled_tables, settings as settings_of_tables};

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
    /// The triggers that record; all others that call our functions are passed over.
    acting: Acting,
    /// The table has audit triggers but no settings, as after a restore of the table alone.
    pub is_unconfigured: bool,
    /// That this has been recorded, and the subtransaction that did.
    pub recorded_unconfigured: Option<u32>,
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
    /// The id of the relation's current version in `audit_internal.relations`, written with the first event that needs
    /// it.
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

    /// Whether this trigger is the one that records this operation.
    #[inline]
    pub fn is_recorded_by(&self, trigger: Oid, operation: Operation) -> bool {
        self.acting[operation as usize] == trigger
    }

    /// Whether changes of rows are recorded at all.
    pub fn has_row_trigger(&self) -> bool {
        self.acting[..Operation::Truncate as usize].iter().any(|trigger| *trigger != Oid::INVALID)
    }

    /// The row types that its codecs hold copies of, as relations.
    pub fn row_types(&self) -> &[Oid] {
        &self.row_types
    }

    /// Lets `keep` decide about the version's row by the subtransaction that wrote it.
    pub fn settle(&mut self, keep: impl Fn(u32) -> Option<u32>) {
        self.written = self.written.and_then(|(id, pending)| keep(pending).map(|pending| (id, pending)));
        self.recorded_unconfigured = self.recorded_unconfigured.and_then(&keep);
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
    /// The relation must be open, inside a transaction.
    pub unsafe fn make(target: pg_sys::Relation) -> Plan {
        // SAFETY: a context that nothing else knows; it is deleted with the plan.
        let context = unsafe {
            let (parent, name) = (pg_sys::CacheMemoryContext, c"audit plan".as_ptr());
            pg_sys::AllocSetContextCreateExtended(parent, name, 0, 1024, 8192)
        };
        // SAFETY: the relation is open.
        let (oid, descriptor, access_method) =
            unsafe { ((*target).rd_id, (*target).rd_att, (*(*target).rd_rel).relam) };
        // SAFETY: the relation is open, inside a transaction.
        let (mut version, settings) = unsafe {
            let settings = enabled_tables::table(target);
            let enabled = settings.as_ref().map(|settings| settings.table);
            (relations::describe(enabled.or_else(|| enabled_tables::origin(target)).unwrap_or(oid)), settings)
        };
        let is_unconfigured = settings.is_none();
        let options = match settings {
            Some(settings) => Options::read(Item::of(&settings.options)),
            // SAFETY: the relation is open, inside a transaction.
            None => unsafe { without_settings(target, &version) },
        };
        // Options name columns of the table that was enabled; a partition may number its own otherwise.
        let enabled = version.oid;
        let named = |column: &ColumnName, attribute: &Attribute| {
            let number = if enabled == oid { attribute.number } else { number_of(enabled, &attribute.name) };
            column.is(&attribute.name, number)
        };
        let columns = columns(descriptor, &options, context, named);
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
        let is_redacted = !options.redacted.is_empty();
        Plan {
            level: options.level,
            statement_use: match (options.level, is_redacted) {
                (Level::Comprehensive, false) => StatementUse::Full,
                (Level::Comprehensive, true) => StatementUse::Redacted,
                _ => StatementUse::Omit,
            },
            key,
            label,
            attributes: relation::attributes(descriptor).count(),
            is_heap: access_method == pg_sys::HEAP_TABLE_AM_OID,
            depends_on_settings: columns.iter().any(|column| column.codec.depends_on_settings()),
            calls_foreign_code: columns.iter().any(|column| column.codec.calls_foreign_code()),
            // SAFETY: the relation is open, inside a transaction.
            acting: unsafe { acting(target, &options) },
            is_unconfigured,
            recorded_unconfigured: None,
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

/// The columns that are recorded, in jsonb's key order, their codecs in the plan's memory.
fn columns(
    descriptor: pg_sys::TupleDesc,
    options: &Options,
    context: pg_sys::MemoryContext,
    named: impl Fn(&ColumnName, &Attribute) -> bool,
) -> Vec<Column> {
    let hash_key = settings::hash_key_file().and_then(|path| redact::key(path).ok());
    let redaction_of = |attribute: &Attribute| {
        let (_, how) = options.redacted.iter().find(|(column, _)| named(column, attribute))?;
        Some(Redaction::named(how, hash_key.as_deref()))
    };
    let mut columns: Vec<Column> = relation::attributes(descriptor)
        .filter(|attribute| !attribute.dropped && !attribute.unstored)
        .filter(|attribute| !options.ignored.iter().any(|ignored| named(ignored, attribute)))
        .map(|attribute| Column {
            index: attribute.index,
            redaction: redaction_of(&attribute),
            codec: Codec::of(attribute.type_id, context),
            length: attribute.length,
            by_value: attribute.by_value,
            name: attribute.name,
        })
        .collect();
    columns.sort_by(|one, other| key_order(&one.name, &other.name));
    columns
}

/// The triggers that record what the options ask for: none on a temporary table, which is never enabled, and which any
/// role may own.
///
/// # Safety
/// The relation must be open, inside a transaction.
unsafe fn acting(target: pg_sys::Relation, options: &Options) -> Acting {
    // SAFETY: per the contract.
    unsafe {
        if (*(*target).rd_rel).relpersistence.cast_unsigned() == pg_sys::RELPERSISTENCE_TEMP {
            return Acting::default();
        }
        let mut acting = triggers::acting(target);
        for (trigger, bit) in acting.iter_mut().zip(triggers::OPERATIONS) {
            if i32::from(options.operations) & bit.cast_signed() == 0 {
                *trigger = Oid::INVALID;
            }
        }
        acting
    }
}

/// What holds for a table that has audit triggers and no settings. It may be one that was restored alone, or one that
/// its owner put in the place of one that is enabled: all is recorded, and what either the triggers or the settings of
/// a table of this name hide is hidden.
///
/// # Safety
/// The relation must be open, inside a transaction.
unsafe fn without_settings(target: pg_sys::Relation, version: &Version) -> Options {
    let mut options = Options::unconfigured();
    // SAFETY: per the contract.
    unsafe {
        if let Some(set) = settings_of_tables::options_by_name(version) {
            options.redact_as(Options::read(Item::of(&set)));
        }
        for seed in triggers::seeds(target) {
            options.redact_as_seed(&seed);
        }
        let names: Vec<_> = relation::attributes((*target).rd_att)
            .filter(|attribute| !attribute.dropped)
            .map(|attribute| attribute.name)
            .collect();
        options.hide_all_if_lost(names.iter().map(Vec::as_slice));
    }
    options
}

/// The number of a column by name.
fn number_of(target: Oid, name: &[u8]) -> i16 {
    let Ok(name) = std::ffi::CString::new(name) else { return 0 };
    // SAFETY: a catalog lookup that returns 0 for a column that is not there.
    unsafe { pg_sys::get_attnum(target, name.as_ptr()) }
}
