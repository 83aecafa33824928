//! What the launcher, its worker and the backends tell each other: requests for runs, the state of the run under way,
//! and how the last ones ended.
//!
//! All of it is lost when the server is restarted, as after a crash, and nothing depends on it but what status() shows.

use core::mem;

use audit_schedule::Outcome;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use crate::pg::local::Local;
use crate::pg::raw;

/// How many databases may have requests pending; with more of them the launcher runs in all.
const ASKING: usize = 64;
/// For how many databases the end of the last run is kept, a quarter of a kilobyte each.
const KEPT: usize = 1024;
/// How much of an error's message is kept, in bytes.
const MESSAGE: usize = 200;

static STATE: PgLwLock<State> = {
    // SAFETY: no other library uses this name for a lock or memory.
    unsafe { PgLwLock::new(c"audit") }
};
static IS_READY: Local<bool> = Local::new(false);
/// How often this postmaster has made shared memory: at its start, and after each crash of a process.
static BEGINNINGS: Local<u32> = Local::new(0);

#[derive(Clone, Copy)]
struct State {
    crashes: u32,
    /// The launcher's latch, null where it does not run. Shared memory lies at the same address everywhere.
    launcher: *mut pg_sys::Latch,
    asking: [pg_sys::Oid; ASKING],
    asking_count: usize,
    all_asked: bool,
    under_way: UnderWay,
    slot: Slot,
    runs: [LastRun; KEPT],
}

// SAFETY: plain data, and a pointer into shared memory.
unsafe impl PGRXSharedMemory for State {}

/// The run under way.
#[derive(Clone, Copy)]
pub struct UnderWay {
    pub database: pg_sys::Oid,
    /// Whether the worker holds the database by itself.
    pub is_admitted: bool,
    pub outcome: Option<Outcome>,
    message: Message,
}

/// Since when, and how often, no worker could be started; 0 where it could.
#[derive(Clone, Copy)]
pub struct Slot {
    pub missing_since: pg_sys::TimestampTz,
    pub misses: u32,
}

/// The last run in a database.
#[derive(Clone, Copy)]
pub struct LastRun {
    database: pg_sys::Oid,
    pub at: pg_sys::TimestampTz,
    pub outcome: Outcome,
    /// How many runs in a row have failed.
    pub failures: u32,
    message: Message,
}

impl LastRun {
    /// The error that ended it.
    pub fn error(&self) -> &str {
        self.message.text()
    }
}

#[derive(Clone, Copy)]
struct Message {
    length: usize,
    bytes: [u8; MESSAGE],
}

impl Message {
    const EMPTY: Message = Message { length: 0, bytes: [0; MESSAGE] };

