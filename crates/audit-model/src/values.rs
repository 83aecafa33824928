//! The rules by which the values before and the values after are read from a row event.
//!
//! Whole rows are arrays of values without names, in the order of `recorded_columns` of the table's version. Where the
//! version is lost, or does not have as many names, columns are called by their place, from 1 on.

/// Which side of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Side {
    Old,
    New,
}

/// What a row event holds in the column `changes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changes {
    /// A whole row, the values of this side; the other side has none.
    Row(Side),
    /// The changed columns: `{column: [old, new]}`, or an array of their names at level minimal.
    Columns,
}

/// What the stored `changes` are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Array,
    Object,
}

/// Where the values of one side are read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// `changes` is the whole row.
    Row,
    /// `image` is the whole row.
    Image,
    /// `image` is the whole row, in which the new values of `changes` replace the old.
    Overlay,
    /// `changes` has the values of both sides; what is not a pair there stands for both.
    Columns,
}

impl Changes {
    /// Whether events may have values of this side: if not, neither document needs to be read.
    #[inline]
    pub const fn has(self, side: Side) -> bool {
        match self {
            Changes::Row(held) => held as usize == side as usize,
            Changes::Columns => true,
        }
    }

    /// Where the values of this side are, given the shape of `changes`, if they are stored, and whether there is an
    /// image: that of the whole old row, of an update at level comprehensive.
    #[inline]
    pub const fn source(self, side: Side, changes: Option<Shape>, has_image: bool) -> Option<Source> {
        match (self, changes, side) {
            (Changes::Row(_), Some(_), _) if self.has(side) => Some(Source::Row),
            (Changes::Row(_), ..) => None,
            (Changes::Columns, Some(Shape::Object), Side::New) if has_image => Some(Source::Overlay),
            (Changes::Columns, ..) if has_image => Some(Source::Image),
            (Changes::Columns, Some(Shape::Object), _) => Some(Source::Columns),
            (Changes::Columns, ..) => None,
        }
    }
}
