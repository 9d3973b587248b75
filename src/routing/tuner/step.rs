//! One step of a tuner's search, as it is logged (`tune.jsonl`). Read [`super::paired`] next.

use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

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
    /// The weights that were judged, in the order of [`super::TunerConfig::weights`].
    pub candidate: Vec<f64>,
    /// Their score; higher is better. The published strategy: minus a percentile of the cost, in seconds. The paired
    /// one: how many standard deviations of pure chance the candidate lies above the incumbent.
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
