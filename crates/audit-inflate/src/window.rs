//! The end of what was decompressed: at least as much as a back reference can reach.
//!
//! The bytes stand in one buffer of at most twice the reach, so that no copy wraps around; when it is full, its older
//! half goes. That moves each byte at most once.

use crate::{Corrupt, Sink};

/// A buffer between the decompressor and the sink.
#[derive(Debug)]
pub struct Window {
    buffer: Vec<u8>,
    /// How much of the buffer the sink has got.
    sent: usize,
    reach: usize,
    /// How much is still missing of the declared size.
    room: usize,
}

impl Window {
    /// A window for a value of `size` bytes whose references reach back less than `reach` bytes.
    pub fn new(size: usize, reach: usize) -> Self {
        Self { buffer: Vec::with_capacity(size.min(2 * reach)), sent: 0, reach, room: size }
    }

    /// How many bytes of the value are still missing.
    #[inline]
    pub fn room(&self) -> usize {
        self.room
    }

    /// Adds bytes to the value.
    pub fn append(&mut self, mut bytes: &[u8], sink: Sink) -> Result<(), Corrupt> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(Corrupt::Surplus)?;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.space(sink).min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Adds `length` bytes that are equal to those `offset` before them, which may include some of themselves.
    pub fn repeat(&mut self, offset: usize, mut length: usize, sink: Sink) -> Result<(), Corrupt> {
        if offset == 0 || offset > self.buffer.len() {
            return Err(Corrupt::Reference);
        }
        self.room = self.room.checked_sub(length).ok_or(Corrupt::Surplus)?;
        while length > 0 {
            let mut stretch = length.min(self.space(sink));
            length -= stretch;
            // What stands between repeats, so each step can copy twice as much as the one before.
            let mut distance = offset;
            while stretch > 0 {
                let step = stretch.min(distance);
                let start = self.buffer.len() - distance;
                self.buffer.extend_from_within(start..start + step);
                stretch -= step;
                distance += step;
            }
        }
        Ok(())
    }

    /// Gives the sink all that it has not got.
    pub fn flush(&mut self, sink: Sink) {
        match self.buffer.get(self.sent..) {
            None | Some([]) => {}
            Some(unsent) => sink(unsent),
        }
        self.sent = self.buffer.len();
    }

    /// How much fits into the buffer, never zero: a full one gives up what no reference can reach.
    fn space(&mut self, sink: Sink) -> usize {
        if self.buffer.len() == 2 * self.reach {
            self.flush(sink);
            self.buffer.drain(..self.reach);
            self.sent = self.buffer.len();
        }
        2 * self.reach - self.buffer.len()
    }
}
