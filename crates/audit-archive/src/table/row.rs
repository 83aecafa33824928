//! An event as a row of the trail: its references resolved, its values named.

use std::io::Write;

use audit_model::{Side, summary};

use super::Table;
use super::batch::Value::{Bigint, Integer, Text, Time};
use crate::dictionary::Dictionaries;
use crate::error::{Failure, Result};
use crate::event::{Event, microseconds};
use crate::values::Changes;

/// Makes rows; its texts are kept for the next one.
#[derive(Default)]
pub struct Resolver {
    changed_columns: String,
    old_values: String,
    new_values: String,
    summary: String,
}

impl Resolver {
    /// Appends the event to the file and returns its time. A reference that leads nowhere, because retention has let
    /// its row go, leaves its columns null, as the view does.
    pub fn append<W: Write + Send>(
        &mut self,
        event: &Event<'_>,
        dictionaries: &mut Dictionaries,
        table: &mut Table<W>,
    ) -> Result<i64> {
        let wrong = |what: &str| Failure::bad_request(format!("event {} is not understood: {what}", &*event.event_id));
        let occurred_at = microseconds(&event.occurred_at).ok_or_else(|| wrong("its time is not in ISO 8601"))?;
        let changes = Changes::of(event).map_err(|error| wrong(&error.to_string()))?;
        let context = dictionaries.contexts.get((event.node_id, event.context_id))?;
        let session = match &context {
            Some(context) => dictionaries.sessions.get(context.session)?,
            None => None,
        };
        let (context, session) = (context.as_deref(), session.as_deref());
        let relation = dictionaries.relation(event.node_id, event.relation_id);
        let node = dictionaries.node(event.node_id);
        let event_type = dictionaries.event_type(event.event_type);

        let names = relation.as_ref().and_then(|relation| relation.columns.as_ref());
        self.changed_columns.clear();
        self.old_values.clear();
        self.new_values.clear();
        let has_changed = changes.write_columns(&mut self.changed_columns);
        let has_old = changes.write(Side::Old, names, &mut self.old_values);
        let has_new = changes.write(Side::New, names, &mut self.new_values);

        let actor = context.map(|context| context.actor.as_deref().unwrap_or(&context.login));
        let entity = event.entity.as_deref().or_else(|| relation.as_ref().map(|relation| relation.entity.as_str()));
        let phrase = event_type.as_ref().map(|event_type| event_type.phrase.as_str());
        let (entity_id, entity_label) = (event.entity_id.as_deref(), event.entity_label.as_deref());
        let parts = summary::Parts { actor, phrase, entity, entity_id, entity_label };
        self.summary.clear();
        summary::write(&mut self.summary, parts, changes.columns());

        let parameters = event.parameters.map(|parameters| parameters.get());
        let statement_parameters = context.and_then(|context| context.statement_parameters.as_deref());
        table.append([
            Text(Some(&event.event_id)),
            Time(occurred_at),
            Text(event_type.as_ref().map(|event_type| event_type.name.as_str())),
            Text(event_type.as_ref().map(|event_type| event_type.risk.as_str())),
            Text(Some(event.result.as_deref().unwrap_or("success"))),
            Text(Some(&self.summary)),
            Text(actor),
            Text(context.map(|context| context.actor_source.as_str())),
            Text(context.map(|context| context.login.as_str())),
            Text(context.and_then(|context| context.role.as_deref())),
            Text(context.map(|context| context.effective_role.as_str())),
            Text(context.and_then(|context| context.application_name.as_deref())),
            Text(session.and_then(|session| session.client_addr.as_deref())),
            Text(session.map(|session| session.token.as_str())),
            Bigint(event.subject_transaction_id.unwrap_or(event.transaction_id)),
            Text(context.and_then(|context| context.trace_id.as_deref())),
            Text(context.and_then(|context| context.reason.as_deref())),
            Text(context.and_then(|context| context.context.as_deref()).map(|context| context.get())),
            Text(entity),
            Text(entity_id),
            Text(entity_label),
            Text(has_changed.then_some(self.changed_columns.as_str())),
            Text(has_old.then_some(self.old_values.as_str())),
            Text(has_new.then_some(self.new_values.as_str())),
            Text(parameters.or(statement_parameters.map(|parameters| parameters.get()))),
            Text(context.and_then(|context| context.statement.as_deref())),
            Text(node.as_ref().map(|node| node.name.as_str())),
            Text(node.as_ref().map(|node| node.database_name.as_str())),
            Integer(event.node_id),
            Bigint(event.context_id),
            Integer(event.relation_id),
            Integer(event.command_id),
            Integer(event.event_type),
            Text(event.new_entity_id.as_deref()),
            Bigint(event.transaction_id),
        ])?;
        Ok(occurred_at)
    }
}
