//! What values a parameter takes: a list, a range, or a range of logarithms.
//!
//! A point of a domain is a number from 0 to below 1, so that a grid, random draws and a Latin hypercube ask all kinds in
//! the same way. Values come out as TOML, ready to be assigned.

use gorgo_config::{Diagnostic, Document, Located};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Most values of one list or range.
const MOST_VALUES: u64 = 1_000_000;

/// One value of a TOML file that is neither array nor table.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// Text, also of values with units.
    Text(String),
}

impl Scalar {
    /// As TOML writes it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => toml::Value::Float(*number).to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) => toml::Value::String(text.clone()).to_string(),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, true, false or text")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(number))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Scalar, E> {
                i64::try_from(number).map(Scalar::Integer).map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Scalar, E> {
                if number.is_finite() {
                    Ok(Scalar::Float(number))
                } else {
                    Err(E::custom(format!("got {number}, wanted a finite number")))
                }
            }
            fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar::Flag(flag))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Reader).map_err(D::Error::custom)
    }
}

/// Evenly spaced values, both ends among them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RangeTable {
    /// The first value: a number, or one with a unit, such as "10ms".
    pub from: Located<Scalar>,
    /// The last one, in the same unit.
    pub to: Located<Scalar>,
    /// How many a grid takes, 2 or more. Random draws take any value between the ends.
    pub points: Located<u64>,
}

/// The values of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// These and no others.
    Choices(Vec<Scalar>),
    /// Numbers between two ends.
    Range {
        /// The lower end.
        from: f64,
        /// The upper end.
        to: f64,
        /// How many a grid takes.
        points: u64,
        /// Whether they are whole.
        whole: bool,
        /// What stands behind the number.
        unit: String,
        /// Whether their logarithms are evenly spaced.
        log: bool,
    },
}

impl Domain {
    /// A list of values.
    ///
    /// # Errors
    /// Where it is empty or says something twice.
    pub(crate) fn choices(
        list: &Located<Vec<Located<Scalar>>>,
        document: &Document<'_>,
    ) -> Result<Self, Diagnostic> {
        if list.value.is_empty() {
            return Err(document.blame(list, "got no value, wanted one or more"));
        }
        for (index, value) in list.value.iter().enumerate() {
            if list.value[..index].contains(value) {
                let problem =
                    format!("got {} twice, wanted each value once", value.value.to_toml());
                return Err(document.blame(value, problem));
            }
        }
        Ok(Self::Choices(list.value.iter().map(|value| value.value.clone()).collect()))
    }

    /// A range.
    ///
    /// # Errors
    /// Where its ends are no numbers in one unit, not in order, or not above zero for logarithms.
    pub(crate) fn range(
        table: &RangeTable,
        log: bool,
        document: &Document<'_>,
    ) -> Result<Self, Diagnostic> {
        let end = |value: &Located<Scalar>| {
            number(&value.value).ok_or_else(|| {
                let got = value.value.to_toml();
                let problem = format!("got {got}, wanted a number, with or without a unit");
                document.blame(value, problem)
            })
        };
        let (from, unit) = end(&table.from)?;
        let (to, other_unit) = end(&table.to)?;
        if unit != other_unit {
            let problem = format!(
                "got the unit {other_unit:?} beside {unit:?}, wanted the same for both ends"
            );
            return Err(document.blame(&table.to, problem));
        }
        if log && from <= 0.0 {
            return Err(document.blame(&table.from, format!("got {from}, wanted a number above 0")));
        }
        if to <= from {
            return Err(document.blame(&table.to, format!("got {to}, wanted more than {from}")));
        }
        if !(2..=MOST_VALUES).contains(&table.points.value) {
            let problem = format!("got {}, wanted 2 to {MOST_VALUES}", table.points.value);
            return Err(document.blame(&table.points, problem));
        }
        let integer = |value: &Located<Scalar>| matches!(value.value, Scalar::Integer(_));
        let whole = integer(&table.from) && integer(&table.to);
        let points = table.points.value;
        Ok(Self::Range { from, to, points, whole, unit, log })
    }

