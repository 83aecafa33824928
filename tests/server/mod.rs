//! Private PostgreSQL servers for the integration tests: each with its own cluster in a temporary directory, gone when dropped.
//!
//! The installation is that of `AUDIT_PG_TREE`, which `pgrx-config/tree` makes. PostgreSQL refuses to run as root: then its
//! processes run as the user `postgres`, while psql and the other clients run as whoever runs the tests.

// Every test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]
// clippy.toml permits these in test functions; whatever fails in the harness fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls};

pub mod pgbouncer;

/// A running server. Local connections as any role are trusted; TCP needs `listen_addresses` and a role with a password.
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

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the socket, which is the host for libpq.
    pub fn host(&self) -> &Path {
        &self.directory
    }

    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What the server has logged since it was made.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.join("log")).unwrap_or_default()).into_owned()
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
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--no-align", "--tuples-only"]);
        let output = with_input(command.args(["--dbname", database, "--file=-"]), sql);
        expect_success(sql, &output)
    }

    pub fn create_database(&self, name: &str) {
        self.run("createdb", &[name]);
    }

    /// Runs a client program that has to succeed and returns its standard output.
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
        // In a container nobody may collect the dead, whose number then still looks like a running server's.
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

    fn environment(&self) -> [(&'static str, String); 7] {
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

/// The installation that all servers run from.
pub fn tree() -> PathBuf {
    let tree = std::env::var_os("AUDIT_PG_TREE").map_or_else(|| repository().join("target/pg/15"), PathBuf::from);
    tree.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; run pgrx-config/tree", tree.display()))
}

/// The path of one of PostgreSQL's programs.
pub fn program(name: &str) -> PathBuf {
    tree().join("bin").join(name)
}

/// The standard output of a command that has to succeed.
pub fn expect_success(what: &str, output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Waits, for at most a minute, until something is so.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'", value.replace('\'', "''"))
}

/// Whether the tests may mount and change owners.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| expect_success("id", &Command::new("id").arg("-u").output().unwrap()) == "0")
}

/// A command that runs as the user of the servers, from a directory that this user can enter.
fn as_server(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut runuser = Command::new("runuser");
        runuser.args(["-u", "postgres", "--"]).arg(program);
        runuser
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

/// An empty directory that only the user of the servers may enter, with a path short enough for a socket in it.
fn temporary_directory(purpose: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("audit-{purpose}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut parent = std::env::temp_dir();
    if parent.as_os_str().len() > 50 {
        parent = PathBuf::from("/tmp");
    }
    let directory = parent.join(name);
    // Left behind by an interrupted run with the same process number.
    let _ = fs::remove_dir_all(&directory);
    make_private_directory(&directory);
    directory
}

/// An empty directory of the user of the servers.
pub fn make_private_directory(directory: &Path) {
    let output = Command::new("mkdir").arg("--mode=700").arg(directory).output();
    expect_success("mkdir", &output.unwrap());
    if is_root() {
        let output = Command::new("chown").arg("postgres:").arg(directory).output();
        expect_success("chown", &output.unwrap());
    }
}

/// Writes a file that belongs to the user of the servers, with these permissions.
pub fn write_for_server(path: &Path, content: &[u8], mode: &str) {
    fs::write(path, content).unwrap();
    expect_success("chmod", &Command::new("chmod").arg(mode).arg(path).output().unwrap());
    if is_root() {
        expect_success("chown", &Command::new("chown").arg("postgres:").arg(path).output().unwrap());
    }
}

/// Copies the cluster that is initialised once for an installation.
fn clone_template(target: &Path) {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let template = tree().join("template");
        if !template.exists() {
            make_template(&template);
        }
        template.join("data")
    });
    let output = as_server(Path::new("cp")).args(["--recursive", "--reflink=auto"]).args([template, target]).output();
    expect_success("cp", &output.unwrap());
}

fn make_template(template: &Path) {
    // Made beside its place: another process may be doing the same, and the first one wins.
    let draft = template.with_extension(std::process::id().to_string());
    make_private_directory(&draft);
    let mut initdb = as_server(&program("initdb"));
    initdb.args(["--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync", "--auth-local=trust"]);
    initdb.args(["--auth-host=scram-sha-256", "--pgdata"]).arg(draft.join("data"));
    expect_success("initdb", &initdb.output().unwrap());
    let configuration = draft.join("data/postgresql.conf");
    fs::write(&configuration, format!("{}include 'test.conf'\n", read(&configuration))).unwrap();
    if fs::rename(&draft, template).is_err() {
        fs::remove_dir_all(&draft).unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn with_input(command: &mut Command, input: &str) -> Output {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // On a thread of its own, because a client that prints much stops reading.
    thread::scope(|scope| {
        scope.spawn(move || {
            // A client that ends early, as it does at an error, closes the pipe.
            let _ = stdin.write_all(input.as_bytes());
        });
        child.wait_with_output().unwrap()
    })
}

/// Sends a signal to processes.
pub fn signal(name: &str, processes: &[u32]) {
    let mut command = Command::new("kill");
    command.arg(format!("-{name}")).args(processes.iter().map(u32::to_string));
    // Some may have ended by themselves.
    let _ = command.stderr(Stdio::null()).status().unwrap();
}

/// The parent of a process and its state (`Z` for one that has ended).
fn process(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

/// Whether a process runs.
pub fn is_alive(pid: u32) -> bool {
    process(pid).is_some_and(|(_, state)| state != 'Z')
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| process(*pid).is_some_and(|(of, _)| of == parent)).collect()
}
