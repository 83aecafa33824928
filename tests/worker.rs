//! The background worker: it finds the databases, keeps out of their owners' way and says how it fares.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use audit_testing::maintenance::*;
use audit_testing::server::wait_until;

/// Fifty databases, of which half have the extension; one that takes no connections, one that is a template. The one
/// slot that is free is enough.
#[test]
fn all_databases_are_maintained_in_one_pass() {
    let server = start(&[("max_worker_processes", "3"), ("audit.naptime", "1h")]);
    server.create_database("with_work");
    server.query("postgres", "ALTER DATABASE with_work IS_TEMPLATE true");
    make_work(&server, "with_work");
    for number in 0..25 {
        server.query("postgres", &format!("CREATE DATABASE a{number} TEMPLATE with_work; CREATE DATABASE b{number}"));
    }
    server
        .query("postgres", "CREATE DATABASE closed TEMPLATE with_work; ALTER DATABASE closed ALLOW_CONNECTIONS false");
    // The launcher looks at the list as it begins.
    server.restart();
    for number in 0..25 {
        let database = format!("a{number}");
        wait_until("it has been maintained", || {
            overflow(&server, &database) == 0 && worker(&server, &database).ends_with("(ok)")
        });
        let sql = "SELECT count(*) FROM audit.partitions l WHERE l.parent = 'events_data' AND l.until > now()";
        assert_ne!(server.query(&database, sql), "0");
    }
    assert_eq!(overflow(&server, "with_work"), 1);
    assert!(worker(&server, "with_work").starts_with("never runs in a template"));
    server.query("postgres", "ALTER DATABASE closed ALLOW_CONNECTIONS true");
    assert_eq!(overflow(&server, "closed"), 1);
    expect_quiet(&server);
}

/// A database without the extension is left alone until it has one.
#[test]
fn databases_without_the_extension_are_checked_rarely() {
    let server = start(&[("audit.naptime", "1s")]);
    server.create_database("plain");
    server.create_database("audited");
    make_work(&server, "audited");
    wait_until("it is maintained", || overflow(&server, "audited") == 0);
    // By now the launcher has seen both. What a run reads, and no other session does.
    let sql = "SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = 'plain'";
    wait_until("the run has been counted", || server.query("postgres", sql) != "0");
    let before = server.query("postgres", sql);
    let last = || server.query("audited", "SELECT worker_ran_at FROM audit.status()");
    let (first, mut runs) = (last(), 0);
    let mut seen = first;
    wait_until("others are maintained again and again", || {
        let now = last();
        runs += i32::from(now != seen);
        seen = now;
        runs > 3
    });
    assert_eq!(server.query("postgres", sql), before);
    make_work(&server, "plain");
    wait_until("CREATE EXTENSION has called the worker", || overflow(&server, "plain") == 0);
    expect_quiet(&server);
}

/// A request is served at once, though the next run would be far away.
#[test]
fn a_backend_that_asks_is_served_at_once() {
    let server = start(&[("audit.naptime", "1h")]);
    server.create_database("a");
    server.query("a", "CREATE EXTENSION audit");
    wait_until("the extension has called", || worker(&server, "a").ends_with("(ok)"));
    make_work(&server, "a");
    let asked = Instant::now();
    wait_until("the event is moved", || overflow(&server, "a") == 0);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    // A shorter time between runs holds from the reload on.
    server.set(&[("audit.naptime", "1s")]);
    let last = || server.query("a", "SELECT worker_ran_at FROM audit.status()");
    let before = last();
    server.query("postgres", "SELECT pg_reload_conf()");
    wait_until("it comes by itself", || last() != before);
    assert!(worker(&server, "a").starts_with("runs every 1 s, last "));
    expect_quiet(&server);
}

