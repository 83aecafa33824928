//! What was written is what is read: lines byte for byte, and the trail as its view shows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod archive;

use std::fs::File;

use archive::{Place, REST, dictionaries, event, executable, inserts, run, succeed};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Value, json};

/// Numbers, letters and keys that a reader of JSON might change.
const AWKWARD: &str = r#"[1e400,"\u00e9\ud83d\ude00 \"quoted\" \\ \n é", 0.10000000000000000000000000000000000001]"#;

/// The rows of the Parquet file, as JSON.
fn rows(place: &Place) -> Vec<Value> {
    let reader = SerializedFileReader::new(File::open(place.file_in("parquet/")).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| json(&row.unwrap())).collect()
}

/// A row by column name.
fn json(row: &Row) -> Value {
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Str(text) => text.clone().into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) | Field::TimestampMicros(number) => (*number).into(),
        other => panic!("{other:?}"),
    };
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

#[test]
fn lines_come_back_as_they_were() {
    let place = Place::new();
    let lines = format!(
        "{}{}{}{{\"end\":{{\"events\":2}}}}\n",
        dictionaries(),
        event(1, 1, 4, "\"1\"", AWKWARD, REST),
        event(2, 3, 4, "\"é \\\"x\\\"\"", AWKWARD, REST)
    );
    let written = succeed("write", &place.request(json!({})), &lines);
    let read = run("read", &place.existing(json!({ "manifest_sha256": written["manifest_sha256"] })), "");
    let text = String::from_utf8(read.stdout).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, lines);
    let head: Value = serde_json::from_str(head).unwrap();
    assert_eq!(head["archive"]["partition"], "events_data_20260101");
    assert_eq!(head["archive"]["columns"].as_array().unwrap().len(), 18);
}

