//! Archives in their life: written, restored in this database and in another one, deleted.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use audit_testing::retention::{self, ALONE, SEE, Trail};
use audit_testing::server::Server;
use audit_testing::trail;

/// Events of every shape in January; then it is February, and their partitions have closed.
const SETUP: &str = "
    CREATE TABLE customer (id int PRIMARY KEY, name text, credit numeric, tags text[], data jsonb, at timestamptz, raw bytea);
    SELECT audit.enable('customer', 'comprehensive', label_column => 'name');
    SELECT audit.define_event_type('order.paid', parameters => '{\"amount\": \"numeric\"}', risk => 'medium');
    SELECT audit.set_retention('data', '6 months', archive => true), audit.set_retention('application', '6 months', archive => true);
    SET audit.actor = 'ann'; SET audit.trace_id = 'trace-1'; SET audit.reason = 'asked'; SET audit.context = '{\"ticket\": 12}';
    BEGIN;
    INSERT INTO customer VALUES (1, 'Acmé ☃', 1.50, '{a,NULL,\"b c\"}', '{\"x\": null, \"y\": [1, 1.0, \"\\u00e9\"]}', '2030-01-01 00:00+02', '\\x00ff'),
                                (2, NULL, 'NaN', NULL, 'null', 'infinity', NULL), (3, E'line\\nbreak\\ttab \\\\ \"quoted\"', -0.0, '{}', '\"\"', NULL, '\\x');
    UPDATE customer SET credit = credit + 1 WHERE id = 1;
    COMMIT;
    RESET audit.actor;
    UPDATE customer SET id = 30 WHERE id = 3;
    DELETE FROM customer WHERE id = 2;
    SELECT audit.record('order.paid', '{\"amount\": 12.30}', 'order', '7', 'failure');";

const FEBRUARY: &str = "2030-02-15";
const AUGUST: &str = "2030-08-15";
const RESTORE: &str = "SELECT sum(audit.restore_archive(archive_id)) FROM audit.archives";

/// What functions say about every event of a table and of the application.
const READING: &str = "CREATE FUNCTION proof.reading() RETURNS TABLE (event_id uuid, page jsonb, diff text, related text, history text, found boolean)
    LANGUAGE sql AS $$
    SELECT t.event_id, audit.event(t.event_id), (SELECT string_agg(d::text, ',' ORDER BY d.column_name) FROM audit.diff(t.event_id) d),
           (SELECT string_agg(r.event_id::text, ',' ORDER BY r.event_id) FROM audit.related(t.event_id) r),
           (SELECT string_agg(h.event_id::text, ',') FROM audit.history('customer', t.entity_id) h WHERE t.category = 'data'),
           EXISTS (SELECT FROM audit.search(entity => t.entity, entity_id => t.entity_id, max_rows => NULL) s WHERE s.event_id = t.event_id)
    FROM audit.trail t WHERE t.category IN ('data', 'application') $$;";

