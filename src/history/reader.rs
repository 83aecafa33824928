//! Reads PostgreSQL's binary jsonb where it lies, without building anything.
//!
//! The layout is that of src/include/utils/jsonb.h, which `encode::jsonb` writes. A value is kept with its
//! exact bytes, so that what is copied from one document to another stays what it was.

use pgrx::pg_sys::Datum;

use crate::encode::jsonb::{Kind, Writer};
use crate::pg::datum;

const COUNT: u32 = 0x0FFF_FFFF;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;
const HAS_OFFSET: u32 = 0x8000_0000;
const KIND: u32 = 0x7000_0000;

/// An object, an array, or the array of one that stands for a scalar document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Container<'a> {
    bytes: &'a [u8],
    header: u32,
}

/// A value inside a container. Numbers and containers come without the padding before them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub kind: Kind,
    bytes: &'a [u8],
}

impl<'a> Container<'a> {
    /// The container at the root of a jsonb value, given without its varlena header.
    pub fn root(bytes: &'a [u8]) -> Container<'a> {
        Container { bytes, header: word(bytes, 0) }
    }

    pub fn is_object(self) -> bool {
        self.header & OBJECT != 0
    }

    pub fn is_array(self) -> bool {
        self.header & ARRAY != 0 && self.header & SCALAR == 0
    }

    /// How many pairs or elements it has.
    pub fn len(self) -> usize {
        usize::try_from(self.header & COUNT).unwrap_or(0)
    }

    /// The whole document as one value.
    pub fn value(self) -> Value<'a> {
        let scalar = if self.header & SCALAR != 0 { self.elements().next() } else { None };
        scalar.unwrap_or(Value { kind: Kind::Container, bytes: self.bytes })
    }

    /// The elements of an array.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        Children::new(self, self.len())
    }

    /// The names and values of an object, in jsonb's order of keys.
    pub fn pairs(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let count = self.len();
        let mut values = Children::new(self, count * 2);
        values.skip_keys(count);
        Children::new(self, count * 2).take(count).map(|key| key.bytes).zip(values)
    }

    /// The names of an object, or the strings of an array.
    pub fn names(self) -> impl Iterator<Item = &'a [u8]> {
        let children = if self.is_object() { self.len() * 2 } else { self.len() };
        Children::new(self, children).take(self.len()).map(|name| name.bytes)
    }
}

impl<'a> Value<'a> {
    /// The bytes of a string, or of a numeric with its header.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// What a nested value holds; none of a scalar.
    pub fn container(self) -> Option<Container<'a>> {
        (self.kind == Kind::Container).then(|| Container::root(self.bytes))
    }

    /// Writes the value as a child and returns the type bits of its entry.
    pub fn write(self, writer: &mut Writer) -> Kind {
        if matches!(self.kind, Kind::Number | Kind::Container) {
            writer.pad();
        }
        writer.push(self.bytes);
        self.kind
    }

    /// The value as a jsonb of its own, in the current memory context. `writer` is overwritten.
    pub fn datum(self, writer: &mut Writer) -> Datum {
        writer.begin();
        if self.kind == Kind::Container {
            writer.push(self.bytes);
            return datum::copy(writer.finish());
        }
        let mut array = writer.array(1);
        let kind = self.write(writer);
        writer.close(&mut array, kind);
        let scalar = datum::copy(writer.finish());
        // SAFETY: the header of the array follows the varlena's.
        unsafe { *scalar.cast_mut_ptr::<u32>().add(1) |= SCALAR };
        scalar
    }
}

/// Walks the entries of a container and the bytes that belong to them.
struct Children<'a> {
    bytes: &'a [u8],
    index: usize,
    count: usize,
    data: usize,
    /// Where the child before ended, counted from `data`.
    end: usize,
}

impl<'a> Children<'a> {
    fn new(container: Container<'a>, count: usize) -> Children<'a> {
        Children { bytes: container.bytes, index: 0, count, data: 4 + count * 4, end: 0 }
    }

    /// Passes over the keys of an object.
    fn skip_keys(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.index == self.count {
            return None;
        }
        let entry = word(self.bytes, 4 + self.index * 4);
        let mut start = self.end;
        let length = usize::try_from(entry & COUNT).unwrap_or(0);
        self.end = if entry & HAS_OFFSET != 0 { length } else { start + length };
        self.index += 1;
        let kind = match entry & KIND {
            0x1000_0000 => Kind::Number,
            0x2000_0000 => Kind::False,
            0x3000_0000 => Kind::True,
            0x4000_0000 => Kind::Null,
            0x5000_0000 => Kind::Container,
            _ => Kind::String,
        };
        if matches!(kind, Kind::Number | Kind::Container) {
            start = start.next_multiple_of(4);
        }
        Some(Value { kind, bytes: self.bytes.get(self.data + start..self.data + self.end).unwrap_or_default() })
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}
