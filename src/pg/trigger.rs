//! The trigger protocol of src/include/commands/trigger.h, and the triggers that a relation has.

use pgrx::pg_sys::{self, FunctionCallInfo};

/// What a trigger fired for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Delete,
    Update,
    Truncate,
}

impl Operation {
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Delete => "delete",
            Operation::Update => "update",
            Operation::Truncate => "truncate",
        }
    }
}

const ROW: u32 = 4;
const BEFORE: u32 = 8;
const TIMING: u32 = 0x18;

/// A trigger's call.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub data: &'a pg_sys::TriggerData,
    pub operation: Operation,
}

impl<'a> Call<'a> {
    /// The call behind these arguments; none where the function was not called by the trigger manager.
    ///
    /// # Safety
    /// The arguments must be those of the current call.
    #[inline]
    pub unsafe fn of(arguments: FunctionCallInfo) -> Option<Call<'a>> {
        // SAFETY: the context's node tag says what it is.
        unsafe {
            let context = (*arguments).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return None;
            }
            let data = &*context.cast::<pg_sys::TriggerData>();
            let operation = match data.tg_event & 3 {
                0 => Operation::Insert,
                1 => Operation::Delete,
                2 => Operation::Update,
                _ => Operation::Truncate,
            };
            Some(Call { data, operation })
        }
    }

    pub fn is_after_row(self) -> bool {
        self.data.tg_event & ROW != 0 && self.data.tg_event & TIMING == 0
    }

    pub fn is_before_row(self) -> bool {
        self.data.tg_event & ROW != 0 && self.data.tg_event & TIMING == BEFORE
    }

    /// What a row trigger returns to let the operation go on unaltered.
    pub fn unaltered(self) -> pg_sys::HeapTuple {
        match self.operation {
            Operation::Update => self.data.tg_newtuple,
            _ => self.data.tg_trigtuple,
        }
    }

    pub fn is_before_statement(self) -> bool {
        self.data.tg_event & ROW == 0 && self.data.tg_event & TIMING == BEFORE
    }
}

/// The triggers of an open relation.
///
/// # Safety
/// The relation must be open.
pub unsafe fn triggers<'a>(target: pg_sys::Relation) -> &'a [pg_sys::Trigger] {
    // SAFETY: the description has numtriggers entries.
    unsafe {
        match (*target).trigdesc.as_ref() {
            Some(description) => {
                core::slice::from_raw_parts(description.triggers, usize::try_from(description.numtriggers).unwrap_or(0))
            }
            None => &[],
        }
    }
}
