//! The trail explains the tables: replayed into empty copies, the events of a scripted workload give every row, and the
//! check that says so fails on a trail with an event missing or two of them swapped.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use audit_testing::server::{self, Server};
use audit_testing::trail;

fn demo(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(file)).unwrap()
}

/// The demonstration's tables and its workloads, side by side, small.
fn worked() -> Server {
    let server = Server::start(&[]);
    server.run("pgbench", &["--initialize", "--quiet", "--scale=1", "postgres"]);
    server.query("postgres", &demo("schema.sql"));
    server.query("postgres", "CREATE EXTENSION audit");
    server.query("postgres", &demo("enable.sql"));
    let mut bank = server.client("pgbench");
    bank.args(["--no-vacuum", "--client=4", "--jobs=2", "--transactions=250", "postgres"]);
    let bank = std::thread::spawn(move || bank.output().unwrap());
    server.pgbench(
        "postgres",
        &demo("application.sql"),
        &["--client=2", "--transactions=60", "--random-seed=1", "--max-tries=10"],
    );
    server.query("postgres", &demo("office.sql"));
    server::expect_success("pgbench", &bank.join().unwrap());
    server.query("postgres", &demo("reconcile.sql"));
    server
}

#[test]
fn the_events_of_a_workload_explain_every_table() {
    let server = worked();
    let tables =
        server.query("postgres", "SELECT s.relation_oid::regclass FROM audit_internal.table_settings s ORDER BY 1");
    assert_eq!(tables.lines().count(), 11);
    for table in tables.lines() {
        assert_eq!(server.query("postgres", &format!("SELECT problem FROM reconcile.check('{table}')")), "", "{table}");
        // An empty trail would explain an empty table: the replay has had something to do.
        let counts = format!(
            "SELECT r.events > 0, r.events >= r.live, r.missing, r.unexpected FROM reconcile.replay('{table}') r"
        );
        assert_eq!(server.query("postgres", &counts), "t|t|0|0", "{table}");
    }
    // Each TPC-B transaction inserts one row and changes three, unless what it adds to them is nothing.
    let changes = "SELECT (SELECT count(*) FROM audit.trail t WHERE t.entity LIKE 'public.pgbench%' AND t.event IN ('row.insert', 'row.update'))
                        - (SELECT sum(CASE WHEN delta = 0 THEN 1 ELSE 4 END) FROM pgbench_history)";
    assert_eq!(server.query("postgres", changes), "0");
    trail::expect_whole(&server, "postgres");

    let proof = server.query("postgres", "SELECT tampering, problems > 0 FROM reconcile.proof('shop.orders')");
    assert_eq!(
        proof.lines().collect::<Vec<_>>(),
        [
            "without one row.insert|t",
            "without one row.update|t",
            "without one row.delete|t",
            "with two row.update swapped|t"
        ]
    );
    // A table without key is found by its images, and fails as surely.
    let proof = server.query("postgres", "SELECT tampering, problems > 0 FROM reconcile.proof('shop.notes')");
    assert_eq!(
        proof.lines().collect::<Vec<_>>(),
        ["without one row.insert|t", "without one row.update|t", "without one row.delete|t"]
    );
    // What tampering leaves behind is only a copy: the trail itself still explains the table.
    assert_eq!(server.query("postgres", "SELECT problem FROM reconcile.check('shop.orders')"), "");
}
