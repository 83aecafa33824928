//! Commands and processes of the machine.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

/// The standard output of a command that has to succeed.
#[track_caller]
pub fn expect_success(what: &str, output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs a command with this on its standard input.
pub(super) fn with_input(command: &mut Command, input: &str) -> Output {
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

/// The processes that a process has started.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| process(*pid).is_some_and(|(of, _)| of == parent)).collect()
}
