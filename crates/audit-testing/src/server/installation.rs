//! The installation that servers run from, the cluster that they begin with, and files that belong to their user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::expect_success;

/// The installation that all servers run from.
pub fn tree() -> PathBuf {
    let tree = std::env::var_os("AUDIT_PG_TREE").map_or_else(|| repository().join("target/pg/15"), PathBuf::from);
    tree.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; run pgrx-config/tree", tree.display()))
}

/// The path of one of PostgreSQL's programs.
pub fn program(name: &str) -> PathBuf {
    tree().join("bin").join(name)
}

/// The root of the repository.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a file that has to be there.
pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the tests may mount and change owners.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| expect_success("id", &Command::new("id").arg("-u").output().unwrap()) == "0")
}

/// A command that runs as the user of the servers, from a directory that this user can enter.
pub(super) fn as_server(program: &Path) -> Command {
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
pub(super) fn temporary_directory(purpose: &str) -> PathBuf {
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
pub(super) fn clone_template(target: &Path) {
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
