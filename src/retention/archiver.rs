//! The executable `audit-archive` as a child of this backend, spoken to through pipes.
//!
//! The first line of its input is the request. A failure is one line of JSON on its standard error. Where this backend
//! ends, by an ERROR or a crash, the child's input ends early, and it removes what it has written.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::{FromDatum, IntoDatum, JsonB};
use serde_json::{Value, json};

use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::settings;

/// Bytes that are gathered before they are written, and read at once.
const CHUNK: usize = 1 << 16;
/// How long a pipe is waited for before the backend looks whether it was cancelled, in milliseconds.
const PATIENCE: i32 = 200;

entry_point!(audit_call_archiver, pg_finfo_audit_call_archiver, call_archiver);

/// A running `audit-archive`. Dropped, also by an ERROR, it is killed.
pub struct Archiver {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    pending: Vec<u8>,
    received: Vec<u8>,
    /// Where the next line in `received` begins.
    next: usize,
}

/// The executable's name.
const NAME: &str = "audit-archive";

impl Archiver {
    /// Starts it with a request, to which what the settings say is added.
    pub fn start(command: &str, request: &Value) -> Archiver {
        let program = program();
        let spawned = Command::new(&program)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                Error::NoArchiver { program: program.display().to_string(), problem: error.to_string() }.raise()
            }
        };
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            Error::Internal { problem: "the archiver has no pipes".into() }.raise()
        };
        unblock(input.as_raw_fd());
        unblock(output.as_raw_fd());
        let mut archiver =
            Archiver { child, input: Some(input), output, pending: Vec::new(), received: Vec::new(), next: 0 };
        archiver.send(with_settings(request).to_string().as_bytes());
        archiver
    }

    /// Sends a line.
    pub fn send(&mut self, line: &[u8]) {
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        if self.pending.len() >= CHUNK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut written = 0;
        while written < self.pending.len() {
            let Some(input) = &mut self.input else { break };
            match input.write(&self.pending[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(input.as_raw_fd(), POLLOUT),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It has ended: why, it says at its end.
                Err(_) => self.fail(),
            }
        }
        self.pending.clear();
    }

    /// Says that nothing more comes.
    pub fn close(&mut self) {
        self.flush();
        self.input = None;
    }

    /// The next line of its output; none at the end, which is an ERROR where it failed.
    pub fn line(&mut self) -> Option<&[u8]> {
        loop {
            if let Some(length) = self.received[self.next..].iter().position(|byte| *byte == b'\n') {
                let start = self.next;
                self.next += length + 1;
                return Some(&self.received[start..start + length]);
            }
            self.received.drain(..self.next);
            self.next = 0;
            let used = self.received.len();
            self.received.resize(used + CHUNK, 0);
            let read = self.output.read(&mut self.received[used..]);
            self.received.truncate(used + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => {
                    self.finish();
                    return None;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(self.output.as_raw_fd(), POLLIN),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    Error::Archiver { kind: "internal".into(), message: error.to_string(), hint: None }.raise()
                }
            }
        }
    }

    /// Waits for its end, which is near: its output has ended.
    fn finish(&mut self) {
        match self.child.wait() {
            Ok(status) if status.success() => {}
            _ => self.fail(),
        }
    }

    /// Raises what it said on its standard error.
    fn fail(&mut self) -> ! {
        self.input = None;
        let _ = self.child.kill();
        let mut said = String::new();
        if let Some(errors) = &mut self.child.stderr {
            let _ = errors.take(CHUNK as u64).read_to_string(&mut said);
        }
        let status = self.child.wait().map(|status| status.to_string()).unwrap_or_default();
        let failure: Value = said.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let text = |name: &str| failure.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = text("message").unwrap_or_else(|| {
            let said = said.trim();
            let end = if said.is_empty() { String::new() } else { format!(": {said}") };
            format!("audit-archive ended with {status}{end}")
        });
        Error::Archiver { kind: text("kind").unwrap_or_default(), message, hint: text("hint") }.raise()
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.input = None;
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The executable that the settings name, or the one beside the server's, or else one on the server's `PATH`.
fn program() -> PathBuf {
    if let Some(program) = settings::archive_program() {
        return PathBuf::from(OsStr::from_bytes(program.to_bytes()));
    }
    // SAFETY: the server's own path, which is set before any backend starts.
    let server = unsafe { core::ffi::CStr::from_ptr((&raw const pg_sys::my_exec_path).cast()) };
    let beside = PathBuf::from(OsStr::from_bytes(server.to_bytes())).with_file_name(NAME);
    if beside.exists() { beside } else { PathBuf::from(NAME) }
}

/// The request with the key and the way to the store. The location is that of the archive, which may be an earlier one.
fn with_settings(request: &Value) -> Value {
    let mut request = request.clone();
    let text = |setting: Option<&'static core::ffi::CStr>| setting.map(|text| text.to_string_lossy().into_owned());
    if let Some(members) = request.as_object_mut() {
        members.insert("key_file".into(), json!(text(settings::archive_key_file())));
        let options =
            text(settings::archive_options()).and_then(|options| serde_json::from_str::<Value>(&options).ok());
        members.insert("options".into(), options.unwrap_or_else(|| json!({})));
        if !members.contains_key("location") {
            members.insert("location".into(), json!(text(settings::archive_location())));
        }
    }
    request
}

const POLLIN: i16 = 1;
const POLLOUT: i16 = 4;

/// Waits until a pipe is ready, and lets a cancellation through.
fn wait_for(pipe: RawFd, events: i16) {
    let mut waited = libc::pollfd { fd: pipe, events, revents: 0 };
    // SAFETY: one descriptor that is open. A signal ends the wait early.
    unsafe { libc::poll(&mut waited, 1, PATIENCE) };
    pgrx::check_for_interrupts!();
}

fn unblock(pipe: RawFd) {
    // SAFETY: flags of a descriptor that is open and ours.
    unsafe {
        let flags = libc::fcntl(pipe, libc::F_GETFL);
        if flags < 0 || libc::fcntl(pipe, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
            let error = io::Error::last_os_error();
            Error::Archiver { kind: "internal".into(), message: error.to_string(), hint: None }.raise();
        }
    }
}

/// `audit_internal.call_archiver(command text, request jsonb) returns jsonb`: for commands of which only the answer
/// counts.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn call_archiver(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        let request = arguments.datum(1).and_then(|request| JsonB::from_datum(request, false));
        let (Some(command), Some(request)) = (arguments.text(0), request) else {
            Error::Internal { problem: "call_archiver takes no null".into() }.raise()
        };
        let mut archiver = Archiver::start(&command, &request.0);
        archiver.close();
        answer(&mut archiver).into_datum().unwrap_or(Datum::null())
    }
}

/// The one line that it answers with, once it has ended well.
pub fn answer(archiver: &mut Archiver) -> JsonB {
    let answer = archiver.line().and_then(|line| serde_json::from_slice(line).ok());
    while archiver.line().is_some() {}
    match answer {
        Some(answer) => JsonB(answer),
        None => {
            let message = "audit-archive ended without an answer".into();
            Error::Archiver { kind: "internal".into(), message, hint: None }.raise()
        }
    }
}
