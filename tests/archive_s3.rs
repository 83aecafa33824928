//! Archives in an S3-compatible store: a local one, one that refuses, one that hangs, and none.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use audit_testing::retention::{ALONE, SEE, Trail};
use audit_testing::server::{self, expect_success, wait_until};

const FEBRUARY: &str = "2030-02-15";
const AUGUST: &str = "2030-08-15";
const ARCHIVE: &str = "SELECT audit.archive('data', '2030-02-01')";

/// The version of the store that the tests know.
const MOTO: &str = "moto[server]==5.2.5";

/// A store on this machine, gone when dropped.
struct Store {
    process: Child,
    port: u16,
}

impl Store {
    /// Starts it with an empty bucket; a strict one then knows no key at all.
    fn start(is_strict: bool) -> Store {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(python().join("bin/moto_server"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        if is_strict {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", "1");
        }
        let store = Store { process: command.spawn().unwrap(), port };
        wait_until("the store answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(store.ask("PUT", "/trail").contains(" 200 "), "the bucket was not made");
        store
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            self.port
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How many objects the bucket has.
    fn objects(&self) -> usize {
        self.ask("GET", "/trail?list-type=2").matches("<Key>").count()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Python with the store in it, made once below the target directory.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(find_python)
}

fn find_python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    // Where the tests of engines have made theirs, the store is among what they use.
    let made = target.join("python");
    if made.join("bin/moto_server").exists() && made.join("requirements.txt").exists() {
        return made;
    }
    let own = target.join("store");
    let complete = own.join("complete");
    if !complete.exists() {
        let run = |program: &Path, arguments: &[&str]| {
            expect_success(MOTO, &Command::new(program).args(arguments).output().unwrap())
        };
        run(Path::new("python3"), &["-m", "venv", "--clear", own.to_str().unwrap()]);
        run(&own.join("bin/python"), &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MOTO]);
        std::fs::write(complete, MOTO).unwrap();
    }
    own
}

/// A trail that archives to a bucket at this port.
fn trail(port: u16) -> Trail {
    let trail = Trail::start(
        &[ALONE],
        "2030-01-15",
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, note text);
             SELECT audit.enable('t'), audit.set_retention('data', '6 months', archive => true, archive_keep => '2 years');
             INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 500) n;{SEE}"
        ),
    );
    let credentials = trail.server.host().join("credentials");
    server::write_for_server(
        &credentials,
        b"[default]\naws_access_key_id = tester\naws_secret_access_key = not-to-be-told\n",
        "600",
    );
    let options = format!(
        r#"{{"endpoint": "http://127.0.0.1:{port}", "region": "us-east-1", "allow_http": true, "credentials_file": "{}"}}"#,
        credentials.display()
    );
    trail.configure(&[("audit.archive_location", "s3://trail/shop"), ("audit.archive_options", &options)]);
    trail.at(FEBRUARY, &format!("CALL audit.maintain(); {SEE}"));
    trail
}

#[track_caller]
fn expect_refused(trail: &Trail, text: &str) {
    let began = Instant::now();
    let errors = trail.errors(AUGUST, ARCHIVE);
    assert!(began.elapsed() < Duration::from_secs(45), "{text}: {:?}", began.elapsed());
    assert!(
        errors.contains("ERROR:  58030: ") && errors.contains("HINT:  ") && errors.contains(text),
        "{text}: {errors}"
    );
    assert!(!errors.contains("not-to-be-told"), "{errors}");
    assert_eq!(
        trail.at(
            AUGUST,
            "SELECT count(*) FROM audit.archives; SELECT count(*) FROM audit.trail WHERE event = 'row.insert'"
        ),
        "0\n500"
    );
}

#[test]
fn archives_live_in_a_bucket() {
    let store = Store::start(false);
    let trail = trail(store.port);
    trail.encrypt("key");
    trail.configure(&[("audit.archive_location", "s3://nobody/shop")]);
    expect_refused(&trail, "bucket s3://nobody does not exist");
    trail.configure(&[("audit.archive_location", "s3://trail/shop")]);
    trail.at(AUGUST, "CALL audit.maintain()");
    assert_eq!(store.objects(), 3);
    trail.expect_all(AUGUST);
    let restored = "SELECT sum(audit.restore_archive(archive_id)) FROM audit.archives; SELECT count(*) FROM audit.trail WHERE event = 'row.insert'";
    assert_eq!(trail.at(AUGUST, restored), "500\n500");
    trail.expect_all(AUGUST);
    trail.at(AUGUST, "SELECT audit.unload_archive(archive_id) FROM audit.archives");
    // Where archives go now does not matter to those that there are.
    trail.configure(&[("audit.archive_location", trail.archives.to_str().unwrap())]);
    trail.expect_all(AUGUST);
    trail.at("2032-03-01", "CALL audit.maintain()");
    assert_eq!(store.objects(), 0);
}

#[test]
fn a_store_that_refuses() {
    let store = Store::start(true);
    expect_refused(&trail(store.port), "the store refuses these credentials");
}

/// Nobody listens: it is known within the time that requests have.
#[test]
fn a_store_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    expect_refused(&trail(port), "Connection refused");
}

/// Somebody listens and never answers: who waits can be cancelled, and an archiver that is killed is reported.
#[test]
fn a_store_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let trail = trail(listener.local_addr().unwrap().port());
    thread::spawn(move || {
        let taken: Vec<_> = listener.incoming().collect();
        drop(taken);
    });
    let archiver = || {
        let directory = trail.server.data_directory();
        std::fs::read_dir("/proc").unwrap().flatten().find_map(|process| {
            let is_ours = std::fs::read_link(process.path().join("cwd")).is_ok_and(|at| at == directory)
                && std::fs::read_to_string(process.path().join("comm"))
                    .is_ok_and(|name| name.starts_with("audit-archive"));
            if is_ours { process.file_name().to_str()?.parse::<u32>().ok() } else { None }
        })
    };
    for is_killed in [false, true] {
        let errors = thread::scope(|scope| {
            let archiving = scope.spawn(|| trail.errors(AUGUST, ARCHIVE));
            wait_until("the archiver is at work", || archiver().is_some());
            if is_killed {
                server::signal("KILL", &[archiver().unwrap()]);
            } else {
                let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'SELECT audit.archive(%'";
                assert_eq!(trail.server.query("postgres", cancel), "1");
            }
            let began = Instant::now();
            let errors = archiving.join().unwrap();
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            errors
        });
        let (sqlstate, text) = if is_killed { ("38000", "signal: 9") } else { ("57014", "user request") };
        assert!(errors.contains(sqlstate) && errors.contains(text), "{errors}");
        wait_until("the archiver has ended", || archiver().is_none());
        trail.expect_all(AUGUST);
    }
    assert_eq!(trail.at(AUGUST, "SELECT count(*) FROM audit.archives"), "0");
}
