//! The LZ4 block format (`doc/lz4_Block_format.md` of LZ4).
//!
//! A block is sequences of a token, literals and a reference; the last sequence ends after its literals. That the
//! last five bytes of a block are literals is a rule for compressors and not asked for here.

use crate::window::Window;
use crate::{Corrupt, Sink};

/// One more than the greatest offset.
pub const REACH: usize = 64 * 1024;

/// What the next byte is. `literals` counts those still to come; `length` is that of the reference after them.
#[derive(Clone, Copy, Debug, Default)]
pub enum Lz4 {
    /// Two lengths of four bits each; 15 means that more of it follows.
    #[default]
    Token,
    /// More of the literals' number; 255 means that yet more follows.
    MoreLiterals { literals: usize, length: usize },
    /// A literal.
    Literal { literals: usize, length: usize },
    /// The low byte of an offset.
    OffsetLow { length: usize },
    /// The high byte of an offset.
    OffsetHigh { length: usize, low: u8 },
    /// More of a reference's length; 255 means that yet more follows.
    MoreLength { length: usize, offset: usize },
}

impl Lz4 {
    /// Reads on in `chunk`.
    pub fn read(&mut self, mut chunk: &[u8], window: &mut Window, sink: Sink) -> Result<(), Corrupt> {
        while let [byte, rest @ ..] = chunk {
            if let Self::Literal { literals, length } = *self {
                let (now, later) = chunk.split_at(literals.min(chunk.len()));
                window.append(now, sink)?;
                *self = Self::after_number(literals - now.len(), length);
                chunk = later;
            } else {
                *self = self.step(*byte, window, sink)?;
                chunk = rest;
            }
        }
        Ok(())
    }

    /// Whether the block can be over here.
    pub fn may_end(self) -> bool {
        matches!(self, Self::OffsetLow { .. })
    }

    fn step(self, byte: u8, window: &mut Window, sink: Sink) -> Result<Self, Corrupt> {
        match self {
            Self::Token => {
                let length = usize::from(byte & 0x0F) + 4;
                match usize::from(byte >> 4) {
                    literals @ 15 => Ok(Self::MoreLiterals { literals, length }),
                    literals => Ok(Self::after_number(literals, length)),
                }
            }
            Self::MoreLiterals { literals, length } => {
                let literals = add(literals, byte, window)?;
                match byte {
                    255 => Ok(Self::MoreLiterals { literals, length }),
                    _ => Ok(Self::after_number(literals, length)),
                }
            }
            Self::Literal { literals, length } => {
                window.append(&[byte], sink)?;
                Ok(Self::after_number(literals.saturating_sub(1), length))
            }
            Self::OffsetLow { length } => Ok(Self::OffsetHigh { length, low: byte }),
            Self::OffsetHigh { length, low } => {
                let offset = usize::from(u16::from_le_bytes([low, byte]));
                match length {
                    19 => Ok(Self::MoreLength { length, offset }),
                    _ => window.repeat(offset, length, sink).map(|()| Self::Token),
                }
            }
            Self::MoreLength { length, offset } => {
                let length = add(length, byte, window)?;
                match byte {
                    255 => Ok(Self::MoreLength { length, offset }),
                    _ => window.repeat(offset, length, sink).map(|()| Self::Token),
                }
            }
        }
    }

    fn after_number(literals: usize, length: usize) -> Self {
        match literals {
            0 => Self::OffsetLow { length },
            _ => Self::Literal { literals, length },
        }
    }
}

/// A length with another byte of it, refused as soon as it is more than the value can hold.
fn add(length: usize, byte: u8, window: &Window) -> Result<usize, Corrupt> {
    match length + usize::from(byte) {
        length if length > window.room() => Err(Corrupt::Surplus),
        length => Ok(length),
    }
}
