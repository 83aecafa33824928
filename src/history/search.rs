//! Whether an event contains a word: what `audit.search` asks of every event that other filters leave.

use pgrx::PgMemoryContexts;
use pgrx::pg_sys::{Datum, FunctionCallInfo};

use super::call;
use super::word::Word;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;

entry_point!(audit_contains_word, pg_finfo_audit_contains_word, contains_word);

/// The word of a call site: it is the same for all events of a query.
struct Prepared {
    given: Vec<u8>,
    word: Word,
}

/// `contains_word(word text, texts of an event, its documents) returns boolean`: how many of either follows from the
/// types.
///
/// # Safety
/// Called by PostgreSQL with a text, four texts and three jsonb values.
unsafe fn contains_word(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/read/search.sql. What is prepared lives as long as the call site.
    unsafe {
        let call = Arguments::new(arguments);
        let Some(given) = call.bytes(0) else { return call.null() };
        let word = prepared(arguments, given);
        let is_found = (1..=4).any(|position| call.bytes(position).is_some_and(|text| word.is_in(text)))
            || (5..=7).any(|position| call::jsonb(call, position).is_some_and(|values| word.is_in_values(values)));
        Datum::from(is_found)
    }
}

/// # Safety
/// The call must be current.
unsafe fn prepared(arguments: FunctionCallInfo, given: &[u8]) -> &'static Word {
    // SAFETY: the call site's memory is ours to use, and is given back with the call site.
    unsafe {
        let site = (*arguments).flinfo;
        let known = (*site).fn_extra.cast::<Prepared>();
        if known.is_null() || (*known).given != given {
            let prepared = Prepared { given: given.to_vec(), word: Word::new(given) };
            (*site).fn_extra = PgMemoryContexts::For((*site).fn_mcxt).leak_and_drop_on_delete(prepared).cast();
        }
        &(*(*site).fn_extra.cast::<Prepared>()).word
    }
}
