//! What an installed extension consists of, so that an upgraded one can be compared with one that was installed anew.

use std::collections::BTreeSet;

use crate::server::Server;

/// The schemas that the extension looks its tables up in.
const EVENT_TYPES: &str = "audit.event_types";
const EVENT_PARAMETERS: &str = "audit.event_parameters";
const PARTITIONS: &str = "audit.partitions";

/// Every object of the extension with all that defines it, and what its script has put into its tables: a line each.
pub fn of(server: &Server, database: &str) -> BTreeSet<String> {
    let built_in = format!(
        "SELECT t FROM {EVENT_TYPES} t WHERE t.built_in;
         SELECT p FROM {EVENT_PARAMETERS} p JOIN {EVENT_TYPES} t USING (event_type) WHERE t.built_in;"
    );
    let facts = server.query(database, &format!("{}{built_in}", include_str!("catalog.sql")));
    facts.lines().map(str::to_owned).collect()
}

/// Asserts that two databases have the same extension.
#[track_caller]
pub fn expect_same(server: &Server, one: &str, other: &str) {
    let [ours, theirs] = [one, other].map(|database| of(server, database));
    // The head of a line says which object it is about, and may be enough.
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        these.difference(those).map(|line| line.chars().take(200).collect::<String>()).collect::<Vec<_>>().join("\n")
    };
    let (missing, added) = (only(&theirs, &ours), only(&ours, &theirs));
    assert!(missing.is_empty() && added.is_empty(), "only in {one}:\n{added}\nonly in {other}:\n{missing}");
}

/// Asserts that every partition has the columns of its parent at the same places, and the overflow those of events.
#[track_caller]
pub fn expect_partitions_follow(server: &Server, database: &str) {
    let sql = format!(
        "WITH pairs AS (
             SELECT i.inhrelid AS partition, i.inhparent AS parent FROM pg_inherits i
             WHERE i.inhparent IN (SELECT t.relid FROM {PARTITIONS} p, pg_partition_tree(pg_partition_root(p.partition)) t)
             UNION SELECT p.partition, 'audit.events'::regclass FROM {PARTITIONS} p WHERE p.parent = 'events_overflow'),
         columns AS (
             SELECT a.attrelid, string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid::regtype, a.attnotnull), ', ' ORDER BY a.attnum) AS are
             FROM pg_attribute a WHERE a.attnum > 0 GROUP BY 1)
         SELECT p.partition::regclass, p.parent::regclass FROM pairs p
         JOIN columns c ON c.attrelid = p.partition JOIN columns d ON d.attrelid = p.parent
         JOIN pg_class k ON k.oid = p.partition AND k.relkind IN ('r', 'p') WHERE c.are <> d.are"
    );
    assert_eq!(server.query(database, &sql), "", "partitions with other columns than their parent");
}
