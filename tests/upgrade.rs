//! An upgrade of the extension, tried on a made-up step: backends with the library and the plans of before go on
//! writing, and the catalog is afterwards what a new installation has.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used, clippy::panic)]

use audit_testing::{catalog, trail};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use audit_testing::server::{self, Server, wait_until};
use audit_testing::upgrade::{AFTER, BEFORE, DIFFERENCE, LIBRARY, Versions, recorded, upgrade};
use postgres::Client;

/// What readers ask for again and again.
const READ: &str = "SELECT * FROM audit.trail LIMIT 20; SELECT * FROM audit.coverage; SELECT * FROM audit.history('entry', '1');
                    BEGIN; SELECT count(*) FROM audit_internal.contexts; SELECT * FROM audit.trail ORDER BY occurred_at DESC LIMIT 20; COMMIT";

/// Keys that no two backends use.
static KEYS: AtomicU32 = AtomicU32::new(1000);

fn key() -> i32 {
    i32::try_from(KEYS.fetch_add(1, Ordering::Relaxed)).unwrap()
}

/// A transaction that needs a context of its own, a partition of each kind, and an abort of a part.
fn write(client: &mut Client) {
    let (one, two, three) = (key(), key(), key());
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL audit.actor = 'actor {one}'; INSERT INTO entry VALUES ({one}, 'note'); INSERT INTO click VALUES ({two});
             SAVEPOINT part; SET LOCAL audit.actor = 'actor {two}'; INSERT INTO click VALUES ({three}); ROLLBACK TO part;
             UPDATE entry SET note = 'again' WHERE id = {one};
             COMMIT"
        ))
        .unwrap();
}

/// Ends the backends that write, also when an assertion fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_under_way(client: &mut Client) -> bool {
    let sql = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'ALTER EXTENSION%' AND state = 'active'";
    client.query_one(sql, &[]).unwrap().get(0)
}

#[test]
fn backends_go_on_while_the_extension_is_upgraded() {
    let _scripts = Versions::write();
    let server =
        Server::start(&[("shared_preload_libraries", "audit"), ("audit.naptime", "1s"), ("autovacuum", "off")]);
    recorded(&server, "shop");

    let mut prepared = server.connect("shop");
    let statement = prepared.prepare("INSERT INTO entry VALUES ($1, 'prepared')").unwrap();
    prepared.execute(&statement, &[&key()]).unwrap();
    let mut maintaining = server.connect("shop");
    maintaining.batch_execute("CALL audit.maintain()").unwrap();
    // One that has only a snapshot, older than the step, and one that has written and goes on writing while the step
    // waits for it.
    let mut reading = server.connect("shop");
    reading.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM entry").unwrap();
    let mut writing = server.connect("shop");
    writing.batch_execute(&format!("BEGIN; INSERT INTO click VALUES ({})", key())).unwrap();
    let mut watching = server.connect("postgres");

    let ends = AtomicBool::new(false);
    let rounds = AtomicU32::new(0);
    thread::scope(|scope| {
        let _ends = Ends(&ends);
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = server.connect("shop");
                while !ends.load(Ordering::Relaxed) {
                    write(&mut client);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let mut client = server.connect("shop");
            while !ends.load(Ordering::Relaxed) {
                client.batch_execute(READ).unwrap();
            }
        });
        let upgrading = scope.spawn(|| server.psql("shop", &upgrade()));
        wait_until("the upgrade is under way", || is_under_way(&mut watching));
        for turn in 0..40 {
            writing
                .batch_execute(&format!(
                    "SET LOCAL audit.actor = 'patient {turn}'; INSERT INTO entry VALUES ({}, 'while it waits');
                     SELECT audit.record('execution.started', '{{\"name\": \"job {turn}\"}}')",
                    key()
                ))
                .unwrap();
            assert!(is_under_way(&mut watching), "the upgrade did not wait for a transaction that had written");
        }
        let before = rounds.load(Ordering::Relaxed);
        wait_until("others write while the upgrade waits", || rounds.load(Ordering::Relaxed) > before + 10);
        writing.batch_execute("COMMIT").unwrap();
        let upgraded = upgrading.join().unwrap();
        assert_eq!(server::expect_success("the upgrade", &upgraded) + &String::from_utf8_lossy(&upgraded.stderr), "");
        let before = rounds.load(Ordering::Relaxed);
        wait_until("others write after the upgrade", || rounds.load(Ordering::Relaxed) > before + 30);
    });
    prepared.execute(&statement, &[&key()]).unwrap();
    reading.batch_execute(&format!("INSERT INTO click VALUES ({}); COMMIT", key())).unwrap();
    writing.batch_execute(&format!("INSERT INTO click VALUES ({})", key())).unwrap();
    maintaining.batch_execute("CALL audit.maintain()").unwrap();
    for refused in ["ERROR:", "FATAL:", "PANIC:", "deadlock detected"] {
        let lines: Vec<_> = server.log().lines().filter(|line| line.contains(refused)).map(str::to_owned).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }
    expect_upgraded(&server, "shop");
}

