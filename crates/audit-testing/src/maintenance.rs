//! Databases that give the background worker something to do, and what is seen of it.

use crate::server::{Server, wait_until};

/// Starts a server with the library preloaded and these settings.
pub fn start(settings: &[(&str, &str)]) -> Server {
    Server::start(&[&[("shared_preload_libraries", "audit")], settings].concat())
}

/// Audits a table `t` and leaves one event in the overflow, whose partition the worker has to make.
pub fn make_work(server: &Server, database: &str) {
    server.query(
        database,
        "CREATE EXTENSION IF NOT EXISTS audit;
         CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY);
         SELECT audit.enable('t');",
    );
    drop_partitions(server, database);
    server.query(database, "INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t");
}

/// Drops the partitions of row events, which the extension permits to itself.
pub fn drop_partitions(server: &Server, database: &str) {
    drop_partitions_and(server, database, "");
}

/// The same, and something else before maintenance can come.
pub fn drop_partitions_and(server: &Server, database: &str, sql: &str) {
    let text = format!(
        "BEGIN;
         SELECT audit_internal.lock('maintenance');
         DO $$
         DECLARE partition regclass;
         BEGIN
             FOR partition IN SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' LOOP
                 PERFORM audit_internal.execute_permitted(format('DROP TABLE %s', partition));
             END LOOP;
         END $$;
         {sql};
         COMMIT"
    );
    server.query(database, &text);
}

/// How many events wait in the overflow.
pub fn overflow(server: &Server, database: &str) -> i64 {
    server.query(database, "SELECT count(*) FROM audit_internal.events_overflow").parse().unwrap()
}

/// What status() says about the worker.
pub fn worker(server: &Server, database: &str) -> String {
    server.query(database, "SELECT worker FROM audit.status()")
}

/// Makes the next run in the database take `seconds`: it has to move an event into a partition with an index of the
/// administrator whose expression sleeps.
pub fn make_long_work(server: &Server, database: &str, seconds: u32) {
    server.query(
        database,
        &format!(
            "CREATE EXTENSION audit;
             CREATE TABLE t (id int PRIMARY KEY);
             SELECT audit.enable('t');
             CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
             'BEGIN PERFORM pg_sleep({seconds}); RETURN $1; END';"
        ),
    );
    let partition = server.query(
        database,
        "SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_data' AND now() >= l.since AND now() < l.until",
    );
    let mut client = server.connect(database);
    // A partition that is locked is not waited for: the event goes to the overflow.
    client.batch_execute(&format!("BEGIN; LOCK TABLE {partition} IN SHARE MODE")).unwrap();
    server.query(database, "INSERT INTO t VALUES (1)");
    client.batch_execute(&format!("CREATE INDEX administrator ON {partition} (slow(entity_id)); COMMIT")).unwrap();
    assert_eq!(overflow(server, database), 1);
}

/// Waits until a worker is amid the run of [`make_long_work`]; returns its process number and the database.
pub fn wait_for_long_work(server: &Server) -> (u32, String) {
    let sql = "SELECT pid || ' ' || datname FROM pg_stat_activity
               WHERE backend_type = 'audit maintenance' AND wait_event = 'PgSleep'";
    let mut found = String::new();
    wait_until("the worker is at work", || {
        found = server.query("postgres", sql);
        !found.is_empty()
    });
    let (pid, database) = found.split_once(' ').unwrap();
    (pid.parse().unwrap(), database.to_owned())
}

/// The launcher's process number, where it runs.
pub fn launcher(server: &Server) -> Option<u32> {
    server.query("postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'audit launcher'").parse().ok()
}

/// Asserts that the log has nothing but what PostgreSQL itself says in normal operation.
pub fn expect_quiet(server: &Server) {
    let log = server.log();
    // A shutdown says this to a client that is about to leave by itself.
    for line in log.lines().filter(|line| !line.contains("terminating connection due to administrator command")) {
        let is_loud =
            ["ERROR:", "FATAL:", "PANIC:", "WARNING:", "audit maintenance"].iter().any(|word| line.contains(word));
        assert!(!is_loud, "{line}\n{log}");
    }
}