#[test]
fn archives_come_back_as_they_were() {
    let trail = Trail::start(&[ALONE], "2030-01-15", &format!("{SETUP}{READING}{SEE}"));
    trail.encrypt("key");
    let reading = "SELECT * FROM proof.reading() WHERE event_id IN (SELECT event_id FROM proof.seen WHERE occurred_at < '2030-02-01') ORDER BY 1";
    trail.at(FEBRUARY, &format!("CALL audit.maintain(); {SEE}"));
    let before = trail.at(FEBRUARY, reading);
    assert_eq!(before.lines().count(), 7);
    assert!(!before.contains("|f\n") && before.contains("order.paid"), "{before}");

    trail.at(AUGUST, "CALL audit.maintain()");
    assert_eq!(trail.at(AUGUST, reading), "");
    trail.expect_all(AUGUST);
    let archives = "SELECT category, events, encrypted, pruned_at IS NOT NULL, jsonb_array_length(files) FROM audit.archives ORDER BY 1, 2 DESC LIMIT 2";
    assert_eq!(trail.at(AUGUST, archives), "application|1|t|t|2\ndata|6|t|t|2");
    assert!(trail.files().iter().any(|name| name.ends_with(".age")), "{:?}", trail.files());

    assert_eq!(trail.at(AUGUST, RESTORE), "7");
    assert_eq!(trail.at(AUGUST, reading), before);
    let unseen =
        "SELECT count(*) FROM proof.seen s WHERE NOT EXISTS (SELECT FROM audit.trail t WHERE t.event_id = s.event_id)";
    assert_eq!(trail.at(AUGUST, unseen), "0");
    trail.expect_all(AUGUST);
    trail::expect_whole(&trail.server, "postgres");
    // Retention does not see them, and they are evidence like any other.
    assert_eq!(trail.at(AUGUST, "SELECT count(*) FROM audit.prune()"), "0");
    let partition = trail.at(AUGUST, "SELECT restored_as FROM audit.archives WHERE category = 'data' AND events > 0");
    for sql in [
        format!("DELETE FROM audit_internal.{partition}"),
        format!("DROP TABLE audit_internal.{partition}"),
        format!("INSERT INTO audit_internal.{partition} TABLE audit_internal.{partition}"),
    ] {
        let errors = trail.errors(AUGUST, &sql);
        assert!(errors.contains("55000") && errors.contains("HINT"), "{sql}: {errors}");
    }
    let errors = trail.errors(AUGUST, RESTORE);
    assert!(errors.contains("55000") && errors.contains("is already restored"), "{errors}");

    trail.at(AUGUST, "SELECT audit.unload_archive(archive_id) FROM audit.archives");
    assert_eq!(trail.at(AUGUST, reading), "");
    trail.expect_all(AUGUST);
    let noted = "SELECT event, sum((parameters->>'events')::int) FROM audit.trail WHERE event ~ 'restore|unload' GROUP BY 1 ORDER BY 1";
    assert_eq!(trail.at(AUGUST, noted), "retention.restore|7\nretention.unload|7");
}

/// Another server, where the same dictionary keys mean other sessions, and the archives are of a node that is not this
/// one.
#[test]
fn archives_come_back_in_a_restored_database() {
    let trail = Trail::start(&[ALONE], "2030-01-15", &format!("{SETUP}{READING}{SEE}"));
    trail.at(FEBRUARY, &format!("CALL audit.maintain(); {SEE}"));
    trail.at(AUGUST, "CALL audit.maintain()");
    let other = Server::start(&[ALONE]);
    trail.server.dump_and_restore("postgres", &other, "shop", &[]);
    let query = |sql: &str| other.query("shop", &format!("{}{sql}", retention::clock(AUGUST)));
    query("INSERT INTO customer (id, name) VALUES (100, 'here')");
    assert_eq!(query("SELECT count(DISTINCT node_id) FROM audit.events"), "2");
    query(RESTORE);
    let lost = "SELECT count(*), (SELECT count(*) FROM proof.seen) > 10 FROM proof.seen s
                WHERE NOT EXISTS (SELECT FROM audit.trail t WHERE t = s)";
    assert_eq!(query(lost), "0|t", "events that are lost or changed");
    trail::expect_whole(&other, "shop");
    assert_eq!(query("SELECT count(*) FROM audit.history('customer', '1')"), "2");
    query("SELECT audit.unload_archive(archive_id) FROM audit.archives; CALL audit.maintain()");
    trail::expect_whole(&other, "shop");
}

/// An event that comes when its partition has been archived waits, readable, until the partition has gone, and is
/// archived by itself.
#[test]
fn late_events_of_archived_partitions_are_kept() {
    let trail = Trail::start(&[ALONE], "2030-01-15", &format!("{SETUP}{SEE}"));
    trail.at(FEBRUARY, "CALL audit.maintain(); SELECT audit.archive('data', '2030-02-01')");
    trail.at("2030-01-20", &format!("INSERT INTO customer (id) VALUES (200), (201); {SEE}"));
    let late = "SELECT count(*) FROM audit.trail WHERE entity_id IN ('200', '201')";
    trail.at(FEBRUARY, &format!("CALL audit.maintain(); {SEE}"));
    assert_eq!(trail.at(FEBRUARY, &format!("SELECT count(*) FROM audit_internal.events_overflow; {late}")), "2\n2");
    trail.at(AUGUST, &format!("CALL audit.maintain(); {SEE}"));
    let archives = "SELECT events FROM audit.archives WHERE category = 'data' AND events > 0 ORDER BY events";
    assert_eq!(trail.at(AUGUST, archives), "2\n6");
    assert_eq!(trail.at(AUGUST, &format!("SELECT count(*) FROM audit_internal.events_overflow; {late}")), "0\n0");
    trail.expect_all(AUGUST);
    trail.at(AUGUST, RESTORE);
    assert_eq!(trail.at(AUGUST, late), "2");
    trail.expect_all(AUGUST);
    trail::expect_whole(&trail.server, "postgres");
}

