//! What a type demands of its values beyond their form: its length or precision, and the constraints of a domain.

use core::cell::Cell;
use core::ffi::c_void;

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::lookup;
use crate::pg::raw;

/// The length coercion of a type.
pub struct Coercion {
    function: *mut pg_sys::FmgrInfo,
    takes_explicitness: bool,
    length: i16,
    by_value: bool,
    is_numeric: bool,
}

impl Coercion {
    /// None where the type has none. What it keeps is allocated in `context`.
    pub fn of(base: Oid, context: pg_sys::MemoryContext) -> Option<Coercion> {
        let (mut function, mut length, mut by_value) = (Oid::INVALID, 0, false);
        // SAFETY: catalog lookups of an existing type and of the function just found.
        unsafe {
            let path = pg_sys::find_typmod_coercion_function(base, &mut function);
            pg_sys::get_typlenbyval(base, &mut length, &mut by_value);
            (path == pg_sys::CoercionPathType::COERCION_PATH_FUNC).then(|| Coercion {
                function: lookup::function(function, context),
                takes_explicitness: pg_sys::get_func_nargs(function) > 2,
                length,
                by_value,
                is_numeric: base == pg_sys::NUMERICOID,
            })
        }
    }

    /// Whether an assignment leaves the value as it is, byte for byte; as [`Coercion::call`] otherwise. A number may
    /// get more decimal places, which a column that was widened since shows.
    pub fn leaves(&self, value: Datum, modifier: i32) -> bool {
        // SAFETY: both are values of the type, which is stored so. One boundary carries the ERROR of either, which at a
        // column a call is a good part of the time.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let coerced = self.call_raw(value, modifier);
                raw::datum_image_eq(value, coerced, self.by_value, i32::from(self.length))
                    || self.is_numeric
                        && pg_sys::OidFunctionCall2Coll(Oid::from(pg_sys::F_NUMERIC_EQ), Oid::INVALID, value, coerced)
                            .value()
                            != 0
            })
        }
    }

    /// What an assignment makes of the value: an ERROR where it loses something that is no blank.
    pub fn call(&self, value: Datum, modifier: i32) -> Datum {
        // SAFETY: the boundary carries an ERROR.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| self.call_raw(value, modifier)) }
    }

    /// # Safety
    /// An ERROR leaves by longjmp.
    unsafe fn call_raw(&self, value: Datum, modifier: i32) -> Datum {
        let (collation, modifier) = (pg_sys::DEFAULT_COLLATION_OID, Datum::from(modifier));
        // SAFETY: a length coercion takes a value of its type, the modifier and, of three, whether the cast is
        // explicit.
        unsafe {
            if self.takes_explicitness {
                raw::FunctionCall3Coll(self.function, collation, value, modifier, Datum::from(false))
            } else {
                raw::FunctionCall2Coll(self.function, collation, value, modifier)
            }
        }
    }
}

/// The constraints of a domain, those of the domains that it is made of among them.
pub struct Domain {
    type_id: Oid,
    /// What PostgreSQL remembers of them between checks; it notices changes itself.
    prepared: Cell<*mut c_void>,
    context: pg_sys::MemoryContext,
}

impl Domain {
    /// The domain `type_id`. What is remembered is allocated in `context`, which must outlive it.
    pub fn new(type_id: Oid, context: pg_sys::MemoryContext) -> Domain {
        Domain { type_id, prepared: Cell::new(core::ptr::null_mut()), context }
    }

    /// Raises the domain's own error where it does not allow the value, `None` being NULL.
    pub fn check(&self, value: Option<Datum>) {
        let mut prepared = self.prepared.get();
        // SAFETY: the value is of the domain's base type; what `prepared` points to lives in the context.
        unsafe {
            let (value, is_null) = (value.unwrap_or(Datum::null()), value.is_none());
            pg_sys::domain_check(value, is_null, self.type_id, &mut prepared, self.context);
        }
        self.prepared.set(prepared);
    }
}
