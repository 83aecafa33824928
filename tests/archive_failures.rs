//! What can go wrong with archives: the error says what and what to do, the events stay, and it goes on when it is
//! mended.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use audit_testing::retention::{ALONE, SEE, Trail};
use audit_testing::server::{self, expect_success};

const FEBRUARY: &str = "2030-02-15";
const AUGUST: &str = "2030-08-15";
const ARCHIVE: &str = "SELECT audit.archive('data', '2030-02-01')";
const RESTORE: &str = "SELECT audit.restore_archive(archive_id) FROM audit.archives";
const CHECK: &str = "SELECT audit.check_archive(archive_id) FROM audit.archives";

/// A trail with events of January that do not compress, in a partition that has closed and is due in August.
fn january() -> Trail {
    let trail = Trail::start(
        &[ALONE],
        "2030-01-15",
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, note text);
             SELECT audit.enable('t'), audit.set_retention('data', '6 months', archive => true);
             INSERT INTO t SELECT n, (SELECT string_agg(md5(n::text || k), '') FROM generate_series(1, 50) k) FROM generate_series(1, 300) n;{SEE}"
        ),
    );
    trail.at(FEBRUARY, &format!("CALL audit.maintain(); {SEE}"));
    trail
}

/// Asserts that archiving fails with this SQLSTATE and text and a hint, by every way to it, and that nothing goes.
#[track_caller]
fn expect_refused(trail: &Trail, sqlstate: &str, text: &str) {
    let errors = trail.errors(AUGUST, ARCHIVE);
    assert!(errors.contains(&format!("ERROR:  {sqlstate}: ")) && errors.contains(text), "{text}: {errors}");
    assert!(errors.contains("HINT:  "), "{errors}");
    let output = trail.errors(AUGUST, "SELECT audit.prune()");
    assert!(
        output.contains("WARNING:  01000: partition \"events_data_20300101\" was not archived and is kept: ")
            && output.contains(text),
        "{output}"
    );
    assert!(!output.contains("ERROR"), "{output}");
    let maintained = trail.errors(AUGUST, "CALL audit.maintain()");
    assert!(maintained.contains("was not archived and is kept") && !maintained.contains("ERROR"), "{maintained}");
    expect_nothing_gone(trail);
}

#[track_caller]
fn expect_nothing_gone(trail: &Trail) {
    assert_eq!(trail.at(AUGUST, "SELECT count(*) FROM audit.archives"), "0");
    trail.expect_all(AUGUST);
    let events = "SELECT count(*) FROM audit.trail WHERE event = 'row.insert'";
    assert_eq!(trail.at(AUGUST, events), "300");
}

/// What was in the way has gone: the partition is archived and let go.
#[track_caller]
fn expect_mended(trail: &Trail) {
    trail.at(AUGUST, &format!("{SEE}CALL audit.maintain()"));
    assert_eq!(trail.at(AUGUST, "SELECT events FROM audit.archives WHERE category = 'data' AND events > 0"), "300");
    trail.expect_all(AUGUST);
}

fn command(name: &str, arguments: &[&str]) -> bool {
    Command::new(name).args(arguments).output().is_ok_and(|output| output.status.success())
}

#[test]
fn places_that_cannot_be_written() {
    let trail = january();
    let place = |path: &Path| trail.configure(&[("audit.archive_location", path.to_str().unwrap())]);
    place(&trail.server.host().join("nowhere"));
    expect_refused(&trail, "58030", "nowhere\" cannot be used");
    place(Path::new("relative/path"));
    expect_refused(&trail, "38000", "is not understood");
    let locked = trail.server.host().join("locked");
    server::make_private_directory(&locked);
    assert!(command("chmod", &["500", locked.to_str().unwrap()]));
    place(&locked);
    expect_refused(&trail, "58030", "Permission denied");
    place(&trail.archives);
    expect_mended(&trail);
}

#[test]
fn a_full_disk() {
    let trail = january();
    let disk = trail.server.host().join("disk");
    server::make_private_directory(&disk);
    let path = disk.to_str().unwrap();
    if !server::is_root() || !command("mount", &["-t", "tmpfs", "-o", "size=128k,mode=777", "tmpfs", path]) {
        eprintln!("skipped: a small disk cannot be mounted here");
        return;
    }
    let mounted = Mounted(disk.clone());
    trail.configure(&[("audit.archive_location", path)]);
    expect_refused(&trail, "53100", "No space left on device");
    assert!(command("mount", &["-o", "remount,size=16m", path]));
    expect_mended(&trail);
    drop(mounted);
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        command("umount", &["--lazy", self.0.to_str().unwrap()]);
    }
}

