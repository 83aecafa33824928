//! Retention, archives and merges after an upgrade of the extension, with partitions of before.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used, clippy::panic)]

use audit_testing::catalog;
use audit_testing::retention::{ALONE, SEE, Trail};
use audit_testing::upgrade::{AFTER, BEFORE, Versions};

const JANUARY: &str = "2030-01-17";
const AUGUST: &str = "2030-08-15";
const ROWS: usize = 30;

#[test]
fn partitions_of_before_are_merged_archived_and_restored() {
    let _scripts = Versions::write();
    let trail = Trail::start(
        &[ALONE],
        "2030-01-15",
        &format!(
            "DROP EXTENSION audit CASCADE; CREATE EXTENSION audit VERSION '{BEFORE}';
             SELECT audit_internal.upsert_config(ROW('events_data', '1 hour')::audit_internal.partition_settings);
             SELECT audit_internal.create_partitions();
             SELECT audit.set_retention('data', '6 months', archive => true);
             CREATE TABLE entry (id int PRIMARY KEY, note text);
             SELECT audit.enable('entry');"
        ),
    );
    for hour in 0..ROWS {
        trail.at(
            &format!("2030-01-15 12:30+00'::timestamptz + interval '{hour} hours"),
            &format!("SELECT audit_internal.create_partitions(); INSERT INTO entry VALUES ({hour}, repeat('x', {hour} * 100))"),
        );
    }
    while trail.at(JANUARY, "SELECT audit_internal.close_partition()") == "t" {}
    trail.at(JANUARY, SEE);
    // The first half of a merge: a table that is filled and not yet attached.
    assert_eq!(trail.at(JANUARY, "SELECT audit_internal.merge_partitions()"), "t");
    let merging = "SELECT count(*) FROM audit_internal.partition_catalog c WHERE c.merged_from IS NOT NULL";
    assert_eq!(trail.at(JANUARY, merging), "1");
    let partitions = "SELECT count(*) FROM audit.partitions p WHERE p.parent = 'events_data'";
    let before: u32 = trail.at(JANUARY, partitions).parse().unwrap();

    trail.at(JANUARY, &format!("ALTER EXTENSION audit UPDATE TO '{AFTER}'"));
    trail.at(JANUARY, "CALL audit.maintain()");
    assert_eq!(trail.at(JANUARY, merging), "0");
    let after: u32 = trail.at(JANUARY, partitions).parse().unwrap();
    assert!(after < before, "{after} partitions of {before} after the merge");
    catalog::expect_partitions_follow(&trail.server, "postgres");
    trail.at(JANUARY, &format!("INSERT INTO entry VALUES ({ROWS}); {SEE}"));
    trail.expect_all(JANUARY);

    trail.at(AUGUST, "CALL audit.maintain()");
    assert_eq!(trail.at(AUGUST, "SELECT count(*) FROM audit.events e WHERE e.category = 'data'"), "0");
    trail.expect_all(AUGUST);
    let restored = trail.at(AUGUST, "SELECT sum(audit.restore_archive(a.archive_id)) FROM audit.archives a");
    assert_eq!(restored, (ROWS + 1).to_string());
    catalog::expect_partitions_follow(&trail.server, "postgres");
    let lengths =
        "SELECT count(*), sum(length(t.new_values ->> 'note')) FROM audit.trail t WHERE t.event = 'row.insert'";
    assert_eq!(trail.at(AUGUST, lengths), "31|43500");
    trail.at(AUGUST, "SELECT audit.unload_archive(a.archive_id) FROM audit.archives a");
    trail.expect_all(AUGUST);
}
