//! Reading an archive: its lines on standard output, as they were.

use std::io::Write;

use crate::error::{Failure, Result};
use crate::key;
use crate::lines;
use crate::manifest::{self, Format};
use crate::request::Existing;
use crate::store;
use crate::verify;

/// Writes the lines to `out`. The last of them, `{"end":…}`, follows only when the whole file has turned out to be what
/// was written: what came before it must not be trusted until then.
pub fn read(request: &Existing, out: &mut impl Write) -> Result<()> {
    let store = store::open(&request.place)?;
    let keys = request.place.key_file.as_deref().map(key::read).transpose()?.unwrap_or_default();
    let manifest = manifest::read(store.as_ref(), request)?;
    let key = manifest.key(&keys)?;
    let mut held: Option<Vec<u8>> = None;
    let failed = |error| Failure::io("could not hand on the lines", error);
    lines::read(store.as_ref(), manifest.file(Format::Lines)?, key, |line| {
        match &mut held {
            Some(held) => {
                held.push(b'\n');
                out.write_all(held).map_err(failed)?;
                held.clear();
                held.extend_from_slice(line);
            }
            None => held = Some(line.to_vec()),
        }
        Ok(())
    })?;
    let last = held.unwrap_or_default();
    out.write_all(&last).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(failed)
}

/// Reads every file of an archive as it is read after writing, and says what was found.
pub fn check(request: &Existing) -> Result<manifest::Manifest> {
    let store = store::open(&request.place)?;
    let keys = request.place.key_file.as_deref().map(key::read).transpose()?.unwrap_or_default();
    let manifest = manifest::read(store.as_ref(), request)?;
    verify::verify(store.as_ref(), &manifest, &keys)?;
    Ok(manifest)
}
