//! The (1+1) evolution strategy with Rechenberg's 1/5 rule, as GORGO v2's tuner has it: who is better, and what next.
//!
//! One best point; every candidate is the best with every weight `x` mutated at once, `exp(ln x + sigma z)` with `z`
//! standard normal, clamped to its box. A candidate whose score is better becomes the best. Once `success_window`
//! outcomes are there, sigma is divided by `factor` after each outcome while more than `target` of the last ones were
//! successes, and multiplied by it while fewer were. The search ends when sigma falls below `sigma_min`.
//!
//! It knows neither samples nor time: scores are reported to it, and mutations are drawn for it, so that a published
//! log can be fed to it row by row (`tests/published_tuner.rs`). Source: GORGO v2, `gorgo/tuner.py`,
//! `GaussianESTuner`; `arXiv` 2602.11688v2, equation 4. Two of its quirks are kept because published numbers rest on
//! them: the first report sets the best but counts as no outcome, and (as a switch, [`EvolutionParameters::quirk`])
//! the tolerance multiplies a score that is negative, so a candidate up to 0.5 % *worse* is accepted. Nor is sigma
//! bounded above: it reached 12.7 in the published run, where candidates jump between the corners of the box.
//!
//! Deliberately not here: how scores come about. Read [`super::one_fifth`] next.

use super::config::{Bounds, TunerError, check, number};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The parameters of the search. The defaults are those of GORGO v2's published run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvolutionParameters {
    /// The first step size: the standard deviation of a weight's logarithm. Above 0, at most 100.
    pub sigma: f64,
    /// What sigma shrinks by (and grows by the inverse of). Above 0, below 1.
    pub factor: f64,
    /// The search ends when sigma falls below. From 0 (it never does) to 100.
    pub sigma_min: f64,
    /// How many of the last outcomes the 1/5 rule counts. From 1 to 10,000.
    pub success_window: u32,
    /// The share of successes at which sigma stays as it is, from 0 to 1.
    pub target: f64,
    /// By how much of the best score a candidate must be better, from 0 to 1.
    pub tolerance: f64,
    /// Accept where `score > best * (1 + tolerance)`, as published, although scores are negative: a candidate that is
    /// worse by no more than the tolerance is accepted. False: it must be better by the tolerance.
    pub quirk: bool,
    /// The search ends after so many candidates. From 1 to 1,000,000.
    pub max_steps: u64,
}

impl Default for EvolutionParameters {
    fn default() -> Self {
        Self {
            sigma: 0.5,
            factor: 0.817,
            sigma_min: 0.05,
            success_window: 8,
            target: 0.2,
            tolerance: 0.005,
            quirk: true,
            max_steps: 10_000,
        }
    }
}

impl EvolutionParameters {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), TunerError> {
        let Self { sigma, factor, sigma_min, success_window, target, tolerance, .. } = *self;
        let good = sigma > 0.0 && sigma <= 100.0;
        check("sigma", number(sigma), good, "above 0 and at most 100")?;
        check("factor", number(factor), factor > 0.0 && factor < 1.0, "above 0 and below 1")?;
        let good = (0.0..=100.0).contains(&sigma_min);
        check("sigma_min", number(sigma_min), good, "from 0 to 100")?;
        let good = (1..=10_000).contains(&success_window);
        check("success_window", success_window, good, "from 1 to 10,000")?;
        check("target", number(target), (0.0..=1.0).contains(&target), "from 0 to 1")?;
        check("tolerance", number(tolerance), (0.0..=1.0).contains(&tolerance), "from 0 to 1")?;
        let good = (1..=1_000_000).contains(&self.max_steps);
        check("max_steps", self.max_steps, good, "from 1 to 1,000,000")
    }
}

/// The search.
#[derive(Clone, Debug)]
pub struct Evolution {
    parameters: EvolutionParameters,
    bounds: Vec<(f64, f64)>,
    best: Vec<f64>,
    best_score: Option<f64>,
    sigma: f64,
    outcomes: VecDeque<bool>,
    steps: u64,
}

impl Evolution {
    /// A search from `start`, one value for each of the boxes.
    ///
    /// # Errors
    /// When a parameter is out of range, or a start outside its box.
    pub fn new(
        parameters: EvolutionParameters,
        bounds: &[Bounds],
        start: &[f64],
    ) -> Result<Self, TunerError> {
        parameters.validate()?;
        Bounds::check_start(bounds, start)?;
        Ok(Self {
            parameters,
            bounds: bounds.iter().map(|bounds| (bounds.low, bounds.high)).collect(),
            best: start.to_vec(),
            best_score: None,
            sigma: parameters.sigma,
            outcomes: VecDeque::new(),
            steps: 0,
        })
    }

    /// A candidate's score has come out; true when it is now the best. The first report is the start's: it sets the
    /// best score, and is no outcome. A score that is no number is taken as minus infinity.
    pub fn report(&mut self, candidate: &[f64], score: f64) -> bool {
        let score = if score.is_nan() { f64::NEG_INFINITY } else { score };
        let Some(best_score) = self.best_score else {
            self.take(candidate, score);
            return true;
        };
        let accepted = score > self.bar(best_score);
        if accepted {
            self.take(candidate, score);
        }
        self.outcomes.push_back(accepted);
        while self.outcomes.len() > self.parameters.success_window as usize {
            self.outcomes.pop_front();
        }
        if self.outcomes.len() == self.parameters.success_window as usize {
            self.adapt();
        }
        accepted
    }

    /// The next candidate, for one standard normal number per weight; none: the search has ended.
    pub fn propose(&mut self, z: &[f64]) -> Option<Vec<f64>> {
        if self.sigma < self.parameters.sigma_min || self.steps >= self.parameters.max_steps {
            return None;
        }
        self.steps += 1;
        let mutate = |((&best, &(low, high)), &z): ((&f64, &(f64, f64)), &f64)| {
            libm::exp(libm::log(best) + self.sigma * z).clamp(low, high)
        };
        Some(self.best.iter().zip(&self.bounds).zip(z).map(mutate).collect())
    }

    /// The best weights known.
    #[must_use]
    pub fn best(&self) -> &[f64] {
        &self.best
    }

    /// Their score; none before the first report.
    #[must_use]
    pub const fn best_score(&self) -> Option<f64> {
        self.best_score
    }

    /// The step size.
    #[must_use]
    pub const fn sigma(&self) -> f64 {
        self.sigma
    }

    /// How many candidates have been proposed.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    fn take(&mut self, candidate: &[f64], score: f64) {
        self.best.clear();
        self.best.extend_from_slice(candidate);
        self.best_score = Some(score);
    }

    /// What a score must exceed.
    fn bar(&self, best: f64) -> f64 {
        let margin = self.parameters.tolerance * best;
        if self.parameters.quirk { best + margin } else { best + margin.abs() }
    }

    fn adapt(&mut self) {
        let EvolutionParameters { factor, target, success_window, .. } = self.parameters;
        let successes = self.outcomes.iter().filter(|&&success| success).count();
        #[expect(clippy::cast_precision_loss, reason = "at most the window's length, 10,000")]
        let rate = successes as f64 / f64::from(success_window);
        if rate > target {
            // Unbounded as published, but never so large that `sigma * 0` is no number.
            self.sigma = (self.sigma / factor).min(f64::MAX);
        } else if rate < target {
            self.sigma *= factor;
        }
    }
}
