//! Quantities that carry their unit in the text: durations, rates, bytes, prices.
//!
//! A bare number is refused, with the form that is wanted: the reader of a scenario should never have to guess a
//! unit. Written back, each comes out in a form that reads as exactly the same value.

use gorgo_types::Nanos;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// A span of time: `"75ms"`, `"1.5 s"`, `"2 min"`; units ns, us, ms, s, min, h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Nanos);

/// A span of time longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PositiveDuration(pub Nanos);

/// A frequency in events per second, above zero: `"25 req/s"`, `"90 req/min"`, `"3 sessions/s"`, `"0.5/s"`. The word
/// before the slash is for the reader: it changes nothing, and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

/// An amount of memory in bytes: `"8 GiB"`, `"512 MiB"`; units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A price of an hour, USD: `"3.99 USD/h"`. Zero is one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct UsdPerHour(pub f64);

/// A price of a GB of traffic, USD: `"0.05 USD/GB"`. Zero is one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct UsdPerGb(pub f64);

/// Prices above this are slips of the finger, and sums of them could overflow.
const HIGHEST_PRICE_USD: f64 = 1e6;

/// How fast a link carries data, in bits per second, above zero: `"1 Gbit/s"`, `"200 Mbit/s"`; units bit/s, kbit/s,
/// Mbit/s, Gbit/s.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Bandwidth(pub f64);

/// What a bare string or number is turned into, and what to say when it cannot be.
trait Quantity: Sized + FromStr<Err = String> + fmt::Display {
    const NAME: &'static str;
    const WANTED: &'static str;
    const PATTERN: &'static str;
}

/// Splits `"1.5 s"` into 1.5 and `s`. The number has no exponent, so that `e` can only belong to a unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_' | '+' | '-')))
        .unwrap_or(text.len());
    let number: f64 = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim()))
}

fn duration(text: &str, wanted: &str) -> Result<Nanos, String> {
    let refuse = |why: &str| Err(format!("got {text:?}, wanted {why}"));
    let Some((number, unit)) = split(text) else {
        return refuse(wanted);
    };
    let unit_ns = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 60e9,
        "h" => 3600e9,
        "" => return refuse(&format!("a unit after the number: {wanted}")),
        _ => return refuse(&format!("one of the units ns, us, ms, s, min, h: {wanted}")),
    };
    match Nanos::from_ms(number * unit_ns / 1e6) {
        // Through milliseconds only to have the range checked; the value itself is rounded once.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range has just been checked"
        )]
        Ok(_) => Ok(Nanos((number * unit_ns).round() as u64)),
        Err(error) => refuse(error.wanted),
    }
}

impl FromStr for Duration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        duration(text, Self::WANTED).map(Self)
    }
}

impl FromStr for PositiveDuration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match duration(text, Self::WANTED)? {
            Nanos::ZERO => Err(format!("got {text:?}, wanted more than zero")),
            span => Ok(Self(span)),
        }
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("got {text:?}, wanted {why}"));
        let Some((number, unit)) = split(text) else {
            return refuse(Self::WANTED);
        };
        let (what, per) = unit.split_once('/').unwrap_or(("?", unit));
        let seconds = match per.trim() {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => return refuse(Self::WANTED),
        };
        if !matches!(what.trim(), "" | "req" | "requests" | "sessions") {
            return refuse(Self::WANTED);
        }
        let per_second = number / seconds;
        if per_second > 0.0 && per_second <= 1e9 {
            return Ok(Self(per_second));
        }
        refuse("more than zero and at most 1e9/s")
    }
}

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("got {text:?}, wanted {why}"));
        let Some((number, unit)) = split(text) else {
            return refuse(Self::WANTED);
        };
        let scale = match unit {
            "B" => 1.0,
            "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            _ => return refuse(Self::WANTED),
        };
        let bytes = (number * scale).round();
        if !(0.0..=1e18).contains(&bytes) {
            return refuse("zero or more and at most 1e18 bytes");
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range has just been checked"
        )]
        Ok(Self(bytes as u64))
    }
}

fn price(text: &str, per: &str, wanted: &str) -> Result<f64, String> {
    let refuse = |why: &str| Err(format!("got {text:?}, wanted {why}"));
    match split(text) {
        Some((number, unit)) if unit == per => {
            if !(0.0..=HIGHEST_PRICE_USD).contains(&number) {
                return refuse("zero or more and at most 1000000 USD");
            }
            // `+ 0.0` turns a negative zero into a plain one.
            Ok(number + 0.0)
        }
        _ => refuse(wanted),
    }
}

impl FromStr for UsdPerHour {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        price(text, "USD/h", Self::WANTED).map(Self)
    }
}

impl FromStr for UsdPerGb {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        price(text, "USD/GB", Self::WANTED).map(Self)
    }
}

