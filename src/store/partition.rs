//! Which partition is open: found through the parent's partition bounds and remembered until PostgreSQL says
//! that something about the parent changed.

use core::ffi::CStr;
use std::borrow::Cow;
use std::ffi::CString;

use audit_model::Category;
use pgrx::pg_sys::{self, Oid};

use super::namespace::relation;
use crate::error::Error;
use crate::pg::{background, partition};

/// A partitioned table of the trail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parent {
    Events(Category),
    /// The partitions dedicated to a table with a retention of its own.
    Dedicated(i32),
    Sessions,
    Contexts,
    Relations,
    Nodes,
}

impl Parent {
    pub fn name(self) -> Cow<'static, CStr> {
        let name = match self {
            Parent::Dedicated(retention_id) => {
                return Cow::Owned(CString::new(format!("events_dedicated_{retention_id}")).unwrap_or_default());
            }
            Parent::Events(Category::Data) => c"events_data",
            Parent::Events(Category::Read) => c"events_read",
            Parent::Events(Category::Security) => c"events_security",
            Parent::Events(Category::Schema) => c"events_schema",
            Parent::Events(Category::System) => c"events_system",
            Parent::Events(Category::Application) => c"events_application",
            Parent::Sessions => c"sessions",
            Parent::Contexts => c"contexts",
            Parent::Relations => c"relations",
            Parent::Nodes => c"nodes",
        };
        Cow::Borrowed(name)
    }

    fn slot(self) -> usize {
        match self {
            Parent::Dedicated(retention_id) => 10 + usize::try_from(retention_id).unwrap_or(0) % DEDICATED,
            Parent::Events(category) => category as usize,
            Parent::Sessions => 6,
            Parent::Contexts => 7,
            Parent::Relations => 8,
            Parent::Nodes => 9,
        }
    }

    /// Whether events that find no partition go to the overflow.
    pub const fn overflows(self) -> bool {
        matches!(self, Parent::Events(_) | Parent::Dedicated(_))
    }
}

/// Where keys from `lower` to below `upper` go.
#[derive(Clone, Copy)]
struct Route {
    parent: Parent,
    partition: Oid,
    lower: i64,
    upper: i64,
    /// From this key on, ask for the next partition to be created.
    ends: i64,
}

static mut ROUTES: [Option<Route>; 10 + DEDICATED] = [None; 10 + DEDICATED];
static mut ASKED_AT: i64 = i64::MIN;

/// How many retentions of tables are remembered, by the lowest digits of their ids.
const DEDICATED: usize = 8;
/// How long before the last partition ends a backend asks for the next one, in microseconds: a day, or as much
/// as the last tenth of a short partition.
const AHEAD: i64 = 86_400_000_000;
/// How long a backend waits before it asks again.
const PATIENCE: i64 = 60_000_000;

pub fn register() {
    // SAFETY: the callback is a plain function that lives as long as the process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0_usize)) }
}

unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, _relation: Oid) {
    // SAFETY: plain variables of a single-threaded process. A route is cheap to find again.
    unsafe {
        ROUTES = [None; 10 + DEDICATED];
    }
}

/// The partition for `key`, a timestamp for events, an id for dictionaries; and whether more partitions are needed soon
/// or now. Opening it may invalidate the answer: ask again after the lock is taken.
///
/// # Safety
/// Must run inside a transaction.
#[inline]
pub unsafe fn find(parent: Parent, key: i64) -> (Oid, bool) {
    // SAFETY: plain variables of a single-threaded process.
    let route = unsafe {
        match ROUTES[parent.slot()] {
            Some(route) if route.lower <= key && key < route.upper && route.parent == parent => route,
            _ => {
                let route = search(parent, key);
                ROUTES[parent.slot()] = Some(route);
                route
            }
        }
    };
    (route.partition, key >= route.ends)
}

/// The partition of events that can be written to no other.
pub fn overflow() -> Oid {
    relation(c"events_overflow_all")
}

/// # Safety
/// As [`find`].
unsafe fn search(parent: Parent, key: i64) -> Route {
    let oid = relation(&parent.name());
    let mut route = Route { parent, partition: Oid::INVALID, lower: i64::MIN, upper: i64::MAX, ends: i64::MAX };
    if oid != Oid::INVALID {
        // While maintenance attaches, exchanges or drops a partition, events are written to the overflow. Contexts and
        // sessions have none, and wait.
        let lock = pg_sys::AccessShareLock as i32;
        // SAFETY: a lock on a relation that the catalog has.
        if parent.overflows() && !unsafe { pg_sys::ConditionalLockRelationOid(oid, lock) } {
            return Route { partition: overflow(), lower: key, upper: key, ends: i64::MIN, ..route };
        }
        // SAFETY: the parents are partitioned by ranges of one 64-bit column, those of int4 alike.
        let holder = unsafe {
            let opened = pg_sys::table_open(oid, if parent.overflows() { pg_sys::NoLock as i32 } else { lock });
            let holder = partition::holding(opened, key);
            // Not to the end of the transaction: dropping an old partition need not wait for it.
            pg_sys::table_close(opened, lock);
            holder
        };
        // The default partition of events is there for what a subscription brings (sql/replication/subscribe.sql).
        let partition = if parent.overflows() && holder.is_default { Oid::INVALID } else { holder.partition };
        route = Route { partition, lower: holder.lower, upper: holder.upper, ..route };
        if parent.overflows() && holder.is_last {
            route.ends = route.upper.saturating_sub(AHEAD.min(route.upper.saturating_sub(route.lower) / 10));
        }
    }
    if route.partition == Oid::INVALID && parent.overflows() {
        route.partition = overflow();
        route.ends = i64::MIN;
    }
    if route.partition == Oid::INVALID {
        Error::NoPartition { parent: parent.name().to_string_lossy().into_owned() }.raise();
    }
    route
}

/// Requests maintenance, which creates partitions, at most once a minute from one backend. Called once the table to
/// write to is open: the worker moves the events of the transactions that it finds writing to the overflow, and of no
/// others.
///
/// # Safety
/// Must run inside a transaction.
pub unsafe fn request_partitions() {
    // SAFETY: plain variable; starting a worker never waits.
    unsafe {
        let now = pg_sys::GetCurrentTimestamp();
        if ASKED_AT > now - PATIENCE && ASKED_AT <= now {
            return;
        }
        ASKED_AT = now;
    }
    background::start_maintenance();
}
