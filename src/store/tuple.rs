//! Forms the heap tuple of an event in a buffer that is kept between events.
//!
//! The layout is that of src/include/access/htup_details.h. The columns are those of the model, in their order;
//! trailing NULLs are left off, which PostgreSQL reads as it reads rows older than a column.

use audit_model::Column;
use pgrx::pg_sys::{self, Datum};

use crate::event::Event;

const HEADER: usize = 23;
/// The first column that may be NULL.
pub const FIRST_OPTIONAL: usize = Column::EntityId as usize;
/// Columns of fixed size, which come first. The category is the varlena that every event has.
const FIXED_COLUMNS: usize = Column::Category as usize;
/// Bytes of those columns, which need no padding between them.
const FIXED: usize = {
    let (mut bytes, mut position) = (0, 0);
    while position < FIXED_COLUMNS {
        if let Some(size) = Column::ALL[position].data_type().size() {
            bytes += size;
        }
        position += 1;
    }
    bytes
};
/// Columns that may be NULL and are varlenas. After them come the transaction of the subject, which a backend leaves
/// NULL, and the retention.
const OPTIONAL: usize = Column::SubjectTransactionId as usize - FIRST_OPTIONAL;

/// What the writer adds to an event.
pub struct Stamp {
    pub occurred_at: i64,
    pub id: [u8; 16],
    pub transaction_id: i64,
    pub context_id: i64,
    pub node_id: i32,
}

/// A tuple under construction. Words, so that it is aligned as PostgreSQL wants it.
pub struct Former {
    words: Vec<u64>,
    length: usize,
    /// Where the varlenas begin, the category first; 0 for NULL.
    starts: [usize; Column::COUNT - FIXED_COLUMNS],
}

impl Former {
    pub const fn new() -> Former {
        Former { words: Vec::new(), length: 0, starts: [0; Column::COUNT - FIXED_COLUMNS] }
    }

    /// Forms the tuple for a partition that has this many of the columns; it lives until the next call.
    pub fn form(&mut self, event: &Event, stamp: &Stamp, columns: usize) -> pg_sys::HeapTupleData {
        // Of jsonb, which comes with a four-byte header, the payload.
        let optional: [Option<&[u8]>; OPTIONAL] = [
            event.entity_id,
            event.changes.map(payload),
            event.image.map(payload),
            event.entity_label,
            event.parameters.map(payload),
            event.new_entity_id,
            event.entity,
            if event.failed { Some(b"failure".as_slice()) } else { None },
        ];
        let present = optional.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        // A partition of an older catalog lacks the last ones.
        let present = present.min(columns - FIRST_OPTIONAL);
        let retention_id = event.retention_id.filter(|_| columns == Column::COUNT);
        let optional = &optional[..present];
        let attributes = if retention_id.is_some() { Column::COUNT } else { FIRST_OPTIONAL + present };
        let has_nulls = attributes > FIRST_OPTIONAL + present || optional.iter().any(Option::is_none);
        let bitmap = if has_nulls { attributes.div_ceil(8) } else { 0 };
        let start = (HEADER + bitmap).next_multiple_of(8);

        self.clear(start + FIXED + 24 + optional.iter().flatten().map(|value| value.len() + 8).sum::<usize>());
        self.words[..start / 8].fill(0);
        self.length = start;
        self.push(&fixed(event, stamp));
        self.starts = [0; Column::COUNT - FIXED_COLUMNS];
        self.starts[0] = self.varlena(event.category.name().as_bytes());
        for (position, value) in optional.iter().enumerate() {
            if let Some(value) = value {
                self.starts[1 + position] = self.varlena(value);
            }
        }
        if let Some(retention_id) = retention_id {
            let aligned = self.length.next_multiple_of(4);
            self.push(&[0; 4][..aligned - self.length]);
            self.push(&retention_id.to_ne_bytes());
        }
        self.header(attributes, start, has_nulls, optional)
    }

