//! What the caller asks for: the first line of standard input.

use std::io::BufRead;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};

/// Where archives are, and how they are reached and opened.
#[derive(Deserialize)]
pub struct Place {
    /// A directory, `file:///…` or `s3://bucket/prefix`.
    pub location: String,
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    #[serde(default)]
    pub options: Options,
}

/// What else there is to say about an S3-compatible store; what is left out comes from the environment, by the names
/// that AWS's own tools use.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub allow_http: Option<bool>,
    /// A file as `~/.aws/credentials`.
    pub credentials_file: Option<PathBuf>,
}

/// What an archive is of: kept in its manifest and at the head of its lines.
#[derive(Clone, Deserialize, Serialize)]
pub struct Subject {
    pub archive_id: String,
    pub category: String,
    pub server: String,
    pub database: String,
    pub partition: String,
    pub since: Option<String>,
    pub until: Option<String>,
    pub schema_version: i32,
    pub application: String,
    /// The columns of an event, in the order of its values.
    pub columns: Vec<Column>,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

#[derive(Deserialize)]
pub struct Write {
    #[serde(flatten)]
    pub place: Place,
    #[serde(flatten)]
    pub subject: Subject,
}

/// For reading and checking.
#[derive(Deserialize)]
pub struct Existing {
    #[serde(flatten)]
    pub place: Place,
    /// The manifest, by its name below the location.
    pub manifest_file: String,
    #[serde(default)]
    pub manifest_sha256: Option<String>,
}

/// For removing: a finished archive goes by its manifest, one that never was finished by what it is of.
#[derive(Deserialize)]
pub struct Remove {
    #[serde(flatten)]
    pub place: Place,
    pub manifest_file: Option<String>,
    pub archive_id: Option<String>,
    pub category: Option<String>,
    pub server: Option<String>,
    pub partition: Option<String>,
    pub since: Option<String>,
}

/// Reads the request from the first line.
pub fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> Result<T> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).map_err(|error| Failure::io("could not read the request", error))?;
    serde_json::from_slice(&line)
        .map_err(|error| Failure::bad_request(format!("the request is not understood: {error}")))
}
