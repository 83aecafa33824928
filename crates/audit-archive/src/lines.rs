//! The JSON lines: dictionaries and stored events as they came, compressed by zstd and, where there is a key, encrypted
//! by age. They lose nothing, which is what an archive is restored from.

use std::io::{self, BufRead, BufReader, Read, Write};

use age::stream::StreamWriter;
use age::{DecryptError, Decryptor, Encryptor};

use crate::digest::Digesting;
use crate::error::{Failure, Kind, Result};
use crate::key::Key;
use crate::manifest::{File, tampered};
use crate::store::{Store, Upload};

/// How hard the compressor tries. Level 6 would save 2 % and take twice the time.
const LEVEL: i32 = 3;
/// Repetition is found within so many bytes, as a power of two; every reader of zstd allows it.
const WINDOW_LOG: u32 = 23;

type Stored = Digesting<Box<dyn Upload>>;

pub struct Lines {
    compressor: zstd::Encoder<'static, Sink>,
    lines: u64,
}

enum Sink {
    Plain(Stored),
    Encrypted(Box<StreamWriter<Stored>>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(stored) => stored.write(bytes),
            Sink::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub fn new(stored: Stored, key: Option<&Key>) -> Result<Lines> {
        let open = || {
            let sink = match key {
                Some(key) => {
                    let recipients = [key.recipient() as &dyn age::Recipient];
                    let encryptor = Encryptor::with_recipients(recipients.into_iter()).map_err(io::Error::other)?;
                    Sink::Encrypted(Box::new(encryptor.wrap_output(stored)?))
                }
                None => Sink::Plain(stored),
            };
            let mut compressor = zstd::Encoder::new(sink, LEVEL)?;
            compressor.include_checksum(true)?;
            compressor.window_log(WINDOW_LOG)?;
            compressor.long_distance_matching(true)?;
            Ok(Lines { compressor, lines: 0 })
        };
        open().map_err(failed)
    }

    /// Appends a line, which has no line feed in it.
    pub fn append(&mut self, line: &[u8]) -> Result<()> {
        self.lines += 1;
        self.compressor.write_all(line).and_then(|()| self.compressor.write_all(b"\n")).map_err(failed)
    }

    /// Ends the stream and gives back what was written to, with the number of lines.
    pub fn finish(self) -> Result<(Stored, u64)> {
        let end = || match self.compressor.finish()? {
            Sink::Plain(stored) => Ok(stored),
            Sink::Encrypted(stream) => stream.finish(),
        };
        Ok((end().map_err(failed)?, self.lines))
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::io("could not write the JSON lines", error)
}

/// Gives every line of the file, without its line feed, to `each`. Whether they are what was written is known at the
/// end: an error then means that none of them can be trusted.
pub fn read(
    store: &dyn Store,
    file: &File,
    key: Option<&Key>,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut stored = Digesting::new(store.open(&file.name)?);
    let mut refused = None;
    let decoded = decode(&mut stored, key, |line| each(line).inspect_err(|failure| refused = Some(failure.clone())));
    if let Some(failure) = refused {
        return Err(failure);
    }
    let shown = store.describe(&file.name);
    stored.drain().map_err(|error| Failure::io(format_args!("could not read {shown}"), error))?;
    let (_, _, sha256) = stored.finish();
    // What was changed seldom decodes: that it was changed is what matters.
    if sha256 != file.sha256 { Err(tampered(&shown, &file.sha256, &sha256)) } else { decoded }
}

fn decode(stored: &mut dyn Read, key: Option<&Key>, each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let Some(key) = key else { return split(stored, each) };
    let identity = [key.identity() as &dyn age::Identity];
    let opened = Decryptor::new(BufReader::with_capacity(1 << 16, stored))
        .and_then(|encrypted| encrypted.decrypt(identity.into_iter()));
    match opened {
        Ok(mut stream) => split(&mut stream, each),
        Err(DecryptError::Io(error)) => Err(unreadable(error)),
        Err(DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed) => {
            Err(Failure::new(Kind::WrongKey, "the JSON lines are encrypted with another key"))
        }
        Err(error) => Err(Failure::internal(format!("the JSON lines cannot be decrypted: {error}"))),
    }
}

fn split(compressed: &mut dyn Read, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let decoder = zstd::Decoder::new(compressed).map_err(unreadable)?;
    let mut lines = BufReader::with_capacity(1 << 18, decoder);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        each(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::io("the JSON lines cannot be read", error)
}
