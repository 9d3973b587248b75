//! Numbers with a range: refused on reading, so that no later code meets a NaN, a negative weight or a zero count.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A whole number, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

/// A finite number above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Positive(pub f64);

/// A finite number, zero or above.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct NonNegative(pub f64);

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(pub f64);

trait Real: Sized {
    const NAME: &'static str;
    const WANTED: &'static str;
    fn schema() -> Schema;
    fn get(&self) -> f64;
    fn new(number: f64) -> Option<Self>;
}

impl Real for Positive {
    const NAME: &'static str = "Positive";
    const WANTED: &'static str = "a number above zero";
    fn schema() -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0 })
    }
    fn get(&self) -> f64 {
        self.0
    }
    fn new(number: f64) -> Option<Self> {
        (number > 0.0 && number.is_finite()).then_some(Self(number))
    }
}

impl Real for NonNegative {
    const NAME: &'static str = "NonNegative";
    const WANTED: &'static str = "a number, zero or above";
    fn schema() -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
    fn get(&self) -> f64 {
        self.0
    }
    fn new(number: f64) -> Option<Self> {
        // `+ 0.0` turns a negative zero into a plain one, so that it is written and compared like one.
        (number >= 0.0 && number.is_finite()).then_some(Self(number + 0.0))
    }
}

impl Real for Share {
    const NAME: &'static str = "Share";
    const WANTED: &'static str = "a number from 0 to 1";
    fn schema() -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
    fn get(&self) -> f64 {
        self.0
    }
    fn new(number: f64) -> Option<Self> {
        (0.0..=1.0).contains(&number).then_some(Self(number + 0.0))
    }
}

struct RealVisitor<R>(PhantomData<R>);

impl<R: Real> Visitor<'_> for RealVisitor<R> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::WANTED)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<R, E> {
        R::new(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    #[expect(clippy::cast_precision_loss, reason = "a parameter of 2^53 or more is rounded")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<R, E> {
        R::new(number as f64).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    #[expect(clippy::cast_precision_loss, reason = "a parameter of 2^53 or more is rounded")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<R, E> {
        R::new(number as f64).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

macro_rules! real {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(RealVisitor(PhantomData))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_f64(self.get())
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Self::NAME.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                Self::schema()
            }
        }
    )*};
}

real!(Positive, NonNegative, Share);

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, at least 1")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
        match u64::try_from(number) {
            Ok(count) if count > 0 => Ok(Count(count)),
            _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
        // TOML has no integers above i64::MAX, so what cannot be written back is refused.
        if number == 0 || i64::try_from(number).is_err() {
            return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
        }
        Ok(Count(number))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1 })
    }
}