/// The trail is whole, all that reads it has an answer, and the catalog is that of a new installation.
fn expect_upgraded(server: &Server, database: &str) {
    let query = |sql: &str| server.query(database, sql);
    assert_eq!(query(DIFFERENCE), "");
    trail::expect_whole(server, database);
    server.create_database("anew");
    server.query("anew", &format!("CREATE EXTENSION audit VERSION '{AFTER}'"));
    catalog::expect_same(server, database, "anew");
    // Partitions that are made from now on have the columns too.
    query(
        "SELECT audit_internal.create_partitions_of('events_data', '2040-01-01', '2040-01-01'), audit_internal.create_partitions_of('contexts', '2040-01-01', '2040-01-01')",
    );
    catalog::expect_partitions_follow(server, database);

    // Of what this library writes, a column that it does not know is null.
    assert_eq!(query("SELECT count(*) > 100, count(made_up) FROM audit.events"), "t|0");
    assert_eq!(query("SELECT count(*) > 10, count(made_up) FROM audit_internal.contexts"), "t|0");
    assert_eq!(query("SELECT name, made_up FROM audit.holds"), "matter|");
    query("SELECT audit.hold('other', 'asked'); SELECT audit.release('matter')");
    assert_eq!(query("SELECT name, made_up FROM audit.holds"), "other|made up");
    assert_eq!(
        query(
            "SELECT count(*) FROM (SELECT audit.event(t.event_id) AS page FROM audit.trail t LIMIT 50) p WHERE p.page IS NOT NULL"
        ),
        "50"
    );
    assert_eq!(
        query("SELECT string_agg(h.event, ' ' ORDER BY h.event_id) FROM audit.history('entry', '1') h"),
        "row.insert row.update"
    );
    query(
        "SELECT * FROM audit.search(max_rows => 10); SELECT * FROM audit.follow(NULL, 10); SELECT audit.related(event_id) FROM audit.trail LIMIT 5",
    );
    let remarks = query("SELECT remarks FROM audit.status()");
    assert!(
        remarks.contains(&format!("library: it is of version {LIBRARY}, the extension of version {AFTER}")),
        "{remarks}"
    );
}

/// What a release is restored from is a dump of the same release; then it is upgraded.
#[test]
fn a_dump_is_restored_as_it_was_and_upgraded() {
    let _scripts = Versions::write();
    let server = Server::start(&[]);
    recorded(&server, "shop");
    let dump = server.host().join("shop.dump");
    let dump = dump.to_str().unwrap();
    server.run("pg_dump", &["--format=custom", "--file", dump, "shop"]);
    server.create_database("restored");
    server.query("restored", &format!("CREATE EXTENSION audit VERSION '{BEFORE}'"));
    server.run("pg_restore", &["--exit-on-error", "--dbname=restored", dump]);
    server.query("restored", "INSERT INTO entry VALUES (2, 'restored')");
    server.query("restored", &upgrade());
    server.query("restored", "INSERT INTO entry VALUES (3, 'upgraded')");
    assert_eq!(server.query("restored", DIFFERENCE), "");
    catalog::expect_partitions_follow(&server, "restored");

    // And so is one of the release after it.
    server.run("pg_dump", &["--format=custom", "--file", dump, "restored"]);
    server.create_database("again");
    server.query("again", &format!("CREATE EXTENSION audit VERSION '{AFTER}'"));
    server.run("pg_restore", &["--exit-on-error", "--dbname=again", dump]);
    server.query("again", "INSERT INTO entry VALUES (4, 'again')");
    assert_eq!(server.query("again", DIFFERENCE), "");
    catalog::expect_same(&server, "restored", "again");
}
