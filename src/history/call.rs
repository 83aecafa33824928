//! Arguments of functions over jsonb and text.

use crate::jsonb::Container;
use crate::pg::arguments::Arguments;

/// An argument of type integer, 0 for NULL.
pub fn integer(arguments: Arguments, position: usize) -> i32 {
    arguments.datum(position).map_or(0, |value| value.value() as i32)
}

/// An argument of type jsonb; it lives as long as the call.
pub fn jsonb(arguments: Arguments, position: usize) -> Option<Container<'static>> {
    arguments.bytes(position).map(Container::root)
}
