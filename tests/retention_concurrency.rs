//! Captures, readers and dumps beside maintenance that never rests: small partitions that are split, closed, merged,
//! archived and pruned while the clock runs fast.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use audit_testing::retention::{ALONE, Trail};
use audit_testing::server::{self, wait_until};
use audit_testing::trail;
use postgres::Client;

/// No statement waits for maintenance longer.
const LONGEST: Duration = Duration::from_secs(2);

/// Runs a statement and notes how long the longest one took.
fn timed(client: &mut Client, longest: &mut Duration, sql: &str) {
    let began = Instant::now();
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    *longest = (*longest).max(began.elapsed());
}

/// Changes tables until it is told to end; returns its longest statement.
fn capture(trail: &Trail, number: u32, ends: &AtomicBool) -> Duration {
    let mut client = trail.server.connect("postgres");
    let (mut longest, mut turn) = (Duration::ZERO, 0);
    while !ends.load(Ordering::Relaxed) {
        turn += 1;
        let id = number * 1_000_000 + turn;
        timed(&mut client, &mut longest, "BEGIN");
        timed(&mut client, &mut longest, &format!("INSERT INTO entry VALUES ({id}, repeat('note ', 40))"));
        timed(
            &mut client,
            &mut longest,
            &format!("SAVEPOINT s; UPDATE counter SET n = n - 1 WHERE id = {number}; ROLLBACK TO s"),
        );
        timed(&mut client, &mut longest, &format!("UPDATE counter SET n = n + 1 WHERE id = {number}"));
        timed(&mut client, &mut longest, &format!("INSERT INTO click VALUES ({id})"));
        timed(&mut client, &mut longest, if turn.is_multiple_of(10) { "ROLLBACK" } else { "COMMIT" });
        thread::sleep(Duration::from_millis(2));
    }
    longest
}

/// Transactions that are open for longer than partitions are, some of them prepared.
fn capture_late(trail: &Trail, ends: &AtomicBool) -> Duration {
    let mut client = trail.server.connect("postgres");
    let (mut longest, mut turn) = (Duration::ZERO, 0);
    while !ends.load(Ordering::Relaxed) {
        turn += 1;
        timed(
            &mut client,
            &mut longest,
            &format!("BEGIN; INSERT INTO entry VALUES ({turn}, 'late'); INSERT INTO click VALUES ({turn})"),
        );
        thread::sleep(Duration::from_secs(2));
        timed(&mut client, &mut longest, &format!("INSERT INTO entry VALUES ({turn} + 1000, 'later')"));
        if turn % 2 == 0 {
            timed(&mut client, &mut longest, "COMMIT");
        } else {
            timed(&mut client, &mut longest, "PREPARE TRANSACTION 'late'");
            thread::sleep(Duration::from_secs(2));
            timed(&mut client, &mut longest, "COMMIT PREPARED 'late'");
        }
    }
    longest
}

/// Each row has its event, and each event its row, in the trail and in archives that were brought back.
const DIFFERENCE: &str = "SELECT count(*) FROM (
    (SELECT 'entry', id::text FROM entry UNION ALL SELECT 'click', id::text FROM click
     EXCEPT ALL SELECT split_part(entity, '.', 2), entity_id FROM audit.trail WHERE event = 'row.insert' AND entity <> 'public.counter')
    UNION ALL
    (SELECT split_part(entity, '.', 2), entity_id FROM audit.trail WHERE event = 'row.insert' AND entity <> 'public.counter'
     EXCEPT ALL (SELECT 'entry', id::text FROM entry UNION ALL SELECT 'click', id::text FROM click))
    UNION ALL
    (SELECT 'counter', (SELECT sum(n) FROM counter)::text
     EXCEPT SELECT 'counter', count(*)::text FROM audit.trail WHERE event = 'row.update' AND entity = 'public.counter')) d";

/// What maintenance has done, by kind.
const DONE: &str = "SELECT concat_ws(' ',
    'drop ' || count(*) FILTER (WHERE event = 'retention.prune'), 'archive ' || count(*) FILTER (WHERE event = 'retention.archive'),
    'move ' || count(*) FILTER (WHERE event = 'evidence.move')) FROM audit.trail WHERE category = 'system'";

