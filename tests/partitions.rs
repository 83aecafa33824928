//! No partition for now: statements go on, the events wait in the overflow, and maintenance brings them to partitions.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use audit_testing::server::{Server, wait_until};
use audit_testing::trail;

const ROWS: &str = "20000";

/// A server whose database `postgres` audits `t`, with a short interval for data, without any partition that holds now.
fn without_partitions(settings: &[(&str, &str)]) -> Server {
    let server = Server::start(settings);
    server.query(
        "postgres",
        "CREATE EXTENSION audit;
         CREATE TABLE t (id int PRIMARY KEY, note text);
         SELECT audit.enable('t');
         SELECT audit_internal.upsert_config(ROW('events_data', '1 hour')::audit_internal.partition_settings);",
    );
    drop_partitions(&server);
    server
}

/// Drops every partition of row events, which the extension permits to itself, and makes one for a time long past.
fn drop_partitions(server: &Server) {
    server.query(
        "postgres",
        "BEGIN;
         DO $$
         DECLARE partition regclass;
         BEGIN
             FOR partition IN SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' LOOP
                 PERFORM audit_internal.execute_permitted(format('DROP TABLE %s', partition));
             END LOOP;
         END $$;
         SELECT audit_internal.create_partition('events_data', 'events_data_past', 'FOR VALUES FROM (''2001-01-01'') TO (''2001-02-01'')');
         COMMIT",
    );
}

fn number(server: &Server, sql: &str) -> i64 {
    server.query("postgres", sql).parse().unwrap()
}

fn overflow(server: &Server) -> i64 {
    number(server, "SELECT count(*) FROM audit_internal.events_overflow")
}

/// Every event of the rows is there once, in its partition, as the trail shows it, and the move is an event with its
/// count.
fn expect_moved(server: &Server, moved: &str) {
    assert_eq!(overflow(server), 0);
    let sql = "SELECT count(*), count(DISTINCT e.entity_id), min(e.entity_id::int), max(e.entity_id::int)
               FROM audit.events e WHERE e.category = 'data'";
    assert_eq!(server.query("postgres", sql), format!("{ROWS}|{ROWS}|1|{ROWS}"));
    assert_eq!(
        number(server, "SELECT count(*) FROM audit.trail t WHERE t.event = 'row.insert'"),
        ROWS.parse::<i64>().unwrap()
    );
    let sql =
        "SELECT sum((e.parameters ->> 'events')::int) FROM audit.events e JOIN audit.event_types t USING (event_type)
               WHERE t.name = 'evidence.move'";
    assert_eq!(server.query("postgres", sql), moved);
    trail::expect_whole(server, "postgres");
    let errors = server.log();
    assert!(!errors.contains("ERROR"), "{errors}");
}

/// Nothing is preloaded and nobody calls anything: the first event that finds no partition starts a worker.
#[test]
fn a_worker_creates_partitions_and_empties_the_overflow() {
    expect_help(&without_partitions(&[]));
}

/// The first event that finds no partition calls the launcher, whose next run would be hours away.
#[test]
fn the_launcher_creates_partitions_and_empties_the_overflow() {
    expect_help(&without_partitions(&[("shared_preload_libraries", "audit"), ("audit.naptime", "1d")]));
}

/// A worker comes when it is asked, and is done only when the transaction that asked has ended.
fn expect_help(server: &Server) {
    let mut client = server.connect("postgres");
    client
        .batch_execute(&format!("BEGIN; INSERT INTO t SELECT n, 'overflow' FROM generate_series(1, {ROWS} - 10) n"))
        .unwrap();
    wait_until("the worker has made partitions", || {
        number(server, "SELECT count(*) FROM audit.partitions l WHERE l.parent = 'events_data' AND l.until > now()")
            >= 2
    });
    // The same transaction goes on, into the new partition.
    client
        .batch_execute(&format!("INSERT INTO t SELECT n, 'partition' FROM generate_series({ROWS} - 9, {ROWS}) n"))
        .unwrap();
    client.batch_execute("SAVEPOINT a; INSERT INTO t VALUES (0); ROLLBACK TO a; COMMIT").unwrap();
    wait_until("the worker has emptied the overflow", || overflow(server) == 0);
    expect_moved(server, "19990");
    wait_until("the worker has ended", || {
        number(server, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'audit maintenance'") == 0
    });
}

/// Without a worker, as where none can be started, the events stay in the overflow, readable, until somebody calls.
#[test]
fn maintain_creates_partitions_and_empties_the_overflow() {
    let server = without_partitions(&[]);
    server.set(&[("max_worker_processes", "0")]);
    server.restart();
    let sql = format!(
        "INSERT INTO t SELECT n, 'overflow' FROM generate_series(1, {ROWS} - 5000) n;
         BEGIN; INSERT INTO t VALUES (0); ROLLBACK;
         INSERT INTO t SELECT n, 'overflow' FROM generate_series({ROWS} - 4999, {ROWS}) n"
    );
    server.query("postgres", &sql);
    assert_eq!(overflow(&server), ROWS.parse::<i64>().unwrap());
    assert_eq!(number(&server, "SELECT count(*) FROM audit.trail t WHERE t.event = 'row.insert'"), 20000);
    let content = "SELECT md5(string_agg(e::text, ',' ORDER BY e.event_id)) FROM (TABLE audit.events UNION ALL
                   TABLE audit_internal.events_overflow) e WHERE e.category = 'data'";
    let before = server.query("postgres", content);

    // One call steps until nothing is left, committing in between.
    server.query("postgres", "CALL audit.maintain()");
    expect_moved(&server, ROWS);
    assert_eq!(server.query("postgres", content), before, "the events changed on their way");
    assert_eq!(
        server.query("postgres", "CALL audit.maintain(); SELECT count(*) FROM audit.events WHERE category = 'data'"),
        ROWS
    );
}

