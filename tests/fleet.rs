//! Many servers, one trail: sources publish, a central server subscribes, and nothing is lost, doubled or mixed up.

use audit_testing::fleet::*;
use audit_testing::server::{Server, wait_until};
use audit_testing::trail;

#[test]
fn the_trails_of_two_servers_and_the_centre_are_one() {
    let (first, second) = (source("a"), source("b"));
    let centre = start("centre");
    query(
        &centre,
        "CREATE TABLE orders (id int PRIMARY KEY, status text); SELECT audit.enable('orders'); INSERT INTO orders VALUES (1, 'central')",
    );
    // Events that have no partition when the copy begins: whoever holds this lock keeps maintenance from moving them.
    let mut busy = first.connect("postgres");
    busy.batch_execute("BEGIN; SELECT audit_internal.lock('maintenance')").unwrap();
    query(
        &first,
        "BEGIN;
         DO $$ DECLARE partition regclass;
         BEGIN
             FOR partition IN SELECT l.partition FROM audit.partitions l WHERE l.parent = 'events_application' LOOP PERFORM audit_internal.execute_permitted(format('DROP TABLE %s', partition)); END LOOP;
         END $$; COMMIT;
         SELECT audit.record('invoice.approved', NULL, 'invoice', 'INV-late') FROM generate_series(1, 50)",
    );
    assert_eq!(query(&first, "SELECT count(*) FROM audit_internal.events_overflow"), "50");
    gather(&centre, &first, "a");
    gather(&centre, &second, "b");
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.trail t WHERE t.entity_id = 'INV-late'"), "0");
    expect_same(&centre, &second, "b");
    drop(busy);
    wait_until("the overflow of the source is empty", || {
        query(&first, "CALL audit.maintain(); SELECT count(*) FROM audit_internal.events_overflow") == "0"
    });
    expect_same(&centre, &first, "a");

    // What goes on, in the same tables under the same keys, with changes of definition and of an event type.
    for (server, name) in [(&first, "a"), (&second, "b")] {
        query(
            server,
            &format!(
                "ALTER TABLE orders ADD paid_at date; ALTER TABLE parts RENAME TO items;
                 UPDATE orders SET paid_at = date '2026-01-01' + id; DELETE FROM items WHERE id > 250; UPDATE orders SET id = 7 WHERE id = 1;
                 SELECT audit.define_event_type('invoice.approved', parameters => '{{\"amount\": \"numeric\", \"by\": \"text\"}}');
                 SELECT audit.define_event_type('invoice.closed_{name}'), audit.record('invoice.closed_{name}')"
            ),
        );
    }
    query(&centre, "UPDATE orders SET status = 'changed here'");
    expect_same(&centre, &first, "a");
    expect_same(&centre, &second, "b");
    assert_eq!(
        query(&centre, "SELECT string_agg(t.name, ' ' ORDER BY t.name) FROM audit.event_types t WHERE NOT t.built_in"),
        "invoice.approved invoice.closed_a invoice.closed_b invoice.seen_a invoice.seen_b"
    );

    // Histories are each server's own; the centre's table did not become one with theirs.
    let history = "SELECT string_agg(concat_ws(' ', h.server, h.event, h.new_values ->> 'status'), ', ')";
    for name in ["a", "b"] {
        assert_eq!(
            query(&centre, &format!("{history} FROM audit.server_history('{name}/postgres', 'public.orders', '7') h")),
            format!(
                "{name} row.insert new at {name}, {name} row.update paid at {name}, {name} row.update, {name} row.update"
            )
        );
    }
    assert_eq!(
        query(&centre, &format!("{history} FROM audit.history('orders', '1') h")),
        "centre row.insert central, centre row.update changed here"
    );
    assert_eq!(
        query(
            &centre,
            "SELECT count(DISTINCT r.lineage) FROM audit_internal.relations r WHERE r.entity = 'public.orders'"
        ),
        "3"
    );
    assert_eq!(
        query(
            &centre,
            "SELECT string_agg(s.server || ' ' || coalesce(s.subscription, '-'), ', ' ORDER BY s.server) FROM audit.servers s"
        ),
        "a audit_a, b audit_b, centre -"
    );
    // Search and its relations, by each way in.
    let found = "SELECT string_agg(t.server || ' ' || t.summary, ', ' ORDER BY t.server)";
    assert_eq!(
        query(
            &centre,
            &format!("{found} FROM audit.search('paid', entity => 'public.orders', actors => '{{ann@a,ann@b}}') t")
        ),
        "a ann@a updated public.orders 1: status, b ann@b updated public.orders 1: status"
    );
    assert_eq!(
        query(&centre, &format!("{found} FROM audit.search(trace_id => 'trace of b') t")),
        "b ann@b updated public.orders 1: status"
    );
    let id = query(&centre, "SELECT event_id FROM audit.search(trace_id => 'trace of b')");
    for of in ["related('ID') t", "event('ID') t (t)", "diff('ID') t"] {
        let sql = format!("SELECT md5(string_agg(t::text, E'\\n')) FROM audit.{}", of.replace("ID", &id));
        assert_eq!(query(&centre, &sql), query(&second, &sql), "{of}");
    }
    assert_eq!(
        query(&centre, "SELECT s.publications::text || s.subscriptions::text FROM audit.status() s"),
        r#"{}{"audit_a: following","audit_b: following"}"#
    );
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.coverage c WHERE c.object ~ 'parts|items'"), "0");
    // Each first copy left an event with its counts, in the transaction that copied.
    assert_eq!(
        query(
            &centre,
            "SELECT count(*), sum((t.parameters ->> 'events')::int) > 600, max(t.parameters ->> 'known')
                        FROM audit.trail t WHERE t.event = 'evidence.load' AND t.server = 'centre'"
        ),
        "10|t|0"
    );
    for server in [&first, &second, &centre] {
        assert_eq!(errors(server), "");
    }
    let follow = centre.psql("postgres", "SELECT * FROM audit.follow()");
    assert!(String::from_utf8_lossy(&follow.stderr).contains("receives events of other servers"), "follow is refused");
}

