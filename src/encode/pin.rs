//! Pins the settings that text output depends on, while a row is being written.
//!
//! The variables behind the settings are set directly, which costs nothing beside a row. They are put
//! back after the row, or by the (sub)transaction abort that follows every ERROR.

use core::ffi::CStr;

use pgrx::pg_sys;

use crate::pg::local::Local;
use crate::pg::raw;
use crate::pg::transaction::{self, Step};

#[derive(Clone, Copy)]
struct Saved {
    date_style: i32,
    interval_style: i32,
    extra_float_digits: i32,
    bytea_output: i32,
    time_zone: *mut pg_sys::pg_tz,
}

static SAVED: Local<Option<Saved>> = Local::new(None);
static UTC: Local<*mut pg_sys::pg_tz> = Local::new(core::ptr::null_mut());

const ISO_DATES: i32 = 1;
const POSTGRES_INTERVALS: i32 = 0;
const HEX: i32 = 1;

/// Lets aborts put the settings back.
pub fn register() {
    transaction::register(Step::Output, |_| release());
}

/// Pins the settings; [`release`] puts them back.
pub fn hold() {
    if is_held() {
        return;
    }
    if UTC.get().is_null() {
        // SAFETY: the name is NUL-terminated; a time zone lives as long as the process.
        UTC.set(unsafe { pg_sys::pg_tzset(c"UTC".as_ptr()) });
    }
    // SAFETY: variables of this process, set to values that their settings take.
    unsafe {
        SAVED.set(Some(Saved {
            date_style: pg_sys::DateStyle,
            interval_style: pg_sys::IntervalStyle,
            extra_float_digits: pg_sys::extra_float_digits,
            bytea_output: raw::bytea_output,
            time_zone: pg_sys::session_timezone,
        }));
        pg_sys::DateStyle = ISO_DATES;
        pg_sys::IntervalStyle = POSTGRES_INTERVALS;
        pg_sys::extra_float_digits = 1;
        raw::bytea_output = HEX;
        pg_sys::session_timezone = UTC.get();
    }
}

/// Puts the settings back. Harmless where nothing is pinned, as in an abort callback.
pub fn release() {
    let Some(saved) = SAVED.get() else { return };
    SAVED.set(None);
    // SAFETY: variables of this process, set to what they were.
    unsafe {
        pg_sys::DateStyle = saved.date_style;
        pg_sys::IntervalStyle = saved.interval_style;
        pg_sys::extra_float_digits = saved.extra_float_digits;
        raw::bytea_output = saved.bytea_output;
        pg_sys::session_timezone = saved.time_zone;
    }
}

/// Whether [`hold`] is in force.
pub fn is_held() -> bool {
    SAVED.get().is_some()
}

/// What names and money are written under: names get their schema, unless it is pg_catalog.
const NAMES: [(&CStr, &CStr); 2] = [(c"search_path", c"pg_catalog, pg_temp"), (c"lc_monetary", c"C")];

/// Not every xml value is a document.
const CONTENT: (&CStr, &CStr) = (c"xmloption", c"content");

/// Runs `body` with search_path at pg_catalog before pg_temp, so that names are written with their schema, and
/// lc_monetary at C.
///
/// # Safety
/// Must run inside a transaction. An ERROR in `body` leaves the nest level to the abort, which pops it.
pub unsafe fn with_names(body: impl FnOnce()) {
    // SAFETY: per the contract.
    unsafe { with(&NAMES, body) }
}

/// Runs `body` under all settings that text is written with and, for xml, those under which everything that was written
/// is read.
///
/// # Safety
/// As [`with_names`].
pub unsafe fn for_reading(is_xml: bool, body: impl FnOnce()) {
    // SAFETY: per the contract; an abort puts back what an ERROR in `body` leaves pinned.
    unsafe {
        let nested = is_held();
        hold();
        if is_xml {
            with(&[NAMES[0], NAMES[1], CONTENT], body)
        } else {
            with(&NAMES, body)
        }
        if !nested {
            release();
        }
    }
}

/// Runs `body` under these settings.
///
/// # Safety
/// As [`with_names`].
unsafe fn with(settings: &[(&CStr, &CStr)], body: impl FnOnce()) {
    // SAFETY: the nest level is closed in the same way as a function's SET clause.
    unsafe {
        let nest = pg_sys::NewGUCNestLevel();
        for (name, value) in settings {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        body();
        pg_sys::AtEOXact_GUC(true, nest);
    }
}
