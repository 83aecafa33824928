//! Following the trail while others write to it, on a standby, and where events come from elsewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use audit_testing::server::{Server, wait_until};
use postgres::Client;

/// A server whose database `postgres` audits `t (id, note)`.
fn audited(settings: &[(&str, &str)]) -> Server {
    let server = Server::start(settings);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE t (id serial PRIMARY KEY, note text); SELECT audit.enable('t')",
    );
    server
}

/// A reader of the trail: where it stands, and what it has read.
struct Reader {
    cursor: Option<String>,
    events: Vec<String>,
}

impl Reader {
    fn new() -> Reader {
        Reader { cursor: None, events: Vec::new() }
    }

    /// Reads a page and returns how many events it had.
    fn poll(&mut self, client: &mut Client, page: i32) -> usize {
        let sql = "SELECT f.cursor, f.event_id::text, f.document->>'event_id' FROM audit.follow($1, $2) f";
        let rows = client.query(sql, &[&self.cursor, &page]).unwrap();
        for row in &rows {
            self.cursor = row.get(0);
            self.events.push(row.get(1));
            assert_eq!(row.get::<_, String>(1), row.get::<_, String>(2));
        }
        rows.len()
    }

    fn finish(&mut self, client: &mut Client) {
        while self.poll(client, 50) > 0 {}
    }
}

