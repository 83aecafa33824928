//! A trail whose clock a test sets and whose archives have a place: for the tests of retention.
//!
//! Each event is copied into a table beside the trail when it is recorded ([`SEE`]). In the end it is in the trail or
//! in an archive, or a policy has deleted it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use postgres::Client;

use crate::server::{self, Server, wait_until};

/// The server setting for tests that alone do maintenance.
pub const ALONE: (&str, &str) = ("max_worker_processes", "0");

/// A server whose database `postgres` has the extension, with a directory for archives.
pub struct Trail {
    /// The server, with autovacuum off.
    pub server: Server,
    /// The directory that is `audit.archive_location`.
    pub archives: PathBuf,
}

impl Trail {
    /// Starts the server, creates the extension at this time and runs the SQL.
    pub fn start(settings: &[(&str, &str)], time: &str, sql: &str) -> Trail {
        // What maintenance does in one call is compared exactly; autovacuum could hold a lock on a partition meanwhile.
        let settings: Vec<_> = [("autovacuum", "off")].into_iter().chain(settings.iter().copied()).collect();
        let server = Server::start(&settings);
        let archives = server.host().join("archives");
        server::make_private_directory(&archives);
        let trail = Trail { server, archives };
        trail.configure(&[("audit.archive_location", trail.archives.to_str().unwrap())]);
        trail.at(
            time,
            &format!(
                "CREATE EXTENSION audit;
                 CREATE SCHEMA proof;
                 CREATE TABLE proof.seen AS TABLE audit.trail WITH NO DATA;
                 ALTER TABLE proof.seen ADD PRIMARY KEY (event_id);
                 {sql}"
            ),
        );
        trail
    }

    /// Changes settings; they hold in every session that begins from now on.
    pub fn configure(&self, settings: &[(&str, &str)]) {
        self.server.set(settings);
        self.server.query("postgres", "SELECT pg_reload_conf()");
        for (name, value) in settings {
            let sql = format!(
                "SELECT coalesce((SELECT setting FROM pg_settings WHERE name = '{name}'), current_setting('{name}', true), '')"
            );
            wait_until("the settings hold", || self.server.query("postgres", &sql) == *value);
        }
    }

    /// Runs SQL in a session for which it is that time.
    #[track_caller]
    pub fn at(&self, time: &str, sql: &str) -> String {
        self.server.query("postgres", &format!("{}{sql}", clock(time)))
    }

    /// What psql says on standard error about SQL that may fail.
    pub fn errors(&self, time: &str, sql: &str) -> String {
        let output = self.server.psql("postgres", &format!("{}{sql}", clock(time)));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A session for which it is that time.
    pub fn connect(&self, time: &str) -> Client {
        let mut client = self.server.connect("postgres");
        client.batch_execute(&clock(time)).unwrap();
        client
    }

    /// Makes a key and has archives encrypted with it; returns its file.
    pub fn encrypt(&self, name: &str) -> PathBuf {
        let made = Command::new(server::program("audit-archive")).arg("keygen").output().unwrap();
        let path = self.server.host().join(name);
        server::write_for_server(&path, server::expect_success("keygen", &made).as_bytes(), "600");
        self.configure(&[("audit.archive_key_file", path.to_str().unwrap())]);
        path
    }

    /// The files of archives, by their names below the location.
    pub fn files(&self) -> Vec<String> {
        let (mut found, mut directories) = (Vec::new(), vec![self.archives.clone()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.push(path.strip_prefix(&self.archives).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }

    /// Asserts that each event that was seen is in the trail once, as it was, or in an archive whose events are
    /// deleted; that archives are what was written; and that no table of the trail is left over.
    #[track_caller]
    pub fn expect_all(&self, time: &str) {
        assert_eq!(self.at(time, LOST), "", "events that are lost");
        self.expect_unchanged(time);
    }

    /// The same, but for whether events are missing.
    #[track_caller]
    pub fn expect_unchanged(&self, time: &str) {
        assert_eq!(self.at(time, CHANGED), "", "events that are doubled or changed");
        assert_eq!(self.at(time, STRAYS), "", "tables that belong to nothing");
        self.at(time, "SELECT audit.check_archive(a.archive_id) FROM audit.archives a");
    }
}

/// SQL that sets the clock of a session.
pub fn clock(time: &str) -> String {
    format!(
        "LOAD 'audit'; DO $$ BEGIN PERFORM set_config('audit.test_clock_offset',
            round(extract(epoch FROM timestamptz '{time}' - clock_timestamp()))::integer::text, false); END $$;\n"
    )
}

/// Copies what has come to the trail.
pub const SEE: &str = "INSERT INTO proof.seen SELECT t.* FROM audit.trail t \
                       WHERE NOT EXISTS (SELECT FROM proof.seen s WHERE s.event_id = t.event_id);\n";

/// Events that were seen and are neither in the trail nor in an archive.
const LOST: &str = "SELECT s.event_id, s.summary FROM proof.seen s
    WHERE NOT EXISTS (SELECT FROM audit.trail t WHERE t.event_id = s.event_id)
      AND NOT EXISTS (SELECT FROM audit.archives a WHERE a.category = s.category AND a.pruned_at IS NOT NULL
                        AND s.occurred_at BETWEEN a.first_at AND a.last_at)
    LIMIT 5";

const CHANGED: &str = "WITH trail AS MATERIALIZED (TABLE audit.trail)
    SELECT 'twice', t.event_id, t.summary FROM trail t GROUP BY 2, 3 HAVING count(*) > 1
    UNION ALL
    SELECT 'changed', s.event_id, s.summary FROM proof.seen s JOIN trail t USING (event_id) WHERE t IS DISTINCT FROM s
    LIMIT 5";

const STRAYS: &str = "SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'audit_internal'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(events_|sessions_|contexts_)'
      AND NOT c.relispartition AND NOT EXISTS (SELECT FROM audit_internal.partition_catalog f WHERE f.partition_name = c.relname AND f.merged_from IS NOT NULL)";