/// Each gathers the other: an event that comes back is known, so it does not go round.
#[test]
fn two_servers_may_gather_each_other() {
    let (one, other) = (source("one"), source("other"));
    gather(&one, &other, "other");
    gather(&other, &one, "one");
    query(&one, "INSERT INTO parts VALUES (5000, 'from one')");
    query(&other, "INSERT INTO parts VALUES (5000, 'from the other')");
    for _ in 0..3 {
        catch_up(&one);
        catch_up(&other);
    }
    for server in [&one, &other] {
        assert_eq!(
            query(server, "SELECT count(DISTINCT t.server), count(*) FROM audit.trail t WHERE t.entity_id = '5000'"),
            "2|2"
        );
        trail::expect_whole(server, "postgres");
        assert_eq!(errors(server), "");
    }
    let data = format!("{TRAIL} WHERE t.category IN ('data', 'application')");
    assert_eq!(query(&one, &data), query(&other, &data));
}

/// The door for the first copy is open to nobody else: no session, and no code that runs in a worker for other tables.
#[test]
fn nobody_but_a_first_copy_loads_evidence() {
    let source = source("a");
    query(&source, "CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION others FOR TABLE other");
    let centre = start("centre");
    query(
        &centre,
        "SELECT audit.gather();
         CREATE TABLE other (id int PRIMARY KEY);
         CREATE TABLE forged (LIKE audit.events);
         INSERT INTO forged SELECT e.* FROM audit.events e LIMIT 1;
         CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO audit.events SELECT * FROM public.forged; RETURN NEW; END $$;
         CREATE TRIGGER forge BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION forge();
         ALTER TABLE other ENABLE ALWAYS TRIGGER forge;",
    );
    let count = "SELECT count(*) FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e";
    for attempt in [
        "SET session_replication_role = replica; INSERT INTO audit.events SELECT * FROM forged",
        "SET session_replication_role = replica; INSERT INTO audit_internal.events_system_default SELECT * FROM forged",
        "SELECT audit_internal.admit_copy('audit.events'); INSERT INTO audit.events SELECT * FROM forged",
    ] {
        let before = query(&centre, count);
        let output = centre.psql("postgres", attempt);
        assert!(String::from_utf8_lossy(&output.stderr).contains("evidence cannot be changed"), "{attempt}");
        assert_eq!(query(&centre, count), before);
    }
    let output = centre.psql(
        "postgres",
        "CREATE TRIGGER accept_row BEFORE INSERT ON forged FOR EACH ROW EXECUTE FUNCTION audit_internal.accept_row('route_to_overflow'); INSERT INTO forged SELECT * FROM forged",
    );
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("not called by a trigger of its kind"), "{errors}");

    // In an apply worker, and in the worker of another table's first copy.
    query(&source, "INSERT INTO other VALUES (1)");
    query(&centre, &format!("CREATE SUBSCRIPTION others CONNECTION '{}' PUBLICATION others", connection(&source)));
    let refusals = || centre.log().matches("cannot insert audit.events: evidence cannot be changed").count();
    let first = refusals();
    wait_until("the first copy was refused", || refusals() > first);
    query(&centre, "ALTER TABLE other DISABLE TRIGGER forge");
    wait_until("the table is copied", || query(&centre, "SELECT count(*) FROM other") == "1");
    query(&centre, "ALTER TABLE other ENABLE ALWAYS TRIGGER forge");
    query(&source, "INSERT INTO other VALUES (2)");
    let second = refusals();
    wait_until("the change was refused", || refusals() > second);
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.events e JOIN forged f USING (event_id)"), "1");

    // What cannot work is said, where it can be put right.
    for (sql, message) in [
        ("SELECT audit.publish(''); ", "publication must not be null or empty"),
        ("SELECT audit.publish(); SELECT audit.publish()", "already exists"),
        ("SELECT audit.gather(now() + interval '1 day')", "since must not be in the future"),
        ("SELECT audit.server_history('nowhere', 'public.t', '1')", "has no events of public.t"),
        ("SELECT audit.server_history(NULL, 'public.t', '1')", "must not be null"),
    ] {
        let output = source.psql("postgres", sql);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(message) && errors.contains("HINT:"), "{errors}");
    }
    source.set(&[("audit.replicate", "off"), ("wal_level", "replica")]);
    query(
        &source,
        "DROP PUBLICATION audit; SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active",
    );
    query(
        &centre,
        "ALTER SUBSCRIPTION others DISABLE; ALTER SUBSCRIPTION others SET (slot_name = NONE); DROP SUBSCRIPTION others",
    );
    wait_until("nobody uses the slot", || {
        query(&source, "SELECT count(*) FROM pg_replication_slots WHERE active") == "0"
    });
    query(&source, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    source.restart();
    let refused = |sql: &str| String::from_utf8_lossy(&source.psql("postgres", sql).stderr).into_owned();
    assert!(refused("SELECT audit.publish()").contains("wal_level is replica"));
    source.set(&[("wal_level", "logical")]);
    source.restart();
    assert!(refused("SET audit.replicate = on; SELECT audit.publish()").contains("must be on for all sessions"));
}

