//! An archive on its way back: its dictionary rows where they are missing, its events into a table that is not yet part
//! of the trail. Written without logical replication: subscribers received these events when they were recorded.

use audit_model::{Column, DataType};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};
use pgrx::spi::Spi;
use pgrx::{FromDatum, IntoDatum, JsonB};

use super::archiver::Archiver;
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::opened::Opened;
use crate::pg::scan;
use crate::store::partition::{self, Parent};
use crate::store::{append, open};
use audit_model::schema::{contexts, nodes, relations, sessions};

/// Lines that are loaded at a time.
const BATCH: usize = 1000;

entry_point!(audit_read_archive, pg_finfo_audit_read_archive, read_archive);

/// The dictionaries by how their lines begin, with the query that makes rows of those lines that are missing, and the
/// number of the column that their partitions are divided by.
const DICTIONARIES: [(&[u8], Parent, &str, i16); 4] = [
    (
        b"{\"node\"",
        Parent::Nodes,
        "SELECT d.* FROM unnest($1) l, jsonb_populate_record(NULL::audit_internal.nodes, convert_from(l, 'UTF8')::jsonb->'node') d
         WHERE NOT EXISTS (SELECT FROM audit_internal.nodes k WHERE k.node_id = d.node_id)",
        nodes::NODE_ID,
    ),
    (
        b"{\"relation\"",
        Parent::Relations,
        "SELECT d.* FROM unnest($1) l, jsonb_populate_record(NULL::audit_internal.relations, convert_from(l, 'UTF8')::jsonb->'relation') d
         WHERE NOT EXISTS (SELECT FROM audit_internal.relations k WHERE k.node_id = d.node_id AND k.relation_id = d.relation_id)",
        relations::RELATION_ID,
    ),
    (
        b"{\"session\"",
        Parent::Sessions,
        "SELECT d.* FROM unnest($1) l, jsonb_populate_record(NULL::audit.sessions, convert_from(l, 'UTF8')::jsonb->'session') d
         WHERE NOT EXISTS (SELECT FROM audit.sessions k WHERE k.node_id = d.node_id AND k.session_id = d.session_id)",
        sessions::SESSION_ID,
    ),
    (
        b"{\"context\"",
        Parent::Contexts,
        "SELECT d.* FROM unnest($1) l, jsonb_populate_record(NULL::audit_internal.contexts, convert_from(l, 'UTF8')::jsonb->'context') d
         WHERE NOT EXISTS (SELECT FROM audit_internal.contexts k WHERE k.node_id = d.node_id AND k.context_id = d.context_id)",
        contexts::CONTEXT_ID,
    ),
];

/// Rows of audit.events from the lines in $1, with the retention in $2.
fn events_query() -> String {
    let value = |column: &Column| {
        let position = *column as usize;
        match column.data_type() {
            _ if *column == Column::RetentionId => "$2".to_owned(),
            DataType::Jsonb => format!("nullif(d->{position}, 'null')"),
            DataType::Text => format!("d->>{position}"),
            other => format!("(d->>{position})::{}", other.name()),
        }
    };
    let values: Vec<_> = Column::ALL.iter().map(value).collect();
    format!("SELECT {} FROM unnest($1) l, convert_from(l, 'UTF8') t, CAST(t AS jsonb) d", values.join(", "))
}

