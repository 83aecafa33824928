//! A set-returning function's result, handed to PostgreSQL as one tuplestore.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

/// The rows being returned.
pub struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl Rows {
    /// Begins the result; raises an error where the caller takes no set.
    ///
    /// # Safety
    /// The arguments must be those of the current call, of a function that returns a table.
    pub unsafe fn begin(arguments: FunctionCallInfo) -> Rows {
        // SAFETY: InitMaterializedSRF checks and fills in the ReturnSetInfo.
        unsafe {
            pg_sys::InitMaterializedSRF(arguments, 0);
            let set = (*arguments).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Rows { store: (*set).setResult, descriptor: (*set).setDesc }
        }
    }

    /// Adds a row, which is copied.
    ///
    /// # Safety
    /// The values must be of the result's columns.
    pub unsafe fn push<const COLUMNS: usize>(&mut self, values: [Option<Datum>; COLUMNS]) {
        let mut nulls = values.map(|value| value.is_none());
        let mut values = values.map(|value| value.unwrap_or(Datum::null()));
        // SAFETY: per the contract.
        unsafe { pg_sys::tuplestore_putvalues(self.store, self.descriptor, values.as_mut_ptr(), nulls.as_mut_ptr()) }
    }
}
