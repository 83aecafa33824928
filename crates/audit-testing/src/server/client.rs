//! What clients do with a server: connections of this process, and PostgreSQL's programs.

use std::fs;
use std::process::{Command, Output, Stdio};

use postgres::{Client, Config, NoTls};

use super::process::with_input;
use super::{Server, expect_success, program, tree};

impl Server {
    /// Connects as the superuser.
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as("postgres", database)
    }

    /// Connects as a role, through the socket.
    pub fn connect_as(&self, role: &str, database: &str) -> Client {
        self.config(role, database).connect(NoTls).unwrap()
    }

    /// What is needed to connect, for tests that add something to it.
    pub fn config(&self, role: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.directory).port(self.port).user(role).dbname(database);
        config
    }

    /// A client program of PostgreSQL (`pg_dump`, `pgbench`, …) that finds this server in its environment.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.env_clear().envs(self.environment()).stdin(Stdio::null()).current_dir(&self.directory);
        command
    }

    /// Runs SQL in psql, statement by statement and past errors, exactly as a user sees it with VERBOSITY verbose.
    pub fn psql(&self, database: &str, sql: &str) -> Output {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "--set=VERBOSITY=verbose", "--dbname", database, "--file=-"]);
        with_input(&mut command, sql)
    }

    /// Runs SQL that has to succeed and returns what it prints, unaligned and without headers.
    #[track_caller]
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--no-align", "--tuples-only"]);
        let output = with_input(command.args(["--dbname", database, "--file=-"]), sql);
        expect_success(sql, &output)
    }

    /// Creates a database, owned by the superuser.
    pub fn create_database(&self, name: &str) {
        self.run("createdb", &[name]);
    }

    /// Runs a client program that has to succeed and returns its standard output.
    #[track_caller]
    pub fn run(&self, name: &str, arguments: &[&str]) -> String {
        expect_success(name, &self.client(name).args(arguments).output().unwrap())
    }

    /// The dump of a database as SQL text.
    pub fn dump(&self, database: &str, options: &[&str]) -> String {
        self.run("pg_dump", &[options, &[database]].concat())
    }

    /// Dumps a database in custom format and restores it into a new database of another server, or of this one.
    pub fn dump_and_restore(&self, from: &str, target: &Self, to: &str, options: &[&str]) {
        let archive = self.directory.join(format!("{from}.dump"));
        let archive = archive.to_str().unwrap();
        self.run("pg_dump", &["--format=custom", "--file", archive, from]);
        target.create_database(to);
        target.run("pg_restore", &[&["--exit-on-error", "--dbname", to], options, &[archive]].concat());
    }

    /// Runs a pgbench script with these options; returns its report.
    pub fn pgbench(&self, database: &str, script: &str, options: &[&str]) -> String {
        let file = self.directory.join("pgbench.sql");
        fs::write(&file, script).unwrap();
        let script = ["--no-vacuum", "--file", file.to_str().unwrap()];
        self.run("pgbench", &[&script, options, &[database]].concat())
    }

    /// The environment of client programs.
    pub(super) fn environment(&self) -> [(&'static str, String); 7] {
        [
            ("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", tree().join("bin").display())),
            ("PGHOST", self.directory.display().to_string()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", "postgres".to_owned()),
            ("PGTZ", "UTC".to_owned()),
            ("HOME", self.directory.display().to_string()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ]
    }
}
