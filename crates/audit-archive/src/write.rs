//! Writing an archive: from dictionaries and events on standard input to files that were read back.

use std::io::{BufRead, Write as _};
use std::time::Instant;

use audit_model::Column;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use crate::dictionary::{Dictionaries, Entry};
use crate::digest::{self, Digesting};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::key::{self, Key};
use crate::lines::Lines;
use crate::manifest::{FORMAT, File, Format, Manifest, Names};
use crate::request::{Subject, Write};
use crate::store::{self, Store, Upload};
use crate::table::{Resolver, Table};
use crate::verify::verify;

/// What the caller learns of a finished archive.
#[derive(Serialize)]
pub struct Written {
    manifest: Manifest,
    manifest_file: String,
    manifest_sha256: String,
    seconds: Seconds,
}

/// Where the time went.
#[derive(Default, Serialize)]
struct Seconds {
    write: f64,
    complete: f64,
    verify: f64,
}

/// Writes an archive. One with the same id is overwritten, so that an interrupted attempt is simply repeated.
pub fn write(request: Write, input: &mut impl BufRead) -> Result<Written> {
    check_columns(&request.subject)?;
    let store = store::open(&request.place)?;
    let keys = match &request.place.key_file {
        Some(path) => key::read(path)?,
        None => Vec::new(),
    };
    let subject = request.subject;
    let names = Names::of(
        &subject.archive_id,
        &subject.category,
        &subject.server,
        &subject.partition,
        subject.since.as_deref(),
    )?;
    // Until it is finished again, it is not finished.
    store.remove(&names.manifest())?;

    let outcome = write_files(store.as_ref(), subject, &names, &keys, input);
    // The first failure is the one to report. A store that has stopped answering is not waited for again: what stays
    // there is no archive, and goes with the next attempt or with the removal.
    if outcome.as_ref().is_err_and(|failure| failure.kind != Kind::Unreachable) {
        let _ = names.all().iter().try_for_each(|name| store.remove(name).map(|_| ()));
    }
    outcome
}

/// The order of an event's values is that of a known version of `audit.events`.
fn check_columns(subject: &Subject) -> Result<()> {
    let names: Vec<&str> = subject.columns.iter().map(|column| column.name.as_str()).collect();
    let expected: Vec<&str> = Column::ARCHIVED.iter().map(|column| column.name()).collect();
    if names == expected {
        return Ok(());
    }
    Err(Failure::bad_request(format!("columns of events are not {} but {}", expected.join(", "), names.join(", ")))
        .hint("Install audit-archive and the extension in the same version."))
}

fn write_files(
    store: &dyn Store,
    subject: Subject,
    names: &Names,
    keys: &[Key],
    input: &mut impl BufRead,
) -> Result<Written> {
    let key = keys.first();
    let mut seconds = Seconds::default();
    let began = Instant::now();
    let table_name = names.parquet();
    let lines_name = names.lines(key.is_some());
    let mut table = Table::new(Digesting::new(store.create(&table_name)?), &subject, key)?;
    let mut lines = Lines::new(Digesting::new(store.create(&lines_name)?), key)?;
    lines.append(&head(&subject)?)?;
    let received = receive(&subject.category, input, &mut lines, &mut table)?;
    let (lines, line_count) = lines.finish()?;
    let table = table.finish()?;
    seconds.write = since(began);

    let began = Instant::now();
    let encrypted = key.is_some();
    let complete = |stored: Digesting<Box<dyn Upload>>, name: &str, format, rows| {
        let (upload, bytes, sha256) = stored.finish();
        upload.complete()?;
        Ok(File { name: name.to_string(), format, bytes, sha256, encrypted, rows })
    };
    let files = vec![
        complete(table, &table_name, Format::Parquet, received.events)?,
        complete(lines, &lines_name, Format::Lines, line_count)?,
    ];
    // What an attempt left that was made with a key, or without one.
    store.remove(&names.lines(!encrypted))?;
    seconds.complete = since(began);

    let began = Instant::now();
    let manifest = Manifest {
        format: FORMAT,
        subject,
        servers: received.servers,
        events: received.events,
        first_event_at: received.times.map(|(first, _)| timestamp(first)),
        last_event_at: received.times.map(|(_, last)| timestamp(last)),
        first_event_id: received.first_id,
        last_event_id: received.last_id,
        recipient: key.map(|key| key.recipient().to_string()),
        files,
    };
    verify(store, &manifest, keys)?;
    let manifest_sha256 = write_manifest(store, &manifest, &names.manifest())?;
    seconds.verify = since(began);
    Ok(Written { manifest, manifest_file: names.manifest(), manifest_sha256, seconds })
}