fn number(text: &str, name: &str) -> u32 {
    text.split(&format!("{name} ")).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn captures_readers_and_dumps_go_on() {
    let trail = Trail::start(
        &[("shared_preload_libraries", "audit"), ("audit.naptime", "1s"), ("audit.partition_size", "1MB")],
        "2030-01-01",
        "CREATE TABLE entry (id int PRIMARY KEY, note text);
         CREATE TABLE click (id int PRIMARY KEY);
         CREATE TABLE counter (id int PRIMARY KEY, n int);
         INSERT INTO counter SELECT n, 0 FROM generate_series(1, 3) n;
         SELECT audit.enable('entry'), audit.enable('click'), audit.enable('counter');
         SELECT audit.set_retention('data', partition_interval => '1 hour');
         SELECT audit.set_retention('data', '2 hours', archive => true, target => 'click', partition_interval => '1 hour');",
    );
    // Partitions to merge, which maintenance meets as it begins.
    let old = "SELECT count(*) FROM audit.partitions l WHERE l.parent = 'events_data'";
    let query = |sql: &str| trail.server.query("postgres", sql);
    let offset: i64 =
        query("SELECT extract(epoch FROM timestamptz '2030-02-01' - clock_timestamp())::int").parse().unwrap();
    // The worker drops the partitions of whole months, in whose place they come.
    let long = "SELECT count(*) FROM audit.partitions l WHERE l.parent = 'events_data' AND l.until > l.since + interval '1 hour'";
    wait_until("the interval has been changed", || query(long) == "0");
    for hour in 0..30 {
        trail.at(
            &format!("2030-01-30 12:30+00'::timestamptz + interval '{hour} hours"),
            "SELECT audit_internal.create_partitions()",
        );
    }
    assert!(query(old).parse::<u32>().unwrap() > 24);

    let ends = AtomicBool::new(false);
    let mut dump = String::new();
    let longest = thread::scope(|scope| {
        let captures: Vec<_> = (1..=3)
            .map(|number| {
                scope.spawn({
                    let (trail, ends) = (&trail, &ends);
                    move || capture(trail, number, ends)
                })
            })
            .collect();
        let late = scope.spawn(|| capture_late(&trail, &ends));
        // Ten minutes pass in a second, with a step of two hours back and one of three forwards.
        for step in 0..36 {
            let skew = match step {
                15..18 => -7200,
                24.. => 10_800,
                _ => 0,
            };
            trail.server.set(&[("audit.test_clock_offset", &(offset + i64::from(step) * 300 + skew).to_string())]);
            query("SELECT pg_reload_conf()");
            thread::sleep(Duration::from_millis(500));
            if step == 12 {
                dump = dump_of(&trail);
            }
            if step == 20 {
                read_for_long(&trail);
            }
        }
        ends.store(true, Ordering::Relaxed);
        let captures = captures.into_iter().map(|capture| capture.join().unwrap()).max();
        captures.max(Some(late.join().unwrap())).unwrap()
    });
    eprintln!("longest statement {longest:?}; {}", query(DONE));
    assert!(longest < LONGEST, "a statement took {longest:?}");
    expect_consistent(&trail, &dump);

    // Everything that is due goes, now that nobody is in the way.
    let last = (offset + 8 * 3600).to_string();
    trail.configure(&[("audit.test_clock_offset", &last)]);
    let waiting = "SELECT (SELECT count(*) FROM audit_internal.due_partitions()) + (SELECT count(*) FROM audit_internal.partitions_to_close())
                        + (SELECT count(*) FROM audit_internal.partitions_to_merge()) + (SELECT count(*) FROM audit_internal.events_overflow)";
    wait_until("maintenance has done all that there is", || query(waiting) == "0");
    let done = query(DONE);
    assert!(["drop", "archive", "move"].iter().all(|kind| number(&done, kind) > 2), "{done}");
    assert!(query(old).parse::<u32>().unwrap() <= 26, "too many partitions");
    query("SELECT audit.restore_archive(archive_id) FROM audit.archives");
    assert_eq!(query(DIFFERENCE), "0", "changes without event, or events without change");
    trail::expect_whole(&trail.server, "postgres");
    let errors = trail.server.log();
    assert!(!errors.contains("ERROR") && !errors.contains("PANIC"), "{errors}");
}

/// A transaction that has read the trail and stays open keeps partitions from being dropped, and nobody from writing.
fn read_for_long(trail: &Trail) {
    let mut reader = trail.server.connect("postgres");
    let mut reading =
        reader.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead).start().unwrap();
    let count = "SELECT count(*) FROM audit.trail";
    let before: i64 = reading.query_one(count, &[]).unwrap().get(0);
    let began = Instant::now();
    let busy = trail.server.query(
        "postgres",
        "SELECT count(*) FILTER (WHERE action = 'drop'), count(*) FILTER (WHERE action = 'busy') FROM audit.prune()",
    );
    assert!(busy.starts_with("0|"), "a partition that was read has been dropped: {busy}");
    thread::sleep(Duration::from_secs(3).saturating_sub(began.elapsed()));
    assert_eq!(reading.query_one(count, &[]).unwrap().get::<_, i64>(0), before, "a snapshot has changed");
    reading.commit().unwrap();
}

/// pg_dump lists tables before it locks them, so that one that is dropped in between ends it: it is then run again.
fn dump_of(trail: &Trail) -> String {
    for _ in 0..5 {
        let output = trail.server.client("pg_dump").arg("postgres").output().unwrap();
        if output.status.success() {
            return String::from_utf8(output.stdout).unwrap();
        }
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("does not exist"), "{errors}");
        eprintln!("pg_dump met a partition that went: {errors}");
    }
    panic!("pg_dump was never done");
}

