//! A partition on its way to an archive: its dictionaries first, then its events in the order of time.

use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::spi::Spi;
use pgrx::{FromDatum, IntoDatum, JsonB};

use super::archiver::{self, Archiver};
use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::injection;

/// Rows that are fetched at a time.
const BATCH: i64 = 1000;

entry_point!(audit_write_archive, pg_finfo_audit_write_archive, write_archive);

/// `audit_internal.write_archive(request jsonb, queries text[]) returns jsonb`: runs the queries in turn, each of one
/// column of lines in UTF-8, sends them, the last one's being the events, and returns the archiver's answer with their
/// count.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn write_archive(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        let request = arguments.datum(0).and_then(|request| JsonB::from_datum(request, false));
        let queries = arguments.datum(1).and_then(|queries| Vec::<String>::from_datum(queries, false));
        let (Some(request), Some(queries)) = (request, queries) else {
            Error::Internal { problem: "write_archive takes no null".into() }.raise()
        };
        let mut archiver = Archiver::start("write", &request.0);
        let mut events = 0;
        for query in &queries {
            events = send_rows(&mut archiver, query);
        }
        injection::reach("archive.sent");
        archiver.send(format!("{{\"end\":{{\"events\":{events}}}}}").as_bytes());
        archiver.close();
        let answer = archiver::answer(&mut archiver);
        injection::reach("archive.written");
        answer.into_datum().unwrap_or(Datum::null())
    }
}

fn unread(error: &pgrx::spi::Error) -> ! {
    Error::Internal { problem: format!("could not read what is to be archived: {error}") }.raise()
}

fn send_rows(archiver: &mut Archiver, query: &str) -> u64 {
    let mut sent = 0;
    Spi::connect(|client| {
        let mut cursor = client.open_cursor(query, &[]);
        loop {
            let rows = cursor.fetch(BATCH).unwrap_or_else(|error| unread(&error));
            if rows.is_empty() {
                break;
            }
            for row in rows {
                match row.get::<&[u8]>(1) {
                    Ok(Some(line)) => archiver.send(line),
                    Ok(None) => Error::Internal { problem: "a line of an archive is null".into() }.raise(),
                    Err(error) => unread(&error),
                }
                sent += 1;
            }
            pgrx::check_for_interrupts!();
        }
    });
    sent
}