/// The files go when their own time is over, but not while a hold is on that time, and not while they are restored.
#[test]
fn files_go_when_archives_have_been_kept_long_enough() {
    let trail = Trail::start(&[ALONE], "2030-01-15", &format!("{SETUP}{SEE}"));
    trail.at(FEBRUARY, "CALL audit.maintain(); SELECT audit.set_retention('data', archive_keep => '2 years'), audit.set_retention('application', archive_keep => '3 years')");
    trail.at(AUGUST, "CALL audit.maintain(); SELECT audit.hold('case', 'asked by the court', until => '2030-01-16')");
    let left = "SELECT count(*) FROM audit.archives WHERE category = 'data' AND since < '2030-02-01'";
    let end = "2032-02-10";
    assert_eq!(trail.at(end, &format!("CALL audit.maintain(); {left}")), "1");
    trail.at(end, "SELECT audit.release('case')");
    trail.at(
        end,
        "SELECT audit.restore_archive(archive_id) FROM audit.archives WHERE category = 'data' AND since < '2030-02-01'",
    );
    assert_eq!(trail.at(end, &format!("CALL audit.maintain(); {left}")), "1");
    trail.at(end, "SELECT audit.unload_archive(archive_id) FROM audit.archives WHERE restored_as IS NOT NULL");
    assert_eq!(trail.at(end, &format!("CALL audit.maintain(); {left}")), "0");
    let january: Vec<_> = trail.files().into_iter().filter(|name| name.contains("date=2030-01-01")).collect();
    assert!(january.len() == 3 && january.iter().all(|name| name.contains("category=application")), "{january:?}");
    let noted = "SELECT parameters->>'events' FROM audit.trail WHERE parameters->>'action' = 'delete archive' AND (parameters->>'events')::int > 0";
    assert_eq!(trail.at(end, noted), "6");
}

/// Archives are in UTF-8 whatever the database is in.
#[test]
fn archives_keep_the_encoding_of_their_database() {
    let trail = Trail::start(&[ALONE], "2030-01-15", "");
    trail.server.query("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let at = |time: &str, sql: &str| trail.server.query("latin", &format!("{}{sql}", retention::clock(time)));
    let setup = "CREATE EXTENSION audit; CREATE TABLE t (id int PRIMARY KEY, name text, data jsonb);
                 SELECT audit.enable('t', label_column => 'name'), audit.set_retention('data', '1 month', archive => true, partition_interval => '1 month');
                 INSERT INTO t SELECT n, chr(n), jsonb_build_object(chr(n), chr(n)) FROM generate_series(160, 255) n;
                 CREATE TABLE seen AS SELECT * FROM audit.trail WHERE category = 'data'";
    at("2030-01-15", setup);
    at(FEBRUARY, "CALL audit.maintain()");
    at(AUGUST, "CALL audit.maintain()");
    assert_eq!(at(AUGUST, "SELECT count(*) FROM audit.trail WHERE category = 'data'"), "0");
    assert_eq!(at(AUGUST, "SELECT sum(audit.restore_archive(archive_id)) FROM audit.archives"), "96");
    assert_eq!(
        at(
            AUGUST,
            "SELECT count(*) FROM seen s JOIN audit.trail t USING (event_id) WHERE t = s AND s.entity_label = chr(s.entity_id::int)"
        ),
        "96"
    );
}
