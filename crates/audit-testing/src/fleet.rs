//! Servers whose trails are gathered in another, for the tests of fleets.

use crate::server::{Server, wait_until};
use crate::trail;

/// Workers enough for several subscriptions at a time, which try again at once.
pub const WORKERS: [(&str, &str); 4] = [
    ("max_worker_processes", "30"),
    ("max_logical_replication_workers", "20"),
    ("max_sync_workers_per_subscription", "4"),
    ("wal_retrieve_retry_interval", "200ms"),
];
/// The whole trail of one server, as people read it.
pub const TRAIL: &str = "SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t.event_id)) FROM audit.trail t";

/// Starts a server of this name that replicates, with the extension in database `postgres`.
pub fn start(name: &str) -> Server {
    let own = [("audit.server_name", name), ("audit.replicate", "on")];
    let server = Server::start(&[&WORKERS[..], &own[..]].concat());
    query(&server, "CREATE EXTENSION audit");
    server
}

/// Runs SQL in database `postgres` and returns what it prints.
#[track_caller]
pub fn query(server: &Server, sql: &str) -> String {
    server.query("postgres", sql)
}

/// How a subscription of another server connects to this one.
pub fn connection(source: &Server) -> String {
    format!("host={} port={} user=postgres dbname=postgres", source.host().display(), source.port())
}

/// Publishes one trail and gathers it in another, by the statements that the functions return.
pub fn gather(centre: &Server, source: &Server, name: &str) {
    let statement = query(source, "SELECT audit.publish()");
    let statement = query(centre, &statement);
    assert_eq!(statement, "CREATE SUBSCRIPTION audit_NAME CONNECTION 'host=… dbname=… user=…' PUBLICATION audit;");
    subscribe(centre, source, name);
}

/// Subscribes to the trail of a source and waits until its tables are copied.
pub fn subscribe(centre: &Server, source: &Server, name: &str) {
    query(centre, &format!("CREATE SUBSCRIPTION audit_{name} CONNECTION '{}' PUBLICATION audit", connection(source)));
    wait_until("the tables are copied", || {
        query(centre, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == "0"
    });
}

/// Waits until all that a source has published has arrived.
pub fn catch_up(source: &Server) {
    let written = query(source, "SELECT pg_current_wal_lsn()");
    wait_until("the subscribers have caught up", || {
        query(
            source,
            &format!(
                "SELECT bool_and(s.active AND s.confirmed_flush_lsn >= '{written}') FROM pg_replication_slots s
                 WHERE s.slot_name LIKE 'audit%'"
            ),
        ) == "t"
    });
}

/// Asserts that the centre has of a server what the server itself has.
#[track_caller]
pub fn expect_same(centre: &Server, source: &Server, name: &str) {
    catch_up(source);
    let here = query(centre, &format!("{TRAIL} WHERE t.server = '{name}'"));
    assert_eq!(here, query(source, TRAIL), "the trail of server {name}");
    trail::expect_whole(centre, "postgres");
}

/// The errors and warnings in the log of a server.
pub fn errors(server: &Server) -> String {
    let log = server.log();
    let lines = log.lines().filter(|line| ["ERROR:", "PANIC:", "WARNING:"].iter().any(|level| line.contains(level)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Moves the clock of a server's trail this many hours ahead, for every session.
pub fn set_clock(server: &Server, hours: i64) {
    query(server, &format!("SELECT audit_internal.clock(); ALTER SYSTEM SET audit.test_clock_offset = '{hours}h'"));
    query(server, "SELECT pg_reload_conf()");
    let ahead =
        "SELECT floor(extract(epoch FROM audit_internal.clock() - clock_timestamp() + interval '1 minute') / 3600)";
    wait_until("the clock is set", || query(server, ahead) == hours.to_string());
}

/// Asserts that the catalog of partitions describes the events that closed partitions hold.
#[track_caller]
pub fn expect_facts(server: &Server) {
    let sql = "SELECT string_agg(f.partition_name, ' ' ORDER BY f.partition_name)
               FROM audit_internal.partition_catalog f
               LEFT JOIN (SELECT c.relname, count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
                          FROM audit.events e JOIN pg_class c ON c.oid = e.tableoid GROUP BY c.relname) h ON h.relname = f.partition_name
               WHERE f.closed_at IS NOT NULL
                 AND (f.events <> coalesce(h.events, 0) OR h.first_at < f.first_at OR h.last_at > f.last_at)";
    assert_eq!(query(server, sql), "", "partitions with wrong facts");
}

/// A trail with a past: a table with dedicated partitions, events in the overflow, an event type of the application.
pub fn source(name: &str) -> Server {
    let server = start(name);
    query(
        &server,
        &format!(
            "CREATE TABLE orders (id int PRIMARY KEY, status text); CREATE TABLE parts (id int PRIMARY KEY, note text);
             SELECT audit.enable('orders'), audit.enable('parts');
             SELECT audit.set_retention('data', keep => '2 years', target => 'orders');
             INSERT INTO orders VALUES (1, 'new at {name}'), (2, 'new at {name}');
             BEGIN; SET LOCAL audit.actor = 'ann@{name}'; SET LOCAL audit.trace_id = 'trace of {name}';
             UPDATE orders SET status = 'paid at {name}' WHERE id = 1; COMMIT;
             SELECT audit.define_event_type('invoice.approved', parameters => '{{\"amount\": \"numeric\"}}');
             SELECT audit.define_event_type('invoice.seen_{name}', risk => 'high');
             SELECT audit.record('invoice.approved', '{{\"amount\": 7}}', 'invoice', 'INV-{name}');
             INSERT INTO parts SELECT n, string_agg(md5(m::text), '') FROM generate_series(1, 300) n, generate_series(1, 90) m GROUP BY n"
        ),
    );
    server
}
