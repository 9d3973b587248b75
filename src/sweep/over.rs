//! An axis in one line of a command: `PATH=choices(...)`, `PATH=range(FROM, TO)`, `PATH=log_range(FROM, TO)`.
//!
//! The words and the values are those of a sweep file, and so are the checks: the line is read as one. Values need no
//! quotes; ends that are both whole numbers make whole values.

use crate::error::SweepError;
use crate::file::{Axis, SweepFile};
use std::fmt::Write;
use std::path::Path;

impl Axis {
    /// The last word of its path, by which columns and pictures call it.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Where it is no axis: what was got, and what was wanted.
    pub fn parse(text: &str) -> Result<Self, SweepError> {
        let bad = || {
            SweepError::Option {
            what: "--over".to_owned(),
            got: format!("{text:?}"),
            wanted: "PATH=range(FROM, TO), PATH=log_range(FROM, TO), PATH=choices(A, B, ...), or a sweep file (*.toml)"
                .to_owned(),
        }
        };
        let (path, domain) = text.split_once('=').ok_or_else(bad)?;
        let (kind, values) = domain.trim().split_once('(').ok_or_else(bad)?;
        let values = values.trim_end().strip_suffix(')').ok_or_else(bad)?;
        let values: Vec<String> = values
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .map(as_toml)
            .collect();
        let path = toml::Value::String(path.trim().to_owned());
        let mut file = format!("name = \"over\"\n\n[[over]]\npath = {path}\n");
        let _ = match (kind.trim(), &values[..]) {
            ("choices", _) => write!(file, "choices = [{}]", values.join(", ")),
            (kind @ ("range" | "log_range"), [from, to]) => {
                write!(file, "{kind} = {{ from = {from}, to = {to}, points = 2 }}")
            }
            _ => return Err(bad()),
        };
        let parsed = SweepFile::parse(&format!("--over {text}"), &file, Path::new(""))?;
        parsed.axes.into_iter().next().ok_or_else(bad)
    }
}

/// A value as TOML: what is none is text.
fn as_toml(value: &str) -> String {
    let is_toml = toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok();
    if is_toml { value.to_owned() } else { toml::Value::String(value.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;

    #[test]
    fn lines_are_axes() {
        let axis =
            Axis::parse("router.policies.gorgo.w_rtt=log_range(0.01, 100)").expect("an axis");
        assert_eq!(axis.path, "router.policies.gorgo.w_rtt");
        assert_eq!(axis.domain.at(0.5), "1.0");
        let whole = Axis::parse("fleet.replicas.eu.count = range(1,9)").expect("an axis");
        assert_eq!(whole.domain.at(0.51), "5");
        let units = Axis::parse("load.poisson.rate=range(10 req/s, 30 req/s)").expect("an axis");
        assert_eq!(units.domain.at(0.5), "\"20 req/s\"");
        let list =
            Axis::parse("router.scrape_interval=choices(100ms, 1s, \"5s\")").expect("an axis");
        let Domain::Choices(values) = list.domain else { panic!("a list") };
        assert_eq!(values.len(), 3);
    }

    #[test]
    fn lines_that_are_none_say_what_was_wanted() {
        for text in [
            "",
            "w_rtt",
            "w_rtt=",
            "w_rtt=1..2",
            "w_rtt=range(1)",
            "w_rtt=range(1, 2, 3)",
            "w_rtt=range(1, 2",
            "w_rtt=choices()",
            "w_rtt=choices(1, 1)",
            "w_rtt=range(2, 1)",
            "w_rtt=range(1, 1)",
            "w_rtt=log_range(0, 1)",
            "w_rtt=range(nan, 1.0)",
            "w_rtt=range(0.0, inf)",
            "w_rtt=range(1ms, 2s)",
            "w_rtt=range(a, b)",
            "w rtt=range(1, 2)",
            "seed=range(1, 2)",
            "=range(1, 2)",
            "w_rtt=uniform(1, 2)",
            "w_rtt=range(1, 2) }\nx = (3)",
        ] {
            let error = Axis::parse(text).expect_err(text).to_string();
            assert!(error.contains("wanted"), "{text}: {error}");
        }
    }
}
