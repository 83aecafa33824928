//! The background worker and the server: crashes, shutdowns, recovery, an extension that goes.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use audit_testing::maintenance::{self, *};
use audit_testing::server::{self, is_alive, signal, wait_until};

/// A worker or launcher that is killed takes the server through recovery, as any process does. Nothing runs for a
/// while then: had the run been the cause, the next one would be the next crash.
#[test]
fn a_crash_is_survived_and_not_repeated_at_once() {
    let server = start(&[("audit.naptime", "4s")]);
    server.create_database("busy");
    make_long_work(&server, "busy", 600);
    for _ in 0..2 {
        let (worker, _) = wait_for_long_work(&server);
        signal("KILL", &[worker]);
        wait_until("the server is back", || !is_alive(worker) && server.psql("postgres", "SELECT 1").status.success());
        wait_until("the launcher is back", || launcher(&server).is_some());
        let back = Instant::now();
        wait_for_long_work(&server);
        assert!(back.elapsed() > Duration::from_secs(3), "{:?}", back.elapsed());
    }
    let killed = launcher(&server).unwrap();
    signal("KILL", &[killed]);
    wait_until("the launcher is back", || {
        server.psql("postgres", "SELECT 1").status.success() && launcher(&server).is_some_and(|pid| pid != killed)
    });
    server.query("busy", "SET lock_timeout = '20s'; DROP INDEX audit_internal.administrator");
    wait_until("the event is moved", || overflow(&server, "busy") == 0);
    assert_eq!(server.query("busy", "SELECT count(*) FROM audit.trail t WHERE t.event = 'row.insert'"), "1");
}

/// Whoever ends the launcher or a worker by hand gets the one back and the other later, without an error.
#[test]
fn what_is_terminated_comes_back() {
    let server = start(&[("audit.naptime", "2s")]);
    server.create_database("busy");
    make_long_work(&server, "busy", 600);
    let (worker, _) = wait_for_long_work(&server);
    server.query("postgres", &format!("SELECT pg_terminate_backend({worker}, 10000)"));
    let (worker, _) = wait_for_long_work(&server);
    // With the launcher goes the worker, which nobody would watch.
    let terminated = launcher(&server).unwrap();
    server.query("postgres", &format!("SELECT pg_terminate_backend({terminated}, 10000)"));
    wait_until("the worker goes too", || !is_alive(worker));
    assert!(maintenance::worker(&server, "busy").starts_with("not running: "));
    wait_until("the launcher is back", || launcher(&server).is_some());
    wait_for_long_work(&server);
    expect_quiet(&server);
}

#[test]
fn every_kind_of_shutdown_ends_the_worker() {
    let server = start(&[("audit.naptime", "1s")]);
    server.create_database("busy");
    make_long_work(&server, "busy", 600);
    for mode in ["smart", "fast", "immediate"] {
        wait_for_long_work(&server);
        let began = Instant::now();
        server.stop_by(mode);
        assert!(began.elapsed() < Duration::from_secs(10), "{mode}: {:?}", began.elapsed());
        if mode != "immediate" {
            expect_quiet(&server);
        }
        server.launch();
    }
    // A smart shutdown waits for clients only, and meanwhile the work goes on.
    let client = server.connect("postgres");
    wait_for_long_work(&server);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_by("smart"));
        thread::sleep(Duration::from_secs(2));
        assert!(!stopping.is_finished());
        drop(client);
        stopping.join().unwrap();
    });
}

/// The signal that stopped a launcher during a run once left it asleep until the next one was due.
#[test]
fn a_launcher_stopped_during_a_run_does_not_sleep_first() {
    let server = start(&[("audit.naptime", "1h")]);
    server.create_database("busy");
    make_long_work(&server, "busy", 600);
    server.query("busy", "SELECT audit_internal.request_run()");
    wait_for_long_work(&server);
    server.stop_by("fast");
    expect_quiet(&server);
    server.launch();
}

/// A standby is left alone: what it shows is the primary's. Once promoted, it is kept as any other.
#[test]
fn a_standby_is_maintained_after_its_promotion() {
    let primary = start(&[("audit.naptime", "1s")]);
    primary.query("postgres", "CREATE EXTENSION audit");
    wait_until("the primary is maintained", || worker(&primary, "postgres").ends_with("(ok)"));
    let standby = primary.standby();
    assert_eq!(worker(&standby, "postgres"), "waits for the end of recovery");
    assert_eq!(launcher(&standby), None);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(worker(&standby, "postgres"), "waits for the end of recovery");
    standby.promote();
    wait_until("the former standby is maintained", || worker(&standby, "postgres").ends_with("(ok)"));
    make_work(&standby, "postgres");
    wait_until("its event is moved", || overflow(&standby, "postgres") == 0);
}

/// The extension may go while a worker is in the database.
#[test]
fn an_extension_that_goes_is_no_failure() {
    let server = start(&[("audit.naptime", "1s")]);
    server.create_database("a");
    make_long_work(&server, "a", 3);
    wait_for_long_work(&server);
    server.query("a", "SELECT audit.uninstall('remove the audit trail of a')");
    assert_eq!(server.query("a", "SELECT count(*) FROM pg_extension WHERE extname = 'audit'"), "0");
    // And so it does for as long as somebody removes and makes it.
    for _ in 0..8 {
        server.query("a", "CREATE EXTENSION audit");
        thread::sleep(Duration::from_millis(40));
        server.query("a", "SELECT audit.uninstall('remove the audit trail of a')");
    }
    server.query("a", "CREATE EXTENSION audit");
    wait_until("the last one is maintained", || worker(&server, "a").ends_with("(ok)"));
    expect_quiet(&server);
}

/// pg_upgrade wants no process that writes, and the single-user mode can have none.
#[test]
fn maintenance_modes_have_no_launcher() {
    let server = start(&[("audit.naptime", "1s")]);
    server.create_database("a");
    make_work(&server, "a");
    wait_until("it is maintained", || overflow(&server, "a") == 0);
    make_work(&server, "a");
    server.stop();
    let output = server.single_user("a", "SELECT s.worker FROM audit.status() s\nINSERT INTO t VALUES (100)\n");
    assert!(String::from_utf8_lossy(&output.stdout).contains("not running: "), "{output:?}");
    server.launch_with("-b");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(launcher(&server), None);
    server.stop();
    server.launch();
    wait_until("it is maintained again", || overflow(&server, "a") == 0);
    assert_eq!(server.query("a", "SELECT count(*) FROM audit.trail t WHERE t.entity_id = '100'"), "1");
    expect_quiet(&server);
}

/// Without preloading there is none, and status() says what to do.
#[test]
fn without_preloading_there_is_no_launcher() {
    let server = server::Server::start(&[]);
    server.query("postgres", "CREATE EXTENSION audit");
    assert_eq!(launcher(&server), None);
    assert_eq!(worker(&server, "postgres"), "not preloaded: started on demand only, call audit.maintain()");
    assert_eq!(server.query("postgres", "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^audit'"), "0");
    expect_quiet(&server);
}
