//! Where archives are kept: a directory, or a bucket of an S3-compatible store. Files are known by their names below
//! the location, with `/` between directories; none is visible under its name before it is complete.

mod credentials;
mod local;
mod refusal;
mod s3;

use std::io::{Read, Write};
use std::path::Path;

use bytes::Bytes;

use crate::error::{Failure, Result};
use crate::request::Place;

pub trait Store {
    /// The file as a person would look for it.
    fn describe(&self, name: &str) -> String;

    /// Begins a file, which takes the place of one of the same name when it is completed.
    fn create(&self, name: &str) -> Result<Box<dyn Upload>>;

    /// Reads a file from its beginning.
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>>;

    fn size(&self, name: &str) -> Result<u64>;

    /// Reads so many bytes from there on.
    fn range(&self, name: &str, start: u64, length: usize) -> Result<Bytes>;

    /// Whether the file was there to remove. What an interrupted writer left of it goes too.
    fn remove(&self, name: &str) -> Result<bool>;
}

/// A file being written. Dropped before its completion, it leaves nothing behind.
pub trait Upload: Write + Send {
    /// Makes the file durable and visible.
    fn complete(self: Box<Self>) -> Result<()>;
}

/// Opens the location.
pub fn open(place: &Place) -> Result<Box<dyn Store>> {
    let location = place.location.as_str();
    if location.starts_with("s3://") {
        return Ok(Box::new(s3::Bucket::open(location, &place.options)?));
    }
    let path = location.strip_prefix("file://").unwrap_or(location);
    if !path.starts_with('/') {
        return Err(Failure::bad_request(format!("the archive location \"{location}\" is not understood"))
            .hint("Name a directory by its absolute path, or a bucket as s3://bucket/prefix."));
    }
    Ok(Box::new(local::Directory::open(Path::new(path))?))
}

/// The whole of a small file.
pub fn read_whole(store: &dyn Store, name: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store
        .open(name)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(format_args!("could not read {}", store.describe(name)), error))?;
    Ok(bytes)
}
