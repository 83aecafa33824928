//! The arguments of a function that PostgreSQL called by version 1 of its convention.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

/// The arguments of the current call.
#[derive(Clone, Copy)]
pub struct Arguments(FunctionCallInfo);

impl Arguments {
    /// # Safety
    /// Must be those of the current call.
    pub unsafe fn new(arguments: FunctionCallInfo) -> Arguments {
        Arguments(arguments)
    }

    /// An argument, `None` for NULL or where there are fewer.
    pub fn datum(self, position: usize) -> Option<Datum> {
        // SAFETY: nargs entries follow the fixed part.
        unsafe {
            let count = usize::try_from((*self.0).nargs).unwrap_or(0);
            let argument = (*self.0).args.as_slice(count).get(position)?;
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// The bytes of a varlena argument, without its header.
    pub fn bytes(self, position: usize) -> Option<&'static [u8]> {
        let value = self.datum(position)?;
        // SAFETY: the caller's signature says that this argument is a varlena; it lives as long as the call.
        unsafe {
            let value = pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr());
            Some(core::slice::from_raw_parts(
                pgrx::varlena::vardata_any(value).cast(),
                pgrx::varlena::varsize_any_exhdr(value),
            ))
        }
    }

    /// The bytes of a varlena argument with a four-byte header.
    pub fn varlena(self, position: usize) -> Option<&'static [u8]> {
        let value = self.datum(position)?;
        // SAFETY: as in `bytes`.
        unsafe {
            let value = pg_sys::pg_detoast_datum(value.cast_mut_ptr());
            Some(core::slice::from_raw_parts(value.cast(), pgrx::varlena::varsize_any(value)))
        }
    }

    /// A text argument; what is not UTF-8 is replaced.
    pub fn text(self, position: usize) -> Option<String> {
        self.bytes(position).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn oid(self, position: usize) -> Option<Oid> {
        self.datum(position).map(|value| Oid::from(value.value() as u32))
    }

    /// Makes the result NULL.
    pub fn null(self) -> Datum {
        // SAFETY: the call is current.
        unsafe { (*self.0).isnull = true };
        Datum::null()
    }

    /// The type of an argument at this call, for polymorphic functions.
    pub fn type_of(self, position: i32) -> Oid {
        // SAFETY: the call's lookup information is live.
        unsafe { pg_sys::get_fn_expr_argtype((*self.0).flinfo, position) }
    }
}
