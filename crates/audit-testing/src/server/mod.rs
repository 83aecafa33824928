//! Private PostgreSQL servers: each with its own cluster in a temporary directory, removed when the server is dropped.
//!
//! The installation is that of `AUDIT_PG_TREE`, which `pgrx-config/tree` makes. PostgreSQL refuses to run as root: then
//! its processes run as the user `postgres`, and psql and the other clients as the user of the tests.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

mod client;
mod installation;
pub mod pgbouncer;
mod process;

pub use installation::{is_root, make_private_directory, program, tree, write_for_server};
pub use process::{expect_success, is_alive, signal};

use installation::{as_server, clone_template, read, repository, temporary_directory};
use process::{children, with_input};

/// A running server. Local connections as any role are trusted; TCP needs `listen_addresses` and a role with a
/// password.
pub struct Server {
    directory: PathBuf,
    port: u16,
}

impl Server {
    /// Starts a new cluster with `pgrx-config/test.conf` and these settings over it.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let directory = temporary_directory("server");
        clone_template(&directory.join("data"));
        // The port also tells servers apart for clients that connect by TCP.
        let port = free_port();
        let server = Self { directory, port };
        let mut lines = vec![
            format!("port = {port}"),
            "listen_addresses = ''".to_owned(),
            format!("unix_socket_directories = '{}'", server.directory.display()),
            read(&repository().join("pgrx-config/test.conf")),
        ];
        lines.extend(settings.iter().map(|(name, value)| setting(name, value)));
        fs::write(server.directory.join("data/test.conf"), lines.join("\n")).unwrap();
        server.launch();
        server
    }

    /// A second server that holds what this one holds now: a physical copy that has become a primary of its own.
    pub fn copy(&self) -> Self {
        self.base_backup(&[])
    }

    /// A second server that replays what this one writes.
    pub fn standby(&self) -> Self {
        self.base_backup(&["--write-recovery-conf"])
    }

    fn base_backup(&self, options: &[&str]) -> Self {
        let directory = temporary_directory("copy");
        let copy = Self { directory, port: free_port() };
        let target = format!("--pgdata={}", copy.directory.join("data").display());
        let output = as_server(&program("pg_basebackup"))
            .args([&target, "--checkpoint=fast", "--username=postgres"])
            .args(options)
            .envs(self.environment())
            .output();
        expect_success("pg_basebackup", &output.unwrap());
        copy.set(&[
            ("port", &copy.port.to_string()),
            ("unix_socket_directories", &copy.directory.display().to_string()),
        ]);
        copy.launch();
        copy
    }

    /// Appends settings, which hold from the next start or reload.
    pub fn set(&self, settings: &[(&str, &str)]) {
        let path = self.directory.join("data/test.conf");
        let lines = settings.iter().map(|(name, value)| setting(name, value));
        let lines = lines.collect::<Vec<_>>().join("\n");
        fs::write(&path, format!("{}\n{lines}\n", read(&path))).unwrap();
    }

    /// The port that the name of its socket and its TCP connections have.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the socket, which is the host for libpq.
    pub fn host(&self) -> &Path {
        &self.directory
    }

    /// The directory of the cluster.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What the server has logged since it was made.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.join("log")).unwrap_or_default()).into_owned()
    }

    /// Shuts down in an orderly way and starts again.
    pub fn restart(&self) {
        self.stop();
        self.launch();
    }

    /// Kills every process of the server at once, so that nothing more is written; `launch` makes it recover.
    pub fn kill9(&self) {
        let postmaster = self.postmaster().expect("the server runs");
        // Stopped first, because it would start new children for those that die.
        signal("STOP", &[postmaster]);
        let mut processes = children(postmaster);
        processes.push(postmaster);
        signal("KILL", &processes);
        wait_until("the processes are gone", || processes.iter().all(|pid| !is_alive(*pid)));
        // A container's init may not collect zombies, whose number then still looks like a running server's.
        let _ = fs::remove_file(self.data_directory().join("postmaster.pid"));
        let _ = fs::remove_file(self.directory.join(format!(".s.PGSQL.{}.lock", self.port)));
    }

    /// Starts a server that was stopped or killed.
    pub fn launch(&self) {
        self.launch_with("");
    }

    /// Starts it with options for the postmaster.
    pub fn launch_with(&self, options: &str) {
        let log = self.directory.join("log");
        let output = self.pg_ctl("start", &["--log", log.to_str().unwrap(), "--options", options]);
        assert!(output.status.success(), "the server does not start:\n{}", self.log());
    }

    /// Shuts down in mode fast.
    pub fn stop(&self) {
        self.stop_by("fast");
    }

    /// Shuts down in one of pg_ctl's modes.
    pub fn stop_by(&self, mode: &str) {
        let output = self.pg_ctl("stop", &["--mode", mode]);
        assert!(output.status.success(), "the server does not stop:\n{}", self.log());
    }

    /// Runs SQL, a line a statement, in the single-user mode of a server that was stopped.
    pub fn single_user(&self, database: &str, sql: &str) -> Output {
        let mut command = as_server(&program("postgres"));
        with_input(command.arg("--single").arg("-D").arg(self.data_directory()).arg(database), sql)
    }

    /// Ends the recovery of a standby.
    pub fn promote(&self) {
        assert!(self.pg_ctl("promote", &[]).status.success(), "{}", self.log());
    }

    fn pg_ctl(&self, action: &str, options: &[&str]) -> Output {
        let mut command = as_server(&program("pg_ctl"));
        command.args([action, "--wait", "--silent", "--pgdata"]).arg(self.data_directory()).args(options);
        // pgrx adds Rust backtraces to the DETAIL of errors where this is set. The server would keep a pipe open.
        command.env_remove("RUST_BACKTRACE").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Output { status: command.status().unwrap(), stdout: Vec::new(), stderr: Vec::new() }
    }

    fn postmaster(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data_directory().join("postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok().filter(|pid| is_alive(*pid))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            eprintln!("the end of the server's log:\n{}", end.join("\n"));
        }
        if let Some(postmaster) = self.postmaster() {
            self.pg_ctl("stop", &["--mode=immediate"]);
            wait_until("the server is gone", || !is_alive(postmaster));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Waits, for at most a minute, until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'", value.replace('\'', "''"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
