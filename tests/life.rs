//! Life with PostgreSQL: DROP in every form, CREATE beside what is there already, a crash.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use audit_testing::server::Server;
use audit_testing::trail::{expect, expect_whole};

/// What psql reports, every message in one text.
fn messages(server: &Server, database: &str, sql: &str) -> String {
    String::from_utf8_lossy(&server.psql(database, sql).stderr).into_owned()
}

/// Each in a session of its own, which has not loaded the library before.
#[test]
fn evidence_is_not_dropped() {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE ROLE owner SUPERUSER LOGIN");
    server.create_database("shop");
    server.run("psql", &["--username=owner", "--dbname=shop", "--command=CREATE EXTENSION audit"]);
    server.query(
        "shop",
        "CREATE TABLE item (id int PRIMARY KEY); SELECT audit.enable('item'); INSERT INTO item VALUES (1)",
    );
    let partition =
        server.query("shop", "SELECT e.tableoid::regclass FROM audit.events e WHERE e.category = 'data' LIMIT 1");
    let forms = [
        "DROP EXTENSION audit".to_owned(),
        "DROP EXTENSION audit CASCADE".to_owned(),
        "DROP EXTENSION IF EXISTS audit RESTRICT".to_owned(),
        "DROP OWNED BY owner".to_owned(),
        "DROP OWNED BY owner CASCADE".to_owned(),
        "DROP SCHEMA audit CASCADE".to_owned(),
        "DROP EXTENSION plpgsql CASCADE".to_owned(),
        "DROP TABLE audit.events CASCADE".to_owned(),
        "DROP TABLE audit_internal.nodes CASCADE".to_owned(),
        format!("DROP TABLE {partition}"),
        format!("DROP TABLE {partition} CASCADE"),
        "DO $$ BEGIN EXECUTE 'DROP EXTENSION audit CASCADE'; END $$".to_owned(),
        format!("TRUNCATE {partition}"),
        format!("DELETE FROM {partition}"),
        "SET session_replication_role = replica; DELETE FROM audit.events".to_owned(),
    ];
    for sql in &forms {
        let errors = messages(&server, "shop", sql);
        assert!(errors.contains("ERROR:  "), "{sql} was not refused: {errors}");
        assert!(errors.contains("HINT:  "), "{sql}: {errors}");
        assert!(!errors.contains("XX000"), "{sql}: {errors}");
    }
    let errors = messages(&server, "shop", "DROP EXTENSION audit CASCADE");
    assert!(errors.contains("55000: cannot drop extension audit: it holds audit evidence"), "{errors}");
    assert!(errors.contains("audit.uninstall("), "{errors}");
    expect(&server, "shop", "public.item", "insert 1 {\"id\": 1}");

    // What is not evidence goes as ever, and the table's history stays.
    assert_eq!(
        messages(&server, "shop", "CREATE TABLE other (id int); DROP TABLE other; CREATE SCHEMA s; DROP SCHEMA s"),
        ""
    );
    assert_eq!(messages(&server, "shop", "DROP TABLE item"), "");
    expect(&server, "shop", "public.item", "insert 1 {\"id\": 1}");
    uninstalling(&server);
}

/// The deliberate way: the text to confirm is in the hint, and nothing stays behind.
fn uninstalling(server: &Server) {
    server.query(
        "shop",
        "CREATE TABLE kept (id int PRIMARY KEY); SELECT audit.enable('kept'); INSERT INTO kept VALUES (1)",
    );
    let confirmed = "SELECT audit.uninstall('remove the audit trail of shop')";
    for sql in ["SELECT audit.uninstall('yes')", "SELECT audit.uninstall(NULL)"] {
        let errors = messages(server, "shop", sql);
        assert!(errors.contains("22023: ") && errors.contains(confirmed), "{errors}");
    }
    server.query("shop", "CREATE ROLE clerk");
    let errors = messages(server, "shop", &format!("SET ROLE clerk; {confirmed}"));
    assert!(errors.contains("42501: "), "{errors}");
    server.query("shop", confirmed);
    let left = "SELECT count(*) FROM pg_class c WHERE c.relname LIKE 'events%'
                UNION ALL SELECT count(*) FROM pg_namespace n WHERE n.nspname IN ('audit', 'audit_internal')
                UNION ALL SELECT count(*) FROM pg_trigger t WHERE t.tgname LIKE '!audit%'
                UNION ALL SELECT count(*) FROM pg_event_trigger t WHERE t.evtname LIKE 'audit%'";
    assert_eq!(server.query("shop", left), "0\n0\n0\n0");
    // The same session too may begin anew; without evidence an ordinary DROP will do.
    server.query("shop", "INSERT INTO kept VALUES (2); CREATE EXTENSION audit; DROP EXTENSION audit; CREATE EXTENSION audit; SELECT audit.enable('kept'); INSERT INTO kept VALUES (3)");
    expect(server, "shop", "public.kept", "insert 3 {\"id\": 3}");
}

