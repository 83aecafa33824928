//! What a context says: gathered from the backend, the settings and the statement's comment.

use std::hash::{DefaultHasher, Hash, Hasher};

use audit_model::key_order;
use audit_statement::comment;
use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum};

use super::client::{fresh_text, parameters, statement_text};
use super::{StatementUse, text};
use crate::jsonb::Writer;
use crate::pg::datum;
use crate::settings;
use crate::store::dictionary;
use crate::store::partition::Parent;
use audit_model::schema::contexts;

/// Everything but the ids. Texts are in the server's encoding.
#[derive(Hash, Default)]
pub struct Content {
    session_id: i64,
    login: Vec<u8>,
    role: Option<Vec<u8>>,
    effective_role: Vec<u8>,
    application_name: Option<Vec<u8>>,
    actor: Option<Vec<u8>>,
    actor_source: &'static str,
    trace_id: Option<Vec<u8>>,
    reason: Option<Vec<u8>>,
    /// A whole jsonb varlena.
    context: Option<Vec<u8>>,
    statement: Option<Vec<u8>>,
    /// A whole jsonb varlena.
    parameters: Option<Vec<u8>>,
    origin: Option<Vec<u8>>,
    has_comment: bool,
}

impl Content {
    /// What can be said now.
    ///
    /// # Safety
    /// Must run inside a transaction.
    pub unsafe fn gather(session_id: i64, statement_use: StatementUse) -> Content {
        // SAFETY: role names are looked up in the catalog; the settings are PostgreSQL's variables.
        unsafe {
            let role = pg_sys::GetCurrentRoleId();
            let mut content = Content {
                session_id,
                login: role_name(pg_sys::GetSessionUserId()),
                role: (role != pg_sys::InvalidOid).then(|| role_name(role)),
                effective_role: role_name(pg_sys::GetUserId()),
                application_name: text(pg_sys::application_name).map(|name| name.to_bytes().to_vec()),
                actor: settings::actor().map(|actor| actor.to_bytes().to_vec()),
                actor_source: if settings::actor().is_some() { "setting" } else { "login" },
                trace_id: settings::trace_id().map(|trace| trace.to_bytes().to_vec()),
                reason: settings::reason().map(|reason| reason.to_bytes().to_vec()),
                context: settings::context().map(|context| object(context)),
                origin: origin(),
                ..Default::default()
            };
            content.take_comment();
            content.take_statement(statement_use);
            content
        }
    }

    /// 128 bits of two salted SipHashes; a collision would attribute a change to another context.
    pub fn hash(&self) -> u128 {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            Hash::hash(self, &mut hasher);
            hasher.finish()
        };
        u128::from(half(1)) << 64 | u128::from(half(2))
    }

    /// Whether the next statement may need another context though nothing else changes.
    pub fn is_of_statement(&self) -> bool {
        self.has_comment || self.statement.is_some()
    }

    /// Writes the row and returns its id.
    ///
    /// # Safety
    /// Must run inside a transaction that may write.
    pub unsafe fn write(&self, node_id: i32, now: i64) -> i64 {
        // SAFETY: the values are those of the columns in order.
        unsafe {
            let id = dictionary::new_id(now);
            let values: [Option<Datum>; contexts::COUNT] = [
                Some(Datum::from(node_id)),
                Some(Datum::from(id)),
                Some(Datum::from(self.session_id)),
                text_datum(Some(&self.login)),
                text_datum(self.role.as_ref()),
                text_datum(Some(&self.effective_role)),
                text_datum(self.application_name.as_ref()),
                text_datum(self.actor.as_ref()),
                self.actor_source.into_datum(),
                text_datum(self.trace_id.as_ref()),
                text_datum(self.reason.as_ref()),
                varlena_datum(self.context.as_ref()),
                text_datum(self.statement.as_ref()),
                varlena_datum(self.parameters.as_ref()),
                text_datum(self.origin.as_ref()),
            ];
            dictionary::append(Parent::Contexts, id, &values);
            id
        }
    }

    /// Lets a sqlcommenter comment fill in what the settings leave open.
    fn take_comment(&mut self) {
        let Some(source) = fresh_text() else { return };
        // SAFETY: a plain variable of this process.
        let conforming = unsafe { pg_sys::standard_conforming_strings };
        let Some(mut pairs) = comment::pairs(source, conforming) else { return };
        pairs.retain(|pair| is_valid(&pair.key) && is_valid(&pair.value));
        self.has_comment = true;
        if self.trace_id.is_none() {
            self.trace_id = comment::value(&pairs, b"traceparent")
                .and_then(comment::trace_id)
                .map(|trace| trace.as_bytes().to_vec());
        }
        if self.actor.is_none()
            && let Some(actor) = comment::value(&pairs, b"actor").filter(|actor| !actor.is_empty())
        {
            self.actor = Some(actor.to_vec());
            self.actor_source = "comment";
        }
        if self.context.is_none() && !pairs.is_empty() {
            pairs.sort_by(|one, other| key_order(&one.key, &other.key));
            pairs.dedup_by(|one, other| one.key == other.key);
            let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|pair| (&*pair.key, &*pair.value)).collect();
            self.context = Some(strings(&pairs));
        }
    }

    /// # Safety
    /// Must run inside a transaction.
    unsafe fn take_statement(&mut self, statement_use: StatementUse) {
        if statement_use == StatementUse::Omit {
            return;
        }
        let Some(statement) = statement_text() else { return };
        let mut statement = match statement_use {
            StatementUse::Redacted => audit_statement::redact(statement),
            _ => statement.to_vec(),
        };
        clip(&mut statement, settings::max_value_bytes());
        self.statement = Some(statement);
        if statement_use == StatementUse::Full {
            // SAFETY: inside a transaction; the active portal is live.
            self.parameters = unsafe { parameters() };
        }
    }
}

