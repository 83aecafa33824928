//! Runs the executable as the extension does: a request and lines on its standard input, JSON on its standard output.

// Every test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

pub const ID: &str = "0192f0c0-0000-7000-8000-000000000001";
pub const MANIFEST: &str = "manifests/category=data/date=2026-01-01/db1.example-events_data_20260101-0192f0c0-0000-7000-8000-000000000001.json";
const COLUMNS: &str = "occurred_at event_id transaction_id context_id node_id event_type relation_id command_id category \
                       entity_id changes image entity_label parameters new_entity_id entity result subject_transaction_id";

/// A place for archives, gone with the test.
pub struct Place {
    pub directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn location(&self) -> String {
        self.path().join("archive").to_str().unwrap().to_string()
    }

    /// What a write asks for, with these members in place of the usual ones.
    pub fn request(&self, changes: Value) -> Value {
        std::fs::create_dir_all(self.location()).unwrap();
        let columns: Vec<Value> =
            COLUMNS.split_whitespace().map(|name| json!({ "name": name, "type": "text" })).collect();
        let mut request = json!({
            "location": self.location(), "key_file": null, "options": {},
            "archive_id": ID, "category": "data", "server": "db1.example", "database": "shop",
            "partition": "events_data_20260101", "since": "2026-01-01T00:00:00+00:00", "until": "2026-02-01T00:00:00+00:00",
            "schema_version": 1, "application": "audit 0.1.0", "columns": columns,
        });
        merge(&mut request, changes);
        request
    }

    /// What reading, checking and removing ask for.
    pub fn existing(&self, changes: Value) -> Value {
        let mut request = json!({ "location": self.location(), "manifest_file": MANIFEST });
        merge(&mut request, changes);
        request
    }

    /// A key file with a new key.
    pub fn key(&self, name: &str) -> PathBuf {
        let output = Command::new(executable()).arg("keygen").output().unwrap();
        assert!(output.status.success());
        self.private_file(name, &output.stdout)
    }

    /// A file that only its owner may read.
    pub fn private_file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Every file below the location, by name.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![PathBuf::from(self.location())];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.push(path.strip_prefix(self.location()).unwrap().to_str().unwrap().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// The file of the archive that is in this tree.
    pub fn file_in(&self, tree: &str) -> PathBuf {
        let files = self.files();
        let name = files.iter().find(|name| name.starts_with(tree)).unwrap();
        PathBuf::from(self.location()).join(name)
    }
}

fn merge(request: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { return };
    request.as_object_mut().unwrap().extend(changes);
}

pub fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_audit-archive")
}

pub fn start(command: &str) -> Child {
    Command::new(executable())
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs a command on a request and what follows it.
pub fn run(command: &str, request: &Value, lines: &str) -> Output {
    let mut child = start(command);
    let mut input = child.stdin.take().unwrap();
    let text = format!("{request}\n{lines}");
    // A command that refuses does not read to the end.
    let writer = std::thread::spawn(move || drop(input.write_all(text.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// The answer of a command that has to succeed.
pub fn succeed(command: &str, request: &Value, lines: &str) -> Value {
    let output = run(command, request, lines);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The failure of a command that has to fail: its kind, its message and its hint. It is one line, and not a trace.
pub fn fail(command: &str, request: &Value, lines: &str) -> (String, String, String) {
    let output = run(command, request, lines);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let failure: Value = serde_json::from_str(&text).unwrap();
    let member = |name: &str| failure[name].as_str().unwrap_or_default().to_string();
    (member("kind"), member("message"), member("hint"))
}

/// The dictionaries of [`event`].
pub fn dictionaries() -> String {
    let rows = [
        json!({ "event_type": { "event_type": 1, "name": "row.insert", "category": "data", "risk": "low", "phrase": "inserted" } }),
        json!({ "event_type": { "event_type": 2, "name": "row.update", "category": "data", "risk": "low", "phrase": "updated" } }),
        json!({ "event_type": { "event_type": 3, "name": "row.delete", "category": "data", "risk": "medium", "phrase": "deleted" } }),
        json!({ "event_type": { "event_type": 4, "name": "row.truncate", "category": "data", "risk": "medium", "phrase": "truncated" } }),
        json!({ "event_type": { "event_type": 122, "name": "execution.finished", "category": "application", "risk": "low", "phrase": "finished the run of" } }),
        json!({ "node": { "node_id": 7, "name": "db1.example", "system_identifier": 7, "database_oid": 5, "database_name": "shop" } }),
        json!({ "relation": { "node_id": 7, "relation_id": 4, "entity": "public.customer",
                              "recorded_columns": ["id", "name", "credit"] } }),
        json!({ "relation": { "node_id": 7, "relation_id": 5, "entity": "public.untold", "recorded_columns": null } }),
        json!({ "session": { "node_id": 7, "session_id": 70, "token": "65a1.1f", "login": "app", "client_addr": "10.0.0.7" } }),
        json!({ "context": { "node_id": 7, "context_id": 700, "session_id": 70, "login": "app", "role": "clerk",
                             "effective_role": "clerk", "application_name": "shop", "actor": "ann@example.org",
                             "actor_source": "setting", "trace_id": "4bf92f", "reason": "asked for",
                             "context": { "ticket": 12 }, "statement": "UPDATE …", "statement_parameters": { "$1": "7" } } }),
    ];
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// A stored event, with the values that matter: `changes` and what follows it are JSON text.
pub fn event(number: u32, event_type: i32, relation_id: i32, entity_id: &str, changes: &str, rest: &str) -> String {
    format!(
        "[\"2026-01-05T10:00:{:02}.{:06}+00:00\",\"019b8d00-0000-7000-8000-{number:012x}\",900,700,7,{event_type},\
         {relation_id},0,\"data\",{entity_id},{changes},{rest}]\n",
        number / 1_000_000,
        number % 1_000_000
    )
}

pub const REST: &str = "null,null,null,null,null,null,null";

/// So many inserts, with their dictionaries and the end line.
pub fn inserts(count: u32) -> String {
    let events: String = (0..count)
        .map(|n| event(n, 1, 4, &format!("\"{n}\""), &format!("[{n},\"Customer {n}\",{n}.50]"), REST))
        .collect();
    format!("{}{events}{{\"end\":{{\"events\":{count}}}}}\n", dictionaries())
}
