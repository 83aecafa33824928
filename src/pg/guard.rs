//! The one guard around a hot entry point.
//!
//! pgrx guards every call into PostgreSQL with a sigsetjmp of its own. The capture path makes dozens of calls a row, so
//! it takes the functions of [`super::raw`] instead and has this guard around the whole: a Rust panic becomes an ERROR
//! here, and an ERROR of PostgreSQL jumps over these frames to our caller, with all its fields.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;

/// Runs `body`, turning a panic into a PostgreSQL ERROR.
///
/// # Safety
/// Must be called from a function that PostgreSQL called. An ERROR raised inside `body` by a raw extern
/// leaves by longjmp, so no frame of `body` may own anything with a destructor across such a call.
#[inline(always)]
pub unsafe fn run<R>(body: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        // SAFETY: called from C per the contract of this function; pgrx turns the payload into an ERROR.
        Err(payload) => unsafe { pg_sys::panic::pgrx_extern_c_guard(move || resume_unwind(payload)) },
    }
}

/// Exports `$body`, a function of fmgr's arguments, under the C name `$symbol`, with the guard around it.
macro_rules! entry_point {
    ($symbol:ident, $information:ident, $body:path) => {
        #[doc = concat!("Says that `", stringify!($symbol), "` follows version 1 of the calling convention.")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $information() -> *const pgrx::pg_sys::Pg_finfo_record {
            static VERSION: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &raw const VERSION
        }

        #[doc = concat!("`", stringify!($body), "` as PostgreSQL calls it.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $symbol(arguments: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: PostgreSQL calls this with valid arguments.
            unsafe { $crate::pg::guard::run(|| $body(arguments)) }
        }
    };
}
pub(crate) use entry_point;