    /// The values of a grid as TOML, each once.
    #[must_use]
    pub fn grid(&self) -> Vec<String> {
        match self {
            Self::Choices(values) => values.iter().map(Scalar::to_toml).collect(),
            Self::Range { points, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "at most a million points")]
                let share = |index: u64| index as f64 / (points - 1) as f64;
                let mut values: Vec<String> =
                    (0..*points).map(|i| self.between(share(i))).collect();
                values.dedup();
                values
            }
        }
    }

    /// The value at a point from 0 to below 1, as TOML.
    #[must_use]
    pub fn at(&self, point: f64) -> String {
        match self {
            Self::Choices(values) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a point is from 0 to below 1"
                )]
                let index = (point * values.len() as f64) as usize;
                values[index.min(values.len() - 1)].to_toml()
            }
            Self::Range { .. } => self.between(point),
        }
    }

    /// The value so far along a range, both ends included.
    fn between(&self, share: f64) -> String {
        let Self::Range { from, to, whole, unit, log, .. } = self else {
            return self.at(share);
        };
        let value = if *log {
            (from.ln() + (to.ln() - from.ln()) * share).exp()
        } else {
            from + (to - from) * share
        };
        // Ten digits: what sums and logarithms leave behind is not meant.
        let value = format!("{value:.9e}").parse::<f64>().unwrap_or(value).clamp(*from, *to);
        if *whole {
            return format!("{:.0}", value.round());
        }
        if unit.is_empty() {
            Scalar::Float(value).to_toml()
        } else {
            Scalar::Text(format!("{value}{unit}")).to_toml()
        }
    }
}

/// A number and its unit.
fn number(value: &Scalar) -> Option<(f64, String)> {
    #[expect(clippy::cast_precision_loss, reason = "values beyond 2^53 are refused")]
    match value {
        Scalar::Integer(number) if number.unsigned_abs() <= 1 << 53 => {
            Some((*number as f64, String::new()))
        }
        Scalar::Integer(_) | Scalar::Flag(_) => None,
        Scalar::Float(number) => Some((*number, String::new())),
        Scalar::Text(text) => {
            let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
            let end = text.find(|c| !digits(c)).unwrap_or(text.len());
            let number = text[..end].parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some((number, text[end..].to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: f64, to: f64, points: u64, whole: bool, unit: &str, log: bool) -> Domain {
        Domain::Range { from, to, points, whole, unit: unit.to_owned(), log }
    }

    #[test]
    fn grids_have_both_ends_and_no_rounding_errors() {
        assert_eq!(
            range(0.1, 0.5, 5, false, "", false).grid(),
            ["0.1", "0.2", "0.3", "0.4", "0.5"]
        );
        assert_eq!(range(0.01, 1.0, 3, false, "", true).grid(), ["0.01", "0.1", "1.0"]);
        assert_eq!(range(1.0, 3.0, 5, true, "", false).grid(), ["1", "2", "3"]);
        assert_eq!(
            range(10.0, 40.0, 3, false, "ms", true).grid(),
            ["\"10ms\"", "\"20ms\"", "\"40ms\""]
        );
    }

    #[test]
    fn points_fall_on_values_of_the_domain() {
        let list = Domain::Choices(vec![Scalar::Text("a".into()), Scalar::Flag(true)]);
        assert_eq!(
            (list.at(0.0), list.at(0.49), list.at(0.5), list.at(0.999)),
            ("\"a\"".into(), "\"a\"".into(), "true".into(), "true".into())
        );
        let log = range(1.0, 100.0, 2, false, "", true);
        assert_eq!(log.at(0.5), "10.0");
    }

    #[test]
    fn units_stay_with_their_numbers() {
        let text = |text: &str| number(&Scalar::Text(text.to_owned()));
        assert_eq!(text("25 req/s"), Some((25.0, " req/s".to_owned())));
        assert_eq!(text("-1.5ms"), Some((-1.5, "ms".to_owned())));
        assert_eq!((text("ms"), text(""), text("1.2.3s")), (None, None, None));
        assert_eq!(number(&Scalar::Flag(true)), None);
    }
}
