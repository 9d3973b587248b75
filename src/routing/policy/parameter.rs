//! What the parameters of policies have in common: names, bounds, defaults, and errors that say all three.
//!
//! Each policy declares its [`Parameter`]s as constants and uses them three times: for the defaults of its parameter
//! struct, for reading a value (so that the reader's error stands on the value itself), and for checking a struct that
//! was built in code. What they mean is in each policy's file. Read [`super::registry`] next.

use super::Policy;
use serde::de::{DeserializeOwned, Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which values a parameter may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// A number of at least `low` and at most `high`.
    Number {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
    },
    /// A number above 0 and at most `high`.
    Positive {
        /// The largest.
        high: f64,
    },
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A table of tables: for a replica's index, the parameters that differ there.
    PerReplica,
}

/// A parameter's value where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A word.
    Word(&'static str),
    /// An empty table.
    Empty,
}

/// One parameter of a policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in scenarios.
    pub name: &'static str,
    /// Its default.
    pub default: Initial,
    /// What it may be.
    pub wanted: Wanted,
    /// What it means, its unit, and the source of the default.
    pub doc: &'static str,
}

/// The largest weight: scores of any real signals stay finite with it.
pub const LARGEST_WEIGHT: f64 = 1e9;

impl Parameter {
    /// A weight: a number from 0 to [`LARGEST_WEIGHT`].
    #[must_use]
    pub const fn weight(name: &'static str, default: f64, doc: &'static str) -> Self {
        let wanted = Wanted::Number { low: 0.0, high: LARGEST_WEIGHT };
        Self { name, default: Initial::Number(default), wanted, doc }
    }

    /// A number above 0 and at most `high`.
    #[must_use]
    pub const fn positive(name: &'static str, default: f64, high: f64, doc: &'static str) -> Self {
        Self { name, default: Initial::Number(default), wanted: Wanted::Positive { high }, doc }
    }

    /// `true` or `false`.
    #[must_use]
    pub const fn flag(name: &'static str, default: bool, doc: &'static str) -> Self {
        Self { name, default: Initial::Flag(default), wanted: Wanted::Flag, doc }
    }

    /// The default of a number.
    #[must_use]
    pub const fn number(&self) -> f64 {
        match self.default {
            Initial::Number(number) => number,
            Initial::Flag(_) | Initial::Word(_) | Initial::Empty => f64::NAN,
        }
    }

    /// Whether a number may be this parameter's.
    ///
    /// # Errors
    /// When it may not: NaN, infinite, too small or too large.
    pub fn check(&self, value: f64) -> Result<f64, ParameterError> {
        let good = match self.wanted {
            Wanted::Number { low, high } => value >= low && value <= high,
            Wanted::Positive { high } => value > 0.0 && value <= high,
            Wanted::Flag | Wanted::Word(_) | Wanted::PerReplica => false,
        };
        if good {
            Ok(value)
        } else {
            Err(ParameterError { parameter: self.name, value, wanted: self.wanted })
        }
    }

    /// Reads this parameter's number; the error names it.
    ///
    /// # Errors
    /// When there is no number, or none that [`Parameter::check`] accepts.
    pub fn read<'de, D: Deserializer<'de>>(&'static self, from: D) -> Result<f64, D::Error> {
        from.deserialize_any(NumberOf(self))
    }
}

/// A number that a parameter may not be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`{parameter}` is {value}, wanted {wanted}")]
pub struct ParameterError {
    /// Which one.
    pub parameter: &'static str,
    /// What was given.
    pub value: f64,
    /// What it may be.
    pub wanted: Wanted,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { low, high } => write!(f, "a number from {low} to {high:e}"),
            Self::Positive { high } => write!(f, "a number above 0 and at most {high:e}"),
            Self::Flag => f.write_str("true or false"),
            Self::Word(words) => write!(f, "one of {}", words.join(", ")),
            Self::PerReplica => {
                f.write_str("a table of replica indices with the parameters that differ there")
            }
        }
    }
}

impl fmt::Display for Initial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Word(word) => f.write_str(word),
            Self::Empty => f.write_str("{}"),
        }
    }
}

struct NumberOf(&'static Parameter);

impl Visitor<'_> for NumberOf {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be {}", self.0.name, self.0.wanted)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        self.0.check(value).map_err(E::custom)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a whole number that large is out of every parameter's bounds"
    )]
    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        self.visit_f64(value as f64)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a whole number that large is out of every parameter's bounds"
    )]
    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<f64, E> {
        Err(E::invalid_type(Unexpected::Str(value), &self))
    }
}

/// A function that reads one parameter, for `#[serde(deserialize_with)]`.
macro_rules! reader {
    ($($name:ident: $parameter:ident),+ $(,)?) => {
        $(fn $name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
            $parameter.read(from)
        })+
    };
}
pub(crate) use reader;

/// A policy that the registry can build from a table of parameters.
pub trait Configured: Policy + Sized + 'static {
    /// Its parameters, with their defaults.
    type Parameters: Clone + DeserializeOwned + Serialize + Default;

    /// Its name in scenarios, tables and logs.
    const NAME: &'static str;

    /// What it does, in one line.
    const SUMMARY: &'static str;

    /// Its parameters, one by one.
    const PARAMETERS: &'static [Parameter] = &[];

    /// The policy with these parameters.
    ///
    /// # Errors
    /// When a parameter is out of its bounds.
    fn new(parameters: Self::Parameters) -> Result<Self, ParameterError>;
}

/// The parameters of a policy that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}
