//! A stored event: a JSON array of the columns of `audit.events`, in their order.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

/// The columns of `audit.events` that archives hold ([`audit_model::Column::ARCHIVED`]). Documents stay the text they
/// came as, so that no number changes.
#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(borrow)]
    pub occurred_at: Text<'a>,
    #[serde(borrow)]
    pub event_id: Text<'a>,
    pub transaction_id: i64,
    pub context_id: i64,
    pub node_id: i32,
    pub event_type: i32,
    pub relation_id: i32,
    pub command_id: i32,
    #[serde(borrow)]
    pub category: Text<'a>,
    #[serde(borrow)]
    pub entity_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub changes: Option<&'a RawValue>,
    #[serde(borrow)]
    pub image: Option<&'a RawValue>,
    #[serde(borrow)]
    pub entity_label: Option<Text<'a>>,
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    pub new_entity_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub entity: Option<Text<'a>>,
    #[serde(borrow)]
    pub result: Option<Text<'a>>,
    pub subject_transaction_id: Option<i64>,
}

/// A string that is borrowed from the line unless it has escapes.
#[derive(Clone)]
pub struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_string())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

/// Microseconds since 1970 of a time in ISO 8601, in UTC or with its offset; none where the text is not one.
pub fn microseconds(text: &str) -> Option<i64> {
    let time = chrono::DateTime::parse_from_rfc3339(text).or_else(|_| {
        // PostgreSQL's own text: a space, and an offset of hours alone.
        chrono::DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
    });
    time.ok().map(|time| time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use audit_model::Column;
    use serde::de::value::Error;
    use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
    use serde::forward_to_deserialize_any;

    use super::Event;

    /// Answers a request for a struct with the names of its fields.
    struct Fields;

    impl<'de> Deserializer<'de> for Fields {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
            Err(Error::custom("not a struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            _visitor: V,
        ) -> Result<V::Value, Error> {
            Err(Error::custom(fields.join(" ")))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    #[test]
    fn an_event_has_the_columns_of_the_model_in_their_order() {
        let names: Vec<_> = Column::ARCHIVED.iter().map(|column| column.name()).collect();
        let fields = Event::deserialize(Fields).err().map(|error| error.to_string());
        assert_eq!(fields, Some(names.join(" ")));
    }
}