/// DROP, RENAME, SET TABLESPACE and CREATE of a template wait for those who are connected, for five seconds.
#[test]
fn long_work_makes_way_for_whoever_wants_the_database() {
    let server = start(&[("audit.naptime", "1s"), ("allow_in_place_tablespaces", "on")]);
    server.query("postgres", "CREATE TABLESPACE elsewhere LOCATION ''");
    server.create_database("busy");
    make_long_work(&server, "busy", 600);
    // {} is the database that the worker is in; of two it may be either, as a copy has the same work to do.
    for sql in [
        "CREATE DATABASE copy TEMPLATE {}",
        "DROP DATABASE {}",
        "ALTER DATABASE {} SET TABLESPACE elsewhere",
        "ALTER DATABASE {} RENAME TO renamed",
        "CREATE DATABASE another TEMPLATE {}",
        "DROP DATABASE {} WITH (FORCE)",
        "ALTER DATABASE {} ALLOW_CONNECTIONS false",
        "DROP DATABASE {}",
    ] {
        let (_, database) = wait_for_long_work(&server);
        let began = Instant::now();
        server.query("postgres", &sql.replace("{}", &database));
        eprintln!("{sql}: {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(4), "{sql}");
    }
    expect_quiet(&server);
}

/// The same in loops, while the worker comes and goes as often as it can.
#[test]
fn runs_block_no_other_session() {
    let server = start(&[("audit.naptime", "1s"), ("allow_in_place_tablespaces", "on")]);
    server.query("postgres", "CREATE TABLESPACE elsewhere LOCATION ''");
    server.create_database("a");
    server.query("a", "CREATE EXTENSION audit");
    for number in 0..12 {
        server.query("postgres", &format!("CREATE DATABASE a{number} TEMPLATE a"));
    }
    let server = &server;
    let until = Instant::now() + Duration::from_secs(15);
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                while Instant::now() < until {
                    for sql in [
                        "ALTER DATABASE {} RENAME TO {}r",
                        "ALTER DATABASE {}r RENAME TO {}",
                        "ALTER DATABASE {} SET TABLESPACE elsewhere",
                        "ALTER DATABASE {} SET TABLESPACE pg_default",
                        "CREATE DATABASE {}c TEMPLATE {}",
                        "DROP DATABASE {}c",
                        "ALTER DATABASE {} ALLOW_CONNECTIONS false",
                        "ALTER DATABASE {} ALLOW_CONNECTIONS true",
                    ] {
                        server.query("postgres", &sql.replace("{}", &format!("a{number}")));
                    }
                }
            });
        }
    });
    wait_until("all are maintained again", || {
        (0..12).all(|number| worker(server, &format!("a{number}")).ends_with("(ok)"))
    });
    expect_quiet(server);
}

/// A worker that cannot be started is a status, and one line in the log.
#[test]
fn a_missing_slot_is_a_status() {
    let server = start(&[("max_worker_processes", "3"), ("audit.naptime", "1s")]);
    server.query("postgres", "CREATE EXTENSION audit");
    wait_until("it is maintained", || worker(&server, "postgres").ends_with("(ok)"));
    // A parallel query takes the last slot; what maintenance itself does in parallel may not.
    let mut client = server.connect("template1");
    client
        .batch_execute("SET force_parallel_mode = on; SET parallel_leader_participation = off")
        .or_else(|_| client.batch_execute("SET debug_parallel_query = on; SET parallel_leader_participation = off"))
        .unwrap();
    let canceler = client.cancel_token();
    let query = thread::spawn(move || client.batch_execute("SELECT pg_sleep(600)"));
    wait_until("status says so", || worker(&server, "postgres").starts_with("no free worker slot since "));
    wait_until("it is tried again", || worker(&server, "postgres").contains("(3 times)"));
    assert_eq!(server.log().matches("no free worker slot for audit maintenance").count(), 1);
    canceler.cancel_query(postgres::NoTls).unwrap();
    query.join().unwrap().unwrap_err();
    wait_until("it goes away", || worker(&server, "postgres").ends_with("(ok)"));
    assert_eq!(server.log().matches("no free worker slot").count(), 1);
}

