//! Values of keys, from what a person types. No code of a table's owner runs: domains are replaced by what they are
//! made of, and types that cannot be read in that way are refused.

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::codec::Codec;
use super::super::{lookup, pin};
use super::target::{Purpose, Target};
use super::{Problem, value};
use crate::jsonb::Item;

/// How values of one column of a key are read.
pub struct KeyType {
    pub codec: Codec,
    target: Target,
}

impl KeyType {
    /// None where reading a value would run code of the type's owner. What it keeps is allocated in `context`.
    pub fn of(declared: Oid, mut modifier: i32, context: pg_sys::MemoryContext) -> Option<KeyType> {
        // SAFETY: catalog lookups of existing types.
        let (base, read) = unsafe {
            let base = pg_sys::getBaseTypeAndTypmod(declared, &mut modifier);
            let element = pg_sys::get_element_type(base);
            (base, if element == Oid::INVALID { base } else { pg_sys::getBaseType(element) })
        };
        lookup::reads_by_c_code(read).then(|| {
            let codec = Codec::of(base, context);
            let target = Target::of(&codec, base, modifier, Purpose::Key, context);
            KeyType { codec, target }
        })
    }

    /// Whether the trail writes its values as JSON that is no string.
    pub fn is_document(&self) -> bool {
        matches!(self.codec, Codec::Array(_) | Codec::Composite(_) | Codec::Json | Codec::Jsonb)
    }

    /// The value that `item` describes, `None` for NULL; what is wrong with it otherwise. An input function raises an
    /// ERROR.
    pub fn read(&self, item: Item<'_>) -> Result<Option<Datum>, String> {
        let mut result = Ok(None);
        // Dates and times are read as the session reads them; the trail's own form is the same for every session.
        // SAFETY: inside a transaction.
        unsafe { pin::with_names(|| result = value::nullable(&self.codec, &self.target, item)) };
        result.map_err(|problem| match problem {
            Problem::NoValue(why) => why,
            Problem::Mismatch(what) => what,
            Problem::Misfit(type_name) => format!("a value that does not fit {type_name}"),
            Problem::Opaque(type_name) => format!("only the server makes values of type {type_name}"),
        })
    }
}
