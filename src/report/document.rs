//! What is on a page, as sql/report/pages.sql gathers it.

use std::collections::HashMap;

use serde::Deserialize;

use super::text::{Count, Text};

/// Where, when and by whom the page was made.
#[derive(Deserialize)]
pub struct Facts {
    pub database: Text,
    pub made_at: Text,
    pub made_by: Text,
    pub time_zone: Text,
}

/// An interval of a plot over time: how many events of each category.
#[derive(Deserialize)]
pub struct Bar {
    pub label: String,
    pub counts: HashMap<String, u64>,
}

/// How many events of one type.
#[derive(Deserialize)]
pub struct Kind {
    pub name: Text,
    pub category: String,
    pub events: Count,
}

/// The page of a report.
#[derive(Deserialize)]
pub struct Report {
    #[serde(flatten)]
    pub facts: Facts,
    pub title: Text,
    pub description: Text,
    pub since: Text,
    pub until: Text,
    pub actors: Option<Vec<Text>>,
    pub total: Count,
    pub failures: Count,
    pub step: String,
    pub bars: Vec<Bar>,
    pub kinds: Vec<Kind>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Text>>,
}

/// A column of a report: its heading, and the style of its cells.
#[derive(Deserialize)]
pub struct Column {
    pub title: Text,
    pub kind: String,
}

/// The page of the dashboard.
#[derive(Deserialize)]
pub struct Dashboard {
    #[serde(flatten)]
    pub facts: Facts,
    pub categories: Vec<Category>,
    pub total: Count,
    pub today: Count,
    pub week: Count,
    pub month: Count,
    pub failures: Count,
    pub high_risk: Count,
    pub size: Text,
    pub bars: Vec<Bar>,
    pub actors: Vec<(Text, Count)>,
    pub tables: Vec<(Text, Count)>,
    pub alarms: Vec<[Text; 4]>,
}

/// A line of the dashboard's table.
#[derive(Deserialize)]
pub struct Category {
    pub name: String,
    pub events: Count,
    pub failures: Count,
    pub high_risk: Count,
    pub today: Count,
    pub week: Count,
    pub month: Count,
    pub size: Text,
}
