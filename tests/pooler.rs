//! Attribution behind PgBouncer in transaction mode: two clients share one connection to the server, and each row is
//! attributed to the client that changed it.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use audit_testing::server::Server;
use audit_testing::server::pgbouncer::Pgbouncer;
use audit_testing::trail;
use postgres::{Client, NoTls, SimpleQueryMessage};

const OLD: &str = "00-00000000000000000000000000000aaa-00000000000000aa-01";
const NEW: &str = "00-00000000000000000000000000000bbb-00000000000000bb-01";

/// A server whose database `postgres` audits `t (id)`, and a pool of one connection to it.
fn audited() -> (Server, Pgbouncer) {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE EXTENSION audit; CREATE TABLE t (id int PRIMARY KEY); SELECT audit.enable('t')");
    let bouncer = Pgbouncer::start(&server, 1);
    (server, bouncer)
}

/// Who inserted each row, and why, as the trail says it.
fn attribution(server: &Server) -> Vec<String> {
    let sql = "SELECT concat_ws('|', t.entity_id, t.application_name, t.actor_source, t.actor, t.trace_id, t.reason, t.context)
               FROM audit.trail t WHERE t.event = 'row.insert' ORDER BY t.entity_id::int";
    server.query("postgres", sql).lines().map(str::to_owned).collect()
}

fn connect(bouncer: &Pgbouncer, application: &str) -> Client {
    bouncer.config("postgres").application_name(application).connect(NoTls).unwrap()
}

#[test]
fn what_one_client_sets_is_not_said_of_another() {
    let (server, bouncer) = audited();
    let mut web = connect(&bouncer, "web");
    let mut job = connect(&bouncer, "job");
    let pid = |client: &mut Client| -> String {
        let messages = client.simple_query("SELECT pg_backend_pid()").unwrap();
        let pid = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        pid.unwrap().to_owned()
    };
    assert_eq!(pid(&mut web), pid(&mut job));

    web.batch_execute(
        "BEGIN; SET LOCAL audit.actor = 'ann'; SET LOCAL audit.trace_id = 'trace-1'; SET LOCAL audit.reason = 'first';
         SET LOCAL audit.context = '{\"page\": 1}'; INSERT INTO t VALUES (1); COMMIT",
    )
    .unwrap();
    job.batch_execute("INSERT INTO t VALUES (2)").unwrap();
    job.batch_execute("BEGIN; SET LOCAL audit.actor = 'ben'; INSERT INTO t VALUES (3); COMMIT").unwrap();
    web.batch_execute("INSERT INTO t VALUES (4)").unwrap();
    // The same words from another client, and a transaction that is given up.
    job.batch_execute(
        "BEGIN; SELECT audit.set_context(actor => 'ann', reason => 'gone'); INSERT INTO t VALUES (99); ROLLBACK",
    )
    .unwrap();
    web.batch_execute("INSERT INTO t VALUES (5)").unwrap();
    job.batch_execute("BEGIN; SELECT audit.set_context(actor => 'ann'); INSERT INTO t VALUES (6); COMMIT").unwrap();
    // A savepoint takes its settings along; what the transaction set before it stays.
    web.batch_execute(
        "BEGIN; SET LOCAL audit.actor = 'cleo'; SAVEPOINT a; SET LOCAL audit.actor = 'dan'; INSERT INTO t VALUES (98);
         ROLLBACK TO a; INSERT INTO t VALUES (7); COMMIT",
    )
    .unwrap();
    job.batch_execute("INSERT INTO t VALUES (8)").unwrap();

    assert_eq!(
        attribution(&server),
        [
            r#"1|web|setting|ann|trace-1|first|{"page": 1}"#,
            "2|job|login|postgres",
            "3|job|setting|ben",
            "4|web|login|postgres",
            "5|web|login|postgres",
            "6|job|setting|ann",
            "7|web|setting|cleo",
            "8|job|login|postgres",
        ]
    );
    trail::expect_whole(&server, "postgres");
    assert_eq!(
        server.query("postgres", "SELECT count(DISTINCT t.session_id) FROM audit.trail t WHERE t.event = 'row.insert'"),
        "1"
    );
}

/// The comment of a named prepared statement is as old as the statement: it says nothing of who executes it now.
#[test]
fn a_comment_counts_only_where_it_came_with_the_execution() {
    let (server, bouncer) = audited();
    let mut client = connect(&bouncer, "web");
    let stale = client.prepare(&format!("INSERT INTO t VALUES ($1) /*traceparent='{OLD}',route='old'*/")).unwrap();
    client.execute(&stale, &[&1]).unwrap();
    client.batch_execute(&format!("INSERT INTO t VALUES (2) /*traceparent='{NEW}',route='new'*/")).unwrap();
    client.execute(&stale, &[&3]).unwrap();
    // By SQL: the text that came is that of EXECUTE.
    client.batch_execute(&format!("PREPARE p AS INSERT INTO t VALUES ($1) /*traceparent='{OLD}'*/; ")).unwrap();
    client.batch_execute("EXECUTE p(4)").unwrap();
    client.batch_execute(&format!("EXECUTE p(5) /*traceparent='{NEW}'*/")).unwrap();
    client.batch_execute("EXECUTE p(6)").unwrap();
    // Each statement of a string has its own comment, and settings go before comments.
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL audit.trace_id = 'set'; INSERT INTO t VALUES (7) /*traceparent='{NEW}',actor='ann'*/;
             INSERT INTO t VALUES (8); COMMIT"
        ))
        .unwrap();
    let mut transaction = client.transaction().unwrap();
    transaction.execute(&stale, &[&9]).unwrap();
    transaction.commit().unwrap();

    let trace = "00000000000000000000000000000bbb";
    assert_eq!(
        attribution(&server),
        [
            "1|web|login|postgres".to_owned(),
            format!(r#"2|web|login|postgres|{trace}|{{"route": "new", "traceparent": "{NEW}"}}"#),
            "3|web|login|postgres".to_owned(),
            "4|web|login|postgres".to_owned(),
            format!(r#"5|web|login|postgres|{trace}|{{"traceparent": "{NEW}"}}"#),
            "6|web|login|postgres".to_owned(),
            format!(r#"7|web|comment|ann|set|{{"actor": "ann", "traceparent": "{NEW}"}}"#),
            "8|web|login|postgres|set".to_owned(),
            "9|web|login|postgres".to_owned(),
        ]
    );
}
