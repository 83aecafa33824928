//! `kill -9` at every point where retention has done a part: the server recovers, nothing is lost or doubled, and the
//! next attempt finishes the work.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::fs;

use audit_testing::retention::{ALONE, SEE, Trail};
use audit_testing::server::wait_until;
use audit_testing::trail;

const SETUP: &str = "
    CREATE TABLE t (id int PRIMARY KEY, note text);
    SELECT audit.enable('t');
    INSERT INTO t SELECT n, repeat('x', n) FROM generate_series(1, 300) n;";

/// Runs SQL that ends at a point, as the log says, and waits for the server.
fn crash(trail: &Trail, time: &str, point: &str, sql: &str) {
    let said = format!("crash at {point}");
    let recovered = "all server processes terminated; reinitializing";
    let count = |text: &str| trail.server.log().matches(text).count();
    let (before, recoveries) = (count(&said), count(recovered));
    let errors = trail.errors(time, &format!("SET audit.test_crash_at = '{point}'; {sql}"));
    assert!(errors.contains("server closed the connection unexpectedly"), "{point}: {errors}");
    assert_eq!(count(&said), before + 1, "{point} was not reached");
    wait_until("the server has recovered", || {
        count(recovered) > recoveries
            && trail.server.client("psql").args(["--command=SELECT 1", "postgres"]).output().unwrap().status.success()
    });
}

/// Crashes at a point of the work, looks that all is there, and does the work.
fn survive(trail: &Trail, time: &str, point: &str, sql: &str) {
    crash(trail, time, point, sql);
    trail.expect_all(time);
    trail::expect_whole(&trail.server, "postgres");
    trail.at(time, sql);
    trail.at(time, SEE);
    trail.expect_all(time);
    trail::expect_whole(&trail.server, "postgres");
}

const MAINTAIN: &str = "CALL audit.maintain()";

#[test]
fn moving_closing_cutting_and_merging_survive() {
    let trail = Trail::start(&[ALONE], "2030-01-15", SETUP);
    // After the month for which partitions were made ahead, events wait in the overflow.
    let overflow = "SELECT count(*) FROM audit_internal.events_overflow";
    trail.at("2030-05-15", &format!("INSERT INTO t SELECT n FROM generate_series(301, 400) n;{SEE}"));
    survive(&trail, "2030-05-15", "move.moved", &format!("{MAINTAIN};{overflow}"));
    assert_eq!(trail.at("2030-05-15", overflow), "0");

    let open =
        "SELECT count(*) FROM audit.partitions l LEFT JOIN audit_internal.partition_catalog f USING (partition_name)
                WHERE l.parent = 'events_data' AND l.until < audit_internal.clock() AND f.closed_at IS NULL";
    assert_ne!(trail.at("2030-06-02", open), "0");
    survive(&trail, "2030-06-02", "close.finished", MAINTAIN);
    assert_eq!(trail.at("2030-06-02", open), "0");

    trail.at(
        "2030-06-02 12:00",
        &format!(
            "INSERT INTO t VALUES (401);{SEE} SELECT audit.set_retention('data', partition_interval => '1 hour');{SEE}"
        ),
    );
    survive(&trail, "2030-06-02 12:10", "split.attached", MAINTAIN);
    let until = "SELECT l.until FROM audit.partitions l WHERE l.parent = 'events_data' AND l.since <= audit_internal.clock() AND l.until > audit_internal.clock()";
    assert_eq!(trail.at("2030-06-02 12:10", until), "2030-06-02 13:00:00+00");

    // More partitions than may stay, of which maintenance merges two at a time.
    for hour in 0..26 {
        let time = format!("2030-06-03 {:02}:30+00'::timestamptz + interval '{} days", hour % 24, hour / 24);
        trail.at(&time, &format!("SELECT audit_internal.create_partitions(); INSERT INTO t SELECT 1000 + {hour} * 10 + n FROM generate_series(1, 3) n; {SEE}"));
    }
    let later = "2030-06-04 04:00";
    survive(&trail, later, "merge.copied", MAINTAIN);
    for hour in 26..30 {
        let time = format!("2030-06-04 {:02}:30", hour - 20);
        trail.at(
            &time,
            &format!("SELECT audit_internal.create_partitions(); INSERT INTO t VALUES (2000 + {hour}); {SEE}"),
        );
    }
    survive(&trail, "2030-06-04 12:00", "merge.dropped", MAINTAIN);
    let partitions = "SELECT count(*) FROM audit.partitions l WHERE l.parent = 'events_data'";
    assert_eq!(trail.at("2030-06-04 12:00", partitions), "24");
    assert_eq!(trail.at(later, "SELECT count(*) FROM audit_internal.events_data"), (401 + 78 + 4).to_string());
    assert_eq!(trail.at(later, "SELECT count(*) FROM audit.history('t', '1003')"), "1");
}

