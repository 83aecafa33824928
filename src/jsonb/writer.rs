//! Writes a jsonb value directly, one pass, into a buffer that is kept between rows.

use super::layout::{ARRAY, COUNT, HAS_OFFSET, Kind, LENGTH, OBJECT, STRIDE};

/// A container whose children are still being written.
pub struct Open {
    next_entry: usize,
    index: usize,
    data: usize,
    last_end: usize,
}

/// A growing jsonb value.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub const fn new() -> Writer {
        Writer { bytes: Vec::new() }
    }

    /// Starts a new value, forgetting the one before but keeping its memory.
    pub fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; 4]);
    }

    /// The finished varlena, with a four-byte header.
    pub fn finish(&mut self) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX >> 2);
        // A four-byte varlena header is the length shifted past its two flag bits (postgres.h), in the byte
        // order of the machine; only little-endian machines put the flags into the low bits.
        let header = if cfg!(target_endian = "little") { length << 2 } else { length };
        self.bytes[..4].copy_from_slice(&header.to_ne_bytes());
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives memory back after an unusually large value.
    pub fn shrink(&mut self, capacity: usize) {
        if self.bytes.capacity() > capacity {
            self.bytes = Vec::with_capacity(capacity);
        }
    }

    /// Opens an object of `count` pairs: write all keys in order with [`Writer::key`], then all values.
    pub fn object(&mut self, count: usize) -> Open {
        self.open(OBJECT, count, count * 2)
    }

    /// Opens an array of `count` elements.
    pub fn array(&mut self, count: usize) -> Open {
        self.open(ARRAY, count, count)
    }

    /// Opens an array of two elements.
    #[inline]
    pub fn pair(&mut self) -> Open {
        self.pad();
        let next_entry = self.bytes.len() + 4;
        let mut head = [0; 12];
        head[..4].copy_from_slice(&(ARRAY | 2).to_ne_bytes());
        self.bytes.extend_from_slice(&head);
        let data = self.bytes.len();
        Open { next_entry, index: 0, data, last_end: data }
    }

    fn open(&mut self, flags: u32, count: usize, children: usize) -> Open {
        self.pad();
        let header = flags | u32::try_from(count).unwrap_or(COUNT);
        self.bytes.extend_from_slice(&header.to_ne_bytes());
        let next_entry = self.bytes.len();
        let data = next_entry + children * 4;
        self.bytes.resize(data, 0);
        Open { next_entry, index: 0, data, last_end: data }
    }

    /// Closes the child that was just written: all bytes since the child before belong to it.
    #[inline]
    pub fn close(&mut self, container: &mut Open, kind: Kind) {
        let end = self.bytes.len();
        let word = if container.index.is_multiple_of(STRIDE) {
            HAS_OFFSET | word(end - container.data)
        } else {
            word(end - container.last_end)
        };
        let entry = kind as u32 | word;
        self.bytes[container.next_entry..container.next_entry + 4].copy_from_slice(&entry.to_ne_bytes());
        container.next_entry += 4;
        container.index += 1;
        container.last_end = end;
    }

    pub fn key(&mut self, container: &mut Open, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.close(container, Kind::String);
    }

    pub fn string(&mut self, container: &mut Open, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.close(container, Kind::String);
    }

    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Pads to the alignment of numbers and containers.
    #[inline]
    pub fn pad(&mut self) {
        let beyond = self.bytes.len() % 4;
        if beyond != 0 {
            self.bytes.extend_from_slice(&[0; 4][beyond..]);
        }
    }

    /// What has been written so far.
    pub fn written(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops what was written after `length`, to replace it.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }
}

/// A jsonb array of these strings, as a whole varlena.
pub fn strings<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    let mut array = writer.array(texts.len());
    for text in texts {
        writer.string(&mut array, text);
    }
    writer.finish();
    writer.bytes
}

fn word(length: usize) -> u32 {
    // The encoder caps values long before a container reaches JENTRY_OFFLENMASK.
    u32::try_from(length).unwrap_or(u32::MAX) & LENGTH
}
