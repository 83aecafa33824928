//! What searching reads: the partitions that its filters leave, and it can be cancelled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;
use std::time::{Duration, Instant};

use audit_testing::server::Server;

/// A server with partitions of the last year, an event of now, and the plans of nested statements shown.
fn explained() -> Server {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE t (id int PRIMARY KEY, note text); SELECT audit.enable('t');
         SELECT audit_internal.create_partitions_of('events_data', now() - interval '12 months', now());
         INSERT INTO t VALUES (1, 'needle')",
    );
    server
}

/// The partitions of events in the plans of a query and of what it runs inside.
fn partitions(server: &Server, sql: &str) -> Vec<String> {
    let output = server.psql(
        "postgres",
        &format!(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
             SET client_min_messages = log; {sql};"
        ),
    );
    let plans = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_partition = |word: &&str| {
        let name = word.trim_start_matches("events_");
        name.len() < word.len() && name.bytes().last().is_some_and(|byte| byte.is_ascii_digit()) && name.contains("_20")
    };
    let scans = plans.lines().filter(|line| line.contains("Scan") && line.contains(" on "));
    let mut partitions: Vec<_> = scans
        .filter_map(|line| line.split(" on ").nth(1)?.split(' ').next().filter(is_partition).map(str::to_owned))
        .collect();
    partitions.sort();
    partitions.dedup();
    assert!(plans.contains("plan:"), "no plan is shown:\n{plans}");
    partitions
}

#[test]
fn only_the_partitions_of_the_time_and_category_are_read() {
    let server = explained();
    let find = |sql: &str| server.query("postgres", sql).lines().map(str::to_owned).collect::<Vec<_>>();
    let of = |filter: &str| {
        find(&format!(
            "SELECT l.partition_name FROM audit.partitions l WHERE l.parent LIKE 'events%' AND l.since IS NOT NULL AND {filter} ORDER BY 1"
        ))
    };

    let all = partitions(&server, "SELECT * FROM audit.search('needle', max_rows => NULL)");
    assert_eq!(all, of("true"));
    assert!(all.len() > 20);

    // By time, whatever else is asked for.
    let month = "since => now() - interval '5 months', until => now() - interval '4 months'";
    let wanted = of("l.until > now() - interval '5 months' AND l.since < now() - interval '4 months'");
    assert!(!wanted.is_empty());
    for filter in [
        "",
        ", actors => '{postgres}'",
        ", query => 'needle public.t', sort => 'actor'",
        ", entity => 'public.t', entity_id => '1'",
    ] {
        let read = partitions(&server, &format!("SELECT * FROM audit.search({month}{filter})"));
        assert!(read.iter().all(|partition| wanted.contains(partition)), "{filter}: {read:?}");
    }
    // By category, and by events of which it follows.
    for filter in ["categories => '{system}'", "events => '{config.enable}'"] {
        let read = partitions(&server, &format!("SELECT * FROM audit.search({filter}, query => 'public.t')"));
        assert!(
            !read.is_empty() && read.iter().all(|partition| partition.starts_with("events_system_")),
            "{filter}: {read:?}"
        );
    }
    // What continues a listing begins where that ended.
    let id = server.query("postgres", "SELECT event_id FROM audit.search('needle')");
    let read = partitions(
        &server,
        &format!("SELECT * FROM audit.search(after => '{id}', sort => 'occurred_at asc', categories => '{{data}}')"),
    );
    let earlier = of("l.until < now()");
    assert!(!earlier.is_empty() && !read.iter().any(|partition| earlier.contains(partition)), "{read:?}");
}

#[test]
fn a_search_can_be_cancelled() {
    let server = explained();
    server.query("postgres", "INSERT INTO t SELECT i, repeat(md5(i::text), 60) FROM generate_series(2, 40000) i");
    let mut client = server.connect("postgres");
    let cancel = client.cancel_token();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        cancel.cancel_query(postgres::NoTls).unwrap();
    });
    let started = Instant::now();
    // A cross join makes it long enough whatever the machine.
    let error = client
        .batch_execute(
            "SELECT count(*) FROM generate_series(1, 1000) i CROSS JOIN LATERAL audit.search('nothere' || i)",
        )
        .unwrap_err();
    canceller.join().unwrap();
    assert_eq!(error.code(), Some(&postgres::error::SqlState::QUERY_CANCELED));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
