//! Functions of PostgreSQL declared without pgrx's per-call guard, and those that pgrx does not bind.
//!
//! An ERROR in one of these leaves by longjmp: call them only under [`super::guard::run`], from frames
//! that own nothing with a destructor. Declarations follow the headers of PostgreSQL 15 to 18, which agree.

use core::ffi::{c_char, c_int};

use pgrx::pg_sys::{
    ArrayType, Datum, FmgrInfo, FunctionCallInfo, HeapTuple, HeapTupleHeader, MemoryContext, Oid, Relation,
    TimestampTz, TupleDesc, int32, varlena,
};

unsafe extern "C-unwind" {
    pub fn heap_deform_tuple(tuple: HeapTuple, descriptor: TupleDesc, values: *mut Datum, nulls: *mut bool);
    pub fn HeapTupleHeaderGetCmin(tuple: HeapTupleHeader) -> u32;
    pub fn HeapTupleHeaderGetCmax(tuple: HeapTupleHeader) -> u32;
    /// The system's, which pgrx does not bind.
    pub safe fn kill(process: c_int, signal: c_int) -> c_int;
    pub fn SetLatch(latch: *mut pgrx::pg_sys::Latch);
    pub fn GetCurrentCommandId(used: bool) -> u32;
    pub fn GetCurrentTimestamp() -> TimestampTz;
    pub fn GetCurrentStatementStartTimestamp() -> TimestampTz;
    pub fn GetCurrentSubTransactionId() -> u32;
    pub fn GetTopFullTransactionId() -> pgrx::pg_sys::FullTransactionId;
    pub fn GetSessionUserId() -> Oid;
    pub fn GetOuterUserId() -> Oid;
    pub fn GetUserId() -> Oid;
    pub fn GetCurrentRoleId() -> Oid;

    pub fn datum_image_eq(one: Datum, other: Datum, by_value: bool, length: c_int) -> bool;
    pub fn toast_raw_datum_size(value: Datum) -> usize;
    pub fn pg_detoast_datum_packed(datum: *mut varlena) -> *mut varlena;
    pub fn pg_detoast_datum(datum: *mut varlena) -> *mut varlena;
    pub fn heap_fetch_toast_slice(
        toast_relation: Relation,
        value_id: Oid,
        size: int32,
        offset: int32,
        length: int32,
        result: *mut varlena,
    );
    pub fn DirectFunctionCall1Coll(function: Option<Function>, collation: Oid, argument: Datum) -> Datum;
    pub fn numeric_out(arguments: FunctionCallInfo) -> Datum;
    pub fn tsquerysend(arguments: FunctionCallInfo) -> Datum;
    pub fn check_stack_depth();
    pub fn JsonbToCString(
        out: pgrx::pg_sys::StringInfo,
        container: *mut pgrx::pg_sys::JsonbContainer,
        estimated_length: c_int,
    ) -> *mut c_char;
    pub fn palloc(size: usize) -> *mut core::ffi::c_void;
    pub fn MemoryContextReset(context: MemoryContext);

    pub fn InputFunctionCall(function: *mut FmgrInfo, text: *mut c_char, parameter: Oid, modifier: int32) -> Datum;
    pub fn FunctionCall2Coll(function: *mut FmgrInfo, collation: Oid, one: Datum, two: Datum) -> Datum;
    pub fn FunctionCall3Coll(function: *mut FmgrInfo, collation: Oid, one: Datum, two: Datum, three: Datum) -> Datum;
    pub fn OutputFunctionCall(function: *mut FmgrInfo, value: Datum) -> *mut c_char;

    pub fn double_to_shortest_decimal_buf(value: f64, result: *mut c_char) -> c_int;
    pub fn float_to_shortest_decimal_buf(value: f32, result: *mut c_char) -> c_int;

    pub fn deconstruct_array(
        array: *mut ArrayType,
        element_type: Oid,
        element_length: c_int,
        element_by_value: bool,
        element_alignment: c_char,
        elements: *mut *mut Datum,
        nulls: *mut *mut bool,
        count: *mut c_int,
    );
    pub fn construct_md_array(
        elements: *mut Datum,
        nulls: *mut bool,
        dimensions: c_int,
        lengths: *mut c_int,
        lower_bounds: *mut c_int,
        element_type: Oid,
        element_length: c_int,
        element_by_value: bool,
        element_alignment: c_char,
    ) -> *mut ArrayType;
    pub fn array_contains_nulls(array: *mut ArrayType) -> bool;

    pub fn heap_insert(
        relation: Relation,
        tuple: HeapTuple,
        command: u32,
        options: c_int,
        bulk: *mut core::ffi::c_void,
    );
    pub fn index_insert(
        index: Relation,
        values: *mut Datum,
        nulls: *mut bool,
        position: pgrx::pg_sys::ItemPointer,
        heap: Relation,
        check_unique: pgrx::pg_sys::IndexUniqueCheck::Type,
        unchanged: bool,
        info: *mut pgrx::pg_sys::IndexInfo,
    ) -> bool;
    pub fn nextval_internal(sequence: Oid, check_permissions: bool) -> i64;
    pub fn find_all_inheritors(
        relation: Oid,
        lock: c_int,
        parents: *mut *mut pgrx::pg_sys::List,
    ) -> *mut pgrx::pg_sys::List;
    pub fn find_inheritance_children(relation: Oid, lock: c_int) -> *mut pgrx::pg_sys::List;
    pub fn toast_flatten_tuple(tuple: HeapTuple, descriptor: TupleDesc) -> HeapTuple;
    pub fn get_partition_ancestors(relation: Oid) -> *mut pgrx::pg_sys::List;

    /// How `bytea` is written: 0 escape, 1 hex.
    pub static mut bytea_output: c_int;
}

/// The type of a function that takes PostgreSQL's fmgr arguments.
pub type Function = unsafe extern "C-unwind" fn(FunctionCallInfo) -> Datum;
