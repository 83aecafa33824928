//! Whatever goes wrong is said in one line, and nothing that is not whole is left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use archive::{Place, REST, dictionaries, event, executable, fail, inserts, run, start, succeed};
use serde_json::{Value, json};

const NOTHING: [&str; 0] = [];

#[test]
fn an_input_that_ends_early_leaves_nothing() {
    let place = Place::new();
    let whole = inserts(20_000);
    let without_end = whole.rsplit_once("{\"end\"").unwrap().0;
    for lines in [without_end, &whole[..whole.len() - 1], &whole[..whole.len() / 2], ""] {
        let (kind, message, _) = fail("write", &place.request(json!({})), lines);
        assert_eq!(kind, "bad_request");
        assert!(message.contains("ended before"), "{message}");
        assert_eq!(place.files(), NOTHING);
    }
    let (kind, message, _) = fail("write", &place.request(json!({})), &whole.replace("20000}", "20001}"));
    assert_eq!(kind, "bad_request");
    assert!(message.contains("20000 events came, 20001 were announced"), "{message}");
    assert_eq!(place.files(), NOTHING);
}

#[test]
fn lines_that_are_not_understood_are_refused() {
    let place = Place::new();
    let wrong = [
        "nonsense\n".to_string(),
        "{\"unknown\":{}}\n".to_string(),
        "{\"session\":{\"node_id\":7}}\n".to_string(),
        "[1,2]\n".to_string(),
        event(1, 1, 4, "\"1\"", "[1]", &format!("{REST},null")),
        event(1, 1, 4, "\"1\"", "{\"not\":\"a row\"}", REST),
        event(1, 1, 4, "\"1\"", "[1]", REST).replace("2026-01-05T", "tomorrow"),
        event(1, 1, 4, "\"1\"", "[1]", REST).replace("data", "read"),
    ];
    for line in wrong {
        let lines = format!("{}{line}{{\"end\":{{\"events\":1}}}}\n", dictionaries());
        let (kind, message, _) = fail("write", &place.request(json!({})), &lines);
        assert_eq!(kind, "bad_request", "{line}: {message}");
        assert_eq!(place.files(), NOTHING);
    }
}

#[test]
fn requests_that_cannot_be_met_are_refused() {
    let place = Place::new();
    let end = "{\"end\":{\"events\":0}}\n";
    for changes in [
        json!({ "location": "relative/path" }),
        json!({ "location": "s3://" }),
        json!({ "archive_id": "../../etc" }),
        json!({ "category": "../data" }),
        json!({ "since": "yesterday" }),
        json!({ "columns": [{ "name": "event_id", "type": "uuid" }] }),
        json!({ "options": { "endpiont": "x" } }),
        json!({ "schema_version": null }),
    ] {
        let (kind, message, _) = fail("write", &place.request(changes.clone()), end);
        assert_eq!(kind, "bad_request", "{changes}: {message}");
    }
    for name in ["../secret.json", "manifests/../../x.json", "parquet/x.parquet", "manifests//x.json"] {
        assert_eq!(fail("read", &place.existing(json!({ "manifest_file": name })), "").0, "bad_request");
        assert_eq!(fail("remove", &place.existing(json!({ "manifest_file": name })), "").0, "bad_request");
    }
    assert_eq!(fail("archive", &json!({}), "").0, "bad_request");
    assert_eq!(fail("remove", &json!({ "location": place.location() }), "").0, "bad_request");
    let (kind, _, hint) = fail("write", &place.request(json!({ "location": "/nowhere/archive" })), end);
    assert_eq!(kind, "not_found");
    assert!(hint.contains("Create the directory"), "{hint}");
    assert_eq!(fail("read", &place.existing(json!({})), "").0, "not_found");
}

#[test]
fn names_stay_below_the_location() {
    let place = Place::new();
    let request = place.request(json!({ "server": "../../é:x", "partition": ".." }));
    let written = succeed("write", &request, "{\"end\":{\"events\":0}}\n");
    assert!(
        written["manifest_file"].as_str().unwrap().ends_with("/_..___x--0192f0c0-0000-7000-8000-000000000001.json"),
        "{}",
        written["manifest_file"]
    );
    assert_eq!(place.files().len(), 3);
}

fn change_byte(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn changed_files_are_found_and_named() {
    for key in [false, true] {
        let place = Place::new();
        let key_file = key.then(|| place.key("key"));
        let written = succeed("write", &place.request(json!({ "key_file": key_file })), &inserts(20_000));
        let existing = |changes: Value| {
            let mut request = place.existing(json!({ "key_file": key_file }));
            request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            request
        };
        for (number, tree) in [(0, "parquet/"), (1, "lines/")] {
            let path = place.file_in(tree);
            let whole = std::fs::read(&path).unwrap();
            let size = whole.len() as u64;
            let expected = written["manifest"]["files"][number]["sha256"].as_str().unwrap();
            let damages: [&dyn Fn(); 6] = [
                &|| change_byte(&path, 0),
                &|| change_byte(&path, size / 2),
                &|| change_byte(&path, size - 1),
                &|| std::fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
                &|| std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap(),
                &|| std::fs::write(&path, b"").unwrap(),
            ];
            for damage in damages {
                damage();
                let commands: &[&str] = if tree == "lines/" { &["check", "read"] } else { &["check"] };
                for command in commands {
                    let (kind, message, _) = fail(command, &existing(json!({})), "");
                    assert_eq!(kind, "tampered", "{message}");
                    assert!(message.contains(expected) && message.contains(path.to_str().unwrap()), "{message}");
                }
                std::fs::write(&path, &whole).unwrap();
            }
            std::fs::remove_file(&path).unwrap();
            assert_eq!(fail("check", &existing(json!({})), "").0, "not_found");
            std::fs::write(&path, &whole).unwrap();
        }
        let digest = existing(json!({ "manifest_sha256": written["manifest_sha256"] }));
        succeed("check", &digest, "");
        let manifest = place.file_in("manifests/");
        change_byte(&manifest, 40);
        let (kind, message, _) = fail("read", &digest, "");
        assert_eq!(kind, "tampered");
        assert!(message.contains(written["manifest_sha256"].as_str().unwrap()), "{message}");
    }
}

/// The end line is what says that the lines before it can be trusted.
#[test]
fn a_changed_file_has_no_end_line() {
    let place = Place::new();
    succeed("write", &place.request(json!({})), &inserts(20_000));
    let path = place.file_in("lines/");
    // Beyond the compressor's last block: everything decodes, and the digest alone is wrong.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]).unwrap();
    let output = run("read", &place.existing(json!({})), "");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 10_000, "the damage is meant to be found at the end");
    assert!(!text.contains("\"end\""));
}

