//! Reads a Parquet file back: every value of every column, in one pass over what is stored.
//!
//! The footer is asked for first; then the file streams by once, for its digest, and each column chunk is decrypted and
//! decoded while it is in memory. So a file in a bucket is fetched once, and memory stays at one column chunk.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{Failure, Result};
use crate::key::Key;

/// Beginning and bytes of the part of the file that is in memory.
type Part = (u64, Bytes);

/// The file as the Parquet library sees it: so long, and the part that was put into memory for it.
#[derive(Clone)]
struct Window {
    size: u64,
    part: Arc<Mutex<Part>>,
}

/// Reads the whole of `stream`, which is the file of that size whose end `tail` fetches (start, length), and returns
/// the number of its rows.
pub fn check(
    stream: &mut dyn Read,
    size: u64,
    tail: impl Fn(u64, usize) -> Result<Bytes>,
    key: Option<&Key>,
) -> Result<u64> {
    let window = Window { size, part: Arc::default() };
    let mut options = ArrowReaderOptions::new();
    if let Some(key) = key {
        let properties = FileDecryptionProperties::builder(key.parquet().to_vec()).build().map_err(failed)?;
        options = options.with_file_decryption_properties(properties);
    }
    window.put(footer(size, &tail)?);
    let metadata = ArrowReaderMetadata::load(&window, options).map_err(failed)?;
    let file = metadata.metadata().clone();

    let mut position = 0;
    for (number, row_group) in file.row_groups().iter().enumerate() {
        let expected = u64::try_from(row_group.num_rows()).unwrap_or(0);
        for (column, chunk) in row_group.columns().iter().enumerate() {
            let (start, length) = chunk.byte_range();
            let skipped = start.checked_sub(position).ok_or_else(|| Failure::internal("columns are out of order"))?;
            pass(stream, skipped).map_err(read_failed)?;
            let mut bytes = Vec::new();
            stream.take(length).read_to_end(&mut bytes).map_err(read_failed)?;
            position = start + length;
            window.put((start, bytes.into()));
            let mask = ProjectionMask::leaves(file.file_metadata().schema_descr(), [column]);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(window.clone(), metadata.clone())
                .with_row_groups(vec![number])
                .with_projection(mask)
                .with_batch_size(1024)
                .build()
                .map_err(failed)?;
            let mut rows = 0;
            for batch in reader {
                rows += batch
                    .map_err(|error| Failure::internal(format!("a column cannot be read: {error}")))?
                    .num_rows() as u64;
            }
            if rows != expected {
                return Err(Failure::internal(format!("a column has {rows} values in place of {expected}")));
            }
        }
    }
    pass(stream, u64::MAX).map_err(read_failed)?;
    u64::try_from(file.file_metadata().num_rows()).map_err(|_| Failure::internal("the footer counts no rows"))
}

/// The end of the file that holds the footer: its last eight bytes say how long it is.
fn footer(size: u64, tail: &impl Fn(u64, usize) -> Result<Bytes>) -> Result<Part> {
    let too_short = || Failure::internal("the Parquet file is too short");
    let end = tail(size.checked_sub(8).ok_or_else(too_short)?, 8)?;
    let length = end.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
    let start = size.checked_sub(u64::from(length) + 8).ok_or_else(too_short)?;
    let length = usize::try_from(size - start).map_err(|_| too_short())?;
    Ok((start, tail(start, length)?))
}

fn pass(stream: &mut dyn Read, bytes: u64) -> io::Result<()> {
    io::copy(&mut stream.take(bytes), &mut io::sink()).map(|_| ())
}

fn failed(error: ParquetError) -> Failure {
    Failure::parquet("the Parquet file cannot be read", error)
}

fn read_failed(error: io::Error) -> Failure {
    Failure::io("the Parquet file cannot be read", error)
}

impl Window {
    /// In place of what was there before.
    fn put(&self, part: Part) {
        *self.part.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }

    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, bytes) = &*part;
        let offset = start.checked_sub(*first).and_then(|offset| usize::try_from(offset).ok());
        match offset.filter(|offset| *offset <= bytes.len()) {
            Some(offset) => Ok(bytes.slice(offset..)),
            None => Err(ParquetError::General(format!("byte {start} is outside of its column"))),
        }
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Window {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Cursor<Bytes>> {
        self.from(start).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are outside of their column")));
        }
        Ok(bytes.slice(..length))
    }
}
