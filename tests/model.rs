//! The model that Rust is built with is the one that the extension installs: event types, categories, columns, and the
//! values and summaries that SQL reads from events.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use audit_model::{Category, Column, EventType, VECTORS, schema};
use audit_testing::server::Server;
use postgres::Client;

/// A server with the extension, and a connection for which its objects need no schema.
fn installed() -> (Server, Client) {
    let server = Server::start(&[("shared_preload_libraries", "audit")]);
    server.query("postgres", "CREATE EXTENSION audit");
    let mut client = server.connect("postgres");
    client.batch_execute("SET search_path = audit_internal, audit").unwrap();
    (server, client)
}

/// The lines of text that a query returns.
fn lines(client: &mut Client, query: &str) -> Vec<String> {
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn the_catalog_has_the_events_of_the_model() {
    let (_server, mut client) = installed();

    let expected: Vec<_> = EventType::ALL
        .iter()
        .map(|known| format!("{} {} {} {}", known.number(), known.name(), known.category().name(), known.risk().name()))
        .collect();
    let types =
        "SELECT concat_ws(' ', event_type, name, category, risk) FROM event_types WHERE built_in ORDER BY event_type";
    assert_eq!(lines(&mut client, types), expected);
    assert!(EventType::ALL.iter().all(|known| EventType::numbered(known.number()) == Some(*known)));

    let expected: Vec<_> = Column::ALL
        .iter()
        .map(|column| {
            let presence = if column.is_optional() { "optional" } else { "required" };
            format!("{} {} {} {presence}", column.number(), column.name(), column.data_type().name())
        })
        .collect();
    let columns = "SELECT concat_ws(' ', attnum, attname, format_type(atttypid, atttypmod),
                          CASE WHEN attnotnull THEN 'required' ELSE 'optional' END)
                   FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(lines(&mut client, columns), expected);

    let mut expected: Vec<_> = Category::ALL.map(|category| format!("FOR VALUES IN ('{}')", category.name())).to_vec();
    expected.sort();
    let categories =
        "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                      WHERE i.inhparent = 'events_by_category'::regclass";
    let mut found = lines(&mut client, categories);
    found.sort();
    assert_eq!(found, expected);
}

/// The executable takes an event as an array of these columns, without their names.
#[test]
fn archives_are_sent_the_columns_of_the_model() {
    let (_server, mut client) = installed();
    let names: Vec<_> = Column::ARCHIVED.iter().map(|column| format!("e.{}", column.name())).collect();
    let queries = lines(&mut client, "SELECT unnest(archive_queries('p', 0, 0))");
    assert!(queries.iter().any(|query| query.contains(&format!("({})", names.join(", ")))), "{queries:#?}");
}

#[test]
fn columns_are_numbered_as_the_tables_have_them() {
    let (_server, mut client) = installed();
    for (table, columns) in schema::TABLES {
        let found = format!(
            "SELECT upper(attname::text) FROM pg_attribute
             WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        );
        assert_eq!(lines(&mut client, &found), *columns, "{table}");
    }
    assert_eq!((schema::nodes::NODE_ID, schema::relations::RECORDED_COLUMNS), (1, 11));
}

#[test]
fn values_and_summaries_are_read_as_the_model_says() {
    let (_server, mut client) = installed();
    let values =
        "SELECT v->>'of', (v->'old')::text, old_values(t.event_type, v->'changes', v->'image', v->'names')::text,
                         (v->'new')::text, new_values(t.event_type, v->'changes', v->'image', v->'names')::text,
                         (v->'columns')::text, to_jsonb(changed_columns(t.event_type, v->'changes'))::text
                  FROM jsonb_array_elements($1::text::jsonb->'values') v
                  LEFT JOIN event_types t ON t.name = v->>'event_type'";
    let read = client.query(values, &[&VECTORS]).unwrap();
    assert!(read.len() > 10);
    for row in read {
        let text = |position| row.get::<_, Option<&str>>(position);
        assert_eq!([text(2), text(4), text(6)], [text(1), text(3), text(5)], "{:?}", text(0));
    }

    let summaries =
        "SELECT v->>'summary', summary(v->>'actor', v->>'phrase', v->>'entity', v->>'entity_id', v->>'entity_label',
                            CASE WHEN v ? 'columns' THEN $2::integer END, v->'columns')
                     FROM jsonb_array_elements($1::text::jsonb->'summaries') v";
    let read = client.query(summaries, &[&VECTORS, &EventType::RowUpdate.number()]).unwrap();
    assert!(read.len() > 5);
    for row in read {
        assert_eq!(row.get::<_, Option<&str>>(1), row.get::<_, Option<&str>>(0));
    }
}
