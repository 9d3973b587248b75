//! Rows gathered: medians and spreads over seeds, and policies held against each other in pairs of the same seed.
//!
//! Quantiles are nearest rank, as everywhere in this project. A pair is two policies at one point under one seed, which
//! met the same requests and the same network. Read `page.rs` next.

use super::measure::{METRICS, Values, metric_of};
use super::question::Question;
use super::run::Row;
use crate::error::PapersError;
use gorgo_metrics::nearest_rank;
use std::fmt::Write as _;

/// The rows of one question.
#[derive(Debug)]
pub struct Table<'a> {
    question: &'a Question,
    rows: Vec<Row>,
}

/// Median over seeds, with the 10th and 90th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The 10th percentile.
    pub p10: f64,
    /// The 90th percentile.
    pub p90: f64,
}

impl Spread {
    /// Of some values; none of no values.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |percent: u64| {
            let rank = nearest_rank(percent, values.len() as u64);
            values.get(usize::try_from(rank).ok()?.checked_sub(1)?).copied()
        };
        Some(Self { median: at(50)?, p10: at(10)?, p90: at(90)? })
    }
}

/// One policy held against another over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairs {
    /// Seeds in which both have a number.
    pub seeds: usize,
    /// Of these, those in which the first has the lower one.
    pub lower: usize,
    /// Those in which it has the higher one; in the rest they are equal.
    pub higher: usize,
    /// First over second, less one.
    pub change: Spread,
}

impl<'a> Table<'a> {
    /// The rows of a question, in any order. Numbers are rounded as in the CSV, so that the page says what a reader of the
    /// CSV finds.
    #[must_use]
    pub fn new(question: &'a Question, mut rows: Vec<Row>) -> Self {
        rows.iter_mut().for_each(|row| row.values.round());
        // Stable: policies stay in the scenario's order.
        rows.sort_by_key(|row| (row.panel, row.point, row.seed));
        Self { question, rows }
    }

