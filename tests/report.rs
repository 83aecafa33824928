//! The pages of reports as a browser has them: drawn, printed, and dead whatever the trail holds.

// Whatever fails in a helper fails the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use audit_testing::server::{Server, expect_success};

/// Values that would act, hide or reorder if they were anything but text.
const HOSTILE: &str = r#"
    ('<script>document.title = "owned"; console.error("owned")</script>'),
    ('</style></title></td></table></body><img src=x onerror="document.title = 1">'),
    ('" onmouseover="alert(1)'), ('''><svg onload=alert(1)>'), ('javascript:alert(1)'),
    ('<a href="javascript:alert(1)">x</a><iframe src="https://example.org"></iframe>'),
    ('<!-- ]]> --> <base href="https://example.org/"><meta http-equiv="refresh" content="0;url=https://example.org">'),
    (E'\u202Egpj.exe\u202C \u2066x\u2069 \u200B\u0007\u001B[31m'), (E'a\nb\tc\r\nd'), ('&lt;b&gt; {{ 7 * 7 }} {% raw %}')
"#;

#[test]
fn hostile_values_are_text() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE note (id text PRIMARY KEY, v text); SELECT audit.enable('note')",
    );
    server.query(
        "postgres",
        &format!(
            "SELECT set_config('audit.actor', v, false), set_config('audit.reason', v, false) FROM (VALUES {HOSTILE}) h (v) LIMIT 1;
             INSERT INTO note SELECT v, v FROM (VALUES {HOSTILE}) h (v);
             SELECT audit.define_event_type('page.shown', category => 'security', parameters => '{{\"v\": \"text\"}}');
             SELECT audit.record('page.shown', jsonb_build_object('v', v), v, v, 'failure') FROM (VALUES {HOSTILE}) h (v);
             SELECT audit_internal.emit('access.denied', NULL, v, v, NULL, 'failure') FROM (VALUES {HOSTILE}) h (v);"
        ),
    );
    for name in ["data_changes", "user_access", "security_events", "system_access", "dashboard"] {
        let page = draw(&server, name);
        let (dom, console) = load(&page);
        assert_eq!(console, Vec::<String>::new(), "console of {name}");
        let lower = dom.to_lowercase();
        for element in ["<script", "<img", "<iframe", "<base", "<a ", "<object", "<form"] {
            assert!(!lower.contains(element), "{name} has {element}");
        }
        assert_eq!(attributes(&lower).find(|attribute| attribute.starts_with("on")), None, "{name} has a handler");
        assert!(!lower.contains("<title>owned") && lower.contains("</html>"), "{name} was changed");
        // What is hidden in text is shown, and the text itself is there.
        assert!(dom.contains("⟨U+202E⟩") || name == "system_access", "{name} hides what changes direction");
        assert!(dom.contains("&lt;script&gt;"), "{name} lacks the value");
        assert!(
            !dom.contains('\u{202E}') && !dom.contains('\u{200B}') && !dom.contains('\u{7}'),
            "{name} has controls"
        );
    }
}

#[test]
fn printed_tables_are_whole() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit; CREATE TABLE note (id integer PRIMARY KEY, v text); SELECT audit.enable('note')",
    );
    // Each value has a word of its own at its beginning and one at its end, with up to twenty lines between.
    let value = "'begin' || n || ' ' || repeat('some words ', (n * 37) % 40) || ' end' || n";
    server.query(
        "postgres",
        &format!(
            "INSERT INTO note SELECT n, {value} FROM generate_series(1, 150) n;
             INSERT INTO note VALUES (1000, repeat('unbroken', 60)), (1001, E'l\\n' || repeat(E'l\\n', 200));
             SELECT audit_internal.emit('access.denied', NULL, repeat('table_', 20), NULL, NULL, 'failure') FROM generate_series(1, 40);"
        ),
    );
    for name in ["data_changes", "security_events", "dashboard"] {
        let pages = print(&draw(&server, name));
        assert!(!pages.is_empty());
        for (number, page) in pages.iter().enumerate() {
            let over =
                page.words.iter().find(|word| word.right > page.width - 30.0 || word.bottom > page.height - 30.0);
            assert!(
                over.is_none(),
                "{name}, page {number}: {over:?} is in the margin of {} x {}",
                page.width,
                page.height
            );
        }
        if name != "data_changes" {
            continue;
        }
        assert!(pages.len() > 5, "only {} pages", pages.len());
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, page) in pages.iter().enumerate() {
            for word in &page.words {
                places.entry(&word.text).or_default().push(number);
            }
            let has_rows = page.words.iter().any(|word| word.text.starts_with("begin"));
            let has_heading =
                ["When", "Before", "After"].iter().all(|title| page.words.iter().any(|word| word.text == *title));
            assert!(!has_rows || has_heading, "page {number} has rows without a heading");
        }
        for n in 1..=150 {
            let (begin, end) = (format!("begin{n}"), format!("end{n}"));
            let begins = places.get(begin.as_str());
            assert!(begins.is_some(), "{begin} is not printed");
            assert_eq!(begins, places.get(end.as_str()), "row {n} is cut");
        }
    }
}

/// Draws a page into a file.
fn draw(server: &Server, name: &str) -> PathBuf {
    let call = match name {
        "dashboard" => "audit.dashboard_html()".to_owned(),
        report => format!("audit.report_html('{report}', now() - interval '1 day', now() + interval '1 hour')"),
    };
    let file = server.host().join(format!("{name}.html"));
    std::fs::write(&file, server.query("postgres", &format!("SELECT {call}"))).unwrap();
    file
}

/// The document as the browser has it after loading, and what it wrote to the console.
fn load(page: &Path) -> (String, Vec<String>) {
    let output = browse(page, &["--dump-dom", "--enable-logging=stderr"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (expect_success(browser(), &output), console)
}

#[derive(Debug)]
struct Word {
    text: String,
    right: f64,
    bottom: f64,
}

struct Page {
    width: f64,
    height: f64,
    words: Vec<Word>,
}

/// The pages that the browser prints, with every word and where it stands, in points.
fn print(page: &Path) -> Vec<Page> {
    let file = page.with_extension("pdf");
    let target = format!("--print-to-pdf={}", file.display());
    expect_success(browser(), &browse(page, &["--no-pdf-header-footer", &target]));
    let mut command = Command::new("pdftotext");
    let output = command.arg("-bbox").arg(&file).arg("-").stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("pdftotext: {error}; run pgrx-config/setup --tests (poppler-utils)"));
    let mut pages: Vec<Page> = Vec::new();
    for line in expect_success("pdftotext", &output).lines().map(str::trim) {
        let number = |name: &str| -> f64 {
            let value = line.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
            value.map_or(0.0, |(value, _)| value.parse().unwrap())
        };
        if line.starts_with("<page") {
            pages.push(Page { width: number("width"), height: number("height"), words: Vec::new() });
        } else if line.starts_with("<word") {
            let text = line.split_once('>').and_then(|(_, rest)| rest.split_once('<')).map_or("", |(text, _)| text);
            let word = Word { text: text.to_owned(), right: number("xMax"), bottom: number("yMax") };
            pages.last_mut().unwrap().words.push(word);
        }
    }
    pages
}

/// The first browser that shows a page in the directory of the tests: one may be a wrapper that only asks for a snap,
/// and a snap sees no file there.
fn browser() -> &'static str {
    static BROWSER: OnceLock<&str> = OnceLock::new();
    BROWSER.get_or_init(|| {
        let directory = std::env::temp_dir();
        let mut faults = Vec::new();
        for name in ["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"] {
            match try_browser(name, &directory) {
                Ok(()) => return name,
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        panic!(
            "no browser for the pages in {}; install Debian's chromium, or the package of Google Chrome where there is only a snap ({})",
            directory.display(),
            faults.join("; "),
        )
    })
}

fn try_browser(name: &str, directory: &Path) -> Result<(), String> {
    let page = directory.join(format!("audit-browser-{}.html", std::process::id()));
    std::fs::write(&page, "<p>shown</p>").unwrap();
    let output = browse_with(name, &page, &["--dump-dom"]);
    let _ = std::fs::remove_dir_all(page.with_extension("profile"));
    let _ = std::fs::remove_file(&page);
    let output = output.map_err(|error| error.to_string())?;
    let shown = String::from_utf8_lossy(&output.stdout).contains("<p>shown</p>");
    if shown { Ok(()) } else { Err(format!("does not show a page, {}", output.status)) }
}

fn browse(page: &Path, options: &[&str]) -> Output {
    browse_with(browser(), page, options).unwrap()
}

fn browse_with(browser: &str, page: &Path, options: &[&str]) -> std::io::Result<Output> {
    let profile = page.with_extension("profile");
    let mut command = Command::new(browser);
    // Root cannot have the sandbox; the page is the only one there is.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(options);
    command.arg(format!("file://{}", page.display())).env("HOME", page.parent().unwrap());
    command.stdin(Stdio::null()).output()
}

/// The names of all attributes of all elements.
fn attributes(html: &str) -> impl Iterator<Item = &str> {
    html.split('<')
        .skip(1)
        .filter_map(|piece| piece.split_once('>'))
        .flat_map(|(tag, _)| tag.split_whitespace().skip(1))
        .filter_map(|attribute| attribute.split_once('='))
        .map(|(name, _)| name)
}
