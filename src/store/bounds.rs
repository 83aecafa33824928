//! Which time a partition holds, read from the partition bound itself.
//!
//! The planner may ask this of any partition of the database, and before it has looked whose it is: there is an answer
//! for each and an error for none. The bound's printed form would depend on DateStyle, TimeZone and the type.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use crate::pg::arguments::Arguments;
use crate::pg::guard::entry_point;
use crate::pg::partition::{self, Value};

entry_point!(audit_partition_bounds, pg_finfo_audit_partition_bounds, partition_bounds);

/// Microseconds of an hour, by which the partitions of dictionaries are divided.
const HOUR: i64 = 3_600_000_000;
/// The hour since 2000 is in the bits of a dictionary's id above these (sql/partition/layout.sql, first_id).
const HOUR_SHIFT: u32 = 40;
/// Eight thousand years in microseconds: a time that is further from 2000 is no partition's, and the year after it may
/// be more than a timestamp holds.
const FARTHEST: i64 = 8000 * 366 * 24 * HOUR;

/// `audit_internal.partition_bounds(bound pg_node_tree, OUT since timestamptz, OUT until timestamptz, OUT is_default
/// boolean)`: null for what is no range of times or of ids of a dictionary.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn partition_bounds(call: FunctionCallInfo) -> Datum {
    // SAFETY: the declaration in sql/partition/create.sql: the argument is a pg_node_tree, which is stored as a text.
    unsafe {
        let bound = Arguments::new(call)
            .datum(0)
            .and_then(|bound| partition::stored_bound(pg_sys::text_to_cstring(bound.cast_mut_ptr())));
        let mut values = [Datum::null(); 3];
        let mut nulls = [true; 3];
        if let Some(bound) = bound {
            if let Some((since, until)) = bound.range.and_then(|(lower, upper)| time(&lower).zip(time(&upper))) {
                (values[0], values[1]) = (Datum::from(since), Datum::from(until));
                (nulls[0], nulls[1]) = (false, false);
            }
            (values[2], nulls[2]) = (Datum::from(bound.is_default), false);
        }
        let mut descriptor = core::ptr::null_mut();
        pg_sys::get_call_result_type(call, core::ptr::null_mut(), &mut descriptor);
        let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
    }
}

/// The moment that a bound stands for.
fn time(bound: &Value) -> Option<pg_sys::TimestampTz> {
    let value = bound.datum.value() as i64;
    let time = match bound.type_id {
        pg_sys::TIMESTAMPTZOID => value,
        pg_sys::INT8OID => (value >> HOUR_SHIFT) * HOUR,
        _ => return None,
    };
    (-FARTHEST..=FARTHEST).contains(&time).then_some(time)
}
