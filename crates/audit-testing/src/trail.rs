//! Events as lines that a test can compare, and what holds for every event of every trail.

use crate::server::Server;

/// The row events of a table in the order of its versions: kind, key (`old -> new` where it changed), changes.
pub fn of(server: &Server, database: &str, entity: &str) -> String {
    let sql = "SELECT concat_ws(' ', replace(t.name, 'row.', ''), e.entity_id, '-> ' || e.new_entity_id, \
                                CASE WHEN t.name = 'row.update' THEN e.changes \
                                     ELSE coalesce(audit_internal.new_values(e.event_type, e.changes, NULL, r.recorded_columns), \
                                                   audit_internal.old_values(e.event_type, e.changes, NULL, r.recorded_columns)) END) \
               FROM (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) e \
               JOIN audit.event_types t USING (event_type) JOIN audit_internal.relations r USING (node_id, relation_id) \
               WHERE e.category = 'data' AND r.entity = :'entity' \
               ORDER BY e.transaction_id, e.command_id, e.event_id;\n";
    server.query(database, &format!("\\set entity '{entity}'\n{sql}"))
}

/// Asserts that these are the events of a table, and that every event has all that it refers to.
#[track_caller]
pub fn expect(server: &Server, database: &str, entity: &str, lines: &str) {
    let expected: Vec<_> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(of(server, database, entity).lines().collect::<Vec<_>>(), expected, "events of {entity}");
    expect_whole(server, database);
}

/// Asserts that every event, in the partitions and in the overflow, has an id of its own, and finds its context,
/// session and node, and its relation where it concerns one, exactly once.
#[track_caller]
pub fn expect_whole(server: &Server, database: &str) {
    let sql = "WITH e AS (TABLE audit.events UNION ALL TABLE audit_internal.events_overflow) \
               SELECT (SELECT count(*) FROM e) - (SELECT count(DISTINCT event_id) FROM e), \
                      (SELECT count(*) FROM e) - (SELECT count(*) FROM e \
                         JOIN audit_internal.contexts c USING (node_id, context_id) JOIN audit_internal.sessions s USING (node_id, session_id) \
                         JOIN audit_internal.nodes n USING (node_id) LEFT JOIN audit_internal.relations r USING (node_id, relation_id) \
                         WHERE e.relation_id = 0 OR r.relation_id IS NOT NULL)";
    assert_eq!(server.query(database, sql), "0|0", "events share an id or miss what they refer to");
}
