//! A dump carries configuration, triggers and events, and what is restored goes on.

use audit_testing::server::{self, Server};
use audit_testing::trail::{expect, expect_whole};

/// A database `shop` with tables that are audited in several ways, and their events.
fn shop(server: &Server) {
    server.create_database("shop");
    server.query(
        "shop",
        r#"CREATE EXTENSION audit;
           CREATE SCHEMA app;
           CREATE TABLE item (id int PRIMARY KEY, name text, secret text, touched int);
           CREATE TABLE part (id int, area text, PRIMARY KEY (id, area)) PARTITION BY LIST (area);
           CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
           SELECT audit.enable('item', label_column => 'name', redact => '{"secret": "mask"}', ignore_columns => '{touched}'),
                  audit.enable('part', level => 'comprehensive'), audit.enable_schema('app');
           SET audit.actor = 'ann';
           INSERT INTO item VALUES (1, 'lamp', 'x', 0), (2, 'rug', 'y', 0);
           UPDATE item SET name = 'desk lamp' WHERE id = 1;
           INSERT INTO part VALUES (1, 'a');
           DELETE FROM part;
           CREATE TABLE app.later (id int PRIMARY KEY);
           INSERT INTO app.later VALUES (1);"#,
    );
    // A partition whose time is over has indexes of its own.
    server.query("shop", "SELECT audit_internal.create_partitions_of('events_data', '2021-01-01', '2021-01-01')");
    server.query("shop", "CALL audit.maintain()");
    assert_eq!(
        server.query("shop", "SELECT count(*) FROM pg_indexes i WHERE i.tablename = 'events_data_20210101'"),
        "4"
    );
}

const ITEM: &str = r#"insert 1 {"id": 1, "name": "lamp", "secret": {"$audit": "masked"}}
insert 2 {"id": 2, "name": "rug", "secret": {"$audit": "masked"}}
update 1 {"name": ["lamp", "desk lamp"]}"#;

/// Everything that a reader sees of the trail, except what belongs to a server: compared across a restore.
const TRAIL: &str = "SELECT md5(string_agg(t::text, chr(10) ORDER BY t.event_id)) FROM audit.trail t";
const SETTINGS: &str = "SELECT string_agg(concat_ws(' ', s.schema_name, s.table_name, s.options), chr(10) ORDER BY 1) \
                        FROM audit_internal.table_settings s";
const TRIGGERS: &str = "SELECT string_agg(concat_ws(' ', t.tgrelid::regclass, t.tgname, t.tgenabled), chr(10) ORDER BY t.tgrelid::regclass::text, t.tgname) \
                        FROM pg_trigger t WHERE t.tgname LIKE '!audit%'";
const INDEXES: &str = "SELECT string_agg(i.indexdef, chr(10) ORDER BY i.indexdef) FROM pg_indexes i WHERE i.schemaname IN ('audit', 'audit_internal')";

