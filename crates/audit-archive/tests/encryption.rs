//! Nothing is readable without the key, and what is wrong with a key is said without telling it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use archive::{Place, fail, inserts, run, succeed};
use serde_json::json;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn encrypted_archives_open_with_their_key_alone() {
    let place = Place::new();
    let (key, other) = (place.key("key"), place.key("other"));
    let lines = inserts(5000);
    let written = succeed("write", &place.request(json!({ "key_file": key })), &lines);
    let recipient = written["manifest"]["recipient"].as_str().unwrap();
    assert!(recipient.starts_with("age1") && text(&key).contains(recipient));

    assert_eq!(place.files().len(), 3);
    for tree in ["lines/", "parquet/"] {
        let bytes = std::fs::read(place.file_in(tree)).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds("Customer") && !holds("public.customer") && !holds("ann@example.org"), "{tree} is readable");
    }
    assert!(std::fs::read(place.file_in("parquet/")).unwrap().ends_with(b"PARE"));

    let read = run("read", &place.existing(json!({ "key_file": key })), "");
    assert!(String::from_utf8(read.stdout).unwrap().ends_with(&lines));
    succeed("check", &place.existing(json!({ "key_file": key })), "");

    for command in ["read", "check"] {
        let (kind, message, hint) = fail(command, &place.existing(json!({ "key_file": other })), "");
        assert_eq!(kind, "wrong_key");
        assert!(message.contains(recipient) && hint.contains("old key"), "{message}");
        assert!(!message.contains("SECRET"), "{message}");
        let (kind, message, _) = fail(command, &place.existing(json!({})), "");
        assert_eq!(kind, "wrong_key");
        assert!(message.contains(recipient), "{message}");
    }
}

/// The manifest's word for the recipient is not what decides: files of another key do not open.
#[test]
fn a_forged_recipient_opens_nothing() {
    let place = Place::new();
    let (key, other) = (place.key("key"), place.key("other"));
    succeed("write", &place.request(json!({ "key_file": key })), &inserts(10));
    let recipient = |path: &Path| {
        text(path).lines().find_map(|line| line.strip_prefix("# public key: ").map(str::to_string)).unwrap()
    };
    let manifest = place.file_in("manifests/");
    std::fs::write(&manifest, text(&manifest).replace(&recipient(&key), &recipient(&other))).unwrap();
    let (kind, _, _) = fail("read", &place.existing(json!({ "key_file": other })), "");
    assert_eq!(kind, "wrong_key");
    assert_ne!(run("check", &place.existing(json!({ "key_file": other })), "").status.code(), Some(0));
}

#[test]
fn a_replaced_key_stays_in_the_file_for_old_archives() {
    let place = Place::new();
    let (old, new) = (place.key("old"), place.key("new"));
    let written = succeed("write", &place.request(json!({ "key_file": old })), &inserts(10));
    let both = place.private_file("both", format!("{}{}", text(&new), text(&old)).as_bytes());
    succeed("check", &place.existing(json!({ "key_file": both })), "");
    let again = succeed("write", &place.request(json!({ "key_file": both })), &inserts(10));
    assert_ne!(again["manifest"]["recipient"], written["manifest"]["recipient"]);
    succeed("check", &place.existing(json!({ "key_file": new })), "");
}

#[test]
fn key_files_are_refused_without_quoting_them() {
    let place = Place::new();
    let secret = "AGE-SECRET-KEY-1NOTREALLYAKEYATALL";
    let request = |path: &Path| place.request(json!({ "key_file": path }));
    for wrong in [secret, "", "# nothing but a comment\n", "\u{fffd}\0\u{1}"] {
        let path = place.private_file("wrong", wrong.as_bytes());
        let (kind, message, hint) = fail("write", &request(&path), &inserts(1));
        assert_eq!(kind, "wrong_key");
        assert!(!format!("{message}{hint}").contains("NOTREALLY"), "{message}");
        assert!(hint.contains("keygen"));
    }
    let (kind, message, _) = fail("write", &request(Path::new("/nowhere/key")), &inserts(1));
    assert_eq!(kind, "not_found");
    assert!(message.contains("/nowhere/key"));

    let key = place.key("key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (kind, message, hint) = fail("write", &request(&key), &inserts(1));
    assert_eq!(kind, "denied");
    assert!(message.contains("group or world access") && hint.contains("0600"), "{message}");
    assert_eq!(place.files(), Vec::<String>::new());
}

/// An attempt with a key and one without leave one archive, not two sets of lines.
#[test]
fn writing_again_with_or_without_a_key_leaves_one_archive() {
    let place = Place::new();
    let key = place.key("key");
    succeed("write", &place.request(json!({ "key_file": key })), &inserts(10));
    succeed("write", &place.request(json!({})), &inserts(10));
    assert_eq!(place.files().len(), 3);
    succeed("check", &place.existing(json!({})), "");
    succeed("write", &place.request(json!({ "key_file": key })), &inserts(10));
    assert_eq!(place.files().len(), 3);
}