/// A writer that is killed leaves no archive; writing again makes one, and only one.
#[test]
fn a_killed_writer_is_resumed_by_writing_again() {
    let place = Place::new();
    let lines = inserts(50_000);
    succeed("write", &place.request(json!({})), &lines);
    let mut child = start("write");
    let mut input = child.stdin.take().unwrap();
    write!(input, "{}\n{}", place.request(json!({})), &lines[..lines.len() / 2]).unwrap();
    input.flush().unwrap();
    // It has read more than a pipe holds, so it has begun: the archive from before is no longer finished.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.files().iter().any(|name| name.starts_with("manifests/")), "{:?}", place.files());
    assert!(place.files().iter().any(|name| name.ends_with(".partial")), "{:?}", place.files());
    succeed("write", &place.request(json!({})), &lines);
    assert_eq!(place.files().len(), 3);
    succeed("check", &place.existing(json!({})), "");
}

#[test]
fn removing_leaves_nothing_and_may_be_repeated() {
    let place = Place::new();
    succeed("write", &place.request(json!({})), &inserts(10));
    std::fs::write(format!("{}.partial", place.file_in("lines/").display()), "left").unwrap();
    let removed = succeed("remove", &place.existing(json!({})), "");
    assert_eq!(removed["removed"].as_array().unwrap().len(), 3);
    assert_eq!(removed["removed"][0], archive::MANIFEST);
    assert_eq!(place.files(), NOTHING);
    assert_eq!(succeed("remove", &place.existing(json!({})), "")["removed"], json!([]));

    // One that was never finished goes by what it is of.
    succeed("write", &place.request(json!({})), &inserts(10));
    std::fs::remove_file(place.file_in("manifests/")).unwrap();
    succeed("remove", &place.request(json!({})), "");
    assert_eq!(place.files(), NOTHING);
}

#[test]
fn a_place_that_cannot_be_written_is_denied() {
    let place = Place::new();
    let request = place.request(json!({}));
    // Root may write anywhere, but not below a file.
    std::fs::write(Path::new(&place.location()).join("parquet"), "").unwrap();
    let output = run("write", &request, &inserts(10));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("could not create"));
}

/// Runs in a mount namespace of its own, on a file system of 300 kB.
#[test]
fn a_full_disk_is_said_and_left_as_it_was() {
    let place = Place::new();
    let request = place.request(json!({}));
    let script = format!(
        "mount -t tmpfs -o size=300k none '{0}' && echo mounted >&2 && '{1}' write; status=$?; find '{0}' -type f; exit $status",
        place.location(),
        executable()
    );
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = format!("{request}\n{}", inserts(100_000));
    let writer = std::thread::spawn(move || drop(input.write_all(text.as_bytes())));
    let status = child.wait().unwrap();
    writer.join().unwrap();
    let (mut out, mut failure) = (String::new(), String::new());
    child.stdout.unwrap().read_to_string(&mut out).unwrap();
    child.stderr.unwrap().read_to_string(&mut failure).unwrap();
    let Some((_, failure)) = failure.split_once("mounted\n") else {
        eprintln!("SKIPPED: this kernel lets us mount no file system of our own: {failure}");
        return;
    };
    assert_eq!(status.code(), Some(1), "{failure}");
    let failure: Value = serde_json::from_str(failure).unwrap();
    assert_eq!(failure["kind"], "disk_full", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains(&place.location()), "{failure}");
    assert_eq!(out, "", "files are left");
}

/// No process listens at that port, and the one at the other never answers.
#[test]
fn an_unreachable_bucket_is_said_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [closed, silent.local_addr().unwrap()] {
        let place = Place::new();
        let credentials =
            place.private_file("credentials", b"[default]\naws_access_key_id = id\naws_secret_access_key = hidden\n");
        let request = place.request(json!({
            "location": "s3://audit-trail/shop",
            "options": { "endpoint": format!("http://{address}"), "region": "eu-central-1", "allow_http": true,
                         "credentials_file": credentials },
        }));
        let began = std::time::Instant::now();
        let (kind, message, hint) = fail("write", &request, &inserts(10));
        assert_eq!(kind, "unreachable", "{message}");
        assert!(message.contains("s3://audit-trail/shop/"), "{message}");
        assert!(hint.contains("endpoint") && !message.contains("hidden"));
        assert!(began.elapsed().as_secs() < 35, "took {:?}", began.elapsed());
    }
}