/// What fails in one database is told there and keeps no other from being maintained.
#[test]
fn a_database_that_fails_stops_no_other() {
    let server = start(&[("audit.naptime", "1s")]);
    for database in ["broken", "whole"] {
        server.create_database(database);
        make_work(&server, database);
    }
    wait_until("both are maintained", || ["broken", "whole"].iter().all(|database| overflow(&server, database) == 0));
    // A table of somebody else's where the next partition would be.
    let partition = server
        .query("broken", "SELECT audit_internal.partition_name('events_data', date_trunc('month', now(), 'UTC'))");
    drop_partitions_and(&server, "broken", &format!("CREATE TABLE audit_internal.{partition} ()"));
    server.query("broken", "INSERT INTO t SELECT max(id) + 1 FROM t");
    // Neither can the partition be made nor its event be moved.
    let problem = format!("events_data: relation \"{partition}\" already exists");
    let failed = format!("could not create partitions: {problem}; could not empty the overflow: {problem}");
    wait_until("status says so", || worker(&server, "broken").ends_with(&format!("): {failed}")));
    let words = worker(&server, "broken");
    assert!(words.starts_with("failed in this database at "), "{words}");
    assert_eq!(server.query("broken", "SELECT worker_error FROM audit.status()"), failed);
    make_work(&server, "whole");
    wait_until("the other is maintained", || overflow(&server, "whole") == 0);
    // It rests twice as long after each failure.
    wait_until("it is tried again", || worker(&server, "broken").contains("(3 times)"));
    let failures = server.log().matches("audit maintenance failed in database \"broken\"").count();
    assert!((3..=4).contains(&failures), "{failures}");
    server.query("broken", &format!("DROP TABLE audit_internal.{partition}"));
    wait_until("it recovers", || overflow(&server, "broken") == 0 && worker(&server, "broken").ends_with("(ok)"));
    assert_eq!(server.query("broken", "SELECT worker_error IS NULL FROM audit.status()"), "t");
}

/// What a database has set for its users does not change what the worker does.
#[test]
fn settings_of_the_database_do_not_matter() {
    let server = start(&[("audit.naptime", "1s")]);
    server.create_database("a");
    server.query(
        "postgres",
        "ALTER DATABASE a SET statement_timeout = '200ms';
         ALTER DATABASE a SET lock_timeout = '1ms';
         ALTER DATABASE a SET idle_in_transaction_session_timeout = '200ms';
         ALTER DATABASE a SET default_transaction_read_only = on;
         ALTER DATABASE a SET default_transaction_isolation = 'serializable';
         ALTER DATABASE a SET search_path = nowhere;
         ALTER DATABASE a SET audit.enabled = off",
    );
    let settings = "SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed';
                    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET audit.enabled = on;";
    let sql = "CREATE EXTENSION audit; CREATE TABLE public.t (id int PRIMARY KEY); SELECT audit.enable('public.t')";
    server.query("a", &format!("{settings} SET lock_timeout = 0; {sql}"));
    let partition = "SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' AND now() >= l.since AND now() < l.until";
    let partition = server.query("a", &format!("{settings} {partition}"));
    let mut client = server.connect("a");
    client.batch_execute(&format!("{settings} BEGIN READ WRITE; LOCK TABLE {partition} IN SHARE MODE")).unwrap();
    server.query("a", &format!("{settings} INSERT INTO public.t VALUES (1)"));
    client.batch_execute("COMMIT").unwrap();
    wait_until("the event is moved", || {
        server.query("a", &format!("{settings} SELECT count(*) FROM audit_internal.events_overflow")) == "0"
    });
    let sql = "SELECT count(*) FROM audit.trail t WHERE t.event = 'evidence.move'";
    assert_eq!(server.query("a", &format!("{settings} {sql}")), "1");
    expect_quiet(&server);
}
