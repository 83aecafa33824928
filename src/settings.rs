//! Every `audit.*` setting: what it does and what it costs.
//!
//! The strings that say who and why are read for every row, so they are kept as PostgreSQL's own
//! variables, and a counter says when one of them was assigned: equal counters, equal texts.

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static MAX_VALUE_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1 << 20);
static TRUNCATE_ROWS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static REPLICATE: GucSetting<bool> = GucSetting::<bool>::new(false);
static PARTITION_SIZE: GucSetting<i32> = GucSetting::<i32>::new(10 << 10);
#[cfg(feature = "testing")]
static CLOCK_OFFSET: GucSetting<i32> = GucSetting::<i32>::new(0);
#[cfg(feature = "testing")]
static CRASH_AT: Text = Text::new();
static NAPTIME: GucSetting<i32> = GucSetting::<i32>::new(180);

static ACTOR: Text = Text::new();
static TRACE_ID: Text = Text::new();
static REASON: Text = Text::new();
static CONTEXT: Text = Text::new();
static HASH_KEY_FILE: Text = Text::new();
static SERVER_NAME: Text = Text::new();
static ARCHIVE_LOCATION: Text = Text::new();
static ARCHIVE_KEY_FILE: Text = Text::new();
static ARCHIVE_OPTIONS: Text = Text::new();
static ARCHIVE_PROGRAM: Text = Text::new();
static TABLESPACE: Text = Text::new();

static ASSIGNMENTS: AtomicU64 = AtomicU64::new(0);

/// A string setting: PostgreSQL's own variable, which it writes between calls and on the same thread. Atomic because a
/// static has to be; a relaxed load is a plain one.
struct Text(AtomicPtr<c_char>);

impl Text {
    const fn new() -> Text {
        Text(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// `None` where it is not set.
    fn get(&self) -> Option<&'static CStr> {
        // SAFETY: null or NUL-terminated until PostgreSQL assigns the setting again.
        unsafe { text(self.0.load(Relaxed)) }
    }

    fn define(
        &'static self,
        name: &'static CStr,
        description: &'static CStr,
        context: pg_sys::GucContext::Type,
        check: pg_sys::GucStringCheckHook,
    ) {
        let none = core::ptr::null();
        // SAFETY: all that PostgreSQL keeps is 'static; called while the library is being loaded.
        unsafe {
            pg_sys::DefineCustomStringVariable(
                name.as_ptr(),
                description.as_ptr(),
                none,
                self.0.as_ptr(),
                none,
                context,
                0,
                check,
                Some(assigned),
                None,
            );
        }
    }
}

/// Whether changes are recorded.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// The size in bytes from which a value is replaced by its length and digest.
pub fn max_value_bytes() -> usize {
    usize::try_from(MAX_VALUE_BYTES.get()).unwrap_or(0)
}

/// How many row images a TRUNCATE keeps at level comprehensive.
pub fn truncate_rows() -> i64 {
    i64::from(TRUNCATE_ROWS.get())
}

/// Whether events are visible to logical replication.
pub fn replicate() -> bool {
    REPLICATE.get()
}

/// How long the launcher waits between two runs in a database, in seconds.
pub fn naptime() -> u32 {
    u32::try_from(NAPTIME.get()).unwrap_or(1)
}

/// Changes whenever a string setting is assigned.
pub fn assignments() -> u64 {
    ASSIGNMENTS.load(Relaxed)
}

/// The application user, where one is set.
pub fn actor() -> Option<&'static CStr> {
    ACTOR.get()
}

pub fn trace_id() -> Option<&'static CStr> {
    TRACE_ID.get()
}

pub fn reason() -> Option<&'static CStr> {
    REASON.get()
}

/// A jsonb object as text; the check hook has seen that it is one.
pub fn context() -> Option<&'static CStr> {
    CONTEXT.get()
}

/// The file that holds the key of hashed columns.
pub fn hash_key_file() -> Option<&'static CStr> {
    HASH_KEY_FILE.get()
}

/// The name of this server in the trail.
pub fn server_name() -> Option<&'static CStr> {
    SERVER_NAME.get()
}

/// A directory or an s3:// address, where archives are written to.
pub fn archive_location() -> Option<&'static CStr> {
    ARCHIVE_LOCATION.get()
}

/// The file that holds the key of archives; without it they are not encrypted.
pub fn archive_key_file() -> Option<&'static CStr> {
    ARCHIVE_KEY_FILE.get()
}

/// How the store of archives is reached: a JSON object.
pub fn archive_options() -> Option<&'static CStr> {
    ARCHIVE_OPTIONS.get()
}

/// The executable that writes and reads archives.
pub fn archive_program() -> Option<&'static CStr> {
    ARCHIVE_PROGRAM.get()
}

/// A text of PostgreSQL's, `None` where it is null or empty. An empty setting counts as unset: a placeholder becomes
/// empty after ROLLBACK.
///
/// # Safety
/// `value` must be null or NUL-terminated and outlive the result.
pub unsafe fn text<'a>(value: *const c_char) -> Option<&'a CStr> {
    if value.is_null() {
        return None;
    }
    // SAFETY: per the contract of this function.
    let text = unsafe { CStr::from_ptr(value) };
    (!text.is_empty()).then_some(text)
}

