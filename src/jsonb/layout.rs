//! The format of src/include/utils/jsonb.h: a container is a header word, an entry word per child and the children's
//! bytes. Words are in the byte order of the machine.
//!
//! The children of an object are its keys, sorted by length, then bytes, followed by its values. Numbers and containers
//! are padded to four bytes, counted from the start of the varlena, and the padding belongs to the child. A scalar
//! document is an array of one element that is marked so.

/// How many pairs or elements a container has, in its header.
pub const COUNT: u32 = 0x0FFF_FFFF;
pub const SCALAR: u32 = 0x1000_0000;
pub const OBJECT: u32 = 0x2000_0000;
pub const ARRAY: u32 = 0x4000_0000;

/// The length of a child, or the offset of its end, in its entry.
pub const LENGTH: u32 = 0x0FFF_FFFF;
const KIND: u32 = 0x7000_0000;
pub const HAS_OFFSET: u32 = 0x8000_0000;
/// Every so many children the entry holds the end offset instead of the length (JB_OFFSET_STRIDE).
pub const STRIDE: usize = 32;

/// The type bits of a child's entry.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    String = 0x0000_0000,
    Number = 0x1000_0000,
    False = 0x2000_0000,
    True = 0x3000_0000,
    Null = 0x4000_0000,
    Container = 0x5000_0000,
}

impl Kind {
    pub fn of(value: bool) -> Kind {
        if value { Kind::True } else { Kind::False }
    }

    /// That of an entry; bits that mean nothing read as a string.
    #[inline]
    pub fn of_entry(entry: u32) -> Kind {
        match entry & KIND {
            0x1000_0000 => Kind::Number,
            0x2000_0000 => Kind::False,
            0x3000_0000 => Kind::True,
            0x4000_0000 => Kind::Null,
            0x5000_0000 => Kind::Container,
            _ => Kind::String,
        }
    }

    /// Whether its bytes begin at a multiple of four.
    #[inline]
    pub fn is_padded(self) -> bool {
        matches!(self, Kind::Number | Kind::Container)
    }
}

/// The word that begins at this byte; 0 beyond the end.
#[inline]
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}
