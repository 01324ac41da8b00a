//! Values between the wire and the handlers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a shape describes: a request's parameters, or a reply. Members have the model's names, not the wire's.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Named members; absent ones are absent.
    Structure(BTreeMap<String, Value>),
    /// Elements in order.
    List(Vec<Value>),
    /// Text keys to values.
    Map(BTreeMap<String, Value>),
    /// Text.
    String(String),
    /// An integer.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A point in time.
    Timestamp(Timestamp),
    /// Octets.
    Blob(Vec<u8>),
}

impl Value {
    /// A structure without members.
    #[must_use]
    pub fn empty() -> Value {
        Value::Structure(BTreeMap::new())
    }

    /// The member of a structure.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&Value> {
        if let Value::Structure(members) = self {
            members.get(member)
        } else {
            None
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// What it is, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Value::Structure(_) => "structure",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::String(_) => "string",
            Value::Integer(_) => "integer",
            Value::Float(_) => "number",
            Value::Boolean(_) => "boolean",
            Value::Timestamp(_) => "timestamp",
            Value::Blob(_) => "blob",
        }
    }

    /// The text of a scalar, to be quoted in a message.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match self {
            Value::String(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(truth) => Some(truth.to_string()),
            Value::Timestamp(time) => Some(time.to_string()),
            Value::Structure(_) | Value::List(_) | Value::Map(_) | Value::Blob(_) => None,
        }
    }
}

/// Name by which [`crate::to_value`] knows a time from a number.
pub(crate) const TIMESTAMP: &str = "api::Timestamp";

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, from the year 1 to
/// 9999-12-30T22:00:00Z (what leaves room for any offset).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename = "api::Timestamp")]
pub struct Timestamp(i64);

impl Timestamp {
    const MIN_MS: i64 = -62_135_596_800_000;
    const MAX_MS: i64 = 253_402_207_200_000;

    /// A time from milliseconds since the epoch; times outside its bounds become the nearest bound.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Timestamp {
        if ms < Timestamp::MIN_MS {
            Timestamp(Timestamp::MIN_MS)
        } else if ms > Timestamp::MAX_MS {
            Timestamp(Timestamp::MAX_MS)
        } else {
            Timestamp(ms)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// A time from ISO 8601 text with an offset (`2026-01-02T03:04:05Z`); below a millisecond it is cut off.
    pub(crate) fn parse(text: &str) -> Option<Timestamp> {
        let ms = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        (Timestamp::MIN_MS..=Timestamp::MAX_MS)
            .contains(&ms)
            .then_some(Timestamp(ms))
    }
}

impl std::fmt::Display for Timestamp {
    /// ISO 8601 in UTC with milliseconds, as EC2 writes it: `2026-01-02T03:04:05.000Z`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(Timestamp::from_millis(self.0).0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => Err(std::fmt::Error),
        }
    }
}

/// Octets of a reply or request; a plain `Vec<u8>` would be a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        struct Octets;
        impl serde::de::Visitor<'_> for Octets {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("blob")
            }

            fn visit_byte_buf<E: serde::de::Error>(self, octets: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(octets))
            }
        }
        deserializer.deserialize_byte_buf(Octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_text() {
        let time = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        assert_eq!(time.to_string(), "2026-01-02T03:04:05.000Z");
        assert_eq!(
            Timestamp::parse("2026-01-02T04:04:05.1234+01:00")
                .unwrap()
                .millis(),
            1_767_323_045_123
        );
        assert_eq!(Timestamp::parse("2026-01-02T03:04:05"), None);
        assert_eq!(Timestamp::parse(""), None);
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_string(),
            "9999-12-30T22:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(i64::MIN).to_string(),
            "0001-01-01T00:00:00.000Z"
        );
    }
}