/// The first line says what the lines are of, for those who have nothing but them.
fn head(subject: &Subject) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Head<'a> {
        archive: &'a Subject,
    }
    serde_json::to_vec(&Head { archive: subject }).map_err(|error| Failure::internal(error.to_string()))
}

/// What was learnt of the events on their way.
#[derive(Default)]
struct Received {
    events: u64,
    times: Option<(i64, i64)>,
    first_id: Option<String>,
    last_id: Option<String>,
    servers: Vec<String>,
}

fn receive(
    category: &str,
    input: &mut impl BufRead,
    lines: &mut Lines,
    table: &mut Table<Digesting<Box<dyn Upload>>>,
) -> Result<Received> {
    let mut dictionaries = Dictionaries::new();
    let mut resolver = Resolver::default();
    let mut received = Received::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        input.read_until(b'\n', &mut line).map_err(|error| Failure::io("could not read the events", error))?;
        let Some(text) = line.strip_suffix(b"\n") else {
            return Err(Failure::bad_request("the input ended before its end line")
                .hint("The backend that sent the events has stopped; nothing was kept."));
        };
        let text = std::str::from_utf8(text).map_err(|_| Failure::bad_request("a line is not in UTF-8"))?;
        if text.starts_with('[') {
            let event: Event = serde_json::from_str(text)
                .map_err(|error| Failure::bad_request(format!("an event is not understood: {error}")))?;
            // The files are filed under it.
            if *event.category != *category {
                return Err(Failure::bad_request(format!("an event of category {} came", &*event.category)));
            }
            let at = resolver.append(&event, &mut dictionaries, table)?;
            received.count(&event, at);
        } else {
            let entry = serde_json::from_str(text)
                .map_err(|error| Failure::bad_request(format!("a line is not understood: {error}")))?;
            match entry {
                Entry::Session(row) => dictionaries.sessions.add(row.get())?,
                Entry::Context(row) => dictionaries.contexts.add(row.get())?,
                Entry::Relation(row) => dictionaries.add_relation(row)?,
                Entry::Node(row) => dictionaries.add_node(row)?,
                Entry::EventType(row) => dictionaries.add_event_type(row)?,
                Entry::End(end) => {
                    if end.events != received.events {
                        let message = format!("{} events came, {} were announced", received.events, end.events);
                        return Err(Failure::bad_request(message));
                    }
                    lines.append(text.as_bytes())?;
                    received.servers = dictionaries.servers().into_iter().collect();
                    return Ok(received);
                }
            }
        }
        lines.append(text.as_bytes())?;
    }
}

impl Received {
    fn count(&mut self, event: &Event<'_>, at: i64) {
        self.events += 1;
        self.times = Some(self.times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        if self.first_id.is_none() {
            self.first_id = Some(event.event_id.to_string());
        }
        let last = self.last_id.get_or_insert_default();
        last.clear();
        last.push_str(&event.event_id);
    }
}

/// Writes the manifest, reads it back and returns its digest.
fn write_manifest(store: &dyn Store, manifest: &Manifest, name: &str) -> Result<String> {
    let text = manifest.text()?;
    let shown = store.describe(name);
    let mut upload = store.create(name)?;
    upload.write_all(text.as_bytes()).map_err(|error| Failure::io(format_args!("could not write {shown}"), error))?;
    upload.complete()?;
    let (expected, found) =
        (digest::of(text.as_bytes()), digest::of(&store::read_whole(store, name, text.len() as u64 + 1)?));
    if found == expected { Ok(expected) } else { Err(crate::manifest::tampered(&shown, &expected, &found)) }
}

fn since(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}

/// ISO 8601 in UTC.
fn timestamp(microseconds: i64) -> String {
    DateTime::from_timestamp_micros(microseconds).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}
