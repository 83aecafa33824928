//! The record that every capture makes and every writer takes.

/// The categories of events, which are the partitions of `audit.events`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Category {
    Data,
    Read,
    Security,
    Schema,
    System,
    Application,
}

impl Category {
    pub const ALL: [Category; 6] =
        [Category::Data, Category::Read, Category::Security, Category::Schema, Category::System, Category::Application];

    pub const fn name(self) -> &'static str {
        match self {
            Category::Data => "data",
            Category::Read => "read",
            Category::Security => "security",
            Category::Schema => "schema",
            Category::System => "system",
            Category::Application => "application",
        }
    }

    /// The category of that name.
    pub fn named(name: &str) -> Option<Category> {
        Category::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// Numbers of the event types that the row captures write; sql/catalog/event_types.sql has them all.
pub mod kind {
    pub const ROW_INSERT: i32 = 1;
    pub const ROW_UPDATE: i32 = 2;
    pub const ROW_DELETE: i32 = 3;
    pub const ROW_TRUNCATE: i32 = 4;
    pub const ROW_BASELINE: i32 = 5;
    pub const TABLE_TRUNCATE: i32 = 6;
    pub const SUSPEND: i32 = 83;
    pub const UNCONFIGURED: i32 = 98;

    /// Whether applications may record events of this built-in type: those of executions and errors.
    pub const fn is_recordable(kind: i32) -> bool {
        matches!(kind, 120..=123 | 125)
    }

    /// Whether an event of this type says by itself that something failed.
    pub const fn is_failure(kind: i32) -> bool {
        matches!(kind, 123 | 125)
    }
}

/// One event. Texts are in the server's encoding, jsonb values are whole varlenas with four-byte headers.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub kind: i32,
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
    /// An event of this type about nothing yet.
    pub const fn new(kind: i32, category: Category) -> Event<'static> {
        Event {
            kind,
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