#[test]
fn archiving_pruning_and_restoring_survive() {
    let trail = Trail::start(&[ALONE], "2030-01-15", SETUP);
    trail.at(
        "2030-01-15",
        &format!("SELECT audit.set_retention('data', '6 months', archive => true, archive_keep => '2 years'); {SEE}"),
    );
    trail.at("2030-02-15", &format!("{MAINTAIN}; UPDATE t SET note = 'February' WHERE id <= 100; {SEE}"));
    let (first, second) = ("2030-08-15", "2030-09-15");
    let archives = "SELECT coalesce(sum(a.events), 0) FROM audit.archives a WHERE a.pruned_at IS NOT NULL";
    for point in ["archive.sent", "archive.written", "prune.archived", "prune.dropped"] {
        crash(&trail, first, point, &format!("{SEE}{MAINTAIN}"));
        trail.expect_all(first);
        assert_eq!(trail.at(first, archives), "0", "{point}");
    }
    trail.at(first, MAINTAIN);
    trail.at(first, SEE);
    trail.expect_all(first);
    assert_eq!(trail.at(first, archives), "300");
    // What crashed attempts have written was written over: an archive is three files, and nothing unfinished is left.
    assert_eq!(trail.files().len(), 3, "{:?}", trail.files());
    assert_eq!(trail.at(first, "SELECT count(*) FROM audit.trail WHERE event = 'retention.archive'"), "1");

    // The same by those who call the functions themselves.
    let by_hand = [
        ("archive.sent", "SELECT audit.archive('data', '2030-03-01')"),
        ("archive.written", "SELECT audit.archive('data', '2030-03-01')"),
        ("prune.archived", "SELECT audit.prune()"),
        ("prune.dropped", "SELECT audit.prune()"),
    ];
    trail.at(second, MAINTAIN.replace("CALL", "SELECT audit.hold('all', 'while partitions close'); CALL").as_str());
    trail.at(second, "SELECT audit.release('all')");
    for (point, sql) in by_hand {
        crash(&trail, second, point, &format!("{SEE}{sql}"));
        trail.expect_all(second);
        assert_eq!(trail.at(second, archives), "300", "{point}");
    }
    trail.at(second, &format!("SELECT audit.archive('data', '2030-03-01'); {SEE} SELECT audit.prune(); {SEE}"));
    trail.expect_all(second);
    assert_eq!(trail.at(second, archives), "400");

    let restore = "SELECT sum(audit.restore_archive(a.archive_id)) FROM audit.archives a";
    crash(&trail, second, "restore.loaded", restore);
    trail.expect_all(second);
    assert_eq!(trail.at(second, restore), "400");
    trail.expect_all(second);
    trail::expect_whole(&trail.server, "postgres");
    let unseen =
        "SELECT count(*) FROM proof.seen s WHERE NOT EXISTS (SELECT FROM audit.trail t WHERE t.event_id = s.event_id)";
    assert_eq!(trail.at(second, unseen), "0");
    assert_eq!(trail.at(second, "SELECT sum(audit.unload_archive(a.archive_id)) FROM audit.archives a"), "400");

    let end = "2033-01-01";
    crash(&trail, end, "archive.removed", MAINTAIN);
    let left = "SELECT count(*) FROM audit.archives";
    assert_eq!(trail.at(end, left), "2");
    assert_eq!(trail.at(end, &format!("{MAINTAIN}; {left}")), "0");
    assert_eq!(trail.files(), Vec::<String>::new());
    let deleted =
        "SELECT sum((parameters->>'events')::int) FROM audit.trail WHERE parameters->>'action' = 'delete archive'";
    assert_eq!(trail.at(end, deleted), "400");
}

/// The process that writes the archive ends with the backend that it works for, and takes away what it has written.
#[test]
fn an_archiver_does_not_outlive_its_backend() {
    let trail = Trail::start(&[ALONE], "2030-01-15", SETUP);
    trail.at("2030-02-15", MAINTAIN);
    crash(&trail, "2030-02-15", "archive.sent", "SELECT audit.archive('data', '2030-02-01')");
    wait_until("it has taken away its files", || trail.files().is_empty());
    let directory = trail.server.data_directory();
    let is_ours = |process: &fs::DirEntry| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|at| at == directory)
            && fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.starts_with("audit-archive"))
    };
    wait_until("it has ended", || !fs::read_dir("/proc").unwrap().flatten().any(|process| is_ours(&process)));
}