#[test]
fn a_role_with_replication_alone_copies_what_it_was_granted() {
    let (first, centre) = (source("a"), start("centre"));
    query(&first, "CREATE ROLE gatherer LOGIN REPLICATION");
    let statement = query(&first, "SELECT audit.publish(subscriber => 'gatherer')");
    query(&centre, &statement);
    let connection = connection(&first).replace("user=postgres", "user=gatherer");
    query(&centre, &format!("CREATE SUBSCRIPTION audit_a CONNECTION '{connection}' PUBLICATION audit"));
    wait_until("the tables are copied", || {
        query(&centre, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == "0"
    });
    expect_same(&centre, &first, "a");
    // Names of the internal schema, which other roles cannot use, give it nothing that changes the trail.
    let mut gatherer = first.connect_as("gatherer", "postgres");
    let error = gatherer.batch_execute("SELECT audit_internal.lock('maintenance')").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "permission denied for function lock");
}

/// Tables of the same names and rows as the centre's, in a database that only looks like a trail, published as `fake` but for
/// those that are `unpublished`.
fn create_look_alike(source: &Server, centre: &Server, published: &[&str], unpublished: &[&str]) {
    source.create_database("fake");
    source.query("fake", "CREATE SCHEMA audit; CREATE SCHEMA audit_internal");
    for table in [published, unpublished].concat() {
        let columns = query(
            centre,
            &format!(
                "SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
                 FROM pg_attribute a WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0"
            ),
        );
        let rows = query(centre, &format!("SELECT coalesce(json_agg(t), '[]') FROM {table} t"));
        source.query(
            "fake",
            &format!(
                "CREATE TABLE {table} ({columns}); ALTER TABLE {table} REPLICA IDENTITY FULL;
                 INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $json${rows}$json$)"
            ),
        );
    }
    source.query("fake", &format!("CREATE PUBLICATION fake FOR TABLE {}", published.join(", ")));
}

/// The connection of a subscription to [`create_look_alike`]'s database.
fn fake_connection(source: &Server) -> String {
    connection(source).replace("dbname=postgres", "dbname=fake")
}

