//! PostgreSQL's own format (`pglz_decompress` in `src/common/pg_lzcompress.c`).
//!
//! A control byte holds eight flags, lowest bit first, for the eight items that follow: a literal byte, or a
//! reference of two or three bytes. A reference has a 12-bit offset and a length of 3 to 17, or of 18 to 273 with the
//! third byte.

use crate::window::Window;
use crate::{Corrupt, Sink};

/// One more than the greatest offset.
pub const REACH: usize = 4 * 1024;

/// The length that means that a third byte adds to it.
const LONG: usize = 18;

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default)]
pub enum Pglz {
    /// Flags of the next items.
    #[default]
    Control,
    /// The first byte of an item. The lowest flag is its own; a set bit above the last flag marks their end.
    Item { flags: u16 },
    /// The second byte of a reference: the low bits of its offset.
    Offset { flags: u16, first: u8 },
    /// The third byte of a long reference.
    Length { flags: u16, offset: usize },
}

impl Pglz {
    /// Reads on in `chunk`. After the declared size not a byte may follow, not even an unused flag's item.
    pub fn read(&mut self, chunk: &[u8], window: &mut Window, sink: Sink) -> Result<(), Corrupt> {
        for &byte in chunk {
            if window.room() == 0 {
                return Err(Corrupt::Surplus);
            }
            *self = self.step(byte, window, sink)?;
        }
        Ok(())
    }

    fn step(self, byte: u8, window: &mut Window, sink: Sink) -> Result<Self, Corrupt> {
        match self {
            Self::Control => Ok(Self::Item { flags: u16::from(byte) | 0x100 }),
            Self::Item { flags } if flags & 1 == 1 => Ok(Self::Offset { flags, first: byte }),
            Self::Item { flags } => {
                window.append(&[byte], sink)?;
                Ok(Self::after(flags))
            }
            Self::Offset { flags, first } => {
                let offset = (usize::from(first & 0xF0) << 4) | usize::from(byte);
                match usize::from(first & 0x0F) + 3 {
                    LONG => Ok(Self::Length { flags, offset }),
                    length => Self::refer(flags, offset, length, window, sink),
                }
            }
            Self::Length { flags, offset } => Self::refer(flags, offset, LONG + usize::from(byte), window, sink),
        }
    }

    /// PostgreSQL lets a reference reach beyond the end of the value and takes what fits.
    fn refer(flags: u16, offset: usize, length: usize, window: &mut Window, sink: Sink) -> Result<Self, Corrupt> {
        window.repeat(offset, length.min(window.room()), sink)?;
        Ok(Self::after(flags))
    }

    fn after(flags: u16) -> Self {
        match flags >> 1 {
            1 => Self::Control,
            flags => Self::Item { flags },
        }
    }
}
