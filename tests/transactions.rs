//! What is rolled back has no event, what is committed has: savepoints, two-phase commit, deferred constraints,
//! procedures that commit, exceptions that are caught.

use audit_testing::server::Server;
use audit_testing::trail::{self, expect};

/// A server whose database `postgres` audits `t (id, note)`.
fn audited() -> Server {
    let server = Server::start(&[]);
    run(&server, "CREATE EXTENSION audit; CREATE TABLE t (id int PRIMARY KEY, note text); SELECT audit.enable('t')");
    server
}

/// Every call is a connection of its own.
fn run(server: &Server, sql: &str) {
    server.query("postgres", sql);
}

#[test]
fn what_is_rolled_back_has_no_event() {
    let server = audited();
    savepoints(&server);
    dictionaries(&server);
    exceptions(&server);
    procedures(&server);
    deferred_constraints(&server);
}

fn savepoints(server: &Server) {
    run(
        server,
        "BEGIN;
         INSERT INTO t VALUES (1, 'kept');
         SAVEPOINT a;
         INSERT INTO t VALUES (2, 'gone');
         UPDATE t SET note = 'gone' WHERE id = 1;
         SAVEPOINT b;
         DELETE FROM t;
         RELEASE b;
         ROLLBACK TO a;
         INSERT INTO t VALUES (3, 'kept');
         SAVEPOINT c;
         UPDATE t SET note = 'changed' WHERE id = 3;
         RELEASE c;
         COMMIT;
         BEGIN;
         DELETE FROM t;
         ROLLBACK;",
    );
    expect(
        server,
        "postgres",
        "public.t",
        r#"insert 1 {"id": 1, "note": "kept"}
           insert 3 {"id": 3, "note": "kept"}
           update 3 {"note": ["kept", "changed"]}"#,
    );
}

/// The rows that an event refers to may have been written first in a savepoint that rolled back, whether it was the
/// session's, the context's or the table version's: later events find theirs.
fn dictionaries(server: &Server) {
    run(
        server,
        "SET audit.actor = 'ann';
         BEGIN;
         SAVEPOINT a;
         SAVEPOINT b;
         INSERT INTO t VALUES (10);
         RELEASE b;
         ROLLBACK TO a;
         INSERT INTO t VALUES (11);
         COMMIT;
         SET audit.actor = 'ben';
         BEGIN;
         INSERT INTO t VALUES (12);
         ROLLBACK;
         INSERT INTO t VALUES (13);
         ALTER TABLE t ADD COLUMN extra int;
         BEGIN;
         SAVEPOINT a;
         INSERT INTO t VALUES (14, '', 1);
         ROLLBACK TO a;
         INSERT INTO t VALUES (15, '', 2);
         COMMIT;
         INSERT INTO t VALUES (16, '', 3);
         BEGIN;
         ALTER TABLE t RENAME note TO remark;
         INSERT INTO t VALUES (17, '', 4);
         ROLLBACK;
         INSERT INTO t VALUES (18, '', 5);",
    );
    let found = "SELECT e.entity_id, c.actor, jsonb_path_query_array(r.columns, '$[*].name')
                 FROM audit.events e JOIN audit_internal.contexts c USING (node_id, context_id)
                 JOIN audit_internal.relations r USING (node_id, relation_id)
                 WHERE e.category = 'data' AND e.entity_id::int > 9 ORDER BY e.entity_id::int";
    assert_eq!(
        server.query("postgres", found),
        "11|ann|[\"id\", \"note\"]\n13|ben|[\"id\", \"note\"]\n15|ben|[\"id\", \"note\", \"extra\"]\n\
         16|ben|[\"id\", \"note\", \"extra\"]\n18|ben|[\"id\", \"note\", \"extra\"]"
    );
    trail::expect_whole(server, "postgres");
}

/// A caught exception is a savepoint that rolled back, between two captures of one statement.
fn exceptions(server: &Server) {
    run(
        server,
        "CREATE TABLE attempt (id int PRIMARY KEY, n int);
         SELECT audit.enable('attempt');
         DO $$
         BEGIN
             INSERT INTO attempt VALUES (1, 0);
             BEGIN
                 INSERT INTO attempt VALUES (2, 0);
                 UPDATE attempt SET n = 1 / n;
             EXCEPTION WHEN division_by_zero THEN
                 UPDATE attempt SET n = 1;
             END;
             BEGIN
                 INSERT INTO attempt VALUES (1, 9);
             EXCEPTION WHEN unique_violation THEN
                 NULL;
             END;
             INSERT INTO attempt VALUES (3, 0);
         END $$;",
    );
    expect(
        server,
        "postgres",
        "public.attempt",
        r#"insert 1 {"n": 0, "id": 1}
           update 1 {"n": [0, 1]}
           insert 3 {"n": 0, "id": 3}"#,
    );
}