#[test]
fn programs_that_are_missing_or_die() {
    let trail = january();
    let program = |content: &str, mode: &str| {
        let path = trail.server.host().join("program");
        let _ = fs::remove_file(&path);
        server::write_for_server(&path, content.as_bytes(), mode);
        trail.configure(&[("audit.archive_program", path.to_str().unwrap())]);
    };
    trail.configure(&[("audit.archive_program", "/nowhere/audit-archive")]);
    expect_refused(&trail, "F0000", "could not run /nowhere/audit-archive");
    program("#!/bin/sh\n", "600");
    expect_refused(&trail, "F0000", "Permission denied");
    // Killed before it reads, in the middle, and when it has said that all is well.
    program("#!/bin/sh\nkill -9 $$\n", "755");
    expect_refused(&trail, "38000", "signal: 9");
    program("#!/bin/sh\nhead -c 100000 >/dev/null\nkill -9 $$\n", "755");
    expect_refused(&trail, "38000", "signal: 9");
    let real = server::program("audit-archive");
    program(&format!("#!/bin/sh\n{} \"$@\"\nkill -9 $$\n", real.display()), "755");
    expect_refused(&trail, "38000", "signal: 9");
    program("#!/bin/sh\ncat >/dev/null\n", "755");
    expect_refused(&trail, "38000", "audit-archive");
    program("#!/bin/sh\ncat >/dev/null\necho '{\"manifest\": {\"events\": 299}}'\n", "755");
    expect_refused(&trail, "XX001", "but 300 were recorded at close");
    trail.configure(&[("audit.archive_program", real.to_str().unwrap())]);
    expect_mended(&trail);
}

/// Whoever waits for an archiver can be cancelled, and the archiver ends with him.
#[test]
fn an_archiver_that_hangs_is_cancelled() {
    let trail = january();
    let path = trail.server.host().join("hangs");
    server::write_for_server(&path, b"#!/bin/sh\nexec sleep 613\n", "755");
    trail.configure(&[("audit.archive_program", path.to_str().unwrap())]);
    for sql in [ARCHIVE, "SELECT audit.prune()", "CALL audit.maintain()"] {
        let began = Instant::now();
        let errors = trail.errors(AUGUST, &format!("SET statement_timeout = '2s'; {sql}"));
        assert!(errors.contains("ERROR:  57014: ") && errors.contains("statement timeout"), "{sql}: {errors}");
        assert!(began.elapsed() < Duration::from_secs(8), "{sql}: {:?}", began.elapsed());
    }
    assert!(!command("pgrep", &["-f", "^sleep 613"]), "an archiver outlived its backend");
    trail.configure(&[("audit.archive_program", server::program("audit-archive").to_str().unwrap())]);
    expect_mended(&trail);
}

#[test]
fn keys_that_are_missing_or_others() {
    let trail = january();
    trail.configure(&[("audit.archive_key_file", "/nowhere/key")]);
    expect_refused(&trail, "58030", "could not open key file \"/nowhere/key\"");
    let loose = trail.server.host().join("loose");
    server::write_for_server(&loose, b"AGE-SECRET-KEY-1\n", "644");
    trail.configure(&[("audit.archive_key_file", loose.to_str().unwrap())]);
    expect_refused(&trail, "58030", "has group or world access");
    assert!(command("chmod", &["600", loose.to_str().unwrap()]));
    expect_refused(&trail, "F0000", "is not a key file");
    let right = trail.encrypt("right");
    expect_mended(&trail);

    let refused = |problem: &str| {
        for sql in [RESTORE, CHECK] {
            let errors = trail.errors(AUGUST, sql);
            assert!(errors.contains("ERROR:  F0000: ") && errors.contains("HINT:  "), "{problem}, {sql}: {errors}");
        }
        assert_eq!(trail.at(AUGUST, "SELECT count(*) FROM audit.archives WHERE restored_as IS NOT NULL"), "0");
    };
    trail.encrypt("other");
    refused("another key");
    trail.configure(&[("audit.archive_key_file", "")]);
    refused("no key");
    trail.configure(&[("audit.archive_key_file", right.to_str().unwrap())]);
    trail.at(AUGUST, RESTORE);
    trail.expect_all(AUGUST);
}

/// Every file of an archive, with one byte changed, cut short, or gone: reading names the file and brings nothing back.
#[test]
fn files_that_were_changed() {
    let trail = january();
    trail.encrypt("key");
    expect_mended(&trail);
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'events_archived%'";
    let archive = trail.at(AUGUST, "SELECT archive_id FROM audit.archives WHERE events > 0 AND category = 'data'");
    let check = format!("SELECT audit.check_archive('{archive}')");
    let restore = format!("SELECT audit.restore_archive('{archive}')");
    for name in trail.files().iter().filter(|name| name.contains(&archive)) {
        let path = trail.archives.join(name);
        let content = fs::read(&path).unwrap();
        let mut changed = content.clone();
        changed[content.len() / 2] ^= 1;
        let file = path.file_name().unwrap().to_str().unwrap();
        for (content, sqlstate) in
            [(Some(&changed[..]), "XX001"), (Some(&content[..content.len() - 1]), "XX001"), (None, "58030")]
        {
            match content {
                Some(content) => server::write_for_server(&path, content, "600"),
                None => fs::remove_file(&path).unwrap(),
            }
            // What is restored are the lines; the table is for others, and only checked.
            let readers = if name.ends_with(".parquet") { &[&check][..] } else { &[&check, &restore][..] };
            for sql in readers {
                let errors = trail.errors(AUGUST, sql);
                assert!(errors.contains("ERROR:  ") && errors.contains(file), "{sql} of {file}: {errors}");
                assert!(errors.contains(sqlstate), "{sql} of {file}: {errors}");
            }
            assert_eq!(trail.at(AUGUST, tables), "0");
        }
        server::write_for_server(&path, &content, "600");
    }
    trail.at(AUGUST, &restore);
    trail.expect_all(AUGUST);
    expect_success("ls", &Command::new("ls").arg(&trail.archives).output().unwrap());
}
