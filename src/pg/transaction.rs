//! The ends of transactions and subtransactions: one registration for the whole extension, and the order of its steps.
//!
//! A room registers a function for its [`Step`]. Each function gets every [`Event`], in the order of [`Step`]:
//!
//! 1. `Output`: the settings that text is written under are the session's again, before anything else runs.
//! 2. `Row`, 3. `Permission`: what an ERROR left unfinished has ended, a row being recorded or a permitted command.
//! 4. `Partitions`: the writer's tables are closed before a commit or a prepare, which would warn of them; an abort
//!    releases them by itself, and they are forgotten. They stay open until here because deferred triggers write too.
//! 5. `Plans`, 6. `Contexts`: ids of dictionary rows are kept for good at commit and forgotten with the subtransaction
//!    that wrote the row; at prepare all are, as the transaction may still be rolled back. No step reads what another
//!    has.
//! 7. `Request`: the launcher is asked for a run, last and at commit alone, when there is nothing of ours left to do.
//!
//! A subtransaction that commits tells nobody: what it wrote keeps its number. Numbers only rise and those above that
//! of a subtransaction which is still open are inside it, so its abort undoes each number from its own on.
//!
//! An ERROR in `Event::Ending` rolls the transaction back. After the others there is no way back: an ERROR there would
//! make PostgreSQL abort what has committed, which is a PANIC, or abort in an abort. These steps set variables and free
//! memory, and call nothing that raises.
//!
//! A parallel worker writes nothing and ends after its transaction: its events reach no step. Callbacks run in the
//! reverse order of their registration (access/transam/xact.c), so what a library loaded before this one does at the
//! end of a transaction comes after ours, and a row that it changes there opens its partition once more.

use core::ffi::c_void;

use pgrx::pg_sys::{self, SubTransactionId};

use super::guard;
use super::local::Local;

/// The steps, in the order in which they run.
#[derive(Clone, Copy)]
pub enum Step {
    Output,
    Row,
    Permission,
    Partitions,
    Plans,
    Contexts,
    Request,
}

/// What becomes of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is about to commit or to be prepared, and may still fail.
    Ending,
    Commit,
    /// PREPARE TRANSACTION has taken it from this backend.
    Prepare,
    Abort,
    /// A subtransaction is rolled back, with those inside it.
    SubAbort(SubTransactionId),
}

/// What a room does at an event.
type Action = fn(Event);

static STEPS: Local<[Option<Action>; Step::Request as usize + 1]> = Local::new([None; _]);

/// Has `action` run at every event.
pub fn register(step: Step, action: Action) {
    let mut steps = STEPS.get();
    steps[step as usize] = Some(action);
    STEPS.set(steps);
}

/// Registers with PostgreSQL. Called once, when the library is loaded.
pub fn attach() {
    // SAFETY: the callbacks are plain functions that live as long as the process.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction_ends), core::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), core::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::*;
    run(match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => Event::Ending,
        XACT_EVENT_COMMIT => Event::Commit,
        XACT_EVENT_PREPARE => Event::Prepare,
        XACT_EVENT_ABORT => Event::Abort,
        _ => return,
    })
}

unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    subtransaction: SubTransactionId,
    _parent: SubTransactionId,
    _argument: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        run(Event::SubAbort(subtransaction))
    }
}

fn run(event: Event) {
    // SAFETY: called by the two callbacks, which own nothing.
    unsafe { guard::run(|| STEPS.get().iter().flatten().for_each(|action| action(event))) }
}