fn procedures(server: &Server) {
    run(
        server,
        "CREATE TABLE batch (id int PRIMARY KEY);
         SELECT audit.enable('batch');
         CREATE PROCEDURE load() LANGUAGE plpgsql AS $$
         BEGIN
             FOR i IN 1..6 LOOP
                 INSERT INTO batch VALUES (i);
                 IF i % 2 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
             END LOOP;
         END $$;
         CALL load();",
    );
    expect(
        server,
        "postgres",
        "public.batch",
        r#"insert 1 {"id": 1}
           insert 3 {"id": 3}
           insert 5 {"id": 5}"#,
    );
    let transactions = "SELECT count(DISTINCT e.transaction_id) FROM audit.events e
                        JOIN audit_internal.relations r USING (node_id, relation_id)
                        WHERE e.category = 'data' AND r.entity = 'public.batch'";
    assert_eq!(server.query("postgres", transactions), "3");
}

/// What a deferred trigger changes at commit is recorded, and a deferred check that fails takes its events along.
fn deferred_constraints(server: &Server) {
    run(
        server,
        "CREATE TABLE seat (number int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, guest text);
         CREATE TABLE total (n bigint);
         CREATE FUNCTION count_seats() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO total SELECT count(*) FROM seat;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER count_seats AFTER INSERT ON seat DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION count_seats();
         SELECT audit.enable('seat'), audit.enable('total');
         BEGIN;
         INSERT INTO seat VALUES (1, 'ann');
         INSERT INTO seat VALUES (2, 'ben');
         COMMIT;
         BEGIN;
         UPDATE seat SET number = 2 WHERE guest = 'ann';
         UPDATE seat SET number = 1 WHERE guest = 'ben';
         COMMIT;",
    );
    let failed = server.psql("postgres", "BEGIN; INSERT INTO seat VALUES (1, 'cleo'); COMMIT;");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("23505: duplicate key"));
    expect(
        server,
        "postgres",
        "public.seat",
        r#"insert 1 {"guest": "ann", "number": 1}
           insert 2 {"guest": "ben", "number": 2}
           update 1 -> 2 {"number": [1, 2]}
           update 2 -> 1 {"number": [2, 1]}"#,
    );
    expect(server, "postgres", "public.total", "insert {\"n\": 2}\ninsert {\"n\": 2}");
}

/// A prepared transaction's events come with its commit, also after a restart, and not with its rollback. The session
/// that prepared it goes on meanwhile, and refers to nothing that may yet be rolled back.
#[test]
fn prepared_transactions_bring_their_events_when_they_commit() {
    let server = audited();
    run(
        &server,
        "SET audit.actor = 'ann';
         BEGIN;
         INSERT INTO t VALUES (1, 'first');
         PREPARE TRANSACTION 'first';
         INSERT INTO t VALUES (2, 'between');
         BEGIN;
         INSERT INTO t VALUES (3, 'second');
         PREPARE TRANSACTION 'second';
         SET audit.actor = 'ben';
         BEGIN;
         SAVEPOINT a;
         INSERT INTO t VALUES (4, 'third');
         RELEASE a;
         UPDATE t SET note = 'changed' WHERE id = 2;
         PREPARE TRANSACTION 'third';",
    );
    expect(&server, "postgres", "public.t", r#"insert 2 {"id": 2, "note": "between"}"#);
    run(&server, "ROLLBACK PREPARED 'first'");
    server.restart();
    run(&server, "COMMIT PREPARED 'second'; COMMIT PREPARED 'third'");
    expect(
        &server,
        "postgres",
        "public.t",
        r#"insert 2 {"id": 2, "note": "between"}
           insert 3 {"id": 3, "note": "second"}
           insert 4 {"id": 4, "note": "third"}
           update 2 {"note": ["between", "changed"]}"#,
    );
    let actors = "SELECT string_agg(c.actor, ' ' ORDER BY e.transaction_id, e.event_id) FROM audit.events e
                  JOIN audit_internal.contexts c USING (node_id, context_id) WHERE e.category = 'data'";
    assert_eq!(server.query("postgres", actors), "ann ann ben ben");
}
