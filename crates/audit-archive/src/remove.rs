//! Removing an archive: the manifest first, so that what is left of an interrupted removal is no archive.

use crate::error::{Failure, Result};
use crate::manifest::Names;
use crate::request::Remove;
use crate::store;

/// Removes the files of an archive, finished or not, and returns the names of those that were there.
pub fn remove(request: &Remove) -> Result<Vec<String>> {
    let store = store::open(&request.place)?;
    let names =
        match (&request.manifest_file, &request.archive_id, &request.category, &request.server, &request.partition) {
            (Some(manifest), ..) => Names::of_manifest(manifest)?,
            (None, Some(archive_id), Some(category), Some(server), Some(partition)) => {
                Names::of(archive_id, category, server, partition, request.since.as_deref())?
            }
            _ => {
                return Err(Failure::bad_request("the request names no archive")
                    .hint("Give manifest_file, or archive_id, category, server, partition and since."));
            }
        };
    let mut removed = Vec::new();
    for name in names.all() {
        if store.remove(&name)? {
            removed.push(name);
        }
    }
    Ok(removed)
}
