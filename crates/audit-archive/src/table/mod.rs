//! The Parquet file: the trail as people read it, one row an event.
//!
//! The columns are those of the view `audit.trail`, then the identifiers behind them. Ids of events are text, because
//! Spark shows a UUID of Parquet as bytes.
//!
//! What is encrypted has to open everywhere. DuckDB 1.5 and 2.0 take one key for the footer and all columns, columns
//! without nesting, and one page a column in every row group: with more of either, it computes other authenticated data
//! than the writer did (and where a filter skips rows: README.md). Spark and pyarrow would take anything. So the schema
//! is flat, lists being JSON, and row groups are small enough that a column of one is a page.

mod batch;
mod check;
mod row;

use std::io::Write;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

pub use check::check;
pub use row::Resolver;

use crate::error::{Failure, Result};
use crate::key::Key;
use crate::request::Subject;
use batch::{Batch, Value};

/// How hard the compressor tries. Level 6 would save 3 % and take twice the time.
const LEVEL: i32 = 3;
/// Events in a row group: what an engine reads or skips as a whole.
const ROW_GROUP: usize = 32_768;
/// Bytes of a row group in memory, whatever the number of events.
const ROW_GROUP_BYTES: usize = 24 << 20;
/// Bytes at which a page or a dictionary would end.
const WHOLE_ROW_GROUP: usize = 1 << 30;
/// Columns whose values seldom repeat, but begin as the one before: what differs is stored, which saves a tenth of the
/// file.
const DISTINCT: [&str; 6] = ["event_id", "summary", "entity_id", "old_values", "new_values", "parameters"];
/// Columns that count up.
const ASCENDING: [&str; 4] = ["occurred_at", "transaction_id", "context_id", "writer_transaction_id"];

/// A file being written.
pub struct Table<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    batch: Batch,
}

impl<W: Write + Send> Table<W> {
    pub fn new(out: W, subject: &Subject, key: Option<&Key>) -> Result<Table<W>> {
        let open = || {
            let message = parse_message_type(include_str!("schema.txt"))?;
            let descriptor = SchemaDescriptor::new(Arc::new(message));
            let schema = Arc::new(parquet_to_arrow_schema(&descriptor, None)?);
            let options = ArrowWriterOptions::new()
                .with_properties(properties(subject, key)?)
                .with_skip_arrow_metadata(true)
                .with_parquet_schema(descriptor);
            let batch = Batch::new(&schema);
            Ok(Table { writer: ArrowWriter::try_new_with_options(out, schema.clone(), options)?, schema, batch })
        };
        open().map_err(failed)
    }

    /// Appends an event: a value for every column, in their order.
    fn append<'a>(&mut self, values: impl IntoIterator<Item = Value<'a>>) -> Result<()> {
        self.batch.append(values)?;
        if self.batch.is_full() { self.write_batch() } else { Ok(()) }
    }

    fn write_batch(&mut self) -> Result<()> {
        let batch = self.batch.take(&self.schema)?;
        self.writer.write(&batch).map_err(failed)?;
        if self.writer.memory_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// Writes what is left and the footer, and gives back what was written to.
    pub fn finish(mut self) -> Result<W> {
        self.write_batch()?;
        self.writer.into_inner().map_err(failed)
    }
}

fn properties(subject: &Subject, key: Option<&Key>) -> std::result::Result<WriterProperties, ParquetError> {
    let about = |name: &str, value: &str| KeyValue::new(format!("audit_internal.{name}"), Some(value.to_string()));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_created_by(concat!("audit-archive version ", env!("CARGO_PKG_VERSION")).to_string())
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_data_page_size_limit(WHOLE_ROW_GROUP)
        .set_data_page_row_count_limit(ROW_GROUP)
        .set_dictionary_page_size_limit(WHOLE_ROW_GROUP)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(64))
        .set_key_value_metadata(Some(vec![
            about("archive_id", &subject.archive_id),
            about("server", &subject.server),
            about("database", &subject.database),
            about("partition", &subject.partition),
            about("category", &subject.category),
            about("application", &subject.application),
            about("schema_version", &subject.schema_version.to_string()),
        ]));
    for column in DISTINCT {
        properties = delta(properties, column, Encoding::DELTA_BYTE_ARRAY);
    }
    for column in ASCENDING {
        properties = delta(properties, column, Encoding::DELTA_BINARY_PACKED);
    }
    if let Some(key) = key {
        let encryption = FileEncryptionProperties::builder(key.parquet().to_vec()).build()?;
        properties = properties.with_file_encryption_properties(encryption);
    }
    Ok(properties.build())
}

fn delta(properties: WriterPropertiesBuilder, column: &str, encoding: Encoding) -> WriterPropertiesBuilder {
    let path = ColumnPath::from(column);
    properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding)
}

fn failed(error: ParquetError) -> Failure {
    Failure::parquet("could not write the Parquet file", error)
}