/// Whoever gives a partition its indexes keeps writers out meanwhile; statements go on all the same.
#[test]
fn no_statement_waits_for_a_partition() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE t (id text PRIMARY KEY, note text); SELECT audit.enable('t')",
    );
    let partition = server.query(
        "postgres",
        "SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' AND now() >= l.since AND now() < l.until",
    );
    let mut indexing = server.connect("postgres");
    let mut transaction = indexing.transaction().unwrap();
    transaction.batch_execute(&format!("LOCK TABLE {partition} IN SHARE MODE")).unwrap();
    server.query(
        "postgres",
        "SET statement_timeout = '10s';
         INSERT INTO t VALUES ('1', 'meanwhile');
         BEGIN; UPDATE t SET note = 'again'; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; INSERT INTO t VALUES ('2'); COMMIT",
    );
    assert_eq!(overflow(&server), 3);
    transaction.commit().unwrap();
    server.query("postgres", "CALL audit.maintain()");
    assert_eq!(overflow(&server), 0);
    trail::expect(
        &server,
        "postgres",
        "public.t",
        r#"insert 1 {"id": "1", "note": "meanwhile"}
           update 1 {"note": ["meanwhile", "again"]}
           insert 2 {"id": "2", "note": null}"#,
    );
}

/// A closed partition has a B-tree over the keys, which refuses those of a third of a page.
#[test]
fn no_key_is_too_long_for_a_partition() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit;
         CREATE TABLE t (id bytea PRIMARY KEY, note text);
         SELECT audit.enable('t');
         DO $$
         DECLARE partition text;
         BEGIN
             FOR partition IN SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' LOOP
                 EXECUTE format('CREATE INDEX ON %s (entity_id, relation_id)', partition);
             END LOOP;
         END $$;
         INSERT INTO t SELECT decode(string_agg(md5(n::text), ''), 'hex'), 'long' FROM generate_series(1, 120) n;
         INSERT INTO t VALUES ('short', 'short');
         UPDATE t SET id = id || id WHERE note = 'short'",
    );
    assert_eq!(overflow(&server), 1);
    assert_eq!(server.query("postgres", "SELECT count(*) FROM audit.trail WHERE event ~ '^row'"), "3");
    assert_eq!(
        server.query("postgres", "SELECT count(*) FROM t CROSS JOIN LATERAL audit.history('t', t.id::text)"),
        "3"
    );
    trail::expect_whole(&server, "postgres");
}

/// A DBA makes an index of his own on the open partition, as he should, and others go on writing.
#[test]
fn an_index_may_be_made_concurrently() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE t (id int PRIMARY KEY); SELECT audit.enable('t'); INSERT INTO t VALUES (1)",
    );
    let partition = server.query(
        "postgres",
        "SELECT l.partition_name FROM audit.partitions l WHERE l.parent = 'events_data' AND now() >= l.since AND now() < l.until",
    );
    // Waits for the transaction below, with an index that takes no rows yet.
    let mut writing = server.connect("postgres");
    let mut transaction = writing.transaction().unwrap();
    transaction.batch_execute("INSERT INTO t VALUES (2)").unwrap();
    let mut indexing = server.connect("postgres");
    let command = format!("CREATE INDEX CONCURRENTLY of_dba ON audit_internal.{partition} (context_id, entity_id)");
    let made = std::thread::spawn(move || indexing.batch_execute(&command));
    let ready = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = 'of_dba'";
    wait_until("the index is in the catalog", || number(&server, ready) == 1);
    server.query("postgres", "INSERT INTO t SELECT n FROM generate_series(3, 100) n");
    transaction.commit().unwrap();
    made.join().unwrap().unwrap();
    server.query("postgres", "INSERT INTO t SELECT n FROM generate_series(101, 200) n");
    let by_index = format!(
        "SET enable_seqscan = off; SET enable_bitmapscan = off;
         SELECT count(*) FROM audit_internal.{partition} e WHERE e.context_id > 0; SELECT count(*) FROM audit_internal.events_overflow"
    );
    assert_eq!(server.query("postgres", &by_index), "200\n0");
    trail::expect_whole(&server, "postgres");
}

/// A transaction that lasts through more partitions than a backend keeps open.
#[test]
fn a_transaction_may_go_through_many_partitions() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE t (id int PRIMARY KEY); SELECT audit.enable('t');
         SELECT audit_internal.upsert_config(ROW('events_data', '1 hour')::audit_internal.partition_settings)",
    );
    drop_partitions(&server);
    server.query(
        "postgres",
        "SELECT audit_internal.create_partitions_of('events_data', now(), now() + interval '31 hours')",
    );
    let mut client = server.connect("postgres");
    let mut transaction = client.transaction().unwrap();
    for hour in 0..30 {
        let sql = format!("SET LOCAL audit.test_clock_offset = '{hour}h'; INSERT INTO t VALUES ({hour})");
        transaction.batch_execute(&sql).unwrap();
    }
    transaction.batch_execute("SAVEPOINT s; INSERT INTO t VALUES (100); ROLLBACK TO s").unwrap();
    transaction.commit().unwrap();
    let sql = "SELECT count(*), count(DISTINCT e.tableoid) FROM audit.events e WHERE e.category = 'data'";
    assert_eq!(server.query("postgres", sql), "30|30");
    trail::expect_whole(&server, "postgres");
}
