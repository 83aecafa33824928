//! What the client sent: the statement that is being executed, its comment, its parameters.
//!
//! A comment counts only where it came with this execution. The text of a named prepared statement is as old as the
//! statement, which may now be executed on behalf of another user.

use pgrx::pg_sys;

use super::text;
use crate::encode::codec::Codec;
use crate::encode::value;
use crate::jsonb::{Kind, Writer};
use crate::settings;

/// Where in its text the active portal's statement stands.
///
/// # Safety
/// The portal must be live.
pub unsafe fn location(portal: &pg_sys::PortalData) -> i32 {
    // SAFETY: a portal's statements are PlannedStmt nodes.
    unsafe { planned(portal).map_or(-1, |planned| planned.stmt_location) }
}

/// Whether the client's text has what may be a comment with a trace.
pub fn has_comment() -> bool {
    fresh_text().is_some_and(|text| text.windows(2).any(|pair| pair == b"/*"))
}

/// # Safety
/// The portal must be live.
unsafe fn planned(portal: &pg_sys::PortalData) -> Option<&pg_sys::PlannedStmt> {
    // SAFETY: a portal's statements are PlannedStmt nodes.
    unsafe { crate::pg::list::pointers::<pg_sys::PlannedStmt>(portal.stmts).next()?.as_ref() }
}

/// The text that the client sent for this execution; none for a named prepared statement.
pub fn fresh_text() -> Option<&'static [u8]> {
    // SAFETY: the active portal is live, and its text and the client's are NUL-terminated.
    unsafe {
        let whole = text(pg_sys::debug_query_string)?.to_bytes();
        let Some(portal) = pg_sys::ActivePortal.as_ref() else { return Some(whole) };
        if !portal.prepStmtName.is_null() {
            return None;
        }
        if core::ptr::eq(portal.sourceText, pg_sys::debug_query_string)
            && let Some(planned) = planned(portal)
        {
            return Some(audit_statement::single(whole, planned.stmt_location, planned.stmt_len));
        }
        Some(whole)
    }
}

/// The statement that is being executed.
pub fn statement_text() -> Option<&'static [u8]> {
    // SAFETY: as in `fresh_text`.
    unsafe {
        let Some(portal) = pg_sys::ActivePortal.as_ref() else {
            return Some(text(pg_sys::debug_query_string)?.to_bytes());
        };
        let whole = text(portal.sourceText)?.to_bytes();
        let Some(planned) = planned(portal) else { return Some(whole) };
        Some(audit_statement::single(whole, planned.stmt_location, planned.stmt_len))
    }
}

/// The statement's parameters as `{"$1": …}`.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn parameters() -> Option<Vec<u8>> {
    // SAFETY: a live portal's parameters are an array of numParams entries of the types they say.
    unsafe {
        let list = pg_sys::ActivePortal.as_ref()?.portalParams.as_ref()?;
        let count = usize::try_from(list.numParams).unwrap_or(0);
        if count == 0 || list.paramFetch.is_some() {
            return None;
        }
        let cap = settings::max_value_bytes();
        let mut writer = Writer::new();
        writer.begin();
        let mut object = writer.object(count);
        for number in 1..=count {
            writer.key(&mut object, format!("${number}").as_bytes());
        }
        for parameter in list.params.as_slice(count) {
            let kind = if parameter.isnull || parameter.ptype == pg_sys::InvalidOid {
                Kind::Null
            } else {
                let is_varlena = pg_sys::get_typlen(parameter.ptype) == -1;
                if is_varlena && crate::encode::large::is_over(&writer, cap, parameter.value) {
                    crate::encode::large::write(&mut writer, parameter.value)
                } else {
                    let codec = Codec::of(parameter.ptype, pg_sys::CurrentMemoryContext);
                    value::write(&mut writer, &codec, parameter.value)
                }
            };
            writer.close(&mut object, kind);
        }
        Some(writer.finish().to_vec())
    }
}