    /// The question.
    #[must_use]
    pub fn question(&self) -> &'a Question {
        self.question
    }

    /// The policies of a panel, in the order in which they are run.
    #[must_use]
    pub fn policies(&self, panel: usize) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.panel == panel) {
            if !names.contains(&row.policy.as_str()) {
                names.push(&row.policy);
            }
        }
        names
    }

    /// A number of a policy at a point: (seed, value) for each seed that has it.
    pub fn by_seed(
        &self,
        (panel, point): (usize, usize),
        policy: &str,
        key: &str,
    ) -> impl Iterator<Item = (u64, f64)> {
        let here =
            move |row: &&Row| row.panel == panel && row.point == point && row.policy == policy;
        let rows = self.rows.iter().filter(here);
        rows.filter_map(move |row| Some((row.seed, row.values.get(key)?)))
    }

    /// The same over seeds. Some seeds without a number (a percentile that fell on a request that never ended) leave
    /// no median either: the rest would flatter.
    #[must_use]
    pub fn spread(&self, at: (usize, usize), policy: &str, key: &str) -> Option<Spread> {
        let values: Vec<f64> = self.by_seed(at, policy, key).map(|(_, value)| value).collect();
        if values.len() < self.seeds(at, policy) {
            return None;
        }
        if key == "saturated" {
            let share = values.iter().sum::<f64>() / values.len().max(1) as f64;
            return Some(Spread { median: share, p10: share, p90: share });
        }
        Spread::of(values)
    }

    /// A panel's point by their names, or all its points by `*`.
    pub(super) fn places_of(&self, panel: &str, point: &str) -> Option<Vec<(usize, usize)>> {
        let panels = &self.question.panels;
        let panel = panels.iter().position(|known| known.key == panel)?;
        let points = panels[panel].points.iter().enumerate();
        let named = points.filter(|(_, known)| point == "*" || known.label == point);
        let places: Vec<_> = named.map(|(at, _)| (panel, at)).collect();
        (!places.is_empty()).then_some(places)
    }

    /// Every point of every panel, by their numbers.
    pub(super) fn places(&self) -> Vec<(usize, usize)> {
        let panels = self.question.panels.iter().enumerate();
        panels
            .flat_map(|(number, panel)| (0..panel.points.len()).map(move |at| (number, at)))
            .collect()
    }

    /// Whether any policy of the panel has this number at any point and seed: then one that lacks it lacks it for a reason.
    pub(super) fn has(&self, (panel, _): (usize, usize), policy: &str, key: &str) -> bool {
        let mut rows = self.rows.iter().filter(|row| row.panel == panel);
        rows.clone().any(|row| row.policy == policy)
            && rows.any(|row| row.values.get(key).is_some())
    }

    /// How many seeds of a policy at a point were run.
    pub(super) fn seeds(&self, (panel, point): (usize, usize), policy: &str) -> usize {
        let here = |row: &&Row| row.panel == panel && row.point == point && row.policy == policy;
        self.rows.iter().filter(here).count()
    }

    /// Two policies at a point, or one at two points.
    #[must_use]
    pub fn pairs(
        &self,
        first: ((usize, usize), &str),
        second: ((usize, usize), &str),
        key: &str,
    ) -> Option<Pairs> {
        let other: Vec<(u64, f64)> = self.by_seed(second.0, second.1, key).collect();
        let pairs: Vec<(f64, f64)> = self
            .by_seed(first.0, first.1, key)
            .filter_map(|(seed, value)| {
                let (_, other) = other.iter().find(|(known, _)| *known == seed)?;
                Some((value, *other))
            })
            .collect();
        let lower = pairs.iter().filter(|(value, other)| value < other).count();
        let higher = pairs.iter().filter(|(value, other)| value > other).count();
        let change = Spread::of(pairs.iter().map(|(value, other)| value / other - 1.0).collect())?;
        Some(Pairs { seeds: pairs.len(), lower, higher, change })
    }

    /// The rows of a question from their CSV.
    ///
    /// # Errors
    /// When the text is not what [`Table::csv`] writes of this question.
    pub fn from_csv(question: &'a Question, text: &str) -> Result<Self, PapersError> {
        let wrong = |problem: String| PapersError::Experiment {
            experiment: format!("reviewers, {}", question.id),
            problem,
        };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let heads = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
        if heads.iter().take(4).ne(["panel", "point", "policy", "seed"]) {
            return Err(wrong(format!("not its columns: {heads:?}")));
        }
        let mut rows = Vec::new();
        for (line, record) in (2..).zip(reader.records()) {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let at = |problem: &str| wrong(format!("line {line}: {problem}: {record:?}"));
            let panel = question.panels.iter().position(|panel| panel.key == &record[0]);
            let panel = panel.ok_or_else(|| at("no such panel"))?;
            let points = &question.panels[panel].points;
            let point = points.iter().position(|point| point.label == record[1]);
            let mut values = Values::default();
            for (key, value) in heads.iter().zip(&record).skip(4).filter(|(_, v)| !v.is_empty()) {
                let metric = metric_of(key).ok_or_else(|| at("no such metric"))?;
                let value: f64 = value.parse().map_err(|_| at("no number"))?;
                values.put(metric.key, Some(value));
            }
            rows.push(Row {
                panel,
                point: point.ok_or_else(|| at("no such point"))?,
                seed: record[3].parse().map_err(|_| at("no seed"))?,
                policy: record[2].to_owned(),
                values,
            });
        }
        Ok(Self::new(question, rows))
    }

    /// Every row as CSV, with those columns that any row fills.
    #[must_use]
    pub fn csv(&self) -> String {
        let filled = |key: &str| self.rows.iter().any(|row| row.values.get(key).is_some());
        let keys: Vec<&str> =
            METRICS.iter().map(|metric| metric.key).filter(|key| filled(key)).collect();
        let mut text = format!("panel,point,policy,seed,{}\n", keys.join(","));
        for row in &self.rows {
            let panel = &self.question.panels[row.panel];
            let point = quoted(&panel.points[row.point].label);
            let policy = quoted(&row.policy);
            let _ = write!(text, "{},{point},{policy},{}", panel.key, row.seed);
            for key in &keys {
                text.push(',');
                if let Some(value) = row.values.get(key) {
                    text.push_str(&rounded(value));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// A field of a CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// At most three decimals, none that are not needed.
fn rounded(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