#[test]
fn the_table_is_the_trail() {
    let place = Place::new();
    let lines = [
        dictionaries(),
        event(1, 1, 4, "\"7\"", r#"[7, "Acme", 1.50]"#, "null,\"Acme\",null,null,null,null,null"),
        event(2, 2, 4, "\"7\"", r#"{"name": ["Acme", "Acme & Co"], "credit": [1.50, 1e400]}"#, REST),
        event(
            3,
            2,
            4,
            "\"7\"",
            r#"{"name": ["a", "b"], "extra": [1, 2]}"#,
            r#"[7, "a", 2],null,null,"8",null,null,null"#,
        ),
        event(4, 2, 4, "\"7\"", r#"["credit", "name"]"#, REST),
        event(5, 3, 4, "\"7\"", r#"[7, "Acme", {"a": [1, 2]}]"#, REST),
        event(6, 1, 5, "\"9\"", r#"["x", null]"#, REST),
        event(7, 122, 0, "null", "null", r#"null,null,{"rows": 5},null,null,"failure",901"#),
        "{\"end\":{\"events\":7}}\n".to_string(),
    ];
    let written = succeed("write", &place.request(json!({})), &lines.concat());
    assert_eq!(written["manifest"]["events"], 7);

    let rows = rows(&place);
    let pick = |row: &Value, names: &[&str]| -> Value { names.iter().map(|name| row[*name].clone()).collect() };
    let said: Vec<&str> = rows.iter().map(|row| row["summary"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        [
            "ann@example.org inserted public.customer 7 (Acme)",
            "ann@example.org updated public.customer 7: name, credit",
            "ann@example.org updated public.customer 7: name, extra",
            "ann@example.org updated public.customer 7: credit, name",
            "ann@example.org deleted public.customer 7",
            "ann@example.org inserted public.untold 9",
            "ann@example.org finished the run",
        ]
    );
    let values: Vec<Value> =
        rows.iter().map(|row| pick(row, &["changed_columns", "old_values", "new_values"])).collect();
    assert_eq!(
        values,
        [
            json!([null, null, r#"{"id":7,"name":"Acme","credit":1.50}"#]),
            json!([
                r#"["name","credit"]"#,
                r#"{"name":"Acme","credit":1.50}"#,
                r#"{"name":"Acme & Co","credit":1e400}"#
            ]),
            // The image comes first, in jsonb's order of keys, and a column that it lacks in its place.
            json!([
                r#"["name","extra"]"#,
                r#"{"id":7,"name":"a","credit":2}"#,
                r#"{"id":7,"name":"b","extra":2,"credit":2}"#
            ]),
            json!([r#"["credit","name"]"#, null, null]),
            json!([null, r#"{"id":7,"name":"Acme","credit":{"a": [1, 2]}}"#, null]),
            // The names of the version are lost: columns are called by their place.
            json!([null, null, r#"{"1":"x","2":null}"#]),
            json!([null, null, null]),
        ]
    );
    assert_eq!(
        pick(
            &rows[0],
            &[
                "event_id",
                "event",
                "risk",
                "result",
                "actor",
                "actor_source",
                "login",
                "role",
                "effective_role",
                "application_name",
                "client_addr",
                "session_id",
                "transaction_id",
                "trace_id",
                "reason",
                "context",
                "entity",
                "entity_id",
                "entity_label",
                "parameters",
                "statement",
                "server",
                "database",
                "node_id",
                "context_id",
                "relation_id",
                "command_id",
                "event_type",
                "new_entity_id",
                "writer_transaction_id",
            ]
        ),
        json!([
            "019b8d00-0000-7000-8000-000000000001",
            "row.insert",
            "low",
            "success",
            "ann@example.org",
            "setting",
            "app",
            "clerk",
            "clerk",
            "shop",
            "10.0.0.7",
            "65a1.1f",
            900,
            "4bf92f",
            "asked for",
            r#"{"ticket":12}"#,
            "public.customer",
            "7",
            "Acme",
            r#"{"$1":"7"}"#,
            "UPDATE …",
            "db1.example",
            "shop",
            7,
            700,
            4,
            0,
            1,
            null,
            900,
        ])
    );
    assert_eq!(pick(&rows[2], &["new_entity_id"]), json!(["8"]));
    assert_eq!(
        pick(&rows[6], &["result", "parameters", "transaction_id", "writer_transaction_id", "entity"]),
        json!(["failure", r#"{"rows": 5}"#, 901, 900, null])
    );
    assert_eq!(rows[0]["occurred_at"], 1_767_607_200_000_001_i64);
}

#[test]
fn what_events_refer_to_may_be_gone() {
    let place = Place::new();
    let lines = format!("{}{{\"end\":{{\"events\":1}}}}\n", event(1, 1, 4, "\"7\"", "[7]", REST));
    succeed("write", &place.request(json!({})), &lines);
    let row = &rows(&place)[0];
    assert_eq!(row["summary"], "7");
    assert_eq!(row["new_values"], r#"{"1":7}"#);
    for column in ["event", "actor", "login", "entity", "server", "session_id"] {
        assert_eq!(row[column], Value::Null, "{column}");
    }
}

#[test]
fn the_manifest_describes_the_files() {
    let place = Place::new();
    let written = succeed("write", &place.request(json!({})), &inserts(3000));
    let manifest: Value = serde_json::from_slice(&std::fs::read(place.file_in("manifests/")).unwrap()).unwrap();
    assert_eq!(written["manifest"], manifest);
    assert_eq!(written["manifest_file"], archive::MANIFEST);
    assert_eq!(manifest["servers"], json!(["db1.example"]));
    assert_eq!(manifest["first_event_at"], "2026-01-05T10:00:00.000000Z");
    assert_eq!(manifest["last_event_at"], "2026-01-05T10:00:00.002999Z");
    assert_eq!(manifest["first_event_id"], "019b8d00-0000-7000-8000-000000000000");
    assert_eq!(manifest["last_event_id"], "019b8d00-0000-7000-8000-000000000bb7");
    for file in manifest["files"].as_array().unwrap() {
        let path = std::path::Path::new(&place.location()).join(file["name"].as_str().unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), file["bytes"].as_u64().unwrap());
        let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap().stdout;
        assert_eq!(&String::from_utf8(sum).unwrap()[..64], file["sha256"].as_str().unwrap());
    }
    assert_eq!(place.files().len(), 3);
    succeed("check", &place.existing(json!({ "manifest_sha256": written["manifest_sha256"] })), "");
}

/// Rows in several batches, pages and row groups are all there, in their order.
#[test]
fn many_rows_keep_their_order() {
    let place = Place::new();
    succeed("write", &place.request(json!({})), &inserts(90_000));
    let reader = SerializedFileReader::new(File::open(place.file_in("parquet/")).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 3);
    for (number, row) in reader.get_row_iter(None).unwrap().enumerate().step_by(10_007) {
        assert_eq!(json(&row.unwrap())["entity_id"], number.to_string());
    }
}

#[test]
fn an_archive_may_be_empty() {
    let place = Place::new();
    let written = succeed("write", &place.request(json!({ "since": "-infinity" })), "{\"end\":{\"events\":0}}\n");
    assert_eq!(written["manifest"]["events"], 0);
    assert!(written["manifest_file"].as_str().unwrap().contains("/date=0001-01-01/"));
    succeed("check", &place.existing(json!({ "manifest_file": written["manifest_file"] })), "");
    assert_eq!(std::process::Command::new(executable()).output().unwrap().status.code(), Some(1));
}
