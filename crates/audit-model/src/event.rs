//! The columns of `audit.events`, in the order of the stored tuple: what every event has, then what most have, then
//! what few have.

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataType {
    Bigint,
    Integer,
    Jsonb,
    Text,
    Timestamptz,
    Uuid,
}

impl DataType {
    /// The name that PostgreSQL's `format_type` gives.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::Bigint => "bigint",
            DataType::Integer => "integer",
            DataType::Jsonb => "jsonb",
            DataType::Text => "text",
            DataType::Timestamptz => "timestamp with time zone",
            DataType::Uuid => "uuid",
        }
    }

    /// The bytes of a value; `None` where values vary in length.
    pub const fn size(self) -> Option<usize> {
        match self {
            DataType::Integer => Some(4),
            DataType::Bigint | DataType::Timestamptz => Some(8),
            DataType::Uuid => Some(16),
            DataType::Jsonb | DataType::Text => None,
        }
    }
}

/// Each column is a variant, its name, its type, and `required` or `optional`.
macro_rules! columns {
    ($($variant:ident $name:literal $data_type:ident $presence:ident,)+) => {
        /// A column of an event. As a number it is the position in the tuple, from 0.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Column {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Column {
            pub const ALL: &[Column] = &[$(Column::$variant,)+];

            pub const fn name(self) -> &'static str {
                match self { $(Column::$variant => $name,)+ }
            }

            pub const fn data_type(self) -> DataType {
                match self { $(Column::$variant => DataType::$data_type,)+ }
            }

            /// Whether an event may lack it.
            pub const fn is_optional(self) -> bool {
                match self { $(Column::$variant => columns!(@$presence),)+ }
            }
        }
    };
    (@required) => { false };
    (@optional) => { true };
}

columns! {
    OccurredAt           "occurred_at"            Timestamptz required,
    EventId              "event_id"               Uuid        required,
    TransactionId        "transaction_id"         Bigint      required,
    ContextId            "context_id"             Bigint      required,
    NodeId               "node_id"                Integer     required,
    EventType            "event_type"             Integer     required,
    RelationId           "relation_id"            Integer     required,
    CommandId            "command_id"             Integer     required,
    Category             "category"               Text        required,
    EntityId             "entity_id"              Text        optional,
    Changes              "changes"                Jsonb       optional,
    Image                "image"                  Jsonb       optional,
    EntityLabel          "entity_label"           Text        optional,
    Parameters           "parameters"             Jsonb       optional,
    NewEntityId          "new_entity_id"          Text        optional,
    Entity               "entity"                 Text        optional,
    Result               "result"                 Text        optional,
    SubjectTransactionId "subject_transaction_id" Bigint      optional,
    RetentionId          "retention_id"           Integer     optional,
}

impl Column {
    pub const COUNT: usize = Column::ALL.len();

    /// The columns that an archive holds of an event. The last one says where in the trail an event is, which restoring
    /// decides anew.
    pub const ARCHIVED: &[Column] = Column::ALL.split_at(Column::RetentionId as usize).0;

    /// The attribute number, from 1.
    #[inline]
    pub const fn number(self) -> i16 {
        self as i16 + 1
    }

    /// The column of that attribute number.
    #[inline]
    pub fn numbered(number: i16) -> Option<Column> {
        let position = usize::try_from(number).ok()?.checked_sub(1)?;
        Column::ALL.get(position).copied()
    }
}
