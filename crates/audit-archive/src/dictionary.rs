//! What events refer to: sessions, contexts, versions of tables, servers, event types.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Failure, Result};
use crate::spool::{Key, Spool};
use crate::values::Names;

/// A dictionary row as it comes: the dictionary's name and the row.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry<'a> {
    #[serde(borrow)]
    Session(&'a RawValue),
    #[serde(borrow)]
    Context(&'a RawValue),
    #[serde(borrow)]
    Relation(&'a RawValue),
    #[serde(borrow)]
    Node(&'a RawValue),
    #[serde(borrow)]
    EventType(&'a RawValue),
    End(End),
}

/// The last line: how many events there were.
#[derive(Deserialize)]
pub struct End {
    pub events: u64,
}

/// What the trail shows of a connection.
pub struct Session {
    pub token: String,
    pub client_addr: Option<String>,
}

/// Who and why.
pub struct Context {
    pub session: Key,
    pub login: String,
    pub role: Option<String>,
    pub effective_role: String,
    pub application_name: Option<String>,
    pub actor: Option<String>,
    pub actor_source: String,
    pub trace_id: Option<String>,
    pub reason: Option<String>,
    pub context: Option<Box<RawValue>>,
    pub statement: Option<String>,
    pub statement_parameters: Option<Box<RawValue>>,
}

/// A version of an audited table.
pub struct Relation {
    pub entity: String,
    pub columns: Option<Names>,
}

#[derive(Deserialize)]
pub struct Node {
    pub name: String,
    pub database_name: String,
}

#[derive(Deserialize)]
pub struct EventType {
    pub name: String,
    pub risk: String,
    pub phrase: String,
}

pub struct Dictionaries {
    pub sessions: Spool<Session>,
    pub contexts: Spool<Context>,
    relations: HashMap<(i32, i32), Rc<Relation>>,
    nodes: HashMap<i32, Rc<Node>>,
    event_types: HashMap<i32, Rc<EventType>>,
}

impl Dictionaries {
    pub fn new() -> Dictionaries {
        Dictionaries {
            sessions: Spool::new(session),
            contexts: Spool::new(context),
            relations: HashMap::new(),
            nodes: HashMap::new(),
            event_types: HashMap::new(),
        }
    }

    pub fn relation(&self, node_id: i32, relation_id: i32) -> Option<Rc<Relation>> {
        self.relations.get(&(node_id, relation_id)).cloned()
    }

    pub fn node(&self, node_id: i32) -> Option<Rc<Node>> {
        self.nodes.get(&node_id).cloned()
    }

    pub fn event_type(&self, event_type: i32) -> Option<Rc<EventType>> {
        self.event_types.get(&event_type).cloned()
    }

    /// The names of the servers.
    pub fn servers(&self) -> BTreeSet<String> {
        self.nodes.values().map(|node| node.name.clone()).collect()
    }

    pub fn add_relation(&mut self, row: &RawValue) -> Result<()> {
        #[derive(Deserialize)]
        struct Row {
            node_id: i32,
            relation_id: i32,
            entity: String,
            recorded_columns: Option<Vec<String>>,
        }
        let row: Row = parse("relation", row)?;
        let relation = Relation { entity: row.entity, columns: row.recorded_columns.map(Names::new) };
        self.relations.insert((row.node_id, row.relation_id), Rc::new(relation));
        Ok(())
    }

    pub fn add_node(&mut self, row: &RawValue) -> Result<()> {
        #[derive(Deserialize)]
        struct Row {
            node_id: i32,
            #[serde(flatten)]
            node: Node,
        }
        let row: Row = parse("node", row)?;
        self.nodes.insert(row.node_id, Rc::new(row.node));
        Ok(())
    }

    pub fn add_event_type(&mut self, row: &RawValue) -> Result<()> {
        #[derive(Deserialize)]
        struct Row {
            event_type: i32,
            #[serde(flatten)]
            described: EventType,
        }
        let row: Row = parse("event_type", row)?;
        self.event_types.insert(row.event_type, Rc::new(row.described));
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(dictionary: &str, row: &'a RawValue) -> Result<T> {
    serde_json::from_str(row.get()).map_err(|error| {
        Failure::bad_request(format!("a row of dictionary \"{dictionary}\" is not understood: {error}"))
    })
}

fn session(row: &str) -> serde_json::Result<(Key, Session)> {
    #[derive(Deserialize)]
    struct Row {
        node_id: i32,
        session_id: i64,
        token: String,
        client_addr: Option<String>,
    }
    let row: Row = serde_json::from_str(row)?;
    Ok(((row.node_id, row.session_id), Session { token: row.token, client_addr: row.client_addr }))
}

fn context(row: &str) -> serde_json::Result<(Key, Context)> {
    #[derive(Deserialize)]
    struct Row {
        node_id: i32,
        context_id: i64,
        session_id: i64,
        login: String,
        role: Option<String>,
        effective_role: String,
        application_name: Option<String>,
        actor: Option<String>,
        actor_source: String,
        trace_id: Option<String>,
        reason: Option<String>,
        context: Option<Box<RawValue>>,
        statement: Option<String>,
        statement_parameters: Option<Box<RawValue>>,
    }
    let row: Row = serde_json::from_str(row)?;
    let context = Context {
        session: (row.node_id, row.session_id),
        login: row.login,
        role: row.role,
        effective_role: row.effective_role,
        application_name: row.application_name,
        actor: row.actor,
        actor_source: row.actor_source,
        trace_id: row.trace_id,
        reason: row.reason,
        context: row.context,
        statement: row.statement,
        statement_parameters: row.statement_parameters,
    };
    Ok(((row.node_id, row.context_id), context))
}