/// Asserts that a reader has read every event of the trail once.
#[track_caller]
fn expect_all(reader: &Reader, server: &Server) {
    let trail = server.query("postgres", "SELECT event_id FROM audit.trail");
    let trail: HashSet<_> = trail.lines().map(str::to_owned).collect();
    let read: HashSet<_> = reader.events.iter().cloned().collect();
    assert_eq!(read.len(), reader.events.len(), "an event was read twice");
    assert_eq!(read.symmetric_difference(&trail).count(), 0, "{} of {} events were read", read.len(), trail.len());
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Transactions of any length, in pieces, with savepoints, rolled back, prepared and finished by others later.
fn write(server: &Server, writer: u64, until: Instant) {
    let mut client = server.connect("postgres");
    let mut numbers = Numbers(0x9E37_79B9 + writer);
    let mut prepared = Vec::new();
    let mut count = 0;
    while Instant::now() < until {
        client.batch_execute("BEGIN").unwrap();
        for _ in 0..numbers.below(4) + 1 {
            let insert = format!("INSERT INTO t (note) SELECT 'x' FROM generate_series(1, {})", numbers.below(5) + 1);
            let sql = match numbers.below(4) {
                0 => format!("SAVEPOINT a; {insert}; ROLLBACK TO a"),
                1 => format!("SAVEPOINT a; {insert}; RELEASE a"),
                _ => insert,
            };
            client.batch_execute(&sql).unwrap();
            thread::sleep(Duration::from_millis(numbers.below(12)));
        }
        count += 1;
        let name = format!("w{writer}_{count}");
        match numbers.below(8) {
            0 => client.batch_execute("ROLLBACK").unwrap(),
            1 => {
                client.batch_execute(&format!("PREPARE TRANSACTION '{name}'")).unwrap();
                prepared.push(name);
            }
            _ => client.batch_execute("COMMIT").unwrap(),
        }
        if prepared.len() > 1 {
            let end = if numbers.below(3) == 0 { "ROLLBACK" } else { "COMMIT" };
            client.batch_execute(&format!("{end} PREPARED '{}'", prepared.remove(0))).unwrap();
        }
    }
    for name in prepared {
        client.batch_execute(&format!("COMMIT PREPARED '{name}'")).unwrap();
    }
}

#[test]
fn every_event_is_read_once_while_others_write() {
    let server = audited(&[]);
    let until = Instant::now() + Duration::from_secs(6);
    let mut readers = [Reader::new(), Reader::new(), Reader::new()];
    thread::scope(|scope| {
        for writer in 0..4 {
            let server = &server;
            scope.spawn(move || write(server, writer, until));
        }
        for (reader, page) in readers.iter_mut().zip([1, 7, 1000]) {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.connect("postgres");
                while Instant::now() < until {
                    if reader.poll(&mut client, page) == 0 {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
    });
    let mut client = server.connect("postgres");
    for reader in &mut readers {
        assert!(reader.events.len() > 100, "only {} events were read meanwhile", reader.events.len());
        reader.finish(&mut client);
        expect_all(reader, &server);
    }
}

/// A standby is followed as its primary is, and goes on being followed when it has become one.
#[test]
fn a_standby_is_followed_past_its_promotion() {
    let primary = audited(&[]);
    primary.query("postgres", "INSERT INTO t (note) VALUES ('before')");
    let standby = primary.standby();
    let mut reader = Reader::new();
    let mut client = standby.connect("postgres");
    reader.finish(&mut client);
    expect_all(&reader, &standby);
    assert!(!reader.events.is_empty());

    let mut open = primary.connect("postgres");
    open.batch_execute("BEGIN; INSERT INTO t (note) VALUES ('late')").unwrap();
    primary.query("postgres", "INSERT INTO t (note) VALUES ('quick')");
    replayed(&primary, &standby);
    reader.finish(&mut client);
    open.batch_execute("COMMIT").unwrap();
    replayed(&primary, &standby);
    reader.finish(&mut client);
    expect_all(&reader, &standby);
    let on_primary = reader.cursor.clone();

    standby.query("postgres", "SELECT pg_promote()");
    standby.query("postgres", "INSERT INTO t (note) VALUES ('after')");
    reader.finish(&mut client);
    expect_all(&reader, &standby);

    // What went on elsewhere is not taken for what this server has.
    primary.query("postgres", "INSERT INTO t (note) SELECT 'x' FROM generate_series(1, 3)");
    let mut reader = Reader { cursor: on_primary, events: Vec::new() };
    let mut client = primary.connect("postgres");
    reader.finish(&mut client);
    assert_eq!(reader.events.len(), 3);
}

fn replayed(primary: &Server, standby: &Server) {
    let written = primary.query("postgres", "SELECT pg_current_wal_lsn()");
    let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
    wait_until("the standby has replayed", || standby.query("postgres", &sql) == "t");
}

/// A restored trail is read whole, with what the new server adds; a cursor of the old server goes on in it.
#[test]
fn a_restored_trail_is_followed() {
    let old = audited(&[]);
    old.query("postgres", "INSERT INTO t (note) VALUES ('read')");
    let mut reader = Reader::new();
    reader.finish(&mut old.connect("postgres"));
    let read = reader.events.len();
    old.query("postgres", "INSERT INTO t (note) VALUES ('written later'), ('and more')");

    let new = Server::start(&[]);
    old.dump_and_restore("postgres", &new, "restored", &[]);
    new.query("restored", "INSERT INTO t (note) VALUES ('written here')");
    let mut client = new.connect("restored");
    reader.finish(&mut client);
    let events = |sql: &str| new.query("restored", sql).lines().map(str::to_owned).collect::<HashSet<_>>();
    let trail = events("SELECT event_id FROM audit.trail");
    assert_eq!(reader.events.iter().cloned().collect::<HashSet<_>>(), trail);
    assert_eq!(reader.events.len(), trail.len());
    assert!(trail.len() > read + 2);
    let mut whole = Reader::new();
    whole.finish(&mut client);
    assert_eq!(whole.events.iter().cloned().collect::<HashSet<_>>(), trail);
    assert_eq!(whole.events.len(), trail.len());
}

/// Where a subscription brings the events of others, no order of this server's says which are still to come.
#[test]
fn a_gathered_trail_is_refused() {
    let server = audited(&[]);
    let other = audited(&[("audit.replicate", "on")]);
    let partition = other.query(
        "postgres",
        "SELECT partition FROM audit.partitions WHERE parent = 'events_data' AND since <= now() AND until > now()",
    );
    other.query("postgres", &format!("CREATE PUBLICATION p FOR TABLE {partition}"));
    let connection = format!("host={} port={} user=postgres dbname=postgres", other.host().display(), other.port());
    server.query("postgres", &format!("CREATE SUBSCRIPTION s CONNECTION '{connection}' PUBLICATION p"));
    let output = server.psql("postgres", "SELECT * FROM audit.follow()");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("55000: this trail receives events of other servers by subscription"), "{errors}");
    assert!(errors.contains("HINT:  Follow the trail of each server on that server."), "{errors}");
}
