//! What tells one engine from another: the rules of its iterations and of its memory.

use super::request::Slot;
use super::series::StepSeries;
use super::{EngineRequest, Observation, Replica, ReplicaOutput, RequestKey};
use crate::{Femtos, ModelError, ReplicaConfig};
use gorgo_types::Nanos;
use std::fmt::Debug;

/// What the GPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iteration {
    /// Nothing.
    Idle,
    /// One batch, which the scheduler knows.
    Batch {
        /// When it began.
        start: Femtos,
        /// When it ends.
        end: Femtos,
    },
    /// Decode steps of all that run.
    Decode(DecodeRun),
}

/// Decode steps of an unchanging batch. Cut short, it keeps its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeRun {
    pub(crate) start: Femtos,
    pub(crate) series: StepSeries,
    pub(crate) steps: u64,
    pub(crate) end: Femtos,
}

impl DecodeRun {
    /// So many steps from `start` on.
    pub(crate) fn new(start: Femtos, series: StepSeries, steps: u64) -> Self {
        assert!(steps > 0, "a run has a step");
        Self { start, series, steps, end: start + series.length(steps) }
    }

    /// Steps that have ended by `now`, before the end of the run.
    pub(crate) fn steps_ended(&self, now: Nanos) -> u64 {
        let since = Femtos::from_nanos(now).saturating_sub(self.start);
        self.series.steps_within(since, self.steps - 1)
    }
}

/// The rules of one engine. What it remembers is [`Replica::state`]; functions that act have the whole replica.
///
/// Only this crate has schedulers: `Replica` keeps to itself what they would need.
pub trait Scheduler: Clone + Debug + Sized {
    /// What a request holds.
    type Held: Clone + Debug;

    /// Nobody runs, nothing is cached.
    ///
    /// # Errors
    /// Where the configuration makes no sense to this engine.
    fn new(config: &ReplicaConfig) -> Result<Self, ModelError>;

    /// After a crash.
    fn restart(&mut self, config: &ReplicaConfig);

    /// The output length of a request that can be served, and what it holds on arrival. Output, `max_tokens`, block size and
    /// sequence have been found to agree.
    ///
    /// # Errors
    /// Where it could never be served.
    fn accept(
        replica: &Replica<Self>,
        key: RequestKey,
        request: &EngineRequest,
    ) -> Result<(u32, Self::Held), ModelError>;

    /// Whether a boundary in a run of decode steps would try to admit who is ready by then.
    fn welcomes(replica: &Replica<Self>) -> bool;

    /// Somebody in the queue has been cancelled.
    fn queue_changed(replica: &mut Replica<Self>, now: Nanos);

    /// A batch has been computed.
    fn end_batch(replica: &mut Replica<Self>, start: Femtos, at: Femtos, out: &mut ReplicaOutput);

    /// A run of decode steps has ended.
    fn end_decode(replica: &mut Replica<Self>, run: DecodeRun, out: &mut ReplicaOutput);

    /// Takes the memory of decode steps and reports their tokens, but lets nobody go.
    fn count_steps(replica: &mut Replica<Self>, run: DecodeRun, out: &mut ReplicaOutput);

    /// A request that holds KV is cancelled, at a boundary.
    fn release_cancelled(replica: &mut Replica<Self>, slot: Slot);

    /// Forms the next iteration.
    fn start(replica: &mut Replica<Self>, at: Femtos, out: &mut ReplicaOutput) -> Iteration;

    /// What a scrape sees, but for the queue.
    fn observe(replica: &Replica<Self>, now: Nanos) -> Observation;

    /// Verifies what the scheduler keeps.
    ///
    /// # Errors
    /// What does not hold.
    fn check(replica: &Replica<Self>) -> Result<(), String>;
}
