//! The rows for this connection and this server, written once each. Retention drops partitions of sessions that no
//! event refers to, and a connection may rest for longer than events are kept: then its row is written once more.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{IntoDatum, direct_function_call_as_datum};

use crate::pg::local::Local;
use crate::pg::scan::{self, Condition};
use crate::pg::{clock, raw, version};
use crate::settings;
use crate::store::partition::Parent;
use crate::store::{dictionary, remote};
use audit_model::schema::{nodes, sessions};

/// A dictionary row that this backend wrote or found.
#[derive(Clone, Copy)]
struct Known {
    id: i64,
    /// The subtransaction that wrote it, 0 once that is committed.
    pending: u32,
}

static NODE: Local<Option<Known>> = Local::new(None);
static SESSION: Local<Option<Known>> = Local::new(None);
/// The partition that the row of the session is in, and when it was last seen there.
static SEEN: Local<(Oid, i64)> = Local::new((Oid::INVALID, 0));

/// The id of this server's incarnation.
///
/// # Safety
/// Must run inside a transaction that may write.
pub unsafe fn node() -> i32 {
    let known = NODE.get().unwrap_or_else(|| {
        // SAFETY: inside a transaction that may write.
        let known = unsafe { find_or_write_node() };
        NODE.set(Some(known));
        known
    });
    i32::try_from(known.id).unwrap_or(0)
}

/// The id of this connection's row.
///
/// # Safety
/// Must run inside a transaction that may write, after [`node`].
pub unsafe fn current() -> i64 {
    let now = clock::now();
    // SAFETY: inside a transaction that may write.
    let partition_of = |id| unsafe { dictionary::hold_partition(Parent::Sessions, id) };
    if let Some(known) = SESSION.get() {
        let (partition, seen_at) = SEEN.get();
        // A context that is younger than that keeps it (sql/partition/dictionary.sql).
        if now < seen_at + super::LIFETIME {
            return known.id;
        }
        if partition_of(known.id) == partition {
            SEEN.set((partition, now));
            return known.id;
        }
    }
    // SAFETY: inside a transaction that may write.
    let (id, pending) = unsafe { (write_session(), raw::GetCurrentSubTransactionId()) };
    SEEN.set((partition_of(id), now));
    SESSION.set(Some(Known { id, pending }));
    id
}

pub fn commit() {
    for slot in [&NODE, &SESSION] {
        slot.set(slot.get().map(|known| Known { pending: 0, ..known }));
    }
}

pub fn abort(subtransaction: u32) {
    // With the context that kept the row of the session.
    SEEN.set((SEEN.get().0, 0));
    for slot in [&NODE, &SESSION] {
        slot.set(slot.get().filter(|known| known.pending == 0 || known.pending < subtransaction));
    }
}

/// A node is a database of a cluster on a timeline: a dump restored, a database copied or a standby promoted
/// counts its transactions on its own, so it is another one.
///
/// # Safety
/// Must run inside a transaction that may write.
unsafe fn find_or_write_node() -> Known {
    // SAFETY: what the control file and this process say.
    let (system, database, timeline) = unsafe {
        let timeline = pg_sys::GetWALInsertionTimeLine().cast_signed();
        (pg_sys::GetSystemIdentifier().cast_signed(), pg_sys::MyDatabaseId, timeline)
    };
    // SAFETY: inside a transaction.
    if let Some(known) = unsafe { find_node(system, database, timeline) } {
        return known;
    }
    let mut random = [0_u8; 4];
    // SAFETY: the buffer has the length that is passed.
    unsafe { pg_sys::pg_strong_random(random.as_mut_ptr().cast(), random.len()) };
    let id = i32::from_ne_bytes(random) & i32::MAX | 1;
    // SAFETY: the database is there, and its name ends with NUL.
    let name = unsafe { CStr::from_ptr(pg_sys::get_database_name(database)) };
    let values: [Option<Datum>; nodes::COUNT] = [
        Some(Datum::from(id)),
        server_name().into_datum(),
        Some(Datum::from(system)),
        Some(Datum::from(database)),
        name.to_string_lossy().into_owned().into_datum(),
        Some(Datum::from(timeline)),
        Some(Datum::from(clock::now())),
    ];
    // SAFETY: the values are those of the columns in order, inside a transaction that may write.
    unsafe {
        dictionary::append(Parent::Nodes, i64::from(id), &values);
        Known { id: i64::from(id), pending: raw::GetCurrentSubTransactionId() }
    }
}

/// The node's row. A server that this cluster is a physical copy of may look alike.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn find_node(system: i64, database: Oid, timeline: i32) -> Option<Known> {
    let equal = |attribute, function, value| Condition { attribute, procedure: Oid::from(function), value };
    let conditions = [
        equal(nodes::SYSTEM_IDENTIFIER, pg_sys::F_INT8EQ, Datum::from(system)),
        Condition::oid(nodes::DATABASE_OID, database),
        equal(nodes::TIMELINE, pg_sys::F_INT4EQ, Datum::from(timeline)),
    ];
    let mut found = None;
    // SAFETY: the conditions are of the columns' types; a row is read while it is visited.
    unsafe {
        dictionary::rows(Parent::Nodes, &conditions, |descriptor, tuple| {
            found = scan::attribute(tuple, nodes::NODE_ID, descriptor)
                .map(|id| id.value() as i32)
                .filter(|id| !remote::has(*id))
                .map(|id| Known { id: i64::from(id), pending: scan::pending(tuple) });
            found.is_none()
        });
    }
    found
}

/// The name in the settings, the cluster's, or the host's.
fn server_name() -> String {
    settings::server_name()
        .or_else(|| settings::of_server(c"cluster_name"))
        .map(|name| name.to_string_lossy().into_owned())
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()))
        .unwrap_or_else(|| "postgresql".into())
}

/// # Safety
/// Must run inside a transaction that may write.
unsafe fn write_session() -> i64 {
    // SAFETY: functions without arguments that read this backend's state.
    unsafe {
        let id = dictionary::new_id(clock::now());
        let no_arguments: [Option<Datum>; 0] = [];
        let login = pg_sys::GetUserNameFromId(pg_sys::GetAuthenticatedUserId(), true);
        let login = super::text(login).map_or_else(|| "unknown".into(), |login| login.to_string_lossy().into_owned());
        let kind = super::text(pg_sys::GetBackendTypeDesc(pg_sys::MyBackendType));
        let values: [Option<Datum>; sessions::COUNT] = [
            Some(Datum::from(node())),
            Some(Datum::from(id)),
            token().into_datum(),
            login.into_datum(),
            version::authentication().into_datum(),
            direct_function_call_as_datum(pg_sys::inet_client_addr, &no_arguments),
            direct_function_call_as_datum(pg_sys::inet_client_port, &no_arguments),
            super::text(pg_sys::application_name).map(|name| name.to_string_lossy().into_owned()).into_datum(),
            kind.map(|kind| kind.to_string_lossy().into_owned()).into_datum(),
            Some(Datum::from(pg_sys::MyStartTimestamp)),
        ];
        dictionary::append(Parent::Sessions, id, &values);
        id
    }
}

/// The session id as `%c` of log_line_prefix prints it: start time and process, in hexadecimal.
fn token() -> String {
    // SAFETY: plain variables of this process.
    let (started, process) = unsafe { (pg_sys::MyStartTime, pg_sys::MyProcPid) };
    format!("{started:x}.{process:x}")
}
