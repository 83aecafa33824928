//! What went wrong, in words for the person who runs the database. The program that started us reads it as one line
//! of JSON and turns it into an ERROR with a HINT. No key and no credential is ever part of it.

use std::error::Error;
use std::fmt;
use std::io;

use parquet::errors::ParquetError;
use serde::Serialize;

/// What kind of failure it is, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The place did not answer, or not in time.
    Unreachable,
    /// The place, a file or a bucket is not there.
    NotFound,
    /// The archive was encrypted with another key, or the key file holds none.
    WrongKey,
    /// What is stored is not what was written.
    Tampered,
    DiskFull,
    /// The place is there and refuses us.
    Denied,
    /// The caller asked for something impossible.
    BadRequest,
    Internal,
}

/// A failure that ends the command.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), hint: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(Kind::BadRequest, message)
    }

    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Internal, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// What the operating system said while we were busy with `what`, such as `could not write "/a/b"`. A failure of
    /// ours that passed through a writer or reader of the standard library comes out as it was.
    pub fn io(what: impl fmt::Display, error: io::Error) -> Failure {
        if let Some(failure) = ours(&error) {
            return failure;
        }
        let message = format!("{what}: {error}");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::new(Kind::DiskFull, message)
                .hint("Free space there or name another place; nothing of the trail has been let go."),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Failure::new(Kind::Denied, message)
                .hint("The operating system user of PostgreSQL must be able to read and write there."),
            io::ErrorKind::NotFound => Failure::new(Kind::NotFound, message),
            _ => Failure::internal(message),
        }
    }

    /// What the Parquet library said.
    pub fn parquet(what: impl fmt::Display, error: ParquetError) -> Failure {
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(error) => Failure::io(what, *error),
                Err(source) => Failure::internal(format!("{what}: {source}")),
            },
            error => Failure::internal(format!("{what}: {error}")),
        }
    }
}

/// Our own failure inside an error of the standard library, however often it was wrapped.
fn ours(error: &io::Error) -> Option<Failure> {
    let mut source: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = source {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        source = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    None
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::other(failure)
    }
}
