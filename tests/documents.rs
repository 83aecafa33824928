//! The documents say what is so: what is generated is what the catalog has, examples print what they show, links lead
//! to files and headings that are there.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use audit_testing::server::Server;

const REGENERATE: &str = "run docs/generate, and commit what it writes";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

#[test]
fn what_is_generated_is_what_the_catalog_has() {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE EXTENSION audit");
    let generated = |name: &str| server.query("postgres", &read(&format!("docs/catalog/{name}.sql")));
    for name in ["functions", "events"] {
        let document = read(&format!("docs/{name}.md"));
        let wanted = generated(name);
        let differing = document.lines().zip(wanted.lines()).find(|(is, ought)| is != ought);
        assert!(
            document.trim_end() == wanted,
            "docs/{name}.md is not what the catalog has: {REGENERATE}\n{differing:#?}"
        );
    }
    assert!(
        !read("docs/functions.md").contains("Other objects"),
        "docs/catalog/functions.sql: each object belongs to a chapter"
    );
    let configuration = read("docs/configuration.md");
    let settings = generated("settings");
    assert!(
        configuration.contains(&format!("\n{settings}\n<!-- end of settings -->")),
        "docs/configuration.md: {REGENERATE}"
    );
    let names = server.query("postgres", "LOAD 'audit'; SELECT name FROM pg_settings WHERE name LIKE 'audit.%'");
    for name in names.lines().filter(|name| !name.starts_with("audit.test_")) {
        assert!(configuration.contains(&format!("\n### {name}\n")), "docs/configuration.md has no heading for {name}");
    }
}

/// Each block of SQL with the output that stands right below it, in the order of the document.
fn examples(document: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        let block = |lines: &mut dyn Iterator<Item = &str>| {
            lines.take_while(|line| *line != "```").collect::<Vec<_>>().join("\n")
        };
        if line == "```sql" {
            let sql = block(&mut lines);
            let output = (lines.peek() == Some(&"```text")).then(|| {
                lines.next();
                block(&mut lines)
            });
            found.push((sql, output));
        }
    }
    found
}

/// psql pads the last column.
fn without_padding(output: &str) -> String {
    output.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Runs a document's examples as a reader would, one after the other in one database.
fn expect_output(server: &Server, database: &str, path: &str) {
    let found = examples(&read(path));
    assert!(found.iter().any(|(_, output)| output.is_some()), "{path} has examples");
    for (sql, output) in found {
        let psql = server.psql(database, &sql);
        let (stdout, stderr) = (String::from_utf8_lossy(&psql.stdout), String::from_utf8_lossy(&psql.stderr));
        assert!(psql.status.success() && !stderr.contains("ERROR"), "{path}: {sql}\n{stderr}");
        let output = output.unwrap_or_default();
        assert!(without_padding(&stdout).ends_with(&without_padding(&output)), "{path}: {sql}\nprints\n{stdout}");
    }
}

#[test]
fn examples_print_what_they_show() {
    let server = Server::start(&[("shared_preload_libraries", "audit")]);
    server.create_database("readme");
    expect_output(&server, "readme", "README.md");
    server.create_database("guide");
    expect_output(&server, "guide", "docs/quickstart.md");
    expect_output(&server, "guide", "docs/concepts.md");
}

fn documents(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The targets of the links in a document, but for code.
fn links(document: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in document.lines() {
        is_code ^= line.starts_with("```");
        if !is_code && !line.starts_with("    ") {
            found.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned));
        }
    }
    found
}

/// The names by which GitHub links to the headings of a document.
fn anchors(document: &str) -> BTreeSet<String> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')))
        .map(|heading| {
            let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
        })
        .collect()
}

#[test]
fn links_lead_to_what_is_there() {
    let mut found = Vec::new();
    documents(repository(), &mut found);
    let mut broken = Vec::new();
    let mut checked = 0;
    for path in found {
        for link in links(&fs::read_to_string(&path).unwrap()).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let leads = target.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", path.display()));
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "links are looked for where they are");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 100, "README.md has {lines} lines: at most 100, the rest belongs into docs/");
}

#[test]
fn links_and_headings_are_read_as_on_github() {
    assert_eq!(links("[a](b.md#c) and [d](e)\n```\n[f](g)\n```\n    [h](i)"), ["b.md#c", "e"]);
    assert!(anchors("### audit.set_context\n## Without preloading").contains("auditset_context"));
    assert!(anchors("## Without preloading").contains("without-preloading"));
}
