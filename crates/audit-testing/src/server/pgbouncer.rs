//! pgbouncer in front of a server, pooling by transaction.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use postgres::{Client, Config, NoTls};

use super::installation::{as_server, temporary_directory};
use super::{Server, free_port, wait_until};

/// A running pgbouncer; it ends when dropped.
pub struct Pgbouncer {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Pgbouncer {
    /// Starts one that shares `connections` server connections among all its clients.
    pub fn start(server: &Server, connections: u32) -> Self {
        let directory = temporary_directory("pgbouncer");
        let port = free_port();
        let configuration = directory.join("pgbouncer.ini");
        // With auth_type any every client becomes the user that the database entry names.
        let text = format!(
            "[databases]\n* = host={host} port={server_port} user=postgres\n[pgbouncer]\nlisten_addr =\nlisten_port = {port}\n\
             unix_socket_dir = {socket}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {connections}\n\
             ignore_startup_parameters = extra_float_digits\nlogfile = {socket}/log\n",
            host = server.host().display(),
            server_port = server.port(),
            socket = directory.display(),
        );
        fs::write(&configuration, text).unwrap();
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(Path::new).into_iter().find(|path| path.exists());
        let program = program.expect("pgbouncer is not installed: run pgrx-config/setup --tests");
        let mut command = as_server(program);
        command.arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let bouncer = Self { process, directory, port };
        wait_until("pgbouncer accepts", || bouncer.config("postgres").connect(NoTls).is_ok());
        bouncer
    }

    /// Connects through the pool.
    pub fn connect(&self, database: &str) -> Client {
        self.config(database).connect(NoTls).unwrap()
    }

    /// What is needed to connect through the pool, for tests that add something to it.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.directory).port(self.port).user("postgres").dbname(database);
        config
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        // runuser passes the signal on.
        super::signal("TERM", &[self.process.id()]);
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