    fn header(
        &mut self,
        attributes: usize,
        start: usize,
        has_nulls: bool,
        optional: &[Option<&[u8]>],
    ) -> pg_sys::HeapTupleData {
        let length = self.length;
        let bytes = self.bytes();
        if has_nulls {
            bytes[HEADER..HEADER + attributes.div_ceil(8)].fill(0);
            for attribute in 0..attributes {
                // The last column is that of fixed size, where the tuple goes so far.
                let is_present = attribute < FIRST_OPTIONAL
                    || attribute == Column::RetentionId as usize
                    || optional.get(attribute - FIRST_OPTIONAL).is_some_and(Option::is_some);
                if is_present {
                    bytes[HEADER + attribute / 8] |= 1 << (attribute % 8);
                }
            }
        }
        let header = bytes.as_mut_ptr().cast::<pg_sys::HeapTupleHeaderData>();
        // SAFETY: the buffer is aligned to eight bytes and longer than a tuple header.
        unsafe {
            (*header).t_infomask2 = u16::try_from(attributes).unwrap_or(0);
            let mask = pg_sys::HEAP_HASVARWIDTH | if has_nulls { pg_sys::HEAP_HASNULL } else { 0 };
            (*header).t_infomask = u16::try_from(mask).unwrap_or(0);
            (*header).t_hoff = u8::try_from(start).unwrap_or(0);
        }
        pg_sys::HeapTupleData { t_len: u32::try_from(length).unwrap_or(0), t_data: header, ..Default::default() }
    }

    /// A column of the event that was formed last, for an index over it: `None` for NULL. It lives as long as the
    /// tuple.
    pub fn value(&self, column: Column, event: &Event, stamp: &Stamp) -> Option<Datum> {
        Some(match column {
            Column::OccurredAt => Datum::from(stamp.occurred_at),
            Column::EventId => Datum::from(stamp.id.as_ptr().cast_mut()),
            Column::TransactionId => Datum::from(stamp.transaction_id),
            Column::ContextId => Datum::from(stamp.context_id),
            Column::NodeId => Datum::from(stamp.node_id),
            Column::EventType => Datum::from(event.event_type),
            Column::RelationId => Datum::from(event.relation_id),
            Column::CommandId => Datum::from(event.command_id.cast_signed()),
            Column::RetentionId => Datum::from(event.retention_id?),
            _ => {
                let start = self.starts.get(column as usize - FIXED_COLUMNS).copied().filter(|start| *start != 0)?;
                // SAFETY: the varlena begins there, in the tuple.
                Datum::from(unsafe { self.words.as_ptr().cast::<u8>().add(start) }.cast_mut())
            }
        })
    }

    fn clear(&mut self, room: usize) {
        let words = room.div_ceil(8);
        if self.words.len() < words {
            self.words.resize(words, 0);
        } else if self.words.len() > 1 << 17 && words < 1 << 14 {
            self.words = vec![0; words];
        }
        self.length = 0;
    }

    fn bytes(&mut self) -> &mut [u8] {
        let length = self.words.len() * 8;
        // SAFETY: the words are initialised memory of this many bytes.
        unsafe { core::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), length) }
    }

    #[inline]
    fn push(&mut self, value: &[u8]) {
        let from = self.length;
        self.bytes()[from..from + value.len()].copy_from_slice(value);
        self.length += value.len();
    }

    /// A varlena with the shortest header that fits: one byte up to 126 bytes of payload, else four, aligned. Returns
    /// where it begins.
    fn varlena(&mut self, payload: &[u8]) -> usize {
        let mut start = self.length;
        if payload.len() <= 126 {
            let length = u8::try_from(payload.len() + 1).unwrap_or(0);
            let header = if cfg!(target_endian = "little") { length << 1 | 1 } else { length | 0x80 };
            self.push(&[header]);
        } else {
            let aligned = self.length.next_multiple_of(4);
            self.push(&[0; 4]);
            self.length = aligned;
            start = aligned;
            let length = u32::try_from(payload.len() + 4).unwrap_or(0);
            let header = if cfg!(target_endian = "little") { length << 2 } else { length };
            self.push(&header.to_ne_bytes());
        }
        self.push(payload);
        start
    }
}

/// The columns of fixed size, which come first.
#[inline]
fn fixed(event: &Event, stamp: &Stamp) -> [u8; FIXED] {
    let mut bytes = [0; FIXED];
    bytes[..8].copy_from_slice(&stamp.occurred_at.to_ne_bytes());
    bytes[8..24].copy_from_slice(&stamp.id);
    bytes[24..32].copy_from_slice(&stamp.transaction_id.to_ne_bytes());
    bytes[32..40].copy_from_slice(&stamp.context_id.to_ne_bytes());
    bytes[40..44].copy_from_slice(&stamp.node_id.to_ne_bytes());
    bytes[44..48].copy_from_slice(&event.event_type.to_ne_bytes());
    bytes[48..52].copy_from_slice(&event.relation_id.to_ne_bytes());
    bytes[52..].copy_from_slice(&event.command_id.to_ne_bytes());
    bytes
}

/// What follows the four-byte header of a varlena.
fn payload(varlena: &[u8]) -> &[u8] {
    &varlena[4..]
}
