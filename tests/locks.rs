//! What only one session does at a time is kept from others by locks that nobody else can take.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::thread;

use audit_testing::maintenance::{make_work, overflow};
use audit_testing::server::{Server, wait_until};
use postgres::Client;
use postgres::error::SqlState;

/// A server on which nobody but the test does maintenance, whose database `postgres` has an event in the overflow.
fn start() -> Server {
    let server = Server::start(&[("max_worker_processes", "0"), ("deadlock_timeout", "100ms")]);
    make_work(&server, "postgres");
    server
}

fn is_true(client: &mut Client, sql: &str) -> bool {
    client.query_one(sql, &[]).unwrap().get(0)
}

/// Advisory locks need no right. Those that earlier versions took mean nothing now, nor does what else a login can
/// lock.
#[test]
fn locks_of_any_login_stop_nothing() {
    let server = start();
    server.query("postgres", "CREATE ROLE mallory LOGIN");
    let mut mallory = server.connect_as("mallory", "postgres");
    mallory
        .batch_execute(
            "BEGIN;
             SELECT pg_advisory_lock(1635083369, n) FROM generate_series(0, 9) n;
             SELECT pg_advisory_lock(1635083369, 't'::regclass::oid::integer), pg_advisory_lock(1635083369::bigint << 32 | 1);
             COMMENT ON TABLE t IS 'mine'",
        )
        .unwrap_err();
    mallory.batch_execute("ROLLBACK").unwrap();
    // Of the locks above those of the session are left.
    let held = "SELECT count(*) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = 1635083369";
    assert_eq!(server.query("postgres", held), "12");
    let done = server.query(
        "postgres",
        "SET lock_timeout = '2s';
         SELECT audit.enable('t', level => 'comprehensive');
         SELECT audit.define_event_type('order.seen');
         SELECT audit.set_retention('data', keep => '1 year');
         SELECT audit.hold('case', 'why');
         SELECT audit.release('case');
         SELECT count(*) FROM audit.prune();
         SELECT audit.gather() IS NOT NULL;
         CALL audit.maintain();",
    );
    assert_eq!(done.split_whitespace().collect::<Vec<_>>(), ["0", "t"]);
    assert_eq!(overflow(&server, "postgres"), 0);
}

/// A session that really is at work is met: maintenance leaves it alone, and what is done by hand says so or waits.
#[test]
fn a_session_at_work_is_met() {
    let server = start();
    let mut busy = server.connect("postgres");
    busy.batch_execute("BEGIN; SELECT audit_internal.lock('maintenance'), audit_internal.lock('retention')").unwrap();
    let locks = "SELECT l.classid::regclass || ' ' || e.extname || ' ' || l.objsubid || ' ' || l.mode FROM pg_locks l
                 JOIN pg_extension e ON e.oid = l.objid WHERE l.locktype = 'object' ORDER BY l.objsubid";
    assert_eq!(
        server.query("postgres", locks),
        "pg_extension audit 1 ExclusiveLock\npg_extension audit 5 ExclusiveLock"
    );
    let output = server.psql("postgres", "CALL audit.maintain()");
    assert!(String::from_utf8_lossy(&output.stderr).contains("maintenance is running in another session"));
    assert_eq!(overflow(&server, "postgres"), 1);
    let mut other = server.connect("postgres");
    let error = other.batch_execute("SELECT audit.prune()").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "maintenance is running in another session");
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    let error = other.batch_execute("SET lock_timeout = '100ms'; SELECT audit.hold('case', 'why')").unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));

    // Who waits for locks in another order is told so.
    other.batch_execute("RESET lock_timeout; BEGIN; SELECT audit_internal.lock('partitions')").unwrap();
    let waiting = thread::spawn(move || other.batch_execute("SELECT audit_internal.lock('retention'); COMMIT"));
    wait_until("it waits", || {
        server.query("postgres", "SELECT count(*) FROM pg_locks l WHERE l.locktype = 'object' AND NOT l.granted") == "1"
    });
    let deadlocked = |error: &postgres::Error| error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED);
    let first = busy.batch_execute("SELECT audit_internal.lock('partitions')");
    busy.batch_execute("ROLLBACK").unwrap();
    let second = waiting.join().unwrap();
    assert!(first.as_ref().err().is_some_and(deadlocked) != second.as_ref().err().is_some_and(deadlocked));

    server.query("postgres", "CALL audit.maintain()");
    assert_eq!(overflow(&server, "postgres"), 0);
}

/// The worker that waits for writers of the overflow is the only one as long as its session lasts.
#[test]
fn one_worker_waits_until_its_session_ends() {
    let server = start();
    let (mut first, mut second) = (server.connect("postgres"), server.connect("postgres"));
    let sql = "SELECT audit_internal.try_lock('overflow_waiter')";
    assert!(is_true(&mut first, sql));
    assert!(!is_true(&mut second, sql));
    first.batch_execute("BEGIN; SELECT 1 / 0").unwrap_err();
    first.batch_execute("ROLLBACK").unwrap();
    assert!(!is_true(&mut second, sql));
    drop(first);
    wait_until("the lock is free", || is_true(&mut second, sql));
}

/// The functions are the extension's own, and know their purposes.
#[test]
fn locks_are_for_the_extension() {
    let server = start();
    server.query("postgres", "CREATE ROLE mallory LOGIN; GRANT audit_admin, audit_reader, audit_writer TO mallory");
    let mut mallory = server.connect_as("mallory", "postgres");
    for call in ["lock('maintenance')", "try_lock('maintenance')", "lock_table('t')"] {
        let error = mallory.batch_execute(&format!("SELECT audit_internal.{call}")).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{call}");
    }
    let mut owner = server.connect("postgres");
    for call in ["lock('maintenence')", "try_lock('')", "lock(NULL)", "lock_table(NULL)"] {
        let error = owner.batch_execute(&format!("SELECT audit_internal.{call}")).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INTERNAL_ERROR), "{call}");
    }
}
