//! Reads compressed values piece by piece, so that a value of any size passes in bounded memory.
//!
//! The formats are PostgreSQL's two, without the varlena header: pglz (`src/common/pg_lzcompress.c`) and the LZ4 block
//! format as `LZ4_compress_default` writes it. Memory is twice the reach of a back reference, less for smaller values:
//! 8 KiB for pglz, 128 KiB for LZ4. Input comes from storage that may be damaged: whatever it holds is read or refused,
//! and never yields more than the size that was declared. Nothing here calls PostgreSQL: the caller fetches the pieces
//! and raises the error.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod lz4;
mod pglz;
mod window;

use std::fmt;

use lz4::Lz4;
use pglz::Pglz;
use window::Window;

/// Why compressed data was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// A reference points before the beginning of the value.
    Reference,
    /// There is more than the declared size.
    Surplus,
    /// The data ends before the value does.
    Truncated,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "compressed data refers to before its beginning",
            Self::Surplus => "compressed data is longer than its declared size",
            Self::Truncated => "compressed data ends too early",
        })
    }
}

impl std::error::Error for Corrupt {}

/// Where decompressed bytes go, in pieces of arbitrary size.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// A value being decompressed.
#[derive(Debug)]
pub struct Inflate {
    window: Window,
    format: Format,
    failed: Option<Corrupt>,
}

impl Inflate {
    /// Begins a value in pglz format of `size` bytes when decompressed.
    pub fn pglz(size: usize) -> Self {
        Self::new(Window::new(size, pglz::REACH), Format::Pglz(Pglz::default()))
    }

    /// Begins a value in LZ4 block format of `size` bytes when decompressed.
    pub fn lz4(size: usize) -> Self {
        Self::new(Window::new(size, lz4::REACH), Format::Lz4(Lz4::default()))
    }

    fn new(window: Window, format: Format) -> Self {
        Self { window, format, failed: None }
    }

    /// Takes the next compressed bytes and gives all that they yield to `sink` before it returns. Once it has failed it
    /// stays failed; what `sink` got until then is not the value.
    pub fn push(&mut self, chunk: &[u8], sink: Sink) -> Result<(), Corrupt> {
        if let Some(corrupt) = self.failed {
            return Err(corrupt);
        }
        let result = match &mut self.format {
            Format::Pglz(pglz) => pglz.read(chunk, &mut self.window, sink),
            Format::Lz4(lz4) => lz4.read(chunk, &mut self.window, sink),
        };
        self.window.flush(sink);
        self.failed = result.err();
        result
    }

    /// Ends the value: an error if it is not complete, or has failed before.
    pub fn finish(self) -> Result<(), Corrupt> {
        if let Some(corrupt) = self.failed {
            return Err(corrupt);
        }
        let ended = match self.format {
            // pglz data has no end of its own.
            Format::Pglz(_) => true,
            Format::Lz4(lz4) => lz4.may_end(),
        };
        if ended && self.window.room() == 0 { Ok(()) } else { Err(Corrupt::Truncated) }
    }
}

#[derive(Debug)]
enum Format {
    Pglz(Pglz),
    Lz4(Lz4),
}
