//! Which members a request has that a struct takes, read off its `Deserialize`.

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor, value::Error};
use serde::forward_to_deserialize_any;

/// The names of the members that a struct takes; none for what is no struct.
pub(crate) fn of<Q: DeserializeOwned>() -> &'static [&'static str] {
    let mut members: &'static [&'static str] = &[];
    // It always fails: what it has seen by then is what is asked.
    let _ = Q::deserialize(Members(&mut members));
    members
}

struct Members<'m>(&'m mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Members<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        members: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = members;
        Err(Error::custom("no value"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
