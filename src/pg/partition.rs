//! Which partition of a table that is partitioned by ranges of one 64-bit column holds a key: a timestamp or an id.

use pgrx::pg_sys::{self, Oid};

use super::list;

/// A partition, or the gap where one is missing.
pub struct Holder {
    /// The default partition where no other holds the key, invalid where there is none.
    pub partition: Oid,
    /// It holds keys from here to below `upper`.
    pub lower: i64,
    pub upper: i64,
    /// Whether it is the default partition.
    pub is_default: bool,
    /// Whether no partition with bounds comes after it.
    pub is_last: bool,
}

/// The partition of an open table that holds `key`.
///
/// # Safety
/// `parent` must be open and partitioned by ranges of one bigint or timestamptz.
pub unsafe fn holding(parent: pg_sys::Relation, key: i64) -> Holder {
    let mut holder =
        Holder { partition: Oid::INVALID, lower: i64::MIN, upper: i64::MAX, is_default: false, is_last: false };
    // SAFETY: the descriptor is valid while the parent is open; boundinfo has ndatums bounds and ndatums + 1
    // indexes (partitioning/partbounds.h).
    unsafe {
        let descriptor = &*pg_sys::RelationGetPartitionDesc(parent, false);
        if descriptor.nparts == 0 {
            return holder;
        }
        let info = &*descriptor.boundinfo;
        let count = usize::try_from(info.ndatums).unwrap_or(0);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let bound = bound(info, middle);
            if bound > key {
                (high, holder.upper) = (middle, bound);
            } else {
                (low, holder.lower) = (middle + 1, bound);
            }
        }
        let mut index = *info.indexes.add(low);
        holder.is_last = low + 1 >= count;
        if index < 0 {
            index = info.default_index;
            holder.is_default = index >= 0;
        }
        if let Ok(index) = usize::try_from(index) {
            holder.partition = *descriptor.oids.add(index);
        }
        holder
    }
}

/// # Safety
/// `position` must be below the number of bounds.
unsafe fn bound(info: &pg_sys::PartitionBoundInfoData, position: usize) -> i64 {
    // SAFETY: per the contract; a range bound of one column has one datum and one kind. An int4 datum is
    // sign-extended by Int32GetDatum.
    unsafe {
        match **info.kind.add(position) {
            pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MINVALUE => i64::MIN,
            pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_MAXVALUE => i64::MAX,
            _ => (**info.datums.add(position)).value() as i64,
        }
    }
}

/// The bound of a partition, as its catalog row has it.
pub struct StoredBound {
    pub is_default: bool,
    /// From here to below there, where the table is partitioned by ranges of one column and neither end is open.
    pub range: Option<(Value, Value)>,
}

/// A value of a partitioned column.
pub struct Value {
    pub type_id: Oid,
    pub datum: pg_sys::Datum,
}

/// What a value of `pg_class.relpartbound` says, whatever the table is partitioned by; `None` for another node.
///
/// # Safety
/// `text` must be the NUL-terminated text of a pg_node_tree.
pub unsafe fn stored_bound(text: *const core::ffi::c_char) -> Option<StoredBound> {
    // SAFETY: PostgreSQL reads back what it wrote; no SQL makes a pg_node_tree (utils/adt/pseudotypes.c). A node is
    // what its tag says.
    unsafe {
        let node = pg_sys::stringToNode(text).cast::<pg_sys::Node>();
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_PartitionBoundSpec {
            return None;
        }
        let bound = &*node.cast::<pg_sys::PartitionBoundSpec>();
        let range = only_value(bound.lowerdatums).zip(only_value(bound.upperdatums));
        Some(StoredBound { is_default: bound.is_default, range })
    }
}

/// The constant of a list that has one bound, which is not open.
///
/// # Safety
/// `datums` must be null or one end of a live bound.
unsafe fn only_value(datums: *const pg_sys::List) -> Option<Value> {
    // SAFETY: per the contract; the elements are PartitionRangeDatums (nodes/parsenodes.h), their values constants once
    // the bound is stored.
    unsafe {
        let mut datums = list::pointers::<pg_sys::PartitionRangeDatum>(datums);
        let datum = &*datums.next().filter(|_| datums.len() == 0)?;
        if datum.kind != pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_VALUE
            || datum.value.is_null()
            || (*datum.value).type_ != pg_sys::NodeTag::T_Const
        {
            return None;
        }
        let constant = &*datum.value.cast::<pg_sys::Const>();
        (!constant.constisnull).then_some(Value { type_id: constant.consttype, datum: constant.constvalue })
    }
}
