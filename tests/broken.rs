//! Maintenance of which some fails: all else is done, it says what failed, and it recovers.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use audit_testing::maintenance;
use audit_testing::retention::{ALONE, Trail};
use audit_testing::server::wait_until;

/// Events of three categories in January, of a trail that keeps them for ten days.
fn january() -> Trail {
    let trail = Trail::start(
        &[ALONE],
        "2030-01-10 12:00+00",
        "CREATE TABLE item (id int PRIMARY KEY);
         SELECT audit.enable('item');
         SELECT audit.define_event_type('order.seen');
         INSERT INTO item VALUES (1);
         SELECT audit.record('order.seen');",
    );
    trail.at("2030-01-10 12:00+00", "CALL audit.maintain()");
    trail
}

/// The categories that have a closed partition of January.
const CLOSED: &str = "SELECT string_agg(replace(f.partition_name, '_20300101', ''), ' ' ORDER BY f.partition_name)
    FROM audit_internal.partition_catalog f WHERE f.closed_at IS NOT NULL AND f.partition_name IN ('events_application_20300101', 'events_data_20300101', 'events_system_20300101')";

/// A partition that cannot be closed leaves others to be closed, pruned and made.
#[test]
fn a_partition_that_fails_keeps_no_other_back() {
    let trail = january();
    // A table of somebody else's where an index of the closed partition would be.
    trail.at("2030-01-10 12:00+00", "CREATE TABLE audit_internal.events_data_20300101_row ()");
    trail.at("2030-01-10 12:00+00", "SELECT audit.set_retention('application', keep => '10 days')");
    let errors = trail.errors("2030-03-01 00:00+00", "CALL audit.maintain()");
    let said = "partition events_data_20300101: relation \"events_data_20300101_row\" already exists";
    assert!(errors.contains(&format!("WARNING:  42P07: maintenance could not close partitions: {said}")), "{errors}");
    assert!(errors.contains(&format!("ERROR:  42P07: could not close partitions: {said}")), "{errors}");
    assert_eq!(errors.matches("WARNING").count(), 1, "{errors}");
    let at = |sql: &str| trail.at("2030-03-01 00:00+00", sql);
    assert_eq!(at(CLOSED), "events_system");
    // What was due is gone, and the partitions of the months to come are there.
    assert_eq!(at("SELECT count(*) FROM audit.trail t WHERE t.event = 'order.seen'"), "0");
    let ahead = "SELECT bool_and(l.until > audit_internal.clock()) FROM
                 (SELECT max(l.until) AS until FROM audit.partitions l WHERE l.parent LIKE 'events%' GROUP BY l.parent) l";
    assert_eq!(at(ahead), "t");
    assert_eq!(at("SELECT s.remarks FROM audit.status() s"), "{}");

    at("DROP TABLE audit_internal.events_data_20300101_row; CALL audit.maintain()");
    assert_eq!(at(CLOSED), "events_data events_system");
}

/// One kind of work that always fails is tried once a call, wherever in the order it stands.
#[test]
fn work_that_fails_is_tried_once_in_a_call() {
    let trail = january();
    let at = |sql: &str| trail.at("2030-03-01 00:00+00", sql);
    at("CREATE SEQUENCE tried;
        CREATE OR REPLACE FUNCTION audit_internal.move_to_dedicated(max_rows bigint DEFAULT 50000) RETURNS bigint LANGUAGE plpgsql AS
            'BEGIN RAISE NOTICE ''try %'', nextval(''public.tried''); RETURN 1 / 0; END';
        CREATE OR REPLACE FUNCTION audit_internal.partitions_to_merge()
            RETURNS TABLE (parent text, first_partition text, second_partition text, since timestamptz, until timestamptz, events bigint)
            LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no merging today''; END'");
    let errors = trail.errors("2030-03-01 00:00+00", "CALL audit.maintain()");
    assert!(
        errors.contains(
            "ERROR:  22012: could not move events to dedicated partitions: division by zero; could not merge partitions: no merging today"
        ),
        "{errors}"
    );
    assert_eq!(at("SELECT last_value FROM tried"), "1");
    assert_eq!(at(CLOSED), "events_application events_data events_system");
    // Each call tries it again.
    trail.errors("2030-03-01 00:00+00", "CALL audit.maintain()");
    assert_eq!(at("SELECT last_value FROM tried"), "2");
    // A cancelled statement ends it at once.
    at("CREATE OR REPLACE FUNCTION audit_internal.move_to_dedicated(max_rows bigint DEFAULT 50000) RETURNS bigint LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(600); RETURN 0; END'");
    let errors = trail.errors("2030-03-01 00:00+00", "SET statement_timeout = '300ms'; CALL audit.maintain()");
    assert!(errors.contains("57014: canceling statement due to statement timeout"), "{errors}");
    assert!(!errors.contains("maintenance could not"), "{errors}");
}

/// The worker goes on too, and status() says what failed until it has been done.
#[test]
fn the_worker_does_what_it_can() {
    let server = maintenance::start(&[("audit.naptime", "1s")]);
    server.create_database("a");
    maintenance::make_work(&server, "a");
    wait_until("it is maintained", || maintenance::overflow(&server, "a") == 0);
    server.query(
        "a",
        "CREATE OR REPLACE FUNCTION audit_internal.partitions_to_close() RETURNS TABLE (partition regclass, partition_name text, parent text, suffixes text[])
             LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''nothing closes'' USING ERRCODE = ''XX001''; END'",
    );
    maintenance::drop_partitions(&server, "a");
    server.query("a", "INSERT INTO t SELECT max(id) + 1 FROM t");
    wait_until("the overflow is emptied", || maintenance::overflow(&server, "a") == 0);
    wait_until("status says what failed", || {
        maintenance::worker(&server, "a").ends_with("): could not close partitions: nothing closes")
    });
    let log = server.log();
    assert!(log.contains("WARNING:  maintenance could not close partitions: nothing closes"), "{log}");
    assert!(log.contains("audit maintenance failed in database \"a\""), "{log}");
    server.query(
        "a",
        "CREATE OR REPLACE FUNCTION audit_internal.partitions_to_close() RETURNS TABLE (partition regclass, partition_name text, parent text, suffixes text[])
             LANGUAGE sql AS 'SELECT NULL::regclass, NULL, NULL, NULL::text[] WHERE false'",
    );
    wait_until("it recovers", || maintenance::worker(&server, "a").ends_with("(ok)"));
    assert_eq!(server.query("a", "SELECT worker_error IS NULL FROM audit.status()"), "t");
}
