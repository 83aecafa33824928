//! What an archive consists of. The manifest is written last: an archive without one is not finished.
//!
//! Below the location an archive has three files of the same name in three trees, so that an engine that reads
//! `parquet/**/*.parquet` meets nothing else:
//!
//! ```text
//! parquet/category=data/date=2026-01-01/SERVER-PARTITION-ID.parquet
//! lines/category=data/date=2026-01-01/SERVER-PARTITION-ID.jsonl.zst      (.jsonl.zst.age where it is encrypted)
//! manifests/category=data/date=2026-01-01/SERVER-PARTITION-ID.json
//! ```

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::error::{Failure, Kind, Result};
use crate::key::Key;
use crate::request::{Existing, Subject};
use crate::store::{self, Store};

/// The version of this layout.
pub const FORMAT: u32 = 1;
const LONGEST: u64 = 16 << 20;
/// Longest part of a file's name that a server or partition makes.
const LONGEST_NAME: usize = 80;

#[derive(Deserialize, Serialize)]
pub struct Manifest {
    pub format: u32,
    #[serde(flatten)]
    pub subject: Subject,
    /// The servers whose events these are.
    pub servers: Vec<String>,
    pub events: u64,
    pub first_event_at: Option<String>,
    pub last_event_at: Option<String>,
    /// Of the first and of the last event in the files.
    pub first_event_id: Option<String>,
    pub last_event_id: Option<String>,
    /// The public half of the key, where the files are encrypted.
    pub recipient: Option<String>,
    pub files: Vec<File>,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct File {
    pub name: String,
    pub format: Format,
    pub bytes: u64,
    pub sha256: String,
    pub encrypted: bool,
    /// Rows of a table; lines, those of dictionaries included.
    pub rows: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Format {
    #[serde(rename = "parquet")]
    Parquet,
    #[serde(rename = "jsonl.zst")]
    Lines,
}

/// The names of an archive's files, without the trees that they are in and their endings.
pub struct Names {
    stem: String,
}

impl Names {
    /// Of the archive that is of this. `since` is the first column of engines that partition by date; a partition
    /// without a beginning is filed under the first day of all.
    pub fn of(archive_id: &str, category: &str, server: &str, partition: &str, since: Option<&str>) -> Result<Names> {
        let is_id = archive_id.len() == 36 && archive_id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let is_category =
            !category.is_empty() && category.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_id || !is_category {
            return Err(Failure::bad_request("archive_id has to be a UUID and category a lower-case word"));
        }
        let date = match since {
            None | Some("-infinity") => "0001-01-01",
            Some(since) => since
                .get(..10)
                .filter(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok())
                .ok_or_else(|| Failure::bad_request(format!("since \"{since}\" is not in ISO 8601")))?,
        };
        let (server, partition, id) = (sanitised(server), sanitised(partition), archive_id.to_ascii_lowercase());
        Ok(Names { stem: format!("category={category}/date={date}/{server}-{partition}-{id}") })
    }

    /// Of the archive whose manifest has that name.
    pub fn of_manifest(name: &str) -> Result<Names> {
        let stem = name.strip_prefix("manifests/").and_then(|name| name.strip_suffix(".json"));
        match stem.filter(|stem| is_plain(stem)) {
            Some(stem) => Ok(Names { stem: stem.to_string() }),
            None => Err(Failure::bad_request(format!("\"{name}\" is not the name of a manifest"))),
        }
    }

    pub fn manifest(&self) -> String {
        format!("manifests/{}.json", self.stem)
    }

    pub fn parquet(&self) -> String {
        format!("parquet/{}.parquet", self.stem)
    }

    pub fn lines(&self, is_encrypted: bool) -> String {
        format!("lines/{}.jsonl.zst{}", self.stem, if is_encrypted { ".age" } else { "" })
    }

    /// Every name that a file of the archive can have, the manifest first.
    pub fn all(&self) -> [String; 4] {
        [self.manifest(), self.parquet(), self.lines(false), self.lines(true)]
    }
}

/// Whether a name stays below the location.
fn is_plain(name: &str) -> bool {
    name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// What is allowed in a file's name everywhere.
fn sanitised(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let text: String = name.chars().take(LONGEST_NAME).map(|letter| if plain(letter) { letter } else { '_' }).collect();
    text.trim_start_matches('.').to_string()
}

impl Manifest {
    /// The manifest as it is stored.
    pub fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| Failure::internal(error.to_string()))
    }

    pub fn file(&self, format: Format) -> Result<&File> {
        self.files
            .iter()
            .find(|file| file.format == format)
            .ok_or_else(|| Failure::new(Kind::Tampered, "the manifest lacks one of the archive's files"))
    }

    /// The key that opens the archive; none where it is not encrypted.
    pub fn key<'a>(&self, keys: &'a [Key]) -> Result<Option<&'a Key>> {
        let Some(recipient) = &self.recipient else { return Ok(None) };
        if keys.is_empty() {
            return Err(Failure::new(Kind::WrongKey, format!("the archive is encrypted for {recipient}"))
                .hint("Name the key file in audit.archive_key_file."));
        }
        match keys.iter().find(|key| key.recipient().to_string() == *recipient) {
            Some(key) => Ok(Some(key)),
            None => {
                let ours: Vec<String> = keys.iter().map(|key| key.recipient().to_string()).collect();
                let message =
                    format!("the archive is encrypted for {recipient}, the key file is that of {}", ours.join(", "));
                Err(Failure::new(Kind::WrongKey, message)
                    .hint("Add the line AGE-SECRET-KEY-1… of the old key to the key file; its first key encrypts."))
            }
        }
    }
}

/// Reads the manifest that a request names, and checks its digest where the request has it.
pub fn read(store: &dyn Store, request: &Existing) -> Result<Manifest> {
    let name = Names::of_manifest(&request.manifest_file)?.manifest();
    let text = store::read_whole(store, &name, LONGEST)?;
    let shown = store.describe(&name);
    if let Some(expected) = &request.manifest_sha256 {
        let found = digest::of(&text);
        if found != expected.to_ascii_lowercase() {
            return Err(tampered(&shown, expected, &found));
        }
    }
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Kind::Tampered, format!("manifest {shown} is not understood: {error}")))?;
    if manifest.format != FORMAT || manifest.files.iter().any(|file| !is_plain(&file.name)) {
        return Err(Failure::new(Kind::Tampered, format!("manifest {shown} is of no known format")));
    }
    Ok(manifest)
}

/// A file is not what was written.
pub fn tampered(shown: &str, expected: &str, found: &str) -> Failure {
    Failure::new(
        Kind::Tampered,
        format!("{shown} was changed: its SHA-256 digest is {found}, it was written with {expected}"),
    )
    .hint("Bring the file back from a copy of the archive; what cannot be trusted is not read.")
}
