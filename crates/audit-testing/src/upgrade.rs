//! Made-up versions of the extension, scripts beside the installed ones and gone when dropped, and a database to
//! upgrade.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::server::{Server, expect_success, program};

/// The version that is upgraded: what is installed.
pub const BEFORE: &str = "madeupbefore";
/// The version with a made-up step more.
pub const AFTER: &str = "madeupafter";
/// A version older than the library: its contexts lack the last column.
pub const OLDER: &str = "madeupolder";
/// An extension that alters the trail.
pub const OTHER: &str = "madeupother";
/// The release that is installed, which is that of the library.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// What the step changes, in the script that installs the version after it.
const CHANGES: [(&str, &str); 5] = [
    (
        "    retention_id           integer\n) PARTITION BY LIST (retention_id);",
        "    retention_id integer,\n    made_up text\n) PARTITION BY LIST (retention_id);",
    ),
    (ORIGIN, "    origin text,\n    made_up text\n) PARTITION BY RANGE (context_id);"),
    (
        "    placed_at timestamptz NOT NULL,\n    placed_by text NOT NULL\n);",
        "    placed_at timestamptz NOT NULL,\n    placed_by text NOT NULL,\n    made_up text\n);",
    ),
    (
        "    placed.placed_by := session_user;\n",
        "    placed.placed_by := session_user;\n    placed.made_up := 'made up';\n",
    ),
    // Archives leave it out.
    ("AND a.attname <> 'retention_id'));", "AND a.attname NOT IN ('retention_id', 'made_up')));"),
];
/// The last column of contexts.
const ORIGIN: &str = "    origin               text\n) PARTITION BY RANGE (context_id);";
/// The end of the column before it.
const BEFORE_ORIGIN: &str = "jsonb,\n    origin               text\n) PARTITION BY RANGE (context_id);";
/// Its comment.
const COMMENT_ON_ORIGIN: &str = "COMMENT ON COLUMN audit_internal.contexts.origin IS";
/// The step; what it makes anew stands from this comment on, to be appended to the script that installs the version
/// after it.
const STEP: &str = include_str!("upgrade_step.sql");
const MADE: &str = "COMMENT ON COLUMN audit.events.made_up";
/// What names the columns of a table that the step appends to, in a row that it makes, or by a `*` that stands for
/// them: how the statement begins and ends.
const REPLACED: [(&str, &str); 8] = [
    ("CREATE VIEW audit_internal.stored_events AS", ";\n"),
    ("CREATE FUNCTION audit.hold(", "$$;\n"),
    ("CREATE FUNCTION audit_internal.write_request(", "\nEND;\n"),
    ("CREATE VIEW audit_internal.trail_events AS", ";\n"),
    ("CREATE FUNCTION audit.diff(event_id uuid)", "\nEND;\n"),
    ("CREATE VIEW audit.coverage AS", ";\n"),
    ("CREATE VIEW audit.report_system_access AS", ";\n"),
    ("CREATE FUNCTION audit_internal.dashboard_document()", "\nEND;\n"),
];

/// The command that is tested.
pub fn upgrade() -> String {
    format!("ALTER EXTENSION audit UPDATE TO '{AFTER}'")
}

/// A database with the version before the step, two audited tables, of which one has a retention of its own, and a
/// legal hold.
pub fn recorded(server: &Server, database: &str) {
    server.create_database(database);
    server.query(
        database,
        &format!(
            "CREATE EXTENSION audit VERSION '{BEFORE}';
             CREATE TABLE entry (id int PRIMARY KEY, note text);
             CREATE TABLE click (id int PRIMARY KEY);
             SELECT audit.enable('entry', 'comprehensive'), audit.enable('click');
             INSERT INTO entry VALUES (1, 'first');
             SELECT audit.set_retention('data', '2 years', target => 'entry');
             CALL audit.maintain();
             SELECT audit.define_event_type('order.paid', parameters => '{{\"amount\": \"numeric\"}}');
             SELECT audit.record('order.paid', '{{\"amount\": 12.30}}', 'order', '7');
             SELECT audit.hold('matter', 'asked');
             UPDATE entry SET note = 'changed'; INSERT INTO click VALUES (0)"
        ),
    );
}

/// Each row has its event, and each event its row.
pub const DIFFERENCE: &str = "SELECT * FROM (
    (SELECT 'public.entry', id::text FROM entry UNION ALL SELECT 'public.click', id::text FROM click
     EXCEPT ALL SELECT entity, entity_id FROM audit.trail WHERE event = 'row.insert')
    UNION ALL
    (SELECT entity, entity_id FROM audit.trail WHERE event = 'row.insert'
     EXCEPT ALL (SELECT 'public.entry', id::text FROM entry UNION ALL SELECT 'public.click', id::text FROM click))) d LIMIT 5";

/// The scripts in the directory of the installation, which tests beside each other take turns to use.
pub struct Versions {
    files: Vec<PathBuf>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Versions {
    /// Writes them.
    pub fn write() -> Versions {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pg_config = Command::new(program("pg_config"));
        let output = pg_config.arg("--sharedir").output().unwrap();
        let directory = PathBuf::from(expect_success("pg_config", &output)).join("extension");
        let installed = fs::read_to_string(directory.join(format!("audit--{LIBRARY}.sql"))).unwrap();

        let changed = CHANGES.iter().fold(installed.clone(), |script, (from, to)| edited(&script, from, to));
        let replaced: String = REPLACED.iter().map(|(start, end)| replacing(&changed, start, end)).collect();
        let made = &STEP[STEP.find(MADE).unwrap()..];

        let older = edited(&installed, BEFORE_ORIGIN, "jsonb\n) PARTITION BY RANGE (context_id);");
        let older = edited(&older, COMMENT_ON_ORIGIN, "COMMENT ON COLUMN audit_internal.contexts.statement IS");
        let scripts = [
            (format!("audit--{BEFORE}.sql"), installed),
            (format!("audit--{BEFORE}--{AFTER}.sql"), format!("{STEP}\n{replaced}")),
            (format!("audit--{AFTER}.sql"), format!("{changed}\n{made}")),
            (format!("audit--{OLDER}.sql"), older),
            // Another extension, which appends to the trail.
            (format!("{OTHER}.control"), "relocatable = true\n".into()),
            (format!("{OTHER}--1.sql"), "ALTER TABLE audit.events ADD COLUMN theirs text;\n".into()),
        ];
        let mut versions = Versions { files: Vec::new(), _turn: turn };
        for (name, script) in scripts {
            let path = directory.join(name);
            versions.files.push(path.clone());
            fs::write(&path, script).unwrap();
            expect_success("chmod", &Command::new("chmod").arg("644").arg(&path).output().unwrap());
        }
        versions
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

/// The script with one text, which it must have once, in place of another.
fn edited(script: &str, from: &str, to: &str) -> String {
    assert_eq!(script.matches(from).count(), 1, "the made-up step does not fit the installed script any more: {from}");
    script.replacen(from, to, 1)
}

/// The statement of a script that begins so, as one that replaces what is there.
fn replacing(script: &str, start: &str, end: &str) -> String {
    let statement = &script[script.find(start).unwrap_or_else(|| panic!("{start}"))..];
    let length = statement.find(end).unwrap() + end.len();
    statement[..length].replacen("CREATE", "\nCREATE OR REPLACE", 1)
}
