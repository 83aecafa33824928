//! Which partition of a table that is partitioned by ranges of one 64-bit column holds a key.

use pgrx::pg_sys::{self, Oid};

/// The partition that holds `key`, the default one where no other does, invalid where there is none.
///
/// # Safety
/// `parent` must be partitioned by ranges of one bigint or timestamptz; inside a transaction.
pub unsafe fn holding(parent: Oid, key: i64) -> Oid {
    // SAFETY: the descriptor is valid while the parent is open; boundinfo has ndatums bounds of one datum and one
    // kind each, and ndatums + 1 indexes (partitioning/partbounds.h).
    unsafe {
        let opened = pg_sys::table_open(parent, pg_sys::AccessShareLock as i32);
        let descriptor = &*pg_sys::RelationGetPartitionDesc(opened, true);
        let mut found = Oid::INVALID;
        if descriptor.nparts > 0 {
            let info = &*descriptor.boundinfo;
            let (mut low, mut high) = (0, usize::try_from(info.ndatums).unwrap_or(0));
            while low < high {
                let middle = low.midpoint(high);
                let is_above = match **info.kind.add(middle) {
                    pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MINVALUE => false,
                    pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MAXVALUE => true,
                    _ => (**info.datums.add(middle)).value() as i64 > key,
                };
                if is_above {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            let mut index = *info.indexes.add(low);
            if index < 0 {
                index = info.default_index;
            }
            if let Ok(index) = usize::try_from(index) {
                found = *descriptor.oids.add(index);
            }
        }
        // The lock stays to the end of the transaction, as that of a table in a query does.
        pg_sys::table_close(opened, pg_sys::NoLock as i32);
        found
    }
}