/// A restored database holds what the other one held, and goes on: a node of its own, the same lineage of each table.
fn expect_restored(from: &Server, server: &Server, database: &str) {
    for sql in [TRAIL, SETTINGS, TRIGGERS, INDEXES] {
        assert_eq!(server.query(database, sql), from.query("shop", sql), "{sql}");
    }
    expect(server, database, "public.item", ITEM);
    assert_eq!(server.query(database, "SELECT count(*) FROM audit_internal.nodes"), "1");

    // In sessions that know nothing of what was before, and without any call of ours.
    server.query(
        database,
        "INSERT INTO item VALUES (3, 'mat', 'z', 0);
         UPDATE item SET name = 'wool rug', secret = 'w', touched = 9 WHERE id = 2;
         INSERT INTO part VALUES (2, 'a');
         CREATE TABLE app.newer (id int PRIMARY KEY);
         INSERT INTO app.newer VALUES (1);
         INSERT INTO app.later VALUES (2)",
    );
    assert_eq!(server.query(database, "SELECT count(*) FROM audit_internal.nodes"), "2");
    expect_whole(server, database);
    let history = |entity_id: &str| {
        let sql = format!(
            "SELECT string_agg(h.event || ' ' || h.actor, ', ' ORDER BY h.occurred_at, h.event_id) FROM audit.history('item', '{entity_id}') h"
        );
        server.query(database, &sql)
    };
    assert_eq!(history("2"), "row.insert ann, row.update postgres");
    assert_eq!(history("3"), "row.insert postgres");
    let lineages = "SELECT r.entity, count(DISTINCT r.lineage) FROM audit_internal.relations r WHERE r.table_name <> 'newer' GROUP BY 1 ORDER BY 1";
    assert_eq!(server.query(database, lineages), "app.later|1\npublic.item|1\npublic.part|1");
    let masked = "SELECT e.changes -> 'secret' -> 1 FROM audit.events e WHERE e.entity_id = '2' AND e.changes ? 'secret' ORDER BY e.event_id DESC LIMIT 1";
    assert_eq!(server.query(database, masked), r#"{"$audit": "masked"}"#);

    // Options follow tables and columns by what they are here, not where they came from, and the restore has weakened
    // nothing.
    assert_eq!(server.query(database, "SELECT count(*) FROM audit_internal.weakened_triggers"), "0");
    assert_eq!(server.query(database, "SELECT count(*) FROM audit.coverage c WHERE c.gap LIKE 'trigger%'"), "0");
    server.query(
        database,
        "ALTER TABLE item RENAME COLUMN secret TO hidden; ALTER TABLE item RENAME TO thing;
         INSERT INTO thing VALUES (4, 'jar', 'v', 0);
         ALTER TABLE thing RENAME TO item; ALTER TABLE item RENAME COLUMN hidden TO secret",
    );
    let renamed = "SELECT t.new_values ->> 'hidden' FROM audit.trail t WHERE t.entity = 'public.thing' AND t.event = 'row.insert'";
    assert_eq!(server.query(database, renamed), r#"{"$audit": "masked"}"#);

    server.query(
        database,
        "SELECT audit.enable('item', level => 'minimal'); UPDATE item SET name = 'mat 2' WHERE id = 3",
    );
    assert_eq!(history("3"), "row.insert postgres, row.update postgres");
    // Partitions that come after the restore are covered, for TRUNCATE too.
    server.query(
        database,
        "CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b'); INSERT INTO part VALUES (3, 'b'); TRUNCATE part_b",
    );
    let truncated = "SELECT count(*), max(t.entity) FROM audit.trail t WHERE t.event = 'table.truncate'";
    assert_eq!(server.query(database, truncated), "1|public.part");
    let twice = "SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = 'item'::regclass AND t.tgname LIKE '!audit%'";
    assert_eq!(server.query(database, twice), "2");
    server.query(database, "SELECT audit.disable('part'), audit.disable_schema('app'); CALL audit.maintain()");
    assert_eq!(server.query(database, "SELECT count(*) FROM audit_internal.table_settings"), "1");
}

#[test]
fn a_dump_carries_configuration_triggers_and_events() {
    let server = Server::start(&[]);
    shop(&server);
    server.dump_and_restore("shop", &server, "same_server", &["--jobs=2"]);
    expect_restored(&server, &server, "same_server");

    let other = Server::start(&[]);
    // Servers of the harness are made from one template and have its identity: only the OIDs of databases differ.
    other.create_database("first");
    restore_text(&server, &other);
    expect_restored(&server, &other, "plain");
    server.dump_and_restore("shop", &other, "parallel", &["--jobs=2"]);
    expect_restored(&server, &other, "parallel");

    // A restored database dumps and restores again.
    other.dump_and_restore("parallel", &other, "again", &[]);
    assert_eq!(other.query("again", TRAIL), other.query("parallel", TRAIL));
    // A physical copy is the same node: it has the same history, transactions included.
    expect(&server.copy(), "shop", "public.item", ITEM);
}

/// Restores the SQL text of a dump of `shop` into a database `plain` that is made for it.
fn restore_text(from: &Server, target: &Server) {
    target.create_database("plain");
    let text = from.dump("shop", &[]);
    let output = target.psql("plain", &format!("\\set ON_ERROR_STOP on\n{text}"));
    server::expect_success("the restore", &output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// A table that comes with its triggers into another database with the extension is recorded there, what was redacted
/// stays redacted, and the trail says once that nobody enabled it.
#[test]
fn a_table_restored_alone_is_recorded() {
    let server = Server::start(&[]);
    shop(&server);
    server.create_database("other");
    server.query("other", "CREATE EXTENSION audit; SELECT audit_internal.create_partitions()");
    let output = server.psql("other", &format!("\\set ON_ERROR_STOP on\n{}", server.dump("shop", &["--table=item"])));
    server::expect_success("the restore", &output);
    server.query(
        "other",
        "INSERT INTO item VALUES (3, 'mat', 'z', 0); UPDATE item SET secret = 'w', touched = 1 WHERE id = 3",
    );
    server.query("other", "INSERT INTO item VALUES (4, 'jar', 'z', 0)");
    let trail = "SELECT string_agg(concat_ws(' ', t.event, t.entity, t.new_values), chr(10) ORDER BY t.event_id) FROM audit.trail t";
    assert_eq!(
        server.query("other", trail),
        r#"table.unconfigured public.item
row.insert public.item {"id": 3, "name": "mat", "secret": {"$audit": "masked"}, "touched": 0}
row.update public.item {"secret": {"$audit": "masked"}, "touched": 1}
row.insert public.item {"id": 4, "name": "jar", "secret": {"$audit": "masked"}, "touched": 0}"#
    );
    let gaps =
        "SELECT string_agg(concat_ws(' ', c.gap, c.object), ', ') FROM audit.coverage c WHERE c.object LIKE 'public.%'";
    assert_eq!(server.query("other", gaps), "settings missing public.item");
    server.query("other", "SELECT audit.enable('item')");
    assert_eq!(server.query("other", gaps), "");
}

/// The background worker, which runs all the time, waits for the end of a restore.
#[test]
fn a_restore_is_not_disturbed_by_the_worker() {
    let server = Server::start(&[("shared_preload_libraries", "audit"), ("audit.naptime", "1s")]);
    shop(&server);
    let text = server.dump("shop", &[]);
    // Time for runs: when only the extension is there, among the tables, which are not yet partitions, after they have
    // been made, after they have been loaded, before the last of the triggers.
    let parts: Vec<_> = text.split_inclusive("\n\n\n").collect();
    let is_last = |part: &&str| part.starts_with("--\n-- Name: sessions_default reject_change;");
    let places = [
        parts.iter().position(|part| part.contains("\nCREATE TABLE ")),
        parts.iter().position(|part| part.contains("\nCREATE TABLE audit_internal.nodes_all ")),
        parts.iter().position(|part| part.starts_with("--\n-- Data for Name: ")),
        parts.iter().position(|part| part.contains("\nCREATE INDEX ")),
        parts.iter().position(is_last),
    ];
    let text: String = (0..parts.len())
        .map(|number| {
            let pause = if places.contains(&Some(number)) { "SELECT pg_sleep(2.5);\n" } else { "" };
            format!("{pause}{}", parts[number])
        })
        .collect();
    assert_eq!(text.matches("pg_sleep").count(), 5);
    server.create_database("plain");
    let output = server.psql("plain", &format!("\\set ON_ERROR_STOP on\n{text}"));
    server::expect_success("the restore", &output);
    expect_restored(&server, &server, "plain");
}

/// Without its privileges a restored trail is nobody's until maintenance has set the rights of its partitions.
#[test]
fn a_restore_without_privileges_is_readable() {
    let server = Server::start(&[]);
    shop(&server);
    server.create_database("bare");
    let dump = server.host().join("shop.dump");
    server.run("pg_dump", &["--format=custom", "--file", dump.to_str().unwrap(), "shop"]);
    server.run("pg_restore", &["--no-owner", "--no-privileges", "--dbname=bare", dump.to_str().unwrap()]);
    let read = "SET ROLE audit_reader; SELECT count(*) > 0 FROM audit.dashboard d WHERE d.events > 0";
    assert_eq!(server.query("bare", read), "t");
}
