//! Who and why: every event refers to a row that says it once.
//!
//! A context is the combination of session, roles, actor, trace, reason, context and, where the level asks
//! for it, statement. Its row is written with its first event and is transactional like that event, so the
//! backend remembers it for good only after the top-level commit and forgets it when its subtransaction aborts.
//!
//! * [`Fingerprint`] decides in a few comparisons whether the row before still fits;
//! * [`content`] gathers what the row says, [`client`] from the statement; [`session`] writes what does not change in a
//!   connection.

mod client;
mod content;
mod remembered;
mod session;
mod set;

use core::ffi::c_char;

use pgrx::pg_sys::{self, Oid};

use crate::pg::local::Local;
use crate::pg::transaction::{self, Event, Step};
use crate::pg::{clock, raw};
use crate::settings::{self, text};
use content::Content;
use remembered::Remembered;

pub use session::node;

/// How much of the statement's text belongs to the context.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum StatementUse {
    /// None of it.
    Omit,
    /// The text and its parameters.
    Full,
    /// The text with every constant replaced, without parameters.
    Redacted,
}

/// The rows of the dictionaries that an event refers to.
#[derive(Clone, Copy)]
pub struct Reference {
    pub context_id: i64,
    pub node_id: i32,
}

/// What a context depends on, as cheap to compare as it can be.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    assignments: u64,
    session_user: Oid,
    outer_user: Oid,
    user: Oid,
    role: Oid,
    origin: u16,
    application: *const c_char,
}

/// What tells one statement of the client from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Statement {
    started_at: i64,
    portal: pg_sys::Portal,
    source: *const c_char,
    location: i32,
}

struct Current {
    fingerprint: Fingerprint,
    statement: Statement,
    application_hash: u64,
    /// The context came from the statement's comment or holds its text: it is good for this statement only.
    is_of_statement: bool,
    reference: Reference,
    written_at: i64,
}

static CURRENT: Local<[Option<Current>; 3]> = Local::new([const { None }; 3]);
static REMEMBERED: Local<Remembered> = Local::new(Remembered::new());

/// How long a context is used before it is written again, so that its partition may go soon after the events'.
const LIFETIME: i64 = 86_400_000_000;

pub fn register() {
    transaction::register(Step::Contexts, ends);
}

/// The context of what is being done now, written if need be.
///
/// # Safety
/// Must run inside a transaction that may write.
#[inline]
pub unsafe fn current(statement_use: StatementUse) -> Reference {
    // SAFETY: inside a transaction; the current context is used by nobody else until it is returned.
    unsafe {
        let fingerprint = fingerprint();
        let statement = statement();
        if let Some(current) = &mut CURRENT.in_place()[statement_use as usize]
            && current.fingerprint == fingerprint
        {
            if current.statement == statement {
                return current.reference;
            }
            let is_plain = statement_use == StatementUse::Omit && !current.is_of_statement;
            if is_plain
                && !client::has_comment()
                && current.application_hash == content::application_hash()
                && statement.started_at < current.written_at + LIFETIME
            {
                current.statement = statement;
                return current.reference;
            }
        }
        find_or_write(statement_use, fingerprint, statement)
    }
}

/// # Safety
/// As [`current`].
unsafe fn find_or_write(statement_use: StatementUse, fingerprint: Fingerprint, statement: Statement) -> Reference {
    // SAFETY: inside a transaction.
    unsafe {
        let node_id = session::node();
        let session_id = session::current();
        let content = Content::gather(session_id, statement_use);
        let now = clock::now();
        let remembered = REMEMBERED.in_place();
        let hash = content.hash();
        let (context_id, written_at) = match remembered.find(hash) {
            Some((id, written_at)) if now < written_at + LIFETIME => (id, written_at),
            _ => {
                let id = content.write(node_id, now);
                remembered.add(hash, id, now, raw::GetCurrentSubTransactionId());
                (id, now)
            }
        };
        let reference = Reference { context_id, node_id };
        CURRENT.in_place()[statement_use as usize] = Some(Current {
            fingerprint,
            statement,
            application_hash: content::application_hash(),
            is_of_statement: content.is_of_statement(),
            reference,
            written_at,
        });
        reference
    }
}

/// # Safety
/// Must run inside a transaction.
unsafe fn fingerprint() -> Fingerprint {
    // SAFETY: these read variables.
    unsafe {
        Fingerprint {
            assignments: settings::assignments(),
            session_user: raw::GetSessionUserId(),
            outer_user: raw::GetOuterUserId(),
            user: raw::GetUserId(),
            role: raw::GetCurrentRoleId(),
            origin: pg_sys::replorigin_session_origin,
            application: pg_sys::application_name,
        }
    }
}

/// # Safety
/// Must run inside a transaction.
unsafe fn statement() -> Statement {
    // SAFETY: the active portal, where there is one, is live.
    unsafe {
        let portal = pg_sys::ActivePortal;
        let (source, location) = match portal.as_ref() {
            Some(portal) => (portal.sourceText, client::location(portal)),
            None => (pg_sys::debug_query_string, 0),
        };
        Statement { started_at: raw::GetCurrentStatementStartTimestamp(), portal, source, location }
    }
}

fn ends(event: Event) {
    match event {
        Event::Commit => {
            // SAFETY: used by nobody else, and nothing of PostgreSQL's is called.
            unsafe { REMEMBERED.in_place() }.commit();
            session::commit();
            expire();
        }
        Event::Prepare | Event::Abort => forget(0),
        Event::SubAbort(subtransaction) => forget(subtransaction),
        Event::Ending => {}
    }
}

/// Forgets contexts that are to be written again, also those of a procedure that commits for ever.
fn expire() {
    // SAFETY: used by nobody else; the clock calls nothing of ours.
    for slot in unsafe { CURRENT.in_place() } {
        if slot.as_ref().is_some_and(|current| clock::now() >= current.written_at + LIFETIME) {
            *slot = None;
        }
    }
}

/// Forgets what was written in this subtransaction and those inside it, whose ids are higher.
fn forget(subtransaction: u32) {
    CURRENT.set([const { None }; 3]);
    // SAFETY: used by nobody else, and nothing of PostgreSQL's is called.
    unsafe { REMEMBERED.in_place() }.abort(subtransaction);
    session::abort(subtransaction);
}