#[test]
fn it_is_not_created_beside_what_is_not_ours() {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE SCHEMA audit; CREATE TABLE audit.record_version (id int)");
    let errors = messages(&server, "postgres", "CREATE EXTENSION audit");
    assert!(errors.contains("42P06: schema \"audit\" already exists") && errors.contains("HINT:  "), "{errors}");
    assert_eq!(server.query("postgres", "SELECT count(*) FROM audit.record_version"), "0");
    server.query("postgres", "DROP SCHEMA audit CASCADE");

    for make in ["CREATE ROLE audit_admin LOGIN", "CREATE ROLE audit_admin; CREATE ROLE m IN ROLE audit_admin"] {
        server.query("postgres", make);
        let errors = messages(&server, "postgres", "CREATE EXTENSION audit");
        assert!(
            errors.contains("42710: role \"audit_admin\" already exists") && errors.contains("HINT:  "),
            "{errors}"
        );
        assert_eq!(
            server.query("postgres", "SELECT count(*) FROM pg_namespace WHERE nspname IN ('audit', 'audit_internal')"),
            "0"
        );
        server.query("postgres", "DROP ROLE IF EXISTS m; DROP ROLE audit_admin");
    }
    // A role that nobody uses is taken, and our own in use by another database is no obstacle.
    server.query("postgres", "CREATE ROLE audit_reader; CREATE EXTENSION audit; CREATE ROLE m IN ROLE audit_admin");
    server.create_database("second");
    server.query("second", "CREATE EXTENSION audit");
}

/// After a crash under load every committed change has its event and no other change has one.
#[test]
fn a_crash_keeps_events_and_changes_together() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit;
         CREATE TABLE entry (id bigserial PRIMARY KEY, counter int, note text);
         CREATE TABLE counter (id int PRIMARY KEY, n bigint);
         INSERT INTO counter SELECT n, 0 FROM generate_series(1, 50) n;
         SELECT audit.enable('entry'), audit.enable('counter')",
    );
    let script = server.host().join("crash.sql");
    std::fs::write(
        &script,
        "\\set id random(1, 50)\nBEGIN;\nINSERT INTO entry (counter, note) VALUES (:id, repeat('x', 100));\n\
         SAVEPOINT a;\nUPDATE counter SET n = n - 1 WHERE id = :id;\nROLLBACK TO a;\n\
         UPDATE counter SET n = n + 1 WHERE id = :id;\nCOMMIT;\n",
    )
    .unwrap();
    for round in 1..=2 {
        let mut load = server.client("pgbench");
        load.args(["--no-vacuum", "--client=4", "--time=60", "--file"]).arg(&script).arg("postgres");
        let mut load = load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(1500));
        server.kill9();
        assert!(!load.wait().unwrap().success(), "the load was to be interrupted");
        server.launch();

        let entries = "SELECT count(*) FROM ((SELECT id::text, counter FROM entry EXCEPT ALL
                         SELECT t.entity_id, (t.new_values ->> 'counter')::int FROM audit.trail t WHERE t.entity = 'public.entry' AND t.event = 'row.insert')
                       UNION ALL (SELECT t.entity_id, (t.new_values ->> 'counter')::int FROM audit.trail t WHERE t.entity = 'public.entry' AND t.event = 'row.insert'
                         EXCEPT ALL SELECT id::text, counter FROM entry)) difference";
        assert_eq!(server.query("postgres", entries), "0", "round {round}");
        let counters = "SELECT count(*), coalesce(bool_or(c.n <> coalesce(e.updates, 0) OR c.n <> coalesce(e.latest, 0)), false)
                        FROM counter c LEFT JOIN (SELECT e.entity_id::int AS id, count(*) AS updates, max((e.changes -> 'n' ->> 1)::bigint) AS latest
                          FROM audit.events e WHERE e.event_type = 2 GROUP BY 1) e USING (id)";
        assert_eq!(server.query("postgres", counters), "50|f", "round {round}");
        let worked = "SELECT count(*) > 100 AND count(*) = (SELECT sum(n) FROM counter) FROM entry";
        assert_eq!(server.query("postgres", worked), "t", "round {round}");
        expect_whole(&server, "postgres");
        server.query("postgres", "INSERT INTO entry (counter, note) VALUES (1, 'after'); UPDATE counter SET n = n + 1 WHERE id = 1; CALL audit.maintain()");
    }
}
