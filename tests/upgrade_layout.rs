//! Who appends columns to the trail, and what a library writes that knows more of them than the catalog has.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used, clippy::panic)]

use audit_testing::catalog;
use audit_testing::server::Server;
use audit_testing::upgrade::{DIFFERENCE, OLDER, OTHER, Versions, recorded, upgrade};

/// Columns are the extension's to append: the place of the next one is taken by nobody else.
#[test]
fn no_other_command_appends_a_column() {
    let _scripts = Versions::write();
    let server = Server::start(&[]);
    recorded(&server, "shop");
    let refused = |command: &str, error: &str| {
        let errors = String::from_utf8_lossy(&server.psql("shop", command).stderr).into_owned();
        assert!(errors.contains(error), "{command}: {errors}");
    };
    for table in ["audit.events", "audit_internal.events_data", "audit_internal.contexts"] {
        refused(
            &format!("ALTER TABLE {table} ADD COLUMN mine text"),
            &format!("ERROR:  55000: cannot alter table {table}: it holds audit evidence"),
        );
    }
    refused("ALTER TABLE audit_internal.events_overflow_all ADD COLUMN mine text", "cannot add column to a partition");
    refused(
        &format!("CREATE EXTENSION {OTHER} VERSION '1'"),
        "cannot alter table audit.events: it holds audit evidence",
    );
    // In the transaction of the upgrade, before and after, and undone.
    let mut client = server.connect("shop");
    client.batch_execute("BEGIN; INSERT INTO entry VALUES (2, 'before')").unwrap();
    client
        .batch_execute(&format!(
            "SAVEPOINT step; {}; INSERT INTO entry VALUES (3, 'undone'); ROLLBACK TO step",
            upgrade()
        ))
        .unwrap();
    client.batch_execute("INSERT INTO entry VALUES (4, 'before')").unwrap();
    client
        .batch_execute(&format!(
            "{}; INSERT INTO entry VALUES (5, 'after'); COMMIT; INSERT INTO entry VALUES (6, 'later')",
            upgrade()
        ))
        .unwrap();
    assert_eq!(server.query("shop", DIFFERENCE), "");
    assert_eq!(server.query("shop", "SELECT string_agg(id::text, ' ' ORDER BY id) FROM entry"), "1 2 4 5 6");
    catalog::expect_partitions_follow(&server, "shop");
}

/// A library that is newer than the catalog: the values of columns that are not there are left off.
#[test]
fn values_without_a_column_are_left_off() {
    let _scripts = Versions::write();
    let server = Server::start(&[]);
    server.query(
        "postgres",
        &format!(
            "CREATE EXTENSION audit VERSION '{OLDER}'; CREATE TABLE entry (id int PRIMARY KEY); SELECT audit.enable('entry');
             INSERT INTO entry VALUES (1);
             SELECT pg_replication_origin_create('elsewhere'), pg_replication_origin_session_setup('elsewhere');
             INSERT INTO entry VALUES (2)"
        ),
    );
    let written = "SELECT string_agg(t.entity_id || ' ' || t.actor, ', ' ORDER BY t.event_id) FROM audit.trail t WHERE t.event = 'row.insert'";
    assert_eq!(server.query("postgres", written), "1 postgres, 2 postgres");
    assert_eq!(server.query("postgres", "SELECT count(*) FROM audit_internal.contexts"), "2");

    // Of an event, in an overflow that lacks the columns of the entity and of the result.
    let overflow = "SELECT occurred_at, event_id, transaction_id, context_id, node_id, event_type, relation_id, command_id, category, entity_id,
                           changes, image, entity_label, parameters, new_entity_id FROM audit.events";
    let replaced = |columns: &str| {
        server.query(
            "postgres",
            &format!(
                "BEGIN;
                 DO $$ BEGIN
                     PERFORM audit_internal.execute_permitted(format('DROP TABLE %s', l.partition)) FROM audit.partitions l WHERE l.parent = 'events_application';
                     PERFORM audit_internal.execute_permitted('DROP TABLE audit_internal.events_overflow_all');
                 END $$;
                 CREATE TABLE audit_internal.events_overflow_all AS {columns} WITH NO DATA; COMMIT"
            ),
        )
    };
    replaced(overflow);
    let record = "SELECT audit.record('execution.failed', '{\"name\": \"job\"}', 'job', '7')";
    server.query("postgres", record);
    assert_eq!(
        server.query("postgres", "SELECT entity_id, parameters FROM audit_internal.events_overflow_all"),
        r#"7|{"name": "job"}"#
    );

    // One with another column, or without one that is never null, is refused.
    for columns in [
        overflow.replacen("entity_id", "1 AS entity_id", 1),
        overflow.replace("node_id, event_type", "event_type, node_id"),
    ] {
        replaced(&columns);
        let errors = String::from_utf8_lossy(&server.psql("postgres", record).stderr).into_owned();
        assert!(
            errors.contains("ERROR:  55000: audit_internal.events_overflow_all does not have the columns of the trail"),
            "{errors}"
        );
        assert!(errors.contains("HINT:"), "{errors}");
    }
}