/// The rows of a dump and its events are of one moment.
fn expect_consistent(trail: &Trail, dump: &str) {
    trail.server.create_database("copy");
    let file = trail.server.host().join("dump.sql");
    std::fs::write(&file, dump).unwrap();
    trail.server.run("psql", &["--quiet", "--set=ON_ERROR_STOP=1", "--file", file.to_str().unwrap(), "copy"]);
    let difference = "SELECT count(*), (SELECT count(*) > 100 FROM entry) FROM (
        (SELECT id::text FROM entry EXCEPT ALL SELECT entity_id FROM audit.trail WHERE event = 'row.insert' AND entity = 'public.entry')
        UNION ALL
        (SELECT entity_id FROM audit.trail WHERE event = 'row.insert' AND entity = 'public.entry' EXCEPT ALL SELECT id::text FROM entry)) d";
    assert_eq!(trail.server.query("copy", difference), "0|t");
    trail::expect_whole(&trail.server, "copy");
    trail.server.query("postgres", "DROP DATABASE copy");
}

/// Writers wait for no archive that prune() writes, however long that takes.
#[test]
fn writers_do_not_wait_for_archives() {
    let trail = Trail::start(
        &[ALONE],
        "2030-01-15",
        "CREATE TABLE t (id int PRIMARY KEY);
         SELECT audit.enable('t'), audit.set_retention('data', '2 months', archive => true, partition_interval => '1 month');
         INSERT INTO t VALUES (1);",
    );
    trail.at("2030-02-15", "CALL audit.maintain(); INSERT INTO t VALUES (2)");
    trail.at("2030-03-15", "CALL audit.maintain(); INSERT INTO t VALUES (3)");
    let now = "2030-06-15";
    trail.at(
        now,
        "SELECT audit.hold('all', 'while partitions close'); CALL audit.maintain(); SELECT audit.release('all')",
    );
    let slow = trail.server.host().join("slow");
    std::fs::write(&slow, format!("#!/bin/sh\nsleep 3\nexec {} \"$@\"\n", server::program("audit-archive").display()))
        .unwrap();
    server::expect_success("chmod", &std::process::Command::new("chmod").arg("755").arg(&slow).output().unwrap());
    trail.configure(&[("audit.archive_program", slow.to_str().unwrap())]);
    let longest = thread::scope(|scope| {
        let pruning = scope
            .spawn(|| trail.at(now, "SELECT action, events FROM audit.prune() WHERE category = 'data' AND events > 0"));
        let mut longest = Duration::ZERO;
        for id in 100.. {
            if pruning.is_finished() {
                break;
            }
            // A session that has to look for its partition, and a reader of all of them.
            let began = Instant::now();
            trail.at(
                now,
                &format!("INSERT INTO t VALUES ({id}); SELECT count(*) FROM audit.trail WHERE category = 'data'"),
            );
            longest = longest.max(began.elapsed());
        }
        assert_eq!(pruning.join().unwrap(), "archive and drop|1\narchive and drop|1\narchive and drop|1");
        longest
    });
    assert!(longest < Duration::from_millis(2500), "a writer waited for {longest:?}");
}

/// After a month off, many events come before anybody has made partitions for them; in the midst of moving them, more.
#[test]
fn a_large_overflow_comes_out_whole() {
    let trail = Trail::start(&[ALONE], "2030-01-15", "CREATE TABLE t (id int PRIMARY KEY); SELECT audit.enable('t');");
    let late = "2030-06-15";
    trail.at(late, "INSERT INTO t SELECT n FROM generate_series(1, 200000) n");
    assert_eq!(trail.at(late, "SELECT count(*) FROM audit_internal.events_overflow"), "200000");
    let began = Instant::now();
    let maintaining = AtomicBool::new(true);
    let last = thread::scope(|scope| {
        scope.spawn(|| {
            trail.at(late, "CALL audit.maintain()");
            maintaining.store(false, Ordering::Relaxed);
        });
        let mut client = trail.connect(late);
        let (mut id, mut longest) = (200_000, Duration::ZERO);
        while maintaining.load(Ordering::Relaxed) {
            id += 1;
            timed(&mut client, &mut longest, &format!("INSERT INTO t VALUES ({id})"));
        }
        assert!(longest < LONGEST, "a statement took {longest:?}");
        id
    });
    eprintln!("200,000 events moved in {:?}", began.elapsed());
    trail.at(late, "CALL audit.maintain()");
    let whole = "SELECT count(*), count(DISTINCT entity_id), (SELECT count(*) FROM audit_internal.events_overflow) FROM audit_internal.events_data";
    assert_eq!(trail.at(late, whole), format!("{last}|{last}|0"));
    trail::expect_whole(&trail.server, "postgres");
}
