//! Which rooms of the extension may use which, and what its SQL has to say, read from the sources. A room is a
//! directory of `src/`, one of the files beside them, or one of our crates.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use beside crate `audit_model` and `error`, `event` and `settings`, which use no room themselves.
/// No room uses `capture`, `worker`, or another of those that capture, protect and answer.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("event", &[]),
    ("settings", &[]),
    ("sql", &[]),
    ("pg", &[]),
    ("jsonb", &["pg"]),
    ("encode", &["jsonb", "audit_inflate", "pg"]),
    ("store", &["encode", "pg"]),
    ("context", &["store", "encode", "jsonb", "audit_statement", "pg"]),
    ("capture", &["context", "store", "encode", "jsonb", "pg"]),
    ("record", &["context", "store", "encode", "jsonb", "pg"]),
    ("protection", &["store", "pg"]),
    ("replication", &["context", "store", "jsonb", "pg"]),
    ("retention", &["store", "encode", "pg"]),
    ("history", &["store", "encode", "jsonb", "pg"]),
    ("report", &["pg"]),
    ("worker", &["audit_schedule", "pg"]),
    ("hooks", &["protection", "pg"]),
];
const ANY: &[&str] = &["audit_model", "error", "event", "settings"];

/// The room of a file below `src/`, and how many directories below the room its module stands.
fn place(file: &Path) -> (String, usize) {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy().replace(".rs", "")).collect();
    let depth = parts.len() - 1 - usize::from(parts.last().is_some_and(|name| name == "mod"));
    (parts[0].clone(), depth)
}

fn sources(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, extension, found);
        } else if path.extension().is_some_and(|its| its == extension) {
            found.push(path);
        }
    }
}

/// The rooms that come after each occurrence of `root` in the code: one name, or the first names of a list in braces.
fn named_after(code: &str, root: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let preceded = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let rest = &code[at + root.len()..];
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let first = |text: &str| text.trim_start().chars().take_while(|c| is_name(*c)).collect::<String>();
        if preceded {
            continue;
        }
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(first(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.insert(first(&item));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        names.insert(first(&item));
    }
    names.remove("");
    names
}

/// The crates of ours that occur in the code, as the first name of a path.
fn crates_in(code: &str) -> BTreeSet<String> {
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let names = words.filter_map(|word| word.split_once("::")).map(|(first, _)| first);
    names.filter(|name| name.starts_with("audit_")).map(str::to_owned).collect()
}

/// The code of a file, without the comments.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("it can be read");
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The rooms that each room names.
fn arrows() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, "rs", &mut files);
    let mut arrows = BTreeMap::<String, BTreeMap<String, PathBuf>>::new();
    for path in files {
        let (room, depth) = place(path.strip_prefix(&root).expect("it is below"));
        if room == "lib" {
            continue;
        }
        let code = code_of(&path);
        // `super` once more than there are directories is the crate too.
        let above = "super::".repeat(depth + 1);
        let named = named_after(&code, "crate::").into_iter().chain(named_after(&code, &above)).chain(crates_in(&code));
        let named = named.filter(|name| *name != room && name != "super");
        let known = arrows.entry(room.clone()).or_default();
        named.for_each(|name| _ = known.entry(name).or_insert_with(|| path.clone()));
    }
    arrows
}

#[test]
fn rooms_use_those_below_them_alone() {
    let mut breaches = Vec::new();
    for (room, named) in arrows() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == room) else {
            panic!("src/{room} is not among the rooms of this test")
        };
        let base: &[&str] = if ANY.contains(&room.as_str()) { &["audit_model"] } else { ANY };
        for (name, path) in named {
            if !allowed.contains(&name.as_str()) && !base.contains(&name.as_str()) {
                breaches.push(format!("{room} uses {name} in {}", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn the_model_depends_on_nothing() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/audit-model/Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("it can be read");
    assert!(!manifest.contains("dependencies]") && !manifest.contains("dependencies."), "{manifest}");
}

/// Whether the code reads an attribute by a number that has no name.
fn has_bare_numbers(code: &str) -> bool {
    let uses = ["attribute(", "attribute(tuple, ", "attribute: ", "heap_getattr(tuple, "];
    uses.iter()
        .any(|with| code.match_indices(with).any(|(at, _)| code[at + with.len()..].starts_with(char::is_numeric)))
}

#[test]
fn no_column_is_known_by_a_bare_number() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "rs", &mut files);
    files.retain(|path| has_bare_numbers(&code_of(path)));
    assert!(files.is_empty(), "audit_model has names for the numbers in {files:#?}");
    assert!(has_bare_numbers("scan::attribute(tuple, 1, descriptor)") && has_bare_numbers("attribute(9).map"));
}

/// The functions with more rights than their callers, and of those the ones whose comment does not say why that is
/// safe.
fn definers(sql: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut all, mut silent) = (Vec::new(), Vec::new());
    let (mut comment, mut function) = (String::new(), "");
    for line in sql.lines() {
        if let Some(text) = line.strip_prefix("--") {
            comment.push_str(text);
        } else if line.starts_with("CREATE ") {
            function = line;
        } else if line.is_empty() {
            comment.clear();
        }
        if line.ends_with("SECURITY DEFINER") && !line.starts_with("--") {
            all.push(function);
            if !comment.contains("SECURITY DEFINER") {
                silent.push(function);
            }
        }
    }
    (all, silent)
}

#[test]
fn functions_with_more_rights_than_their_callers_say_why() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql"), "sql", &mut files);
    let texts: Vec<_> = files.iter().map(|path| fs::read_to_string(path).expect("it can be read")).collect();
    let found: Vec<_> = texts.iter().map(|text| definers(text)).collect();
    assert!(found.iter().map(|(all, _)| all.len()).sum::<usize>() > 20, "they are looked for where they are");
    let silent: Vec<_> = found.into_iter().flat_map(|(_, silent)| silent).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

/// The reader of the sources finds what is there: a list of its own, not the one above.
#[test]
fn names_are_found_in_lists_and_paths() {
    let found = named_after(
        "use crate::pg::{raw, scan}; use crate::{store::{open, append}, error}; crate::event::X",
        "crate::",
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["error", "event", "pg", "store"]);
    assert!(named_after("othercrate::pg", "crate::").is_empty());
    let found = crates_in("use audit_a::{b, c}; let x = (audit_d::e(), audit_trail, crate::audit_f::g);");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["audit_a", "audit_d"]);
    let sql = "-- No reason.\nCREATE FUNCTION f()\nSECURITY DEFINER\n\n-- SECURITY DEFINER: it only\n-- reads.\nCREATE g\nLANGUAGE sql SECURITY DEFINER";
    assert_eq!(definers(sql).1, ["CREATE FUNCTION f()"]);
    assert_eq!(place(Path::new("encode/restore/key.rs")), ("encode".into(), 2));
    assert_eq!(place(Path::new("encode/mod.rs")), ("encode".into(), 0));
    assert_eq!(place(Path::new("hooks.rs")), ("hooks".into(), 0));
}
