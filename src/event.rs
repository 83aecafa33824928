//! The record that every capture makes and every writer takes.

use audit_model::{Category, EventType};

/// One event. Texts are in the server's encoding, jsonb values are whole varlenas with four-byte headers.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub event_type: i32,
    pub category: Category,
    /// The version of the table in `audit_internal.relations`; 0 where none is concerned.
    pub relation_id: i32,
    /// The command within the transaction.
    pub command_id: u32,
    pub entity_id: Option<&'a [u8]>,
    pub changes: Option<&'a [u8]>,
    pub image: Option<&'a [u8]>,
    pub entity_label: Option<&'a [u8]>,
    pub parameters: Option<&'a [u8]>,
    pub new_entity_id: Option<&'a [u8]>,
    pub entity: Option<&'a [u8]>,
    pub failed: bool,
    /// The table's retention, to which the partitions of the event are dedicated; none for those of the category.
    pub retention_id: Option<i32>,
}

impl Event<'_> {
    /// An event of this built-in type about nothing yet.
    pub const fn new(event_type: EventType) -> Event<'static> {
        Event::declared(event_type.number(), event_type.category())
    }

    /// As [`Event::new`], of a type that the catalog has.
    pub const fn declared(event_type: i32, category: Category) -> Event<'static> {
        Event {
            event_type,
            category,
            relation_id: 0,
            command_id: 0,
            entity_id: None,
            changes: None,
            image: None,
            entity_label: None,
            parameters: None,
            new_entity_id: None,
            entity: None,
            failed: false,
            retention_id: None,
        }
    }
}
