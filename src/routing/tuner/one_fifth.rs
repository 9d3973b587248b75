//! GORGO v2's tuner: windows of completed requests, scored one after the other, around [`Evolution`].
//!
//! After every `hop` completions, once there are `window` of them, the last `window` are scored (minus the 95th
//! percentile of TTFT, in seconds), the score is reported as the current candidate's, and the next candidate routes
//! every request from then on. When the search ends, the best weights stay for ever.
//!
//! Published faults that are kept, because published numbers rest on them: three quarters of a window of 128 with a
//! hop of 32 were routed by older candidates; a sample counts for the candidate that is installed when it *ends*,
//! whoever routed it; scores of different minutes are compared as if the load were the same; the best is never scored
//! again, so one lucky window fixes it. [`super::paired`] has none of these.
//!
//! Source: GORGO v2, `gorgo/tuner.py`, `OnlineTuner`. Read [`super::paired`] next.

use super::config::{Bounds, Objective, TunerError, check};
use super::evolution::{Evolution, EvolutionParameters};
use super::normal::mutation;
use super::score::{Sample, percentile};
use super::step::TuneStep;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The parameters. The defaults are those of GORGO v2's published run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneFifthParameters {
    /// Completed requests that are scored together. From 1 to 1,000,000.
    pub window: u32,
    /// Completed requests from one score to the next. From 1 to 1,000,000.
    pub hop: u32,
    /// The search.
    pub search: EvolutionParameters,
}

impl Default for OneFifthParameters {
    fn default() -> Self {
        Self { window: 128, hop: 32, search: EvolutionParameters::default() }
    }
}

impl OneFifthParameters {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), TunerError> {
        let counts = 1..=1_000_000;
        check("window", self.window, counts.contains(&self.window), "from 1 to 1,000,000")?;
        check("hop", self.hop, counts.contains(&self.hop), "from 1 to 1,000,000")?;
        self.search.validate()
    }
}

/// The published tuner.
#[derive(Clone, Debug)]
pub struct OneFifth {
    parameters: OneFifthParameters,
    objective: Objective,
    seed: u64,
    search: Evolution,
    /// Costs of the last completed requests, at most a window of them.
    costs: VecDeque<f64>,
    since_last: u32,
    samples: u64,
    /// The weights that route.
    current: Vec<f64>,
    ended: bool,
}

impl OneFifth {
    /// A tuner that starts from these weights.
    ///
    /// # Errors
    /// When a parameter is out of range, or a start outside its box.
    pub fn new(
        parameters: OneFifthParameters,
        objective: Objective,
        bounds: &[Bounds],
        start: &[f64],
        seed: u64,
    ) -> Result<Self, TunerError> {
        parameters.validate()?;
        objective.validate()?;
        Ok(Self {
            parameters,
            objective,
            seed,
            search: Evolution::new(parameters.search, bounds, start)?,
            costs: VecDeque::new(),
            since_last: 0,
            samples: 0,
            current: start.to_vec(),
            ended: false,
        })
    }

    /// A request has completed.
    pub fn observe(&mut self, sample: Sample, now: Nanos) -> Option<TuneStep> {
        self.samples += 1;
        if self.ended {
            return None;
        }
        if self.costs.len() == self.parameters.window as usize {
            self.costs.pop_front();
        }
        self.costs.push_back(sample.cost_s(&self.objective));
        self.since_last = self.since_last.saturating_add(1);
        let full = self.costs.len() == self.parameters.window as usize;
        (full && self.since_last >= self.parameters.hop).then(|| self.step(now))
    }

    fn step(&mut self, now: Nanos) -> TuneStep {
        self.since_last = 0;
        let mut window: Vec<f64> = self.costs.iter().copied().collect();
        let score = -percentile(&mut window, self.objective.quantile);
        let accepted = self.search.report(&self.current, score);
        let z = mutation(self.seed, self.search.steps(), self.current.len());
        let next = self.search.propose(&z);
        let installed = next.clone().unwrap_or_else(|| self.search.best().to_vec());
        self.ended = next.is_none();
        TuneStep {
            step: self.search.steps(),
            at_ns: now,
            samples: self.samples,
            weight: None,
            candidate: std::mem::replace(&mut self.current, installed),
            score,
            accepted,
            sigma: self.search.sigma(),
            best: self.search.best().to_vec(),
            next,
        }
    }

    /// The weights that route the next request.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.current
    }

    /// The best weights known.
    #[must_use]
    pub fn best(&self) -> &[f64] {
        self.search.best()
    }
}
