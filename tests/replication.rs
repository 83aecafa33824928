//! Logical replication: a trail on the subscriber, and a publisher whose FOR ALL TABLES publication includes ours.

use audit_testing::server::{Server, wait_until};
use audit_testing::trail::expect;

/// Subscribes to a publication of another server's database `postgres`.
fn subscribe(subscriber: &Server, publisher: &Server, publication: &str) {
    let connection =
        format!("host={} port={} user=postgres dbname=postgres", publisher.host().display(), publisher.port());
    subscriber.query("postgres", &format!("CREATE SUBSCRIPTION s CONNECTION '{connection}' PUBLICATION {publication}"));
    wait_until("the tables are copied", || {
        subscriber.query("postgres", "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == "0"
    });
}

/// Waits until the subscriber has applied what the publisher has written so far. The slot moves on only with what is
/// confirmed, so replication that fails shows here too.
fn catch_up(publisher: &Server, subscriber: &Server) {
    let written = publisher.query("postgres", "SELECT pg_current_wal_lsn()");
    let sql = format!("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= '{written}'");
    wait_until("the subscriber has caught up", || {
        let errors = errors(subscriber);
        assert!(errors.is_empty(), "the subscriber reports:\n{errors}");
        publisher.query("postgres", &sql) == "1"
    });
}

/// What a server has logged as gone wrong.
fn errors(server: &Server) -> String {
    let log = server.log();
    let lines =
        log.lines().filter(|line| ["ERROR:", "FATAL:", "PANIC:", "WARNING:"].iter().any(|level| line.contains(level)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_subscriber_audits_what_it_applies() {
    let publisher = Server::start(&[]);
    publisher.query(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE child (id int PRIMARY KEY, t int);
         INSERT INTO t VALUES (1, 'copied'); CREATE PUBLICATION p FOR TABLE t, child",
    );
    let subscriber = Server::start(&[]);
    subscriber.query(
        "postgres",
        "CREATE EXTENSION audit;
         CREATE TABLE t (id int PRIMARY KEY, note text, here text DEFAULT 'local'); CREATE TABLE child (id int PRIMARY KEY, t int);
         SELECT audit.enable('t'), audit.enable('child')",
    );
    subscribe(&subscriber, &publisher, "p");
    publisher.query(
        "postgres",
        "INSERT INTO t VALUES (2, 'applied'), (3, 'gone');
         BEGIN;
         UPDATE t SET note = 'changed' WHERE id = 1;
         SAVEPOINT a;
         UPDATE t SET note = 'rolled back';
         ROLLBACK TO a;
         DELETE FROM t WHERE id = 3;
         COMMIT;
         BEGIN; DELETE FROM t; ROLLBACK;
         UPDATE t SET id = 4 WHERE id = 2;
         INSERT INTO child VALUES (1, 4);
         TRUNCATE child",
    );
    catch_up(&publisher, &subscriber);
    expect(
        &subscriber,
        "postgres",
        "public.t",
        r#"insert 1 {"id": 1, "here": "local", "note": "copied"}
           insert 2 {"id": 2, "here": "local", "note": "applied"}
           insert 3 {"id": 3, "here": "local", "note": "gone"}
           update 1 {"note": ["copied", "changed"]}
           delete 3 {"id": 3, "here": "local", "note": "gone"}
           update 2 -> 4 {"id": [2, 4]}"#,
    );
    expect(&subscriber, "postgres", "public.child", "insert 1 {\"t\": 4, \"id\": 1}\ntable.truncate");

    // What was applied says where it came from; what is done here does not.
    subscriber.query("postgres", "INSERT INTO t VALUES (9, 'local')");
    let origins = "SELECT e.entity_id, c.origin LIKE 'pg\\_%', s.backend_type = 'client backend' FROM audit.events e
                   JOIN audit_internal.contexts c USING (node_id, context_id) JOIN audit_internal.sessions s USING (node_id, session_id)
                   WHERE e.category = 'data' AND e.entity_id IN ('1', '2', '9') AND e.event_type = 1
                     AND e.relation_id IN (SELECT relation_id FROM audit_internal.relations WHERE table_name = 't') ORDER BY 1";
    assert_eq!(subscriber.query("postgres", origins), "1|t|f\n2|t|f\n9||t");
    assert_eq!(errors(&subscriber), "");
}

/// The subscriber knows nothing of us: neither the extension's tables, nor new partitions, nor events, nor their move
/// from the overflow may reach it, and the user's own tables go on.
#[test]
fn a_publication_for_all_tables_goes_on() {
    let publisher = Server::start(&[]);
    publisher.query(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE PUBLICATION everything FOR ALL TABLES",
    );
    let subscriber = Server::start(&[]);
    subscriber.query("postgres", "CREATE TABLE t (id int PRIMARY KEY, note text)");
    subscribe(&subscriber, &publisher, "everything");

    publisher.query("postgres", "CREATE EXTENSION audit");
    publisher.query("postgres", "INSERT INTO t VALUES (0, 'installed')");
    catch_up(&publisher, &subscriber);

    publisher.query("postgres", "SELECT audit.enable('t'); INSERT INTO t VALUES (1, 'enabled')");
    // Values that TOAST stores apart take another path.
    publisher.query(
        "postgres",
        "INSERT INTO t SELECT 2, string_agg(md5(n::text), '') FROM generate_series(1, 20000) n;
         SELECT audit.enable('t', level => 'comprehensive', label_column => 'note');
         UPDATE t SET note = 'again' WHERE id < 2;
         SELECT audit.enable_schema('public'), audit.disable_schema('public'), audit.enable('t')",
    );
    catch_up(&publisher, &subscriber);

    publisher.query(
        "postgres",
        "BEGIN;
         DO $$
         DECLARE partition regclass;
         BEGIN
             FOR partition IN SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' LOOP
                 PERFORM audit_internal.execute_permitted(format('DROP TABLE %s', partition));
             END LOOP;
         END $$;
         COMMIT;
         INSERT INTO t SELECT n, 'to the overflow' FROM generate_series(10, 500) n;
         CALL audit.maintain();
         DELETE FROM t WHERE id BETWEEN 300 AND 400",
    );
    wait_until("the overflow is empty", || {
        publisher.query("postgres", "CALL audit.maintain(); SELECT count(*) FROM audit_internal.events_overflow") == "0"
    });
    catch_up(&publisher, &subscriber);
    assert_eq!(
        publisher.query("postgres", "SELECT count(*) FROM audit.events WHERE category = 'data' AND entity_id::int > 9"),
        "592"
    );
    let rows = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM t";
    assert_eq!(publisher.query("postgres", rows), subscriber.query("postgres", rows));
    assert_eq!(errors(&subscriber), "");
    assert_eq!(errors(&publisher), "");
}
