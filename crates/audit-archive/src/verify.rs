//! Whether an archive is what was written, and can be read.

use crate::digest::Digesting;
use crate::error::{Failure, Result};
use crate::key::Key;
use crate::lines;
use crate::manifest::{File, Format, Manifest, tampered};
use crate::store::Store;
use crate::table;

/// Reads every file of the archive, as stored: its digest, every value, every line.
pub fn verify(store: &dyn Store, manifest: &Manifest, keys: &[Key]) -> Result<()> {
    let key = manifest.key(keys)?;
    let file = manifest.file(Format::Parquet)?;
    expect(store, file, "rows", file.rows, verify_table(store, file, key)?)?;
    expect(store, file, "rows", manifest.events, file.rows)?;

    let file = manifest.file(Format::Lines)?;
    let (mut lines, mut events) = (0, 0);
    lines::read(store, file, key, |line| {
        lines += 1;
        events += u64::from(line.first() == Some(&b'['));
        Ok(())
    })?;
    expect(store, file, "lines", file.rows, lines)?;
    expect(store, file, "events", manifest.events, events)
}

fn verify_table(store: &dyn Store, file: &File, key: Option<&Key>) -> Result<u64> {
    let shown = store.describe(&file.name);
    let size = store.size(&file.name)?;
    let mut stored = Digesting::new(store.open(&file.name)?);
    let checked = table::check(&mut stored, size, |start, length| store.range(&file.name, start, length), key);
    stored.drain().map_err(|error| Failure::io(format_args!("could not read {shown}"), error))?;
    let (_, _, sha256) = stored.finish();
    // What was changed seldom decodes: that it was changed is what matters.
    if sha256 != file.sha256 { Err(tampered(&shown, &file.sha256, &sha256)) } else { checked }
}

fn expect(store: &dyn Store, file: &File, what: &str, expected: u64, found: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let shown = store.describe(&file.name);
    Err(Failure::internal(format!("{shown} has {found} {what} in place of {expected}")))
}