impl FromStr for Bandwidth {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("got {text:?}, wanted {why}"));
        let Some((number, unit)) = split(text) else {
            return refuse(Self::WANTED);
        };
        let scale = match unit {
            "bit/s" => 1.0,
            "kbit/s" => 1e3,
            "Mbit/s" => 1e6,
            "Gbit/s" => 1e9,
            _ => return refuse(Self::WANTED),
        };
        let bits = number * scale;
        // Slower than a telegraph or faster than a trunk of fibres: a slip of the unit.
        if (1e3..=1e15).contains(&bits) {
            return Ok(Self(bits));
        }
        refuse("from 1 kbit/s to 1,000,000 Gbit/s")
    }
}

/// The largest unit in which the span is a whole number.
fn write_nanos(f: &mut fmt::Formatter<'_>, Nanos(ns): Nanos) -> fmt::Result {
    match ns {
        0 => f.write_str("0s"),
        _ if ns % 1_000_000_000 == 0 => write!(f, "{}s", ns / 1_000_000_000),
        _ if ns % 1_000_000 == 0 => write!(f, "{}ms", ns / 1_000_000),
        _ if ns % 1_000 == 0 => write!(f, "{}us", ns / 1_000),
        _ => write!(f, "{ns}ns"),
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_nanos(f, self.0)
    }
}

impl fmt::Display for PositiveDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_nanos(f, self.0)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1 << 30) == 0 => write!(f, "{} GiB", n >> 30),
            n if n > 0 && n % (1 << 20) == 0 => write!(f, "{} MiB", n >> 20),
            n => write!(f, "{n} B"),
        }
    }
}

impl fmt::Display for UsdPerHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD/h", self.0)
    }
}

impl fmt::Display for UsdPerGb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD/GB", self.0)
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
        // Only a unit in which it reads back as the same number.
        let (number, unit) = units
            .iter()
            .map(|(scale, unit)| (self.0 / scale, *scale, *unit))
            .find(|(number, scale, _)| number.fract() == 0.0 && number * scale == self.0)
            .map_or((self.0, "bit/s"), |(number, _, unit)| (number, unit));
        write!(f, "{number} {unit}")
    }
}

impl Quantity for Duration {
    const NAME: &'static str = "Duration";
    const WANTED: &'static str = "a duration in quotes, such as \"75ms\" or \"1.5 s\"";
    const PATTERN: &'static str = r"^\s*\+?[0-9_]*\.?[0-9_]*\s*(ns|us|µs|ms|s|min|h)\s*$";
}

impl Quantity for PositiveDuration {
    const NAME: &'static str = "PositiveDuration";
    const WANTED: &'static str = "a duration in quotes, such as \"75ms\" or \"1.5 s\"";
    const PATTERN: &'static str = Duration::PATTERN;
}

impl Quantity for Rate {
    const NAME: &'static str = "Rate";
    const WANTED: &'static str = "a rate in quotes, such as \"25 req/s\" or \"90 req/min\"";
    const PATTERN: &'static str =
        r"^\s*\+?[0-9_]*\.?[0-9_]*\s*(requests|req|sessions)?\s*/\s*(s|min|h)\s*$";
}

impl Quantity for Bytes {
    const NAME: &'static str = "Bytes";
    const WANTED: &'static str = "an amount of memory in quotes, such as \"8 GiB\" or \"512 MB\"";
    const PATTERN: &'static str = r"^\s*\+?[0-9_]*\.?[0-9_]*\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$";
}

impl Quantity for UsdPerHour {
    const NAME: &'static str = "UsdPerHour";
    const WANTED: &'static str = "a price in quotes, such as \"3.99 USD/h\"";
    const PATTERN: &'static str = r"^\s*\+?[0-9_]*\.?[0-9_]*\s*USD/h\s*$";
}

impl Quantity for UsdPerGb {
    const NAME: &'static str = "UsdPerGb";
    const WANTED: &'static str = "a price in quotes, such as \"0.05 USD/GB\"";
    const PATTERN: &'static str = r"^\s*\+?[0-9_]*\.?[0-9_]*\s*USD/GB\s*$";
}

impl Quantity for Bandwidth {
    const NAME: &'static str = "Bandwidth";
    const WANTED: &'static str = "a bandwidth in quotes, such as \"1 Gbit/s\" or \"200 Mbit/s\"";
    const PATTERN: &'static str = r"^\s*\+?[0-9_]*\.?[0-9_]*\s*(bit|kbit|Mbit|Gbit)/s\s*$";
}

struct QuantityVisitor<Q>(PhantomData<Q>);

impl<Q: Quantity> Visitor<'_> for QuantityVisitor<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Q::WANTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Q, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Q, E> {
        Err(E::invalid_type(Unexpected::Float(number), &self))
    }
}

macro_rules! quantity {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(QuantityVisitor(PhantomData))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Self::NAME.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": Self::WANTED, "pattern": Self::PATTERN })
            }
        }
    )*};
}

quantity!(Duration, PositiveDuration, Rate, Bytes, Bandwidth, UsdPerHour, UsdPerGb);
