//! Published figures: a CSV text of `data/papers`, one figure a row, each with its source.

use crate::metric;
use gorgo_config::Diagnostic;
use gorgo_scenario::data::read_csv_lines;
use serde::{Deserialize, Serialize};

/// How a figure was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// As a number.
    Equal,
    /// As a rounded ratio or an approximate number.
    About,
    /// As a lower bound: more than this.
    Above,
    /// As an upper bound: less than this.
    Below,
}

impl Relation {
    /// The sign before the number.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "",
            Self::About => "~",
            Self::Above => "> ",
            Self::Below => "< ",
        }
    }

    /// Whether an error of it in percent makes sense.
    #[must_use]
    pub const fn is_value(self) -> bool {
        matches!(self, Self::Equal | Self::About)
    }
}

/// One published figure: a row of `data/papers/*.csv`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The paper's window or workload.
    pub window: String,
    /// The policy as the paper calls it; `least METRIC` and `most METRIC` are the extremes over its policies.
    pub policy: String,
    /// The metric, one of [`metric::METRICS`].
    pub metric: String,
    /// How it was given.
    pub relation: Relation,
    /// The number, in the metric's unit.
    pub value: f64,
    /// The metric's unit.
    pub unit: String,
    /// Where it stands.
    pub source: String,
}

/// All published figures of a paper, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Published(pub Vec<Figure>);

impl Published {
    /// Reads a CSV text; `name` is what errors call it.
    ///
    /// # Errors
    /// Where a row is malformed, a metric is unknown, a unit is not the metric's, a number is not finite or negative,
    /// or a figure stands there twice; with file and line.
    pub fn read(name: &str, text: &str) -> Result<Self, Diagnostic> {
        let mut figures: Vec<Figure> = Vec::new();
        for (line, figure) in read_csv_lines::<Figure>(name, text)? {
            let refuse = |field: &str, got: &str, wanted: &str| {
                let problem = format!("line {line}, {field}: got {got}, wanted {wanted}");
                Diagnostic::whole_file(name, problem)
            };
            let Some(known) = metric::by_name(&figure.metric) else {
                let names: Vec<&str> = metric::METRICS.iter().map(|metric| metric.name).collect();
                let wanted = format!("one of {}", names.join(", "));
                return Err(refuse("metric", &format!("{:?}", figure.metric), &wanted));
            };
            if figure.unit != known.unit {
                return Err(refuse("unit", &format!("{:?}", figure.unit), known.unit));
            }
            if !figure.value.is_finite() || figure.value < 0.0 {
                return Err(refuse("value", &figure.value.to_string(), "a number from 0 up"));
            }
            for (field, text) in
                [("window", &figure.window), ("policy", &figure.policy), ("source", &figure.source)]
            {
                if text.trim().is_empty() {
                    return Err(refuse(field, "nothing", "a text"));
                }
            }
            if figures.iter().any(|other| other.is_of(&figure)) {
                let got = format!("{}, {}, {} again", figure.window, figure.policy, figure.metric);
                return Err(refuse("row", &got, "each figure once"));
            }
            figures.push(figure);
        }
        Ok(Self(figures))
    }

    /// The figures of a window.
    pub fn of_window<'a>(&'a self, window: &'a str) -> impl Iterator<Item = &'a Figure> {
        self.0.iter().filter(move |figure| figure.window == window)
    }
}

impl Figure {
    fn is_of(&self, other: &Self) -> bool {
        (&self.window, &self.policy, &self.metric) == (&other.window, &other.policy, &other.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "window,policy,metric,relation,value,unit,source\n";

    fn problem(row: &str) -> String {
        let refused = Published::read("figures.csv", &format!("{HEAD}{row}\n"));
        refused.expect_err(row).to_string()
    }

    #[test]
    fn malformed_rows_are_refused_with_their_place() {
        for (row, word) in [
            ("w,p,ttft_ms_p50,equal,abc,ms,s", "value"),
            ("w,p,ttft_ms_p50,equal,NaN,ms,s", "value"),
            ("w,p,ttft_ms_p50,equal,inf,ms,s", "value"),
            ("w,p,ttft_ms_p50,equal,-1,ms,s", "value"),
            ("w,p,ttft_ms_p50,equal,1,s,s", "unit"),
            ("w,p,ttft_p50,equal,1,ms,s", "metric"),
            ("w,p,ttft_ms_p50,nearly,1,ms,s", "nearly"),
            (",p,ttft_ms_p50,equal,1,ms,s", "window"),
            ("w,p,ttft_ms_p50,equal,1,ms,", "source"),
            ("w,p,ttft_ms_p50,equal,1,ms", "fields"),
            ("w,p,ttft_ms_p50,equal,1,ms,s\nw,p,ttft_ms_p50,equal,2,ms,s", "again"),
        ] {
            let said = problem(row);
            assert!(said.contains(word) && said.contains("figures.csv"), "{row}: {said}");
        }
    }
}
