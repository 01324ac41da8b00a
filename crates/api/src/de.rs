//! From values to handlers' types: a serde deserializer that knows where it is, and that ignores nothing.

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};

use crate::decode::{DecodeError, DecodeKind, Segment};
use crate::value::Value;

/// A value as a type. A member that the type does not have is an error even when the type would ignore it.
///
/// # Errors
/// The first member that the type does not have, lacks or refuses, with its path.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    let text = value.scalar_text();
    T::deserialize(Input(value)).map_err(|error| finished(error, text))
}

fn error(kind: DecodeKind, expected: String) -> DecodeError {
    DecodeError {
        path: Vec::new(),
        kind,
        value: None,
        expected,
    }
}

/// An error of the value at hand learns the value's text; where it quotes that text, the noun remains.
fn finished(mut error: DecodeError, text: Option<String>) -> DecodeError {
    if error.path.is_empty()
        && error.value.is_none()
        && let Some(text) = text
    {
        let quoted = format!("`{text}` is not a ");
        if let Some(noun) = error.expected.strip_prefix(&quoted) {
            error.expected = noun.to_owned();
        }
        error.value = Some(text);
    }
    error
}

fn at(segment: Segment, text: Option<String>) -> impl FnOnce(DecodeError) -> DecodeError {
    move |error| {
        let mut error = finished(error, text);
        error.path.insert(0, segment);
        error
    }
}

impl de::Error for DecodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        error(DecodeKind::Malformed, message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        error(DecodeKind::Malformed, expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        error(DecodeKind::Malformed, expected.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        error(DecodeKind::UnsupportedValue, expected.join(", "))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let path = vec![Segment::Member(field.to_owned())];
        DecodeError {
            path,
            ..error(DecodeKind::Unsupported, expected.join(", "))
        }
    }

    fn missing_field(field: &'static str) -> Self {
        let path = vec![Segment::Member(field.to_owned())];
        DecodeError {
            path,
            ..error(DecodeKind::Missing, "a value".to_owned())
        }
    }
}

struct Input(Value);

impl<'de> IntoDeserializer<'de, DecodeError> for Input {
    type Deserializer = Input;

    fn into_deserializer(self) -> Input {
        self
    }
}

impl<'de> Deserializer<'de> for Input {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Structure(members) => visitor.visit_map(Pairs {
                keys: Segment::Member,
                rest: members.into_iter(),
                next: None,
            }),
            Value::Map(entries) => visitor.visit_map(Pairs {
                keys: Segment::Key,
                rest: entries.into_iter(),
                next: None,
            }),
            Value::List(elements) => visitor.visit_seq(Elements {
                rest: elements.into_iter().enumerate(),
            }),
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(truth) => visitor.visit_bool(truth),
            Value::Timestamp(time) => visitor.visit_i64(time.millis()),
            Value::Blob(octets) => visitor.visit_byte_buf(octets),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if let Value::String(text) = self.0 {
            visitor.visit_enum(StringDeserializer::<DecodeError>::new(text))
        } else {
            Err(de::Error::invalid_type(
                Unexpected::Other(self.0.noun()),
                &visitor,
            ))
        }
    }

    /// A type that would ignore the value: that is what must not happen.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(error(DecodeKind::Unsupported, "nothing".to_owned()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

struct Pairs {
    keys: fn(String) -> Segment,
    rest: std::collections::btree_map::IntoIter<String, Value>,
    next: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Pairs {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        self.next = self.rest.next();
        match &self.next {
            Some((key, _)) => seed.deserialize(key.clone().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let (key, value) = self
            .next
            .take()
            .ok_or_else(|| de::Error::custom("a value without a key"))?;
        let text = value.scalar_text();
        seed.deserialize(Input(value))
            .map_err(at((self.keys)(key), text))
    }
}

struct Elements {
    rest: std::iter::Enumerate<std::vec::IntoIter<Value>>,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some((index, value)) = self.rest.next() else {
            return Ok(None);
        };
        let text = value.scalar_text();
        seed.deserialize(Input(value))
            .map(Some)
            .map_err(at(Segment::Index(index), text))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
