//! `audit.set_context`: who and why, in one call, for applications that do not write SET LOCAL themselves.

use core::ffi::CStr;
use std::ffi::CString;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

use crate::error::Error;
use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::raw;
use crate::settings;

entry_point!(audit_set_context, pg_finfo_audit_set_context, set_context);

/// `audit.set_context(actor text, trace_id text, reason text, context jsonb, local boolean) returns void`: null
/// leaves a value as it is, an empty text unsets it.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn set_context(arguments: FunctionCallInfo) -> Datum {
    // SAFETY: the arguments are of the types in the declaration.
    unsafe {
        let arguments = Arguments::new(arguments);
        let is_local = arguments.datum(4).is_none_or(|local| local.value() as u8 != 0);
        let context = arguments.varlena(3).map(|context| object_text(context));
        if is_local && !pg_sys::IsTransactionBlock() {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_NO_ACTIVE_SQL_TRANSACTION,
                "audit.set_context has no effect beyond this statement outside a transaction block",
                function_name!(),
            )
            .set_hint("Call it after BEGIN, or with local => false.")
            .report(PgLogLevel::WARNING);
        }
        for (name, value) in [
            (c"audit.actor", arguments.bytes(0).map(<[u8]>::to_vec)),
            (c"audit.trace_id", arguments.bytes(1).map(<[u8]>::to_vec)),
            (c"audit.reason", arguments.bytes(2).map(<[u8]>::to_vec)),
            (c"audit.context", context),
        ] {
            if let Some(value) = value.and_then(|value| CString::new(value).ok()) {
                set(name, &value, is_local);
            }
        }
    }
    Datum::null()
}

/// # Safety
/// Must run inside a transaction.
unsafe fn set(name: &CStr, value: &CStr, is_local: bool) {
    let action = if is_local { pg_sys::GucAction::GUC_ACTION_LOCAL } else { pg_sys::GucAction::GUC_ACTION_SET };
    // SAFETY: as SET and SET LOCAL do it.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// The text of a jsonb object.
///
/// # Safety
/// `jsonb` must be a whole jsonb varlena.
unsafe fn object_text(jsonb: &[u8]) -> Vec<u8> {
    let length = i32::try_from(jsonb.len()).unwrap_or(0);
    // SAFETY: the container follows the varlena header; the text is NUL-terminated.
    let text = unsafe {
        let container = jsonb.as_ptr().add(4).cast_mut().cast();
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            CStr::from_ptr(raw::JsonbToCString(core::ptr::null_mut(), container, length))
        })
    };
    if !settings::is_object(text.to_bytes()) {
        Error::BadArgument {
            problem: "context must be a JSON object".into(),
            hint: "For example {\"ticket\": \"OPS-7\"}.",
        }
        .raise();
    }
    text.to_bytes().to_vec()
}
