//! A committed change of an audited table has its event, once: every way in which a row can change.

use audit_testing::server::Server;
use audit_testing::trail::{self, expect};

/// A server whose database `postgres` has the extension.
fn audited() -> Server {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE EXTENSION audit");
    server
}

fn run(server: &Server, sql: &str) {
    server.query("postgres", sql);
}

#[test]
fn statements_of_every_kind() {
    let server = audited();
    partitions(&server);
    copy(&server);
    merge(&server);
    on_conflict(&server);
    indirect_statements(&server);
}

/// Events name the table that was enabled, through whichever partition the row went. A row that moves leaves one
/// partition and enters the other.
fn partitions(server: &Server) {
    run(
        server,
        "CREATE TABLE orders (id int, region text, amount int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
         CREATE TABLE orders_eu PARTITION OF orders FOR VALUES IN ('eu');
         CREATE TABLE orders_us PARTITION OF orders FOR VALUES IN ('us') PARTITION BY RANGE (id);
         CREATE TABLE orders_us_low PARTITION OF orders_us FOR VALUES FROM (0) TO (100);
         SELECT audit.enable('orders');
         CREATE TABLE orders_us_high PARTITION OF orders_us FOR VALUES FROM (100) TO (200);
         INSERT INTO orders VALUES (1, 'eu', 1), (2, 'us', 2);
         INSERT INTO orders_eu VALUES (3, 'eu', 3);
         INSERT INTO orders_us VALUES (150, 'us', 4);
         UPDATE orders SET amount = 10 WHERE id = 1;
         UPDATE orders_us_low SET amount = 20;
         UPDATE orders SET region = 'us', amount = 11 WHERE id = 1;
         UPDATE orders_us SET id = id + 100 WHERE id = 2;
         DELETE FROM orders_us_high WHERE id = 102;
         DELETE FROM orders WHERE id = 150;",
    );
    expect(
        server,
        "postgres",
        "public.orders",
        r#"insert [1, "eu"] {"id": 1, "amount": 1, "region": "eu"}
           insert [2, "us"] {"id": 2, "amount": 2, "region": "us"}
           insert [3, "eu"] {"id": 3, "amount": 3, "region": "eu"}
           insert [150, "us"] {"id": 150, "amount": 4, "region": "us"}
           update [1, "eu"] {"amount": [1, 10]}
           update [2, "us"] {"amount": [2, 20]}
           delete [1, "eu"] {"id": 1, "amount": 10, "region": "eu"}
           insert [1, "us"] {"id": 1, "amount": 11, "region": "us"}
           delete [2, "us"] {"id": 2, "amount": 20, "region": "us"}
           insert [102, "us"] {"id": 102, "amount": 20, "region": "us"}
           delete [102, "us"] {"id": 102, "amount": 20, "region": "us"}
           delete [150, "us"] {"id": 150, "amount": 4, "region": "us"}"#,
    );
}

fn copy(server: &Server) {
    run(
        server,
        "CREATE TABLE list (id int PRIMARY KEY, name text);
         SELECT audit.enable('list');
         COPY list FROM stdin;\n1\tone\n2\t\\N\n\\.\n",
    );
    let failed = server.psql("postgres", "COPY list FROM stdin;\n3\tthree\n1\tagain\n\\.\n");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("23505: duplicate key"));
    expect(
        server,
        "postgres",
        "public.list",
        r#"insert 1 {"id": 1, "name": "one"}
           insert 2 {"id": 2, "name": null}"#,
    );
}

fn merge(server: &Server) {
    run(
        server,
        "CREATE TABLE stock (id int PRIMARY KEY, amount int);
         INSERT INTO stock VALUES (1, 10), (2, 20), (3, 30);
         SELECT audit.enable('stock');
         MERGE INTO stock s USING (VALUES (1, 1), (2, 0), (3, -1), (4, 4), (5, 0)) n (id, amount) ON n.id = s.id
         WHEN MATCHED AND n.amount < 0 THEN DELETE
         WHEN MATCHED AND n.amount = 0 THEN DO NOTHING
         WHEN MATCHED THEN UPDATE SET amount = s.amount + n.amount
         WHEN NOT MATCHED AND n.amount = 0 THEN DO NOTHING
         WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.amount);",
    );
    let found = trail::of(server, "postgres", "public.stock");
    let mut found: Vec<_> = found.lines().collect();
    // The order in which MERGE joins is its own.
    found.sort_unstable();
    assert_eq!(
        found,
        [
            r#"delete 3 {"id": 3, "amount": 30}"#,
            r#"insert 4 {"id": 4, "amount": 4}"#,
            r#"update 1 {"amount": [10, 11]}"#
        ]
    );
}

/// Each outcome is recorded once: a row that was inserted, updated, or left as it is.
fn on_conflict(server: &Server) {
    run(
        server,
        "CREATE TABLE counter (id int PRIMARY KEY, n int);
         SELECT audit.enable('counter');
         INSERT INTO counter VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1;
         INSERT INTO counter VALUES (1, 1), (2, 1) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1;
         INSERT INTO counter VALUES (1, 1), (3, 1) ON CONFLICT DO NOTHING;
         INSERT INTO counter VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = 0 WHERE false;",
    );
    expect(
        server,
        "postgres",
        "public.counter",
        r#"insert 1 {"n": 1, "id": 1}
           update 1 {"n": [1, 2]}
           insert 2 {"n": 1, "id": 2}
           insert 3 {"n": 1, "id": 3}"#,
    );
}

/// A WITH clause, a view, a cursor, a function, and a statement that changes no row.
fn indirect_statements(server: &Server) {
    run(
        server,
        "CREATE TABLE task (id int PRIMARY KEY, done bool DEFAULT false);
         CREATE VIEW open_task AS SELECT id FROM task WHERE NOT done;
         CREATE FUNCTION finish(which int) RETURNS void LANGUAGE sql AS 'UPDATE task SET done = true WHERE id = which';
         SELECT audit.enable('task');
         WITH made AS (INSERT INTO task VALUES (1), (2) RETURNING id) SELECT count(*) FROM made;
         INSERT INTO open_task VALUES (3);
         BEGIN;
         DECLARE c CURSOR FOR SELECT * FROM task WHERE id = 2 FOR UPDATE;
         FETCH c;
         UPDATE task SET id = 4 WHERE CURRENT OF c;
         COMMIT;
         SELECT finish(3);
         UPDATE task SET done = done WHERE id = 1;
         DELETE FROM task WHERE id = 99;",
    );
    expect(
        server,
        "postgres",
        "public.task",
        r#"insert 1 {"id": 1, "done": false}
           insert 2 {"id": 2, "done": false}
           insert 3 {"id": 3, "done": false}
           update 2 -> 4 {"id": [2, 4]}
           update 3 {"done": [false, true]}"#,
    );
}