/// `audit_internal.read_archive(request jsonb, destination regclass, retention_id integer) returns bigint`: returns how
/// many events have been loaded.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn read_archive(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: those of the current call.
    let arguments = unsafe { Arguments::new(arguments) };
    // SAFETY: the first argument is a jsonb.
    let request = arguments.datum(0).and_then(|request| unsafe { JsonB::from_datum(request, false) });
    let (Some(request), Some(destination), Some(retention_id)) = (request, arguments.oid(1), arguments.datum(2)) else {
        Error::Internal { problem: "read_archive takes no null".into() }.raise()
    };
    let mut archiver = Archiver::start("read", &request.0);
    archiver.close();
    let mut loader = Loader {
        destination,
        retention_id: retention_id.value() as i32,
        lines: Vec::new(),
        events_query: events_query(),
        of: None,
    };
    let mut events = 0_i64;
    while let Some(line) = archiver.line() {
        let kind = kind_of(line);
        if loader.of != Some(kind) || loader.lines.len() >= BATCH {
            // SAFETY: inside a transaction that may write.
            unsafe { loader.load() };
            loader.of = Some(kind);
        }
        if kind != Kind::Other {
            events += i64::from(kind == Kind::Event);
            loader.lines.push(line.to_vec());
        }
    }
    // SAFETY: inside a transaction that may write.
    unsafe { loader.load() };
    events.into_datum().unwrap_or(Datum::null())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    Dictionary(usize),
    /// The head, an event type, the end.
    Other,
}

fn kind_of(line: &[u8]) -> Kind {
    if line.starts_with(b"[") {
        return Kind::Event;
    }
    DICTIONARIES.iter().position(|(key, ..)| line.starts_with(key)).map_or(Kind::Other, Kind::Dictionary)
}

/// Lines of one kind, to be loaded together.
struct Loader {
    destination: Oid,
    retention_id: i32,
    lines: Vec<Vec<u8>>,
    events_query: String,
    of: Option<Kind>,
}

impl Loader {
    /// # Safety
    /// Must run inside a transaction that may write.
    unsafe fn load(&mut self) {
        pgrx::check_for_interrupts!();
        let lines = core::mem::take(&mut self.lines);
        // SAFETY: per the contract; the queries make rows of the tables' types.
        unsafe {
            match self.of {
                Some(Kind::Event) => {
                    let arguments = [lines.into(), self.retention_id.into()];
                    insert_rows(&self.events_query, &arguments, |_, _| (self.destination, None));
                }
                Some(Kind::Dictionary(position)) => {
                    let (_, parent, query, column) = DICTIONARIES[position];
                    insert_rows(query, &[lines.into()], |tuple, descriptor| {
                        let key = scan::attribute(tuple, column, descriptor).map_or(0, |key| match parent {
                            Parent::Nodes | Parent::Relations => i64::from(key.value() as i32),
                            _ => key.value() as i64,
                        });
                        (partition::find(parent, key).0, Some((parent, key)))
                    });
                }
                _ => {}
            }
        }
    }
}

/// Inserts what a query returns into the table that `place` says.
///
/// # Safety
/// The rows must be of the tables' types; inside a transaction that may write.
unsafe fn insert_rows(
    query: &str,
    arguments: &[pgrx::datum::DatumWithOid],
    mut place: impl FnMut(pg_sys::HeapTuple, pg_sys::TupleDesc) -> (Oid, Option<(Parent, i64)>),
) {
    Spi::connect_mut(|client| {
        if let Err(error) = client.select(query, None, arguments) {
            Error::Internal { problem: format!("could not read the lines of an archive: {error}") }.raise();
        }
        // SAFETY: the result of the query above, which lives until the connection ends.
        unsafe {
            let table = pg_sys::SPI_tuptable;
            let count = usize::try_from((*table).numvals).unwrap_or(0);
            let options = pg_sys::HEAP_INSERT_NO_LOGICAL.cast_signed();
            for position in 0..count {
                let tuple = *(*table).vals.add(position);
                match place(tuple, (*table).tupdesc) {
                    (_, Some((parent, key))) => {
                        let partition = open::table(parent, key);
                        append::insert_with(partition.relation, partition.oid, tuple, options);
                    }
                    (destination, None) => {
                        let opened = Opened::table(destination, pg_sys::RowExclusiveLock);
                        append::insert_with(opened.as_ptr(), destination, tuple, options);
                    }
                }
            }
            pg_sys::CommandCounterIncrement();
        }
    });
}
