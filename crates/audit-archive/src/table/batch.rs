//! Rows on their way into the file, a column at a time.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};

use crate::error::{Failure, Result};

/// Rows in a batch.
const ROWS: usize = 4096;
/// Bytes of text in a batch, whatever the number of rows. Offsets of 32 bits address the longest document beyond them.
const BYTES: usize = 8 << 20;

/// A value of a row.
pub enum Value<'a> {
    Text(Option<&'a str>),
    Integer(i32),
    Bigint(i64),
    /// Microseconds since 1970.
    Time(i64),
}

pub struct Batch {
    columns: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

enum Builder {
    Text(StringBuilder),
    Integer(Int32Builder),
    Bigint(Int64Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Batch {
    pub fn new(schema: &Schema) -> Batch {
        let columns = schema.fields().iter().map(|field| Builder::of(field.data_type())).collect();
        Batch { columns, rows: 0, bytes: 0 }
    }

    pub fn append<'a>(&mut self, values: impl IntoIterator<Item = Value<'a>>) -> Result<()> {
        let mut values = values.into_iter();
        for column in &mut self.columns {
            let value = values.next().ok_or_else(|| Failure::internal("a row has too few values"))?;
            self.bytes += column.append(value)?;
        }
        self.rows += 1;
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.rows >= ROWS || self.bytes >= BYTES
    }

    /// The rows so far, and begins anew.
    pub fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        (self.rows, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(Builder::finish).collect();
        RecordBatch::try_new(schema.clone(), columns)
            .map_err(|error| Failure::internal(format!("rows do not fit the Parquet schema: {error}")))
    }
}

impl Builder {
    fn of(data_type: &DataType) -> Builder {
        match data_type {
            DataType::Int32 => Builder::Integer(Int32Builder::new()),
            DataType::Int64 => Builder::Bigint(Int64Builder::new()),
            DataType::Timestamp(..) => {
                Builder::Time(TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()))
            }
            _ => Builder::Text(StringBuilder::new()),
        }
    }

    /// Appends the value and says how long its text is.
    fn append(&mut self, value: Value<'_>) -> Result<usize> {
        match (self, value) {
            (Builder::Text(builder), Value::Text(text)) => {
                builder.append_option(text);
                return Ok(text.map_or(0, str::len));
            }
            (Builder::Integer(builder), Value::Integer(value)) => builder.append_value(value),
            (Builder::Bigint(builder), Value::Bigint(value)) => builder.append_value(value),
            (Builder::Time(builder), Value::Time(value)) => builder.append_value(value),
            _ => return Err(Failure::internal("a value is not of its column's type")),
        }
        Ok(0)
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
            Builder::Bigint(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
        }
    }
}
