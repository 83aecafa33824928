//! Reads a jsonb value where it lies, without building anything. A value is kept with its exact bytes, so that what is
//! copied from one document to another stays what it was.
//!
//! Nothing here trusts a count or an offset: what points outside reads as empty.

use pgrx::pg_sys::Datum;

use super::layout::{ARRAY, COUNT, HAS_OFFSET, Kind, LENGTH, OBJECT, SCALAR, word};
use super::writer::Writer;
use crate::pg::datum;

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

/// A value by its kind.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    Null,
    Bool(bool),
    String(&'a [u8]),
    /// A whole numeric, its varlena header included.
    Number(&'a [u8]),
    Array(Container<'a>),
    Object(Container<'a>),
}

impl<'a> Container<'a> {
    /// The container at the root of a jsonb value, given without its varlena header.
    pub fn root(bytes: &'a [u8]) -> Container<'a> {
        Container { bytes, header: word(bytes, 0) }
    }

    /// The container as it stands: header, entries and children.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub fn is_object(self) -> bool {
        self.header & OBJECT != 0
    }

    pub fn is_array(self) -> bool {
        self.header & ARRAY != 0 && self.header & SCALAR == 0
    }

    /// How many pairs or elements it has: of a damaged header no more than there is room for.
    pub fn len(self) -> usize {
        let room = self.bytes.len() / if self.is_object() { 8 } else { 4 };
        usize::try_from(self.header & COUNT).unwrap_or(0).min(room)
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

    /// As [`Container::elements`], to be looked at more than once.
    pub fn items(self) -> Vec<Item<'a>> {
        self.elements().map(Value::item).collect()
    }

    /// As [`Container::pairs`], to be looked at more than once.
    pub fn members(self) -> Vec<(&'a [u8], Item<'a>)> {
        self.pairs().map(|(name, value)| (name, value.item())).collect()
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

    pub fn item(self) -> Item<'a> {
        match self.kind {
            Kind::Null => Item::Null,
            Kind::False => Item::Bool(false),
            Kind::True => Item::Bool(true),
            Kind::String => Item::String(self.bytes),
            Kind::Number => Item::Number(self.bytes),
            Kind::Container => match Container::root(self.bytes) {
                object if object.is_object() => Item::Object(object),
                array => Item::Array(array),
            },
        }
    }

    /// Writes the value as a child and returns the type bits of its entry.
    pub fn write(self, writer: &mut Writer) -> Kind {
        if self.kind.is_padded() {
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

impl<'a> Item<'a> {
    /// The value of a jsonb datum, given without its varlena header.
    pub fn of(payload: &'a [u8]) -> Item<'a> {
        Container::root(payload).value().item()
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Item::Null => "null",
            Item::Bool(_) => "a boolean",
            Item::String(_) => "a string",
            Item::Number(_) => "a number",
            Item::Array(_) => "an array",
            Item::Object(_) => "an object",
        }
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
        let length = usize::try_from(entry & LENGTH).unwrap_or(0);
        self.end = if entry & HAS_OFFSET != 0 { length } else { start + length };
        self.index += 1;
        let kind = Kind::of_entry(entry);
        if kind.is_padded() {
            start = start.next_multiple_of(4);
        }
        Some(Value { kind, bytes: self.bytes.get(self.data + start..self.data + self.end).unwrap_or_default() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.index, Some(self.count - self.index))
    }
}
