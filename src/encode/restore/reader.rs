//! Reads PostgreSQL's binary jsonb in place: the inverse of [`super::super::jsonb`], which describes the layout.
//!
//! Nothing here trusts an offset: what points outside reads as empty.

const COUNT: u32 = 0x0FFF_FFFF;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ENTRY_KIND: u32 = 0x7000_0000;
const ENTRY_LENGTH: u32 = 0x0FFF_FFFF;
const HAS_OFFSET: u32 = 0x8000_0000;

/// One JSON value.
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

impl<'a> Item<'a> {
    /// The value of a jsonb datum, given without its varlena header.
    pub fn of(payload: &'a [u8]) -> Item<'a> {
        let root = Container { bytes: payload };
        if root.header() & SCALAR != 0 {
            return root.children().first().copied().unwrap_or(Item::Null);
        }
        root.item()
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

/// An array or object.
#[derive(Clone, Copy)]
pub struct Container<'a> {
    bytes: &'a [u8],
}

impl<'a> Container<'a> {
    /// The container as it stands: header, entries and children.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The elements of an array.
    pub fn elements(self) -> Vec<Item<'a>> {
        self.children()
    }

    /// The pairs of an object, in jsonb's order of keys.
    pub fn pairs(self) -> Vec<(&'a [u8], Item<'a>)> {
        let children = self.children();
        let (keys, values) = children.split_at(children.len() / 2);
        let key = |item: &Item<'a>| if let Item::String(name) = item { *name } else { b"" };
        keys.iter().map(key).zip(values.iter().copied()).collect()
    }

    fn item(self) -> Item<'a> {
        if self.header() & OBJECT != 0 { Item::Object(self) } else { Item::Array(self) }
    }

    fn header(self) -> u32 {
        self.word(0)
    }

    fn word(self, index: usize) -> u32 {
        let bytes = self.bytes.get(index * 4..index * 4 + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
    }

    /// All children: elements, or keys followed by values.
    fn children(self) -> Vec<Item<'a>> {
        let header = self.header();
        let count = size(header & COUNT) * if header & OBJECT != 0 { 2 } else { 1 };
        // A damaged header must not make us reserve more than there is.
        let count = count.min(self.bytes.len() / 4);
        let data = self.bytes.get(4 + count * 4..).unwrap_or_default();
        let mut start = 0;
        (0..count)
            .map(|index| {
                let entry = self.word(1 + index);
                let length = size(entry & ENTRY_LENGTH);
                let end = if entry & HAS_OFFSET != 0 { length } else { start + length };
                let child = child(entry, data, start, end);
                start = end;
                child
            })
            .collect()
    }
}

/// A child between two offsets; the padding of numbers and containers belongs to the child.
fn child(entry: u32, data: &[u8], start: usize, end: usize) -> Item<'_> {
    let padded = data.get(start.next_multiple_of(4)..end).unwrap_or_default();
    match entry & ENTRY_KIND {
        0x0000_0000 => Item::String(data.get(start..end).unwrap_or_default()),
        0x1000_0000 => Item::Number(padded),
        0x2000_0000 => Item::Bool(false),
        0x3000_0000 => Item::Bool(true),
        0x5000_0000 => Container { bytes: padded }.item(),
        _ => Item::Null,
    }
}

fn size(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
