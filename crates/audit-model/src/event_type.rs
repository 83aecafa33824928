//! The built-in event types. Numbers below 1000 are built in and never change; applications declare the others.
//!
//! What people read of a type, its phrase and its description, stands in sql/catalog/event_types.sql alone.

use crate::category::Category;
use crate::values::{Changes, Side};

/// How much an event of a type deserves attention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Risk {
    Low,
    Medium,
    High,
}

impl Risk {
    pub const fn name(self) -> &'static str {
        match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }
}

/// Each type is a variant, its number, name, category and risk.
macro_rules! event_types {
    ($($variant:ident $number:literal $name:literal $category:ident $risk:ident,)+) => {
        /// A built-in event type.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(i32)]
        pub enum EventType {
            $(#[doc = concat!("`", $name, "`")] $variant = $number,)+
        }

        impl EventType {
            pub const ALL: &[EventType] = &[$(EventType::$variant,)+];

            /// The type of that number; `None` for one that an application has declared.
            #[inline]
            pub const fn numbered(number: i32) -> Option<EventType> {
                match number {
                    $($number => Some(EventType::$variant),)+
                    _ => None,
                }
            }

            pub const fn name(self) -> &'static str {
                match self { $(EventType::$variant => $name,)+ }
            }

            #[inline]
            pub const fn category(self) -> Category {
                match self { $(EventType::$variant => Category::$category,)+ }
            }

            pub const fn risk(self) -> Risk {
                match self { $(EventType::$variant => Risk::$risk,)+ }
            }
        }
    };
}

event_types! {
    RowInsert            1 "row.insert"           Data        Low,
    RowUpdate            2 "row.update"           Data        Low,
    RowDelete            3 "row.delete"           Data        Medium,
    RowTruncate          4 "row.truncate"         Data        Medium,
    RowBaseline          5 "row.baseline"         Data        Low,
    TableTruncate        6 "table.truncate"       Data        High,
    TableUnseen          7 "table.unseen"         System      Medium,
    TableRead           20 "table.read"           Read        Low,
    DataExport          21 "data.export"          Read        Medium,
    SessionLogin        30 "session.login"        Security    Low,
    SessionLogout       31 "session.logout"       Security    Low,
    SessionLoginFailed  32 "session.login_failed" Security    Medium,
    AccessDenied        33 "access.denied"        Security    High,
    StatementError      34 "statement.error"      Security    Low,
    RoleCreate          35 "role.create"          Security    High,
    RoleAlter           36 "role.alter"           Security    High,
    RoleDrop            37 "role.drop"            Security    High,
    PrivilegeGrant      38 "privilege.grant"      Security    High,
    PrivilegeRevoke     39 "privilege.revoke"     Security    Medium,
    RoleSet             40 "role.set"             Security    Low,
    ObjectCreate        60 "object.create"        Schema      Medium,
    ObjectAlter         61 "object.alter"         Schema      Medium,
    ObjectDrop          62 "object.drop"          Schema      High,
    ConfigEnable        80 "config.enable"        System      Medium,
    ConfigDisable       81 "config.disable"       System      High,
    ConfigChange        82 "config.change"        System      Medium,
    AuditSuspend        83 "audit.suspend"        System      High,
    AuditLost           84 "audit.lost"           System      High,
    AuditGap            85 "audit.gap"            System      High,
    AuditUninstall      86 "audit.uninstall"      System      High,
    EvidenceMove        87 "evidence.move"        System      Low,
    EvidenceLoad        88 "evidence.load"        System      Medium,
    EvidenceErase       89 "evidence.erase"       System      High,
    RetentionPrune      90 "retention.prune"      System      Medium,
    RetentionArchive    91 "retention.archive"    System      Low,
    RetentionRestore    92 "retention.restore"    System      Medium,
    RetentionUnload     93 "retention.unload"     System      Medium,
    RetentionHold       94 "retention.hold"       System      Medium,
    RetentionRelease    95 "retention.release"    System      High,
    PartitionCreate     96 "partition.create"     System      Low,
    TriggerChange       97 "trigger.change"       System      High,
    TableUnconfigured   98 "table.unconfigured"   System      High,
    ExecutionStarted   120 "execution.started"    Application Low,
    ExecutionStep      121 "execution.step"       Application Low,
    ExecutionFinished  122 "execution.finished"   Application Low,
    ExecutionFailed    123 "execution.failed"     Application Medium,
    FunctionCall       124 "function.call"        Application Low,
    ErrorReported      125 "error.reported"       Application Medium,
}

impl EventType {
    /// The number that events are stored with.
    #[inline]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What events of this type hold in the column `changes`; `None` where they are not about a row.
    #[inline]
    pub const fn changes(self) -> Option<Changes> {
        match self {
            EventType::RowInsert | EventType::RowBaseline => Some(Changes::Row(Side::New)),
            EventType::RowDelete | EventType::RowTruncate => Some(Changes::Row(Side::Old)),
            EventType::RowUpdate => Some(Changes::Columns),
            _ => None,
        }
    }

    /// Whether applications may record events of this type: those of executions and errors.
    pub const fn is_recordable(self) -> bool {
        matches!(
            self,
            EventType::ExecutionStarted
                | EventType::ExecutionStep
                | EventType::ExecutionFinished
                | EventType::ExecutionFailed
                | EventType::ErrorReported
        )
    }

    /// Whether an event of this type says by itself that something failed.
    pub const fn is_failure(self) -> bool {
        matches!(self, EventType::ExecutionFailed | EventType::ErrorReported)
    }
}
