//! What a tuner is told once: which weights, in which box, to what end, and by which strategy.
//!
//! Everything is checked by [`TunerConfig::validate`]; the defaults of a strategy stand with it. Read
//! [`super::evolution`] next.

use super::one_fifth::OneFifthParameters;
use super::paired::PairedParameters;
use super::schedule::ScheduleParameters;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A tuner's parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunerConfig {
    /// The weights to tune; at least one, at most 16, each once.
    pub weights: Vec<Bounds>,
    /// What is made small.
    #[serde(default)]
    pub objective: Objective,
    /// How.
    pub strategy: StrategyConfig,
}

/// A weight and its box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The policy's name for it.
    pub name: String,
    /// The smallest value, above 0: steps are taken in the logarithm.
    pub low: f64,
    /// The largest, at least `low`.
    pub high: f64,
}

/// What is made small: a percentile of a request's cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Which percentile, as a share: above 0 and below 1. GORGO v2: 0.95.
    pub quantile: f64,
    /// What a second after the first token costs, in seconds of TTFT: 0 (GORGO v2) makes TTFT alone the objective,
    /// 1 the whole response time. Between them lies the remedy against weights that answer first by starving the rest.
    pub after_first_token: f64,
}

/// The strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyConfig {
    /// GORGO v2's.
    OneFifth(OneFifthParameters),
    /// This project's.
    Paired(PairedParameters),
    /// None: weights as they are written.
    Schedule(ScheduleParameters),
}

/// What a tuner refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TunerError {
    /// A parameter is out of range.
    #[error("tuner parameter `{parameter}`: got {value}, wanted {wanted}")]
    Parameter {
        /// Its name.
        parameter: String,
        /// What it was.
        value: String,
        /// What it may be.
        wanted: String,
    },
    /// The policy has no such weight.
    #[error("tuner weight `{name}`: policy `{policy}` has {}", known_weights(known))]
    UnknownWeight {
        /// The name.
        name: String,
        /// The policy.
        policy: &'static str,
        /// The weights that it has.
        known: Vec<&'static str>,
    },
}

fn known_weights(known: &[&str]) -> String {
    if known.is_empty() {
        "no weights to tune".to_owned()
    } else {
        format!("these weights to tune: {}", known.join(", "))
    }
}

/// A parameter that must be good.
pub(super) fn check(
    parameter: impl Into<String>,
    value: impl fmt::Display,
    good: bool,
    wanted: impl Into<String>,
) -> Result<(), TunerError> {
    if good {
        return Ok(());
    }
    let (parameter, wanted) = (parameter.into(), wanted.into());
    Err(TunerError::Parameter { parameter, value: value.to_string(), wanted })
}

/// A number as an error shows it, unrounded.
pub(super) fn number(value: f64) -> String {
    value.to_string()
}

impl Default for Objective {
    fn default() -> Self {
        Self { quantile: 0.95, after_first_token: 0.0 }
    }
}

impl Objective {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), TunerError> {
        let Self { quantile, after_first_token } = *self;
        let good = quantile > 0.0 && quantile < 1.0;
        check("quantile", number(quantile), good, "above 0 and below 1")?;
        let good = (0.0..=1.0).contains(&after_first_token);
        check("after_first_token", number(after_first_token), good, "from 0 to 1")
    }
}

impl Bounds {
    /// Whether these boxes may be: at least one, at most 16, finite, above 0, no name twice.
    ///
    /// # Errors
    /// The first that may not.
    pub fn check_all(all: &[Self]) -> Result<(), TunerError> {
        let wanted = "from 1 to 16 weights";
        check("weights", format!("{} weights", all.len()), (1..=16).contains(&all.len()), wanted)?;
        for (place, Self { name, low, high }) in all.iter().enumerate() {
            let twice = all[..place].iter().any(|other| other.name == *name);
            check(format!("weights.{name}"), "it a second time", !twice, "each weight once")?;
            let good = low.is_finite() && high.is_finite() && *low > 0.0 && low <= high;
            let wanted = "two finite numbers above 0, the smaller first";
            check(format!("weights.{name}"), format!("[{low}, {high}]"), good, wanted)?;
        }
        Ok(())
    }

    /// Whether every start lies in its box.
    ///
    /// # Errors
    /// The first that does not, or when they differ in number.
    pub fn check_start(all: &[Self], start: &[f64]) -> Result<(), TunerError> {
        Self::check_all(all)?;
        let wanted = format!("{}, one for each weight", all.len());
        check("start", format!("{} values", start.len()), start.len() == all.len(), wanted)?;
        for (Self { name, low, high }, value) in all.iter().zip(start) {
            let good = value >= low && value <= high;
            let wanted = format!("its start inside the box, from {low} to {high}");
            check(format!("weights.{name}"), number(*value), good, wanted)?;
        }
        Ok(())
    }
}

impl TunerConfig {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that is out of range, with its value and what was wanted.
    pub fn validate(&self) -> Result<(), TunerError> {
        Bounds::check_all(&self.weights)?;
        self.objective.validate()?;
        match &self.strategy {
            StrategyConfig::OneFifth(parameters) => parameters.validate(),
            StrategyConfig::Paired(parameters) => parameters.validate(),
            StrategyConfig::Schedule(parameters) => parameters.validate(),
        }
    }
}
