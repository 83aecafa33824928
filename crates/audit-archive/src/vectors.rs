//! Tests that events are read as the model says, by its vectors. tests/model.rs has the same for the extension.

use audit_model::{EventType, Side, VECTORS, summary};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::Event;
use crate::values::{Changes, Names};

#[derive(Deserialize)]
struct Vectors<'a> {
    #[serde(borrow)]
    values: Vec<Values<'a>>,
    summaries: Vec<Summary>,
}

#[derive(Deserialize)]
struct Values<'a> {
    of: &'a str,
    event_type: &'a str,
    changes: Option<&'a RawValue>,
    image: Option<&'a RawValue>,
    names: Option<Vec<String>>,
    columns: Option<Vec<String>>,
    old: Option<&'a RawValue>,
    new: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Summary {
    actor: Option<String>,
    phrase: Option<String>,
    entity: Option<String>,
    entity_id: Option<String>,
    entity_label: Option<String>,
    columns: Option<Vec<String>>,
    summary: String,
}

fn written(write: impl FnOnce(&mut String) -> bool) -> Option<String> {
    let mut out = String::new();
    write(&mut out).then_some(out)
}

#[test]
fn values_are_read_as_the_model_says() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors.values {
        let event_type = EventType::ALL.iter().find(|known| known.name() == vector.event_type).unwrap().number();
        let [changes, image] = [vector.changes, vector.image].map(|given| given.map_or("null", RawValue::get));
        let line =
            format!(r#"["","",0,0,0,{event_type},0,0,"data",null,{changes},{image},null,null,null,null,null,null]"#);
        let event: Event = serde_json::from_str(&line).unwrap();
        let changes = Changes::of(&event).unwrap();
        let names = vector.names.map(Names::new);
        for (side, expected) in [(Side::Old, vector.old), (Side::New, vector.new)] {
            let read = written(|out| changes.write(side, names.as_ref(), out));
            assert_eq!(read.as_deref(), expected.map(RawValue::get), "{} {side:?}", vector.of);
        }
        let columns = changes.columns().map(|(count, names)| (count, names.map(str::to_string).collect()));
        assert_eq!(columns, vector.columns.map(|columns| (columns.len(), columns)), "{}", vector.of);
    }
}

#[test]
fn summaries_are_those_of_the_model() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors.summaries {
        let parts = summary::Parts {
            actor: vector.actor.as_deref(),
            phrase: vector.phrase.as_deref(),
            entity: vector.entity.as_deref(),
            entity_id: vector.entity_id.as_deref(),
            entity_label: vector.entity_label.as_deref(),
        };
        let columns = vector.columns.as_ref().map(|columns| (columns.len(), columns.iter().map(String::as_str)));
        let mut sentence = String::new();
        summary::write(&mut sentence, parts, columns);
        assert_eq!(sentence, vector.summary);
    }
}
