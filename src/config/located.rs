//! A value that remembers where in the source it stood.

use crate::reader::LOCATED;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// A value with its place in the [`Source`](crate::Source) it was read from.
///
/// Two are equal when their values are, wherever they stood. Values made by the program stand nowhere.
#[derive(Clone, Debug, Default)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    span: Option<(usize, usize)>,
}

impl<T> Located<T> {
    /// A value that comes from no file.
    pub const fn nowhere(value: T) -> Self {
        Self { value, span: None }
    }

    /// The place in the source, in bytes; none for a value that comes from no file.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.map(|(start, end)| start..end)
    }

    /// Another value in the same place.
    pub const fn with<U>(&self, value: U) -> Located<U> {
        Located { value, span: self.span }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> From<T> for Located<T> {
    fn from(value: T) -> Self {
        Self::nowhere(value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(LOCATED, LocatedVisitor(PhantomData))
    }
}

/// Takes a value with its place from a [`Reader`](crate::Reader), and without one from any other format.
struct LocatedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LocatedVisitor<T> {
    type Value = Located<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut place_and_value: A) -> Result<Located<T>, A::Error> {
        let missing = |index| A::Error::invalid_length(index, &"a place and a value");
        let start = place_and_value.next_element()?.ok_or_else(|| missing(0))?;
        let end = place_and_value.next_element()?.ok_or_else(|| missing(1))?;
        let value = place_and_value.next_element()?.ok_or_else(|| missing(2))?;
        Ok(Located { value, span: Some((start, end)) })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Located<T>, D::Error> {
        T::deserialize(deserializer).map(Located::nowhere)
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