/// Defines the settings. Called once, when the library is loaded.
pub fn define() {
    GucRegistry::define_bool_guc(
        c"audit.enabled",
        c"Records changes of audited tables.",
        c"Only superusers may switch it off; the first change that goes unrecorded is an event.",
        &ENABLED,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"audit.max_value_bytes",
        c"Size above which a value is recorded by its length and SHA-256 only.",
        c"Larger caps keep more of the past and cost their size once more in the trail.",
        &MAX_VALUE_BYTES,
        64,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"audit.truncate_rows",
        c"Row images that a TRUNCATE of a table audited at level comprehensive keeps.",
        c"Each costs as much as deleting the row.",
        &TRUNCATE_ROWS,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"audit.replicate",
        c"Lets publications carry the trail.",
        c"Off, a FOR ALL TABLES publication does not send subscribers rows of tables that they do not have.",
        &REPLICATE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"audit.partition_size",
        c"Size from which a partition of the trail is closed before its time.",
        c"With its indexes. Partitions that retention drops as a whole, and merges of old ones, are of about this size.",
        &PARTITION_SIZE,
        1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    #[cfg(feature = "testing")]
    define_for_tests();
    GucRegistry::define_int_guc(
        c"audit.naptime",
        c"Time between runs of the background worker in a database.",
        c"Each run is a short-lived process. There are none where audit is not preloaded.",
        &NAPTIME,
        1,
        i32::MAX / 1000,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    let (user, file) = (pg_sys::GucContext::PGC_USERSET, pg_sys::GucContext::PGC_SIGHUP);
    ACTOR.define(c"audit.actor", c"The application user on whose behalf this session works.", user, None);
    TRACE_ID.define(c"audit.trace_id", c"The trace that the work belongs to.", user, None);
    REASON.define(c"audit.reason", c"Why the work is done.", user, None);
    CONTEXT.define(c"audit.context", c"Anything else worth recording, as a JSON object.", user, Some(check_context));
    HASH_KEY_FILE.define(c"audit.hash_key_file", c"The file that holds the key of hashed columns.", file, None);
    SERVER_NAME.define(
        c"audit.server_name",
        c"The name of this server in the trail; cluster_name or the host's name by default.",
        file,
        None,
    );
    ARCHIVE_LOCATION.define(
        c"audit.archive_location",
        c"Where archives are written: a directory, or s3://bucket/prefix.",
        file,
        None,
    );
    ARCHIVE_KEY_FILE.define(
        c"audit.archive_key_file",
        c"The file that holds the key of archives, which are not encrypted without it.",
        file,
        None,
    );
    ARCHIVE_OPTIONS.define(
        c"audit.archive_options",
        c"How an S3-compatible store is reached, as a JSON object: endpoint, region, credentials_file, allow_http.",
        file,
        Some(check_context),
    );
    ARCHIVE_PROGRAM.define(c"audit.archive_program", c"The executable that writes and reads archives; by default audit-archive beside the server's, else on its PATH.", file, None);
    TABLESPACE.define(c"audit.tablespace", c"The tablespace of new partitions of the trail.", file, None);
    // SAFETY: the prefix is NUL-terminated.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"audit".as_ptr()) }
}

/// What only a build for tests has.
#[cfg(feature = "testing")]
fn define_for_tests() {
    GucRegistry::define_int_guc(
        c"audit.test_clock_offset",
        c"How far the trail's clock is ahead of the server's.",
        c"Only in builds for tests.",
        &CLOCK_OFFSET,
        i32::MIN,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    let superuser = pg_sys::GucContext::PGC_SUSET;
    CRASH_AT.define(c"audit.test_crash_at", c"The injection point at which the process kills itself.", superuser, None);
}

/// In microseconds.
#[cfg(feature = "testing")]
pub fn clock_offset() -> i64 {
    i64::from(CLOCK_OFFSET.get()) * 1_000_000
}

#[cfg(feature = "testing")]
pub fn crash_at() -> String {
    CRASH_AT.get().map(|point| point.to_string_lossy().into_owned()).unwrap_or_default()
}

unsafe extern "C-unwind" fn assigned(_value: *const c_char, _extra: *mut c_void) {
    ASSIGNMENTS.store(assignments().wrapping_add(1), Relaxed);
}

/// Accepts an empty text or a JSON object that jsonb can hold, so that a capture never fails on it.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn check_context(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes the proposed value, which may be null.
    let text = unsafe { if (*value).is_null() { c"" } else { CStr::from_ptr(*value) } };
    text.is_empty() || is_object(text.to_bytes())
}

/// Whether a text is a JSON object that jsonb can hold.
pub fn is_object(text: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(text) else { return false };
    matches!(serde_json::from_str(text), Ok(value @ serde_json::Value::Object(_)) if is_storable(&value))
}

/// jsonb refuses the character U+0000; serde_json has refused numbers that are too large.
fn is_storable(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => !text.contains('\0'),
        serde_json::Value::Array(values) => values.iter().all(is_storable),
        serde_json::Value::Object(members) => {
            members.iter().all(|(key, value)| !key.contains('\0') && is_storable(value))
        }
        _ => true,
    }
}

/// The value of one of PostgreSQL's own settings.
pub fn of_server(name: &'static CStr) -> Option<&'static CStr> {
    // SAFETY: GetConfigOption returns a static or setting-owned string; callers copy it at once.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        text(value)
    }
}
