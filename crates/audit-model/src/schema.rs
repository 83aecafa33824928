//! Attribute numbers of the trail's tables, by the names of their columns. Those of `audit.events` are the model's
//! ([`crate::Column`]). The columns stand in the order of the table's definition; tests/model.rs compares them with
//! pg_attribute.

/// A module of constants for each table. A table is listed whole, whether or not a column of it is read by number.
macro_rules! tables {
    ($($table:ident { $($column:ident)+ })+) => {
        $(pub mod $table {
            /// Each column as an attribute number.
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            #[repr(i16)]
            enum Number { _BEFORE_THE_FIRST, $($column),+ }

            $(pub const $column: i16 = Number::$column as i16;)+

            /// The names, in capitals.
            pub const ALL: &[&str] = &[$(stringify!($column)),+];
            pub const COUNT: usize = ALL.len();
        })+

        /// The tables and their columns.
        pub const TABLES: &[(&str, &[&str])] = &[$((stringify!($table), $table::ALL)),+];
    };
}

tables! {
    // sql/catalog/tables.sql
    event_types { EVENT_TYPE NAME CATEGORY RISK PHRASE DESCRIPTION BUILT_IN }
    event_parameters { EVENT_TYPE NAME DATA_TYPE REQUIRED SENSITIVE DESCRIPTION }
    nodes { NODE_ID NAME SYSTEM_IDENTIFIER DATABASE_OID DATABASE_NAME TIMELINE SINCE }
    sessions {
        NODE_ID SESSION_ID TOKEN LOGIN AUTHENTICATION CLIENT_ADDR CLIENT_PORT APPLICATION_NAME BACKEND_TYPE BEGAN_AT
    }
    contexts {
        NODE_ID CONTEXT_ID SESSION_ID LOGIN ROLE EFFECTIVE_ROLE APPLICATION_NAME ACTOR ACTOR_SOURCE TRACE_ID REASON
        CONTEXT STATEMENT STATEMENT_PARAMETERS ORIGIN
    }
    relations {
        NODE_ID RELATION_ID LINEAGE RELATION_OID ENTITY SCHEMA_NAME TABLE_NAME COLUMNS KEY_COLUMNS SINCE
        RECORDED_COLUMNS
    }
    table_settings { SCHEMA_NAME TABLE_NAME RELATION_OID OPTIONS ENABLED_AT ENABLED_BY }
    unconfigured_tables { RELATION_OID RECORDED_AT }
    // sql/replication/subscribe.sql
    remote_nodes { NODE_ID SUBSCRIPTION SINCE }
    // sql/read/values.sql: the type.
    attribution {
        LOGIN ROLE EFFECTIVE_ROLE APPLICATION_NAME ACTOR ACTOR_SOURCE TRACE_ID REASON CONTEXT STATEMENT
        STATEMENT_PARAMETERS TOKEN CLIENT_ADDR
    }
}
