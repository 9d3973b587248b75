//! A tuner's search as it is logged: `tune.jsonl` is a [`TuneHead`] and then a [`TuneStep`] a line. Read
//! [`super::paired`] next.

use super::Tuner;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// The version of the format, in [`TuneHead::gorgo_tune`].
const VERSION: u32 = 1;

/// The first line: who is tuned, and by which strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneHead {
    /// The version of the format: 1.
    pub gorgo_tune: u32,
    /// The policy whose weights are tuned.
    pub policy: String,
    /// The strategy's name.
    pub strategy: String,
    /// The names of the weights, in the order of the steps' lists.
    pub weights: Vec<String>,
    /// Their values at the start.
    pub start: Vec<f64>,
}

impl TuneHead {
    /// The head of the log of a tuner that is at the weights of `policy`.
    #[must_use]
    pub fn of(policy: &str, tuner: &Tuner) -> Self {
        let (weights, start) = (tuner.names().to_vec(), tuner.start().to_vec());
        Self::new(policy, tuner.strategy(), weights, start)
    }

    /// The head of the log of a tuner of this strategy that starts from these weights.
    #[must_use]
    pub fn new(policy: &str, strategy: &str, weights: Vec<String>, start: Vec<f64>) -> Self {
        let (policy, strategy) = (policy.to_owned(), strategy.to_owned());
        Self { gorgo_tune: VERSION, policy, strategy, weights, start }
    }
}

/// A candidate was judged, and the next one chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneStep {
    /// How many candidates have been proposed by now, the next one included.
    pub step: u64,
    /// When, in nanoseconds of the run's clock.
    pub at_ns: Nanos,
    /// Samples that the tuner has been given by now.
    pub samples: u64,
    /// The name of the one weight that was judged, of a strategy that judges one at a time: `candidate` differs from the
    /// best known in nothing else, and `sigma` and `next` are of this weight's search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The weights that were judged, in the order of [`super::TunerConfig::weights`].
    pub candidate: Vec<f64>,
    /// Their score; higher is better. The published strategy: minus a percentile of the cost, in seconds. The paired
    /// one: how many standard deviations of pure chance the candidate's level lies above the one it was compared with.
    pub score: f64,
    /// Whether they are now the best known.
    pub accepted: bool,
    /// The step size after that.
    pub sigma: f64,
    /// The best known weights after that.
    pub best: Vec<f64>,
    /// The weights to be judged next; none: the search has ended, and the best stay.
    pub next: Option<Vec<f64>>,
}