fn subscribe_to_look_alike(source: &Server, centre: &Server) {
    query(centre, &format!("CREATE SUBSCRIPTION fake CONNECTION '{}' PUBLICATION fake", fake_connection(source)));
    wait_until("the tables are copied", || {
        query(centre, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") == "0"
    });
}

/// Runs a statement at the look-alike, which must stop the subscription with this message; it is then told to skip it.
fn expect_refused(source: &Server, centre: &Server, attempt: &str, message: &str) {
    let refusals = || centre.log().matches(message).count();
    let before = refusals();
    source.query("fake", attempt);
    wait_until(&format!("{attempt}: {message}"), || refusals() > before);
    query(centre, "ALTER SUBSCRIPTION fake DISABLE");
    wait_until("the worker ends", || {
        query(centre, "SELECT count(*) FROM pg_stat_subscription s WHERE s.subname = 'fake' AND s.pid IS NOT NULL")
            == "0"
    });
    let lsn = source.query("fake", "SELECT pg_current_wal_lsn()");
    query(centre, &format!("SELECT pg_replication_origin_advance(o.roname, '{lsn}') FROM pg_replication_origin o"));
    query(centre, "ALTER SUBSCRIPTION fake ENABLE");
}

/// The apply worker once deleted and changed events at the centre, as it fires no statement triggers.
#[test]
fn a_hostile_source_changes_nothing_at_the_centre() {
    let source = start("a");
    let centre = start("centre");
    query(
        &centre,
        "CREATE TABLE orders (id int PRIMARY KEY); SELECT audit.enable('orders'), audit.gather(); INSERT INTO orders VALUES (1)",
    );
    create_look_alike(
        &source,
        &centre,
        &["audit.events", "audit.event_types", "audit_internal.nodes"],
        &["audit_internal.table_settings"],
    );
    subscribe_to_look_alike(&source, &centre);
    let everything = "SELECT md5(string_agg(t::text, '' ORDER BY t.event_id)) FROM audit.trail t
                      WHERE t.event <> 'evidence.load'";
    let before = query(&centre, everything);
    // One after the other: each stops the subscription, which is then told to skip it.
    for (attempt, message) in [
        (
            "UPDATE audit.events SET entity_id = '2' WHERE event_type = 1",
            "a subscription cannot update audit_internal.events_",
        ),
        ("DELETE FROM audit.events WHERE event_type <> 1", "a subscription cannot delete audit_internal.events_"),
        ("TRUNCATE audit.events", "cannot truncate audit.events: evidence cannot be changed"),
        (
            "UPDATE audit.event_types SET risk = 'low' WHERE risk = 'high'",
            "a subscription cannot update audit.event_types",
        ),
        ("DELETE FROM audit_internal.nodes", "a subscription cannot delete audit_internal.nodes_all"),
    ] {
        expect_refused(&source, &centre, attempt, message);
    }
    query(&centre, "ALTER SUBSCRIPTION fake DISABLE");
    assert_eq!(query(&centre, everything), before);
    // Nor is the configuration of the centre anything that a server sends.
    source.query("fake", "CREATE PUBLICATION settings FOR TABLE audit_internal.table_settings");
    let connection = fake_connection(&source);
    query(&centre, &format!("CREATE SUBSCRIPTION settings CONNECTION '{connection}' PUBLICATION settings"));
    wait_until("the copy is refused", || {
        centre.log().contains("a subscription cannot insert audit_internal.table_settings")
    });
}

/// An event without an id once crashed the apply worker, and with it the server, again and again.
#[test]
fn a_hostile_source_sends_no_rows_that_no_server_writes() {
    let source = source("a");
    let centre = start("centre");
    query(
        &centre,
        "CREATE TABLE orders (id int PRIMARY KEY); SELECT audit.enable('orders'), audit.gather(); INSERT INTO orders VALUES (1);
         SELECT audit.define_event_type('invoice.approved', parameters => '{\"amount\": \"numeric\", \"card\": \"text\"}')",
    );
    let partition =
        query(&centre, "SELECT DISTINCT e.tableoid::regclass FROM audit.events e WHERE e.category = 'data'");
    create_look_alike(
        &source,
        &centre,
        &[
            "audit.events",
            "audit.event_types",
            "audit.event_parameters",
            "audit_internal.nodes",
            "audit_internal.sessions",
            "audit_internal.contexts",
            "audit_internal.relations",
            "audit_internal.events_overflow_all",
        ],
        &[&partition],
    );
    // Rows of the partition are the events', which the first copy would leave out.
    source.query("fake", &format!("TRUNCATE {partition}; ALTER PUBLICATION fake ADD TABLE {partition}"));
    // All that is copied is known, and the same.
    subscribe_to_look_alike(&source, &centre);
    let everything = "SELECT md5(string_agg(t::text, '' ORDER BY t.event_id)) FROM audit.trail t
                      WHERE t.server = 'centre' AND t.event NOT IN ('evidence.load', 'config.change')";
    let before = query(&centre, everything);
    let coverage = query(&centre, "SELECT count(*) FROM audit.coverage");
    // A row like the first of the table, but for these members.
    let like = |table: &str, condition: &str, members: &str| {
        format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(r) || {members})).*
             FROM (SELECT * FROM {table} WHERE {condition} LIMIT 1) r"
        )
    };
    let forged = |members: &str| {
        let members = format!("jsonb_build_object('node_id', 77, 'event_id', gen_random_uuid()) || '{members}'::jsonb");
        like("audit.events", "event_type = 1", &members)
    };
    let of_partition = |target: &str, members: &str| {
        forged(members).replacen("INSERT INTO audit.events", &format!("INSERT INTO {target}"), 1)
    };
    for (attempt, message) in [
        (forged(r#"{"event_id": null}"#), r#"column "event_id" is null"#),
        (forged(r#"{"node_id": null}"#), r#"column "node_id" is null"#),
        (forged(r#"{"occurred_at": null}"#), r#"column "occurred_at" is null"#),
        (like("audit_internal.contexts", "true", r#"'{"context_id": null}'::jsonb"#), r#"column "context_id" is null"#),
        (like("audit_internal.nodes", "true", r#"'{"node_id": 77, "name": null}'::jsonb"#), r#"column "name" is null"#),
        (forged(r#"{"occurred_at": "infinity"}"#), r#"column "occurred_at" is a time more than one day ahead"#),
        (forged(r#"{"occurred_at": "0044-03-15 BC"}"#), r#"column "occurred_at" is a time before 2000"#),
        (
            like("audit_internal.sessions", "true", r#"'{"session_id": 5, "began_at": "infinity"}'::jsonb"#),
            r#"column "began_at" is a time more than one day ahead"#,
        ),
        (forged(r#"{"parameters": 7}"#), r#"column "parameters" is not a JSON object"#),
        (forged(r#"{"changes": "all"}"#), r#"column "changes" is neither a JSON array nor an object"#),
        (forged(r#"{"changes": [7], "event_type": 2}"#), r#"column "changes" has names that are not strings"#),
        (forged(r#"{"image": {"id": 1}}"#), r#"column "image" is not a JSON array"#),
        (
            like("audit_internal.contexts", "true", r#"'{"context_id": 5, "context": [1]}'::jsonb"#),
            r#"column "context" is not a JSON object"#,
        ),
        (
            like("audit_internal.relations", "true", r#"'{"relation_id": 5, "recorded_columns": [1]}'::jsonb"#),
            r#"column "recorded_columns" is not a JSON array of strings"#,
        ),
        (of_partition(&partition, r#"{"retention_id": 5}"#), r#"column "retention_id" is not null"#),
        (of_partition(&partition, r#"{"category": "forged"}"#), r#"column "category" is none of the categories"#),
        (
            of_partition("audit_internal.events_overflow_all", r#"{"retention_id": 5}"#),
            "only this server writes to the overflow",
        ),
        // What is known is not replaced by something else that has its key.
        (
            like("audit.events", "event_type = 1", r#"'{"entity_id": "2"}'::jsonb"#),
            "a row with this key and other content exists",
        ),
        (
            like("audit_internal.contexts", "true", r#"'{"actor": "eve"}'::jsonb"#),
            "a row with this key and other content exists",
        ),
        (
            "INSERT INTO audit.event_types VALUES (500, 'invoice.sent', 'application', 'low', 'sent')".into(),
            "500 is not the number of an application's event type",
        ),
        (
            "INSERT INTO audit.event_types VALUES (5000, 'row.forged', 'application', 'low', 'forged')".into(),
            r#"names that begin with "row." are reserved"#,
        ),
        (
            "INSERT INTO audit.event_types VALUES (5000, 'invoice.sent', 'system', 'low', 'sent')".into(),
            r#"category "system" is reserved"#,
        ),
        (
            "INSERT INTO audit.event_types VALUES (5000, 'Invoice sent', 'application', 'low', 'sent')".into(),
            r#"invalid event type name "Invoice sent""#,
        ),
        (
            "INSERT INTO audit.event_parameters VALUES (1, 'note', 'text', true, false)".into(),
            r#"parameter "note" of event type 1 is not one of an application's event type"#,
        ),
    ] {
        expect_refused(&source, &centre, &attempt, message);
    }

    // Rows of the centre's own node are left out; first definitions hold.
    let own = query(&centre, "SELECT s.node_id FROM audit.servers s WHERE s.is_own");
    let contexts = "SELECT count(*) FROM audit_internal.contexts c WHERE c.actor = 'eve'";
    source.query("fake", &forged(&format!(r#"{{"node_id": {own}, "entity_id": "forged"}}"#)));
    source.query(
        "fake",
        &like("audit_internal.contexts", "true", "jsonb_build_object('actor', 'eve', 'context_id', context_id + 9)"),
    );
    source.query(
        "fake",
        "INSERT INTO audit.event_types VALUES (5000, 'invoice.sent', 'application', 'high', 'did not send', NULL, true);
         INSERT INTO audit.event_parameters VALUES (5000, 'to', 'text', true, false), (5000, 'odd', 'no.type', true, false);
         INSERT INTO audit.event_types SELECT event_type, name, category, 'high', phrase FROM audit.event_types WHERE name = 'invoice.approved';
         INSERT INTO audit.event_parameters SELECT event_type, name, 'jsonb', true, name = 'card'
         FROM audit.event_parameters WHERE name IN ('amount', 'card') AND event_type > 1000",
    );
    // A table of another server is not one of the centre's, whatever its lineage.
    let history = "SELECT count(*) FROM audit.history('orders', '1')";
    assert_eq!(query(&centre, history), "1");
    source.query("fake", &like("audit_internal.relations", "true", r#"'{"node_id": 77}'::jsonb"#));
    source.query("fake", &forged("{}"));
    // Its own events arrive, those of a node that it has not sent included, and are nobody's gaps.
    source.query("fake", &forged(r#"{"event_type": 81, "category": "system", "changes": null}"#));
    source.query("fake", &forged(r#"{"entity_id": "the last one"}"#));
    wait_until("the last event arrives", || {
        query(&centre, "SELECT count(*) FROM audit.trail t WHERE t.entity_id = 'the last one'") == "1"
    });
    assert_eq!(query(&centre, "SELECT count(*) FROM audit_internal.relations r WHERE r.node_id = 77"), "1");
    assert_eq!(query(&centre, history), "1");
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.trail t WHERE t.entity_id = 'forged'"), "0");
    assert_eq!(query(&centre, contexts), "0");
    assert_eq!(
        query(
            &centre,
            "SELECT string_agg(concat_ws(' ', t.name, t.risk, t.built_in, t.phrase), ', ' ORDER BY t.name)
             FROM audit.event_types t WHERE t.event_type > 1000"
        ),
        "invoice.approved low f recorded invoice.approved of, invoice.sent high f recorded invoice.sent of"
    );
    assert_eq!(
        query(
            &centre,
            "SELECT string_agg(concat_ws(' ', p.name, p.data_type, p.required, p.sensitive), ', ' ORDER BY p.name)
             FROM audit.event_parameters p WHERE p.event_type > 1000"
        ),
        "amount numeric f f, card text f t, to text f f"
    );
    assert_eq!(
        query(
            &centre,
            "SELECT count(*) FROM audit.trail t
             WHERE t.event = 'config.change' AND t.parameters ->> 'setting' = 'event type of another server'"
        ),
        "3"
    );
    let log = centre.log();
    for warning in [
        "a subscription sends rows of this database to",
        "event type \"invoice.approved\" of another server is defined otherwise here",
        "parameter \"odd\" of event type 5000 of another server stays undeclared here",
    ] {
        assert!(log.contains(warning), "{warning}");
    }
    assert!(!log.contains("terminated by signal"));
    // Readers have an answer also for what was accepted earlier.
    assert_eq!(
        query(
            &centre,
            "SELECT audit_internal.details('7') IS NULL, audit_internal.details('[1]') IS NULL,
                    audit_internal.new_values(1, '[1, 2]', NULL, '[\"a\", {}]')"
        ),
        r#"t|t|{"1": 1, "2": 2}"#
    );
    assert_eq!(query(&centre, everything), before);
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.coverage"), coverage);
}
