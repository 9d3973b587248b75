//! A tuner, whichever its strategy: what a router calls. Read [`super::attached`] next.

use super::config::{StrategyConfig, TunerConfig, TunerError};
use super::one_fifth::OneFifth;
use super::paired::Paired;
use super::schedule::Schedule;
use super::score::Sample;
use super::step::TuneStep;
use gorgo_types::Nanos;
use serde::{Serialize, Serializer};

/// Which weights route a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The trials begun by then.
    pub trial: u64,
    /// The request's place among all that are judged; none: it is not judged.
    pub place: Option<u64>,
}

/// The weights that a decision was made with, by name.
#[derive(Clone, Copy, Debug)]
pub struct TunedWeights<'a> {
    pub(crate) names: &'a [String],
    pub(crate) values: &'a [f64],
}

impl<'a> TunedWeights<'a> {
    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, f64)> + use<'a> {
        self.names.iter().map(String::as_str).zip(self.values.iter().copied())
    }
}

impl Serialize for TunedWeights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// A search over a policy's weights. See the [module](super).
#[derive(Clone, Debug)]
pub struct Tuner {
    names: Vec<String>,
    start: Vec<f64>,
    strategy: Strategy,
    steps: u64,
    accepted: u64,
}

#[derive(Clone, Debug)]
enum Strategy {
    OneFifth(OneFifth),
    Paired(Paired),
    Schedule(Schedule),
}

impl Tuner {
    /// A tuner that starts from these weights, in the order of the configuration; `seed` keys its draws.
    ///
    /// # Errors
    /// When a parameter is out of range, or a start outside its box.
    pub fn new(config: &TunerConfig, start: &[f64], seed: u64) -> Result<Self, TunerError> {
        config.validate()?;
        let TunerConfig { weights, objective, strategy } = config;
        let strategy = match strategy {
            StrategyConfig::OneFifth(parameters) => {
                Strategy::OneFifth(OneFifth::new(*parameters, *objective, weights, start, seed)?)
            }
            StrategyConfig::Paired(parameters) => {
                Strategy::Paired(Paired::new(*parameters, *objective, weights, start, seed)?)
            }
            StrategyConfig::Schedule(parameters) => {
                Strategy::Schedule(Schedule::new(parameters, weights, start)?)
            }
        };
        let names = weights.iter().map(|weight| weight.name.clone()).collect();
        Ok(Self { names, start: start.to_vec(), strategy, steps: 0, accepted: 0 })
    }

    /// What routes the next request. It changes nothing, however often it is asked.
    #[must_use]
    pub fn assign(&self) -> Assignment {
        match &self.strategy {
            // Every request is the candidate's, and which one counts for whom is not asked.
            Strategy::OneFifth(_) | Strategy::Schedule(_) => {
                Assignment { trial: self.steps + 1, place: None }
            }
            Strategy::Paired(tuner) => tuner.assign(),
        }
    }

    /// The weights of the assignment that was given last, in the order of [`Tuner::names`].
    #[must_use]
    pub fn weights(&self, assignment: Assignment) -> &[f64] {
        match &self.strategy {
            Strategy::OneFifth(tuner) => tuner.weights(),
            Strategy::Paired(tuner) => tuner.weights(assignment),
            Strategy::Schedule(schedule) => schedule.weights(),
        }
    }

    /// A request was sent as assigned. `work_tokens` are the prompt tokens that it brings wherever it goes: what no
    /// replica has cached. False: it will not be judged.
    pub fn dispatched(&mut self, assignment: Assignment, work_tokens: u64) -> bool {
        match &mut self.strategy {
            Strategy::OneFifth(_) | Strategy::Schedule(_) => true,
            Strategy::Paired(tuner) => tuner.dispatched(assignment, work_tokens),
        }
    }

    /// The first token of a request is there, `ttft` after its dispatch.
    pub fn first_token(
        &mut self,
        assignment: Option<Assignment>,
        ttft: Nanos,
        now: Nanos,
    ) -> Option<TuneStep> {
        let step = match (&mut self.strategy, assignment) {
            (Strategy::Paired(tuner), Some(assignment)) => tuner.first_token(assignment, ttft, now),
            _ => None,
        };
        self.count(step)
    }

    /// A request has completed. Without an assignment its weights are not known: the published strategy counts it all
    /// the same, the paired one does not.
    pub fn observe(
        &mut self,
        assignment: Option<Assignment>,
        sample: Sample,
        now: Nanos,
    ) -> Option<TuneStep> {
        let step = match (&mut self.strategy, assignment) {
            (Strategy::OneFifth(tuner), _) => tuner.observe(sample, now),
            (Strategy::Paired(tuner), Some(assignment)) => tuner.observe(assignment, sample, now),
            (Strategy::Paired(_), None) => None,
            (Strategy::Schedule(schedule), _) => schedule.observe(now),
        };
        self.count(step)
    }

    /// A request will not complete: it `failed`, or its client gave up.
    pub fn lost(
        &mut self,
        assignment: Option<Assignment>,
        failed: bool,
        now: Nanos,
    ) -> Option<TuneStep> {
        let step = match (&mut self.strategy, assignment) {
            (Strategy::Paired(tuner), Some(assignment)) => tuner.lost(assignment, failed, now),
            _ => None,
        };
        self.count(step)
    }

    /// The names of the weights.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The weights at the start.
    #[must_use]
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// The best weights known.
    #[must_use]
    pub fn best(&self) -> &[f64] {
        match &self.strategy {
            Strategy::OneFifth(tuner) => tuner.best(),
            Strategy::Paired(tuner) => tuner.best(),
            Strategy::Schedule(schedule) => schedule.weights(),
        }
    }

    /// The strategy's name in scenarios.
    #[must_use]
    pub const fn strategy(&self) -> &'static str {
        match self.strategy {
            Strategy::OneFifth(_) => "one_fifth",
            Strategy::Paired(_) => "paired",
            Strategy::Schedule(_) => "schedule",
        }
    }

    /// Candidates that were judged (the published strategy's start included), and those of them that were accepted.
    #[must_use]
    pub const fn steps(&self) -> (u64, u64) {
        (self.steps, self.accepted)
    }

    fn count(&mut self, step: Option<TuneStep>) -> Option<TuneStep> {
        if let Some(step) = &step {
            self.steps += 1;
            self.accepted += u64::from(step.accepted);
        }
        step
    }
}
