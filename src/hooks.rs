//! PostgreSQL's hooks: saves the one that was there, calls the room that decides, then the saved one. Nothing is
//! decided here.
//!
//! Each hook is a plain frame, so that an ERROR of the next hook passes through unaltered; what a room does in it runs
//! under our own guard and has returned before.

use core::ffi::{c_int, c_void};

use pgrx::pg_sys::{self, Oid};

use crate::pg::guard;
use crate::pg::local::Local;
use crate::protection::evidence;

static PREV_OBJECT_ACCESS: Local<pg_sys::object_access_hook_type> = Local::new(None);

/// Puts our hooks in front of those that are there.
pub fn register() {
    // SAFETY: the library is being loaded; the frames of the hooks are plain.
    unsafe {
        PREV_OBJECT_ACCESS.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(object_access);
    }
}

unsafe extern "C-unwind" fn object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: Oid,
    object: Oid,
    sub_object: c_int,
    argument: *mut c_void,
) {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        if access == pg_sys::ObjectAccessType::OAT_DROP && sub_object == 0 {
            guard::run(|| evidence::refuse_drop(class, object));
        }
        if let Some(prev) = PREV_OBJECT_ACCESS.get() {
            prev(access, class, object, sub_object, argument);
        }
    }
}
