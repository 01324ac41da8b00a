//! From handlers' replies to values: a serde serializer. What is none is absent.

use std::collections::BTreeMap;

use serde::ser::{self, Impossible, Serialize, Serializer};

use crate::value::{TIMESTAMP, Timestamp, Value};
use crate::xml::EncodeError;

/// A type as a value: structs become structures, maps maps, sequences lists, unit variants text; members that are
/// `None` are left out.
///
/// # Errors
/// What a reply cannot hold: a top level that is nothing, `None` in a list, an integer beyond 64 signed bits, a
/// variant with content, a number that is not finite.
pub fn to_value<T: Serialize + ?Sized>(reply: &T) -> Result<Value, EncodeError> {
    reply
        .serialize(Output)?
        .ok_or(EncodeError::Unrepresentable("nothing"))
}

impl ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        EncodeError::Custom(message.to_string())
    }
}

/// Yields no value where there is nothing.
struct Output;

type Found = Result<Option<Value>, EncodeError>;

fn integer(number: impl TryInto<i64>) -> Found {
    let number = number.try_into();
    number
        .map(|n| Some(Value::Integer(n)))
        .map_err(|_| EncodeError::Unrepresentable("integer beyond 64 bits"))
}

impl Serializer for Output {
    type Ok = Option<Value>;
    type Error = EncodeError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Impossible<Option<Value>, EncodeError>;
    type SerializeMap = Pairs;
    type SerializeStruct = Pairs;
    type SerializeStructVariant = Impossible<Option<Value>, EncodeError>;

    fn serialize_bool(self, truth: bool) -> Found {
        Ok(Some(Value::Boolean(truth)))
    }

    fn serialize_i8(self, number: i8) -> Found {
        integer(number)
    }

    fn serialize_i16(self, number: i16) -> Found {
        integer(number)
    }

    fn serialize_i32(self, number: i32) -> Found {
        integer(number)
    }

    fn serialize_i64(self, number: i64) -> Found {
        integer(number)
    }

    fn serialize_u8(self, number: u8) -> Found {
        integer(number)
    }

    fn serialize_u16(self, number: u16) -> Found {
        integer(number)
    }

    fn serialize_u32(self, number: u32) -> Found {
        integer(number)
    }

    fn serialize_u64(self, number: u64) -> Found {
        integer(number)
    }

    fn serialize_f32(self, number: f32) -> Found {
        self.serialize_f64(f64::from(number))
    }

    fn serialize_f64(self, number: f64) -> Found {
        if number.is_finite() {
            Ok(Some(Value::Float(number)))
        } else {
            Err(EncodeError::Unrepresentable("number that is not finite"))
        }
    }

    fn serialize_char(self, c: char) -> Found {
        Ok(Some(Value::String(c.to_string())))
    }

    fn serialize_str(self, text: &str) -> Found {
        Ok(Some(Value::String(text.to_owned())))
    }

    fn serialize_bytes(self, octets: &[u8]) -> Found {
        Ok(Some(Value::Blob(octets.to_vec())))
    }

    fn serialize_none(self) -> Found {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Found {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Found {
        Ok(None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Found {
        Ok(Some(Value::empty()))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Found {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Found {
        match value.serialize(self)? {
            Some(Value::Integer(ms)) if name == TIMESTAMP => {
                Ok(Some(Value::Timestamp(Timestamp::from_millis(ms))))
            }
            other => Ok(other),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Found {
        Err(EncodeError::Unrepresentable("variant with content"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, EncodeError> {
        Ok(List(Vec::new()))
    }

    fn serialize_tuple(self, _: usize) -> Result<List, EncodeError> {
        Ok(List(Vec::new()))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, EncodeError> {
        Ok(List(Vec::new()))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, EncodeError> {
        Err(EncodeError::Unrepresentable("variant with content"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Pairs, EncodeError> {
        Ok(Pairs {
            found: BTreeMap::new(),
            key: None,
            whole: Value::Map,
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Pairs, EncodeError> {
        Ok(Pairs {
            found: BTreeMap::new(),
            key: None,
            whole: Value::Structure,
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, EncodeError> {
        Err(EncodeError::Unrepresentable("variant with content"))
    }
}

/// Elements so far.
struct List(Vec<Value>);

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.0.push(
            value
                .serialize(Output)?
                .ok_or(EncodeError::Unrepresentable("nothing in a list"))?,
        );
        Ok(())
    }
}

impl ser::SerializeSeq for List {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.push(value)
    }

    fn end(self) -> Found {
        Ok(Some(Value::List(self.0)))
    }
}

impl ser::SerializeTuple for List {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.push(value)
    }

    fn end(self) -> Found {
        Ok(Some(Value::List(self.0)))
    }
}

impl ser::SerializeTupleStruct for List {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.push(value)
    }

    fn end(self) -> Found {
        Ok(Some(Value::List(self.0)))
    }
}

/// Members or entries so far.
struct Pairs {
    found: BTreeMap<String, Value>,
    key: Option<String>,
    whole: fn(BTreeMap<String, Value>) -> Value,
}

impl ser::SerializeStruct for Pairs {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        if let Some(value) = value.serialize(Output)? {
            self.found.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn end(self) -> Found {
        Ok(Some((self.whole)(self.found)))
    }
}

impl ser::SerializeMap for Pairs {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let key = key.serialize(Output)?.and_then(|key| key.scalar_text());
        self.key = Some(key.ok_or(EncodeError::Unrepresentable("map key that is not text"))?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let key = self
            .key
            .take()
            .ok_or(EncodeError::Unrepresentable("map value without a key"))?;
        if let Some(value) = value.serialize(Output)? {
            self.found.insert(key, value);
        }
        Ok(())
    }

    fn end(self) -> Found {
        Ok(Some((self.whole)(self.found)))
    }
}