/// The application's name, as a number that is quick to compare.
pub fn application_hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    // SAFETY: a NUL-terminated setting.
    unsafe { text(pg_sys::application_name) }.hash(&mut hasher);
    hasher.finish()
}

/// The replication origin that an apply worker works for.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn origin() -> Option<Vec<u8>> {
    // SAFETY: a catalog lookup that reports a missing origin by returning false.
    unsafe {
        let id = pg_sys::replorigin_session_origin;
        if id == 0 || id == u16::MAX {
            return None;
        }
        let mut name = core::ptr::null_mut();
        pg_sys::replorigin_by_oid(id, true, &mut name).then(|| text(name).map(|name| name.to_bytes().to_vec()))?
    }
}

/// # Safety
/// Must run inside a transaction.
unsafe fn role_name(role: pg_sys::Oid) -> Vec<u8> {
    // SAFETY: a catalog lookup that returns null for a role that is gone.
    unsafe {
        text(pg_sys::GetUserNameFromId(role, true))
            .map_or_else(|| role.to_u32().to_string().into(), |name| name.to_bytes().to_vec())
    }
}

/// A JSON object's text as jsonb; the setting's check hook has accepted it.
///
/// # Safety
/// Must run inside a transaction.
unsafe fn object(text: &core::ffi::CStr) -> Vec<u8> {
    // SAFETY: jsonb_in takes a cstring and returns a varlena.
    unsafe {
        let datum = pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(Datum::from(text.as_ptr()))]);
        datum.map_or_else(Vec::new, |datum| {
            let value = datum.cast_mut_ptr::<pg_sys::varlena>();
            core::slice::from_raw_parts(value.cast::<u8>(), pgrx::varlena::varsize_any(value)).to_vec()
        })
    }
}

/// An object of strings; the keys are in jsonb's order and distinct.
fn strings(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    let mut object = writer.object(pairs.len());
    for (key, _) in pairs {
        writer.key(&mut object, key);
    }
    for (_, value) in pairs {
        writer.string(&mut object, value);
    }
    writer.finish().to_vec()
}

/// Whether bytes are a text in the server's encoding.
fn is_valid(bytes: &[u8]) -> bool {
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    // SAFETY: the bytes are readable for their length; noError makes the function return.
    !bytes.contains(&0) && unsafe { pg_sys::pg_verifymbstr(bytes.as_ptr().cast(), length, true) }
}

/// Cuts a text at a character boundary.
fn clip(text: &mut Vec<u8>, most: usize) {
    if text.len() > most {
        let length = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        // SAFETY: the bytes are readable for their length.
        let kept = unsafe { pg_sys::pg_mbcliplen(text.as_ptr().cast(), length(text.len()), length(most)) };
        text.truncate(usize::try_from(kept).unwrap_or(0));
    }
}

fn text_datum(text: Option<&Vec<u8>>) -> Option<Datum> {
    text.map(|text| datum::text(text))
}

fn varlena_datum(bytes: Option<&Vec<u8>>) -> Option<Datum> {
    bytes.map(|bytes| datum::copy(bytes))
}
