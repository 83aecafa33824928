//! Changes that other changes bring about: cascades of foreign keys, triggers, generated columns, replicas.

use audit_testing::server::Server;
use audit_testing::trail::expect;

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
fn changes_that_other_changes_bring_about() {
    let server = audited();
    foreign_keys(&server);
    before_triggers(&server);
    after_triggers(&server);
    generated_columns(&server);
    replica_role(&server);
}

/// What a cascade changes is recorded under the login and roles that set it off. PostgreSQL runs the cascade itself as
/// the table's owner, but its AFTER triggers with those of the statement (ri_PerformCheck in utils/adt/ri_triggers.c).
fn foreign_keys(server: &Server) {
    run(
        server,
        "CREATE ROLE clerk NOLOGIN;
         CREATE TABLE customer (id int PRIMARY KEY);
         CREATE TABLE invoice (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE visit (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE SET NULL);
         CREATE TABLE phone (id int PRIMARY KEY, customer int DEFAULT 0 REFERENCES customer ON DELETE SET DEFAULT);
         INSERT INTO customer VALUES (0), (1), (2);
         INSERT INTO invoice VALUES (10, 1), (11, 1), (12, 2);
         INSERT INTO visit VALUES (20, 1);
         INSERT INTO phone VALUES (30, 1);
         GRANT SELECT, UPDATE, DELETE ON customer TO clerk;
         SELECT audit.enable(t) FROM unnest('{customer,invoice,visit,phone}'::regclass[]) t;
         SET ROLE clerk;
         DELETE FROM customer WHERE id = 1;
         UPDATE customer SET id = 3 WHERE id = 2;",
    );
    expect(server, "postgres", "public.customer", "delete 1 {\"id\": 1}\nupdate 2 -> 3 {\"id\": [2, 3]}");
    expect(
        server,
        "postgres",
        "public.invoice",
        r#"delete 10 {"id": 10, "customer": 1}
           delete 11 {"id": 11, "customer": 1}
           update 12 {"customer": [2, 3]}"#,
    );
    expect(server, "postgres", "public.visit", r#"update 20 {"customer": [1, null]}"#);
    expect(server, "postgres", "public.phone", r#"update 30 {"customer": [1, 0]}"#);
    let who = "SELECT DISTINCT r.table_name, c.login, c.role, c.effective_role FROM audit.events e
               JOIN audit_internal.contexts c USING (node_id, context_id) JOIN audit_internal.relations r USING (node_id, relation_id)
               WHERE e.category = 'data' AND r.table_name IN ('customer', 'invoice') ORDER BY 1";
    assert_eq!(server.query("postgres", who), "customer|postgres|clerk|clerk\ninvoice|postgres|clerk|clerk");
}

/// The row is recorded as it was stored, and not at all where a trigger swallowed it.
fn before_triggers(server: &Server) {
    run(
        server,
        "CREATE TABLE paper (id int PRIMARY KEY, title text);
         CREATE FUNCTION edit() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF tg_op = 'DELETE' THEN
                 RETURN CASE WHEN old.title = 'KEEP' THEN NULL ELSE old END;
             ELSIF new.title = 'swallow' THEN
                 RETURN NULL;
             END IF;
             new.title := upper(new.title);
             RETURN new;
         END $$;
         CREATE TRIGGER edit BEFORE INSERT OR UPDATE OR DELETE ON paper FOR EACH ROW EXECUTE FUNCTION edit();
         SELECT audit.enable('paper');
         INSERT INTO paper VALUES (1, 'keep'), (2, 'swallow'), (3, 'go');
         UPDATE paper SET title = 'swallow' WHERE id = 1;
         UPDATE paper SET title = 'gone' WHERE id = 3;
         UPDATE paper SET title = 'keep' WHERE id = 1;
         DELETE FROM paper;",
    );
    expect(
        server,
        "postgres",
        "public.paper",
        r#"insert 1 {"id": 1, "title": "KEEP"}
           insert 3 {"id": 3, "title": "GO"}
           update 3 {"title": ["GO", "GONE"]}
           delete 3 {"id": 3, "title": "GONE"}"#,
    );
}

/// Triggers that change rows whose own change is not captured yet: one by its name fires before ours, and the trigger
/// of the first row changes the second. By (transaction, command, id) the versions stand in their order.
fn after_triggers(server: &Server) {
    run(
        server,
        r#"CREATE TABLE page (id int PRIMARY KEY, version int, hits int);
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             UPDATE page SET version = version + 1 WHERE version < 3;
             RETURN NULL;
         END $$;
         CREATE TRIGGER " touch" AFTER INSERT OR UPDATE OF hits ON page FOR EACH ROW EXECUTE FUNCTION touch();
         SELECT audit.enable('page');
         INSERT INTO page VALUES (1, 1, 0), (2, 1, 0);
         UPDATE page SET version = 1, hits = 1 WHERE id = 1;"#,
    );
    expect(
        server,
        "postgres",
        "public.page",
        r#"insert 1 {"id": 1, "hits": 0, "version": 1}
           insert 2 {"id": 2, "hits": 0, "version": 1}
           update 1 {"version": [1, 2]}
           update 2 {"version": [1, 2]}
           update 1 {"version": [2, 3]}
           update 2 {"version": [2, 3]}
           update 1 {"hits": [0, 1], "version": [3, 1]}
           update 1 {"version": [1, 2]}"#,
    );
    // In the order of capture alone, an update of row 2 would stand before its insert.
    let first = "SELECT t.name FROM audit.events e JOIN audit.event_types t USING (event_type)
                 JOIN audit_internal.relations r USING (node_id, relation_id)
                 WHERE e.category = 'data' AND r.entity = 'public.page' AND e.entity_id = '2' ORDER BY e.event_id LIMIT 1";
    assert_eq!(server.query("postgres", first), "row.update");
}

fn generated_columns(server: &Server) {
    run(
        server,
        "CREATE TABLE line (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number int GENERATED BY DEFAULT AS IDENTITY,
                             price int, twice int GENERATED ALWAYS AS (price * 2) STORED);
         SELECT audit.enable('line');
         INSERT INTO line (price) VALUES (5);
         INSERT INTO line (number, price) OVERRIDING USER VALUE VALUES (9, 6);
         UPDATE line SET price = 7 WHERE id = 1;
         UPDATE line SET number = DEFAULT WHERE id = 1;",
    );
    expect(
        server,
        "postgres",
        "public.line",
        r#"insert 1 {"id": 1, "price": 5, "twice": 10, "number": 1}
           insert 2 {"id": 2, "price": 6, "twice": 12, "number": 2}
           update 1 {"price": [5, 7], "twice": [10, 14]}
           update 1 {"number": [1, 3]}"#,
    );
}

/// As replica ordinary triggers keep still, ours do not. Switching off is for superusers and leaves an event.
fn replica_role(server: &Server) {
    run(
        server,
        "CREATE TABLE applied (id int PRIMARY KEY);
         SELECT audit.enable('applied');
         SET session_replication_role = replica;
         INSERT INTO applied VALUES (1);
         DELETE FROM applied;
         SET audit.enabled = off;
         INSERT INTO applied VALUES (2);
         INSERT INTO applied VALUES (3);
         TRUNCATE applied;
         RESET audit.enabled;
         INSERT INTO applied VALUES (4);
         TRUNCATE applied;",
    );
    let suspended = "SELECT count(*), min(e.parameters ->> 'operation') FROM audit.events e
                     JOIN audit.event_types t USING (event_type) JOIN audit_internal.relations r USING (node_id, relation_id)
                     WHERE t.name = 'audit.suspend' AND r.entity = 'public.applied'";
    assert_eq!(server.query("postgres", suspended), "3|insert");
    expect(
        server,
        "postgres",
        "public.applied",
        r#"insert 1 {"id": 1}
           delete 1 {"id": 1}
           insert 4 {"id": 4}
           table.truncate"#,
    );
}
