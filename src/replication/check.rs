//! Which rows a subscription may insert: those that the other server could have written by itself.
//!
//! A BEFORE ROW trigger meets a row before PostgreSQL checks NOT NULL and the partition's bounds (ExecSimpleRelationInsert in
//! executor/execReplication.c, CopyFrom in commands/copyfrom.c), and a row that is routed to the overflow meets no further
//! check. So everything that readers and maintenance rely on is checked here.

use audit_model::schema::{contexts, relations};
use audit_model::{Category, Column, EventType};
use pgrx::pg_sys::{self, Datum, Oid};

use crate::error::Error;
use crate::jsonb::{Container, Kind};
use crate::pg::{clock, scan, version};
use crate::store::namespace;

/// How far the clock of another server may be ahead of this one's, in microseconds.
const AHEAD: i64 = 86_400_000_000;

/// The table that a partition belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Events,
    Overflow,
    Nodes,
    Sessions,
    Contexts,
    Relations,
}

impl Table {
    /// By the name of the partition, which begins with that of the table.
    pub fn of_partition(name: &[u8]) -> Option<Table> {
        let tables: [(&[u8], Table); 6] = [
            (b"events_overflow", Table::Overflow),
            (b"events_", Table::Events),
            (b"nodes_", Table::Nodes),
            (b"sessions_", Table::Sessions),
            (b"contexts_", Table::Contexts),
            (b"relations_", Table::Relations),
        ];
        tables.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, table)| table)
    }
}

/// Raises an error for a row that the other server cannot have written.
///
/// # Safety
/// The row must be of `partition`, which must be open and belong to `table`.
pub unsafe fn row(partition: pg_sys::Relation, table: Table, row: pg_sys::HeapTuple) {
    // SAFETY: per the contract; the numbers of the columns are those of the descriptor.
    unsafe {
        let descriptor = (*partition).rd_att;
        for index in 0..usize::try_from((*descriptor).natts).unwrap_or(0) {
            let column = &*version::attribute(descriptor, index);
            let problem = match scan::attribute(row, column.attnum, descriptor) {
                None if column.attnotnull && !column.attisdropped => Some("is null"),
                Some(value) if column.atttypid == pg_sys::TIMESTAMPTZOID => time_problem(value),
                Some(value) if column.atttypid == pg_sys::JSONBOID => {
                    document_problem(table, column.attnum, Container::root(scan::payload(value)))
                }
                _ => None,
            };
            if let Some(problem) = problem {
                let name = crate::pg::relation::name(&column.attname);
                refuse((*partition).rd_id, format!("column \"{}\" {problem}", String::from_utf8_lossy(name)));
            }
        }
        if matches!(table, Table::Events | Table::Overflow)
            && let Some(problem) = event_problem(table, |column| scan::attribute(row, column.number(), descriptor))
        {
            refuse((*partition).rd_id, problem.into());
        }
    }
}

/// Raises the error that stops the subscription.
pub fn refuse(partition: Oid, problem: String) -> ! {
    Error::AppliedRow { table: namespace::qualified_name(partition), problem }.raise()
}

/// Times are counted from 2000-01-01 on; infinity is the largest number, -infinity the smallest.
fn time_problem(time: Datum) -> Option<&'static str> {
    let time = time.value().cast_signed() as i64;
    if time < 0 {
        Some("is a time before 2000")
    } else if time > clock::now().saturating_add(AHEAD) {
        Some("is a time more than one day ahead of this server's clock")
    } else {
        None
    }
}

fn document_problem(table: Table, column: i16, document: Container) -> Option<&'static str> {
    let is = |expected: Column| expected.number() == column;
    match table {
        Table::Events | Table::Overflow if is(Column::Changes) => {
            (!document.is_array() && !document.is_object()).then_some("is neither a JSON array nor an object")
        }
        Table::Events | Table::Overflow if is(Column::Image) => array_problem(document),
        Table::Events | Table::Overflow if is(Column::Parameters) => object_problem(document),
        Table::Contexts if [contexts::CONTEXT, contexts::STATEMENT_PARAMETERS].contains(&column) => {
            object_problem(document)
        }
        Table::Relations if column == relations::COLUMNS => array_problem(document),
        Table::Relations if column == relations::RECORDED_COLUMNS => {
            (!document.is_array() || !has_only_strings(document)).then_some("is not a JSON array of strings")
        }
        _ => None,
    }
}

fn object_problem(document: Container) -> Option<&'static str> {
    (!document.is_object()).then_some("is not a JSON object")
}

fn array_problem(document: Container) -> Option<&'static str> {
    (!document.is_array()).then_some("is not a JSON array")
}

fn has_only_strings(document: Container) -> bool {
    document.elements().all(|element| element.kind == Kind::String)
}

/// # Safety
/// `value` must give the columns of an event, which are not NULL where the model says so.
unsafe fn event_problem(table: Table, value: impl Fn(Column) -> Option<Datum>) -> Option<&'static str> {
    // SAFETY: a text, an integer and a jsonb, per the contract.
    unsafe {
        let category = value(Column::Category).and_then(|category| core::str::from_utf8(scan::payload(category)).ok());
        let category = category.and_then(Category::named);
        let is_update =
            value(Column::EventType).is_some_and(|number| number.value() as i32 == EventType::RowUpdate.number());
        let changes = value(Column::Changes).map(|changes| Container::root(scan::payload(changes)));
        if table == Table::Overflow {
            Some("only this server writes to the overflow")
        } else if value(Column::RetentionId).is_some() {
            Some("column \"retention_id\" is not null, which only this server sets")
        } else if category.is_none() {
            Some("column \"category\" is none of the categories")
        } else if is_update && changes.is_some_and(|changes| changes.is_array() && !has_only_strings(changes)) {
            Some("column \"changes\" has names that are not strings")
        } else {
            None
        }
    }
}