    fn new(text: &str) -> Message {
        let mut message = Message::EMPTY;
        message.length = text.floor_char_boundary(MESSAGE);
        message.bytes[..message.length].copy_from_slice(&text.as_bytes()[..message.length]);
        message
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

const NOBODY: pg_sys::Oid = pg_sys::Oid::INVALID;
const NOTHING: UnderWay = UnderWay { database: NOBODY, is_admitted: false, outcome: None, message: Message::EMPTY };

impl State {
    const fn new(crashes: u32) -> State {
        let run = LastRun { database: NOBODY, at: 0, outcome: Outcome::Absent, failures: 0, message: Message::EMPTY };
        State {
            crashes,
            launcher: core::ptr::null_mut(),
            asking: [NOBODY; ASKING],
            asking_count: 0,
            all_asked: false,
            under_way: NOTHING,
            slot: Slot { missing_since: 0, misses: 0 },
            runs: [run; KEPT],
        }
    }

    /// The place for a database: its own, else a free one, else that of the oldest run.
    fn place(&mut self, database: pg_sys::Oid) -> &mut LastRun {
        let position = self.runs.iter().position(|run| run.database == database);
        let oldest = || (0..KEPT).min_by_key(|position| (self.runs[*position].at, *position));
        let position = position.or_else(oldest).unwrap_or(0);
        &mut self.runs[position]
    }
}

/// Reserves the memory. Called while the library is being preloaded.
#[allow(unexpected_cfgs, reason = "the macro knows releases of PostgreSQL that this crate has no feature for")]
pub fn register() {
    pg_shmem_init!(STATE = begin());
}

/// The memory as it begins.
fn begin() -> State {
    // Variables of the postmaster, which the processes that are forked later inherit.
    IS_READY.set(true);
    let crashes = BEGINNINGS.get();
    BEGINNINGS.set(crashes + 1);
    State::new(crashes)
}

/// Whether there is such memory: the library is preloaded.
pub fn is_ready() -> bool {
    IS_READY.get()
}

/// Requests a run in a database now. False where no launcher runs.
pub fn ask(database: pg_sys::Oid) -> bool {
    let mut state = STATE.exclusive();
    let launcher = state.launcher;
    if launcher.is_null() {
        return false;
    }
    let count = state.asking_count;
    if !state.asking[..count].contains(&database) {
        if let Some(place) = state.asking.get_mut(count) {
            *place = database;
            state.asking_count += 1;
        } else {
            state.all_asked = true;
        }
    }
    drop(state);
    // SAFETY: the latch of a process slot, which outlives the process; one woken up in vain goes on sleeping.
    unsafe { raw::SetLatch(launcher) };
    true
}

/// Who has asked since the last time; `None` for more than can be told.
pub fn take_asking() -> Option<Vec<u32>> {
    let mut state = STATE.exclusive();
    let count = mem::take(&mut state.asking_count);
    let is_all = mem::take(&mut state.all_asked);
    (!is_all).then(|| state.asking[..count].iter().map(|database| database.to_u32()).collect())
}

/// Makes this process the launcher. Says whether the server has been through a crash.
pub fn enter() -> bool {
    let mut state = STATE.exclusive();
    // SAFETY: a plain variable of this process.
    state.launcher = unsafe { pg_sys::MyLatch };
    state.under_way = NOTHING;
    state.crashes > 0
}

/// There is no launcher any more.
pub fn leave() {
    let mut state = STATE.exclusive();
    state.launcher = core::ptr::null_mut();
    state.under_way = NOTHING;
}

/// Records that a run in a database is about to begin.
pub fn begin_run(database: pg_sys::Oid) {
    STATE.exclusive().under_way = UnderWay { database, ..NOTHING };
}

/// Says that this process, the worker, holds the database by itself, and wakes the launcher. False where the run is no
/// longer this process's.
pub fn admit(database: pg_sys::Oid) -> bool {
    let mut state = STATE.exclusive();
    let is_ours = state.under_way.database == database && !state.launcher.is_null();
    if is_ours {
        state.under_way.is_admitted = true;
        // SAFETY: as in `ask`.
        unsafe { raw::SetLatch(state.launcher) };
    }
    is_ours
}

/// Says how the run ended, for the launcher to find when the worker is gone.
pub fn report(database: pg_sys::Oid, outcome: Outcome, error: &str) {
    let mut state = STATE.exclusive();
    if state.under_way.database == database {
        state.under_way.outcome = Some(outcome);
        state.under_way.message = Message::new(error);
    }
}

/// The run under way.
pub fn under_way() -> UnderWay {
    STATE.share().under_way
}

/// Keeps how a run ended.
pub fn end_run(database: pg_sys::Oid, outcome: Outcome) {
    let mut state = STATE.exclusive();
    let message = mem::replace(&mut state.under_way, NOTHING).message;
    let place = state.place(database);
    let failures = if place.database == database { place.failures } else { 0 };
    *place = match outcome {
        // Not been there, neither with nor without success.
        Outcome::Left if place.database == database => LastRun { at: now(), outcome, ..*place },
        // One that has more to do may have failed at something else.
        _ if outcome == Outcome::Failed || message.length > 0 => {
            LastRun { database, at: now(), outcome, failures: failures.saturating_add(1), message }
        }
        _ => LastRun { database, at: now(), outcome, failures: 0, message: Message::EMPTY },
    };
}

/// Notes whether a worker could be started.
pub fn record_slot(is_free: bool) {
    let mut state = STATE.exclusive();
    state.under_way = NOTHING;
    state.slot = match state.slot {
        _ if is_free => Slot { missing_since: 0, misses: 0 },
        Slot { misses: 0, .. } => Slot { missing_since: now(), misses: 1 },
        slot => Slot { misses: slot.misses.saturating_add(1), ..slot },
    };
}

/// What status() shows for a database.
pub struct Shown {
    pub is_launched: bool,
    pub is_under_way: bool,
    pub slot: Slot,
    pub last: Option<LastRun>,
}

pub fn shown(database: pg_sys::Oid) -> Shown {
    let state = STATE.share();
    Shown {
        is_launched: !state.launcher.is_null(),
        is_under_way: state.under_way.database == database && state.under_way.is_admitted,
        slot: state.slot,
        last: state.runs.iter().find(|run| run.database == database).copied(),
    }
}

fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
