//! A tuner in a router: it sets the policy's weights before each decision, and is told what became of the request.
//!
//! A request counts for the weights that decided on it. Where they did not decide (no metrics were there yet, or it was
//! sent elsewhere than decided) or cannot be known (another request was decided in between), it has no assignment.
//! Times are taken at the router, from dispatch on: what a request waits in the router's queue is not in them. Read
//! [`crate::router`] next.

use super::config::{TunerConfig, TunerError, check, number};
use super::score::Sample;
use super::step::TuneStep;
use super::strategy::{Assignment, TunedWeights, Tuner};
use crate::decision::{Decision, Target};
use crate::policy::Policy;
use gorgo_types::{Nanos, ReplicaId, RequestId};

/// What is remembered of a dispatched request.
#[derive(Clone, Copy, Debug)]
struct Routed {
    at: Nanos,
    ttft: Option<Nanos>,
    assignment: Option<Assignment>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Attached {
    tuner: Tuner,
    /// The place of each tuned weight in the policy's list.
    places: Vec<usize>,
    /// The weights that the policy has now.
    installed: Vec<f64>,
    /// The request that was decided on last, and by which weights.
    last: Option<(RequestId, Assignment)>,
    /// By the slot of the request's ticket.
    routed: Vec<Option<Routed>>,
    step: Option<TuneStep>,
}

impl Attached {
    /// A tuner for this policy, which starts from the policy's own weights.
    pub(crate) fn new(
        config: &TunerConfig,
        policy: &dyn Policy,
        seed: u64,
    ) -> Result<Self, TunerError> {
        let places = places(config, policy)?;
        let installed: Vec<f64> = places.iter().map(|&place| policy.weight(place)).collect();
        let tuner = Tuner::new(config, &installed, seed)?;
        Ok(Self { tuner, places, installed, last: None, routed: Vec::new(), step: None })
    }

    /// Gives the policy the best weights known.
    pub(crate) fn settle(&self, policy: &mut dyn Policy) {
        for (&place, &weight) in self.places.iter().zip(self.tuner.best()) {
            policy.set_weight(place, weight);
        }
    }

    pub(crate) const fn tuner(&self) -> &Tuner {
        &self.tuner
    }

    /// The weights that the last decision was made with.
    pub(crate) fn installed(&self) -> TunedWeights<'_> {
        TunedWeights { names: self.tuner.names(), values: &self.installed }
    }

    /// Gives the policy the weights that this request is to be routed by.
    pub(crate) fn before_decision(&mut self, request: RequestId, policy: &mut dyn Policy) {
        let assignment = self.tuner.assign();
        let weights = self.tuner.weights(assignment);
        for ((&place, installed), &weight) in
            self.places.iter().zip(&mut self.installed).zip(weights)
        {
            #[expect(clippy::float_cmp, reason = "the very weight that was set")]
            if *installed != weight {
                policy.set_weight(place, weight);
                *installed = weight;
            }
        }
        self.last = Some((request, assignment));
    }

    pub(crate) fn dispatched(
        &mut self,
        now: Nanos,
        request: RequestId,
        replica: ReplicaId,
        decision: &Decision,
        work_tokens: u64,
        slot: usize,
    ) {
        let by_weights =
            decision.target == Target::Replica(replica) && decision.rule != "no-metrics";
        let assignment = self.last.take().filter(|&(decided, _)| decided == request && by_weights);
        let assignment = assignment.map(|(_, assignment)| assignment);
        let assignment =
            assignment.filter(|&assignment| self.tuner.dispatched(assignment, work_tokens));
        if self.routed.len() <= slot {
            self.routed.resize(slot + 1, None);
        }
        self.routed[slot] = Some(Routed { at: now, ttft: None, assignment });
    }

    pub(crate) fn first_token(&mut self, now: Nanos, slot: usize) {
        let Some(Some(routed)) = self.routed.get_mut(slot) else { return };
        let ttft = now.saturating_sub(routed.at);
        routed.ttft = Some(ttft);
        let assignment = routed.assignment;
        let step = self.tuner.first_token(assignment, ttft, now);
        self.keep(step);
    }

    pub(crate) fn finished(&mut self, now: Nanos, slot: usize) {
        let Some(routed) = self.routed.get_mut(slot).and_then(Option::take) else { return };
        let e2e = now.saturating_sub(routed.at);
        let sample = Sample { ttft: routed.ttft.unwrap_or(e2e), e2e };
        let step = self.tuner.observe(routed.assignment, sample, now);
        self.keep(step);
    }

    pub(crate) fn lost(&mut self, now: Nanos, slot: usize, failed: bool) {
        let Some(routed) = self.routed.get_mut(slot).and_then(Option::take) else { return };
        let step = self.tuner.lost(routed.assignment, failed, now);
        self.keep(step);
    }

    pub(crate) const fn take_step(&mut self) -> Option<TuneStep> {
        self.step.take()
    }

    fn keep(&mut self, step: Option<TuneStep>) {
        if step.is_some() {
            self.step = step;
        }
    }
}

/// Where the policy has each weight.
fn places(config: &TunerConfig, policy: &dyn Policy) -> Result<Vec<usize>, TunerError> {
    let known = policy.tunable();
    let mut places = Vec::with_capacity(config.weights.len());
    for weight in &config.weights {
        let place = known.iter().position(|known| known.name == weight.name);
        let place = place.ok_or_else(|| TunerError::UnknownWeight {
            name: weight.name.clone(),
            policy: policy.name(),
            known: known.iter().map(|known| known.name).collect(),
        })?;
        for edge in [weight.low, weight.high] {
            let parameter = format!("weights.{}", weight.name);
            let good = known[place].check(edge).is_ok();
            check(parameter, number(edge), good, known[place].wanted.to_string())?;
        }
        places.push(place);
    }
    Ok(places)
}

impl Tuner {
    /// A tuner for this policy as it is: it starts from the policy's weights.
    ///
    /// # Errors
    /// When a parameter is out of range, or the policy has no such weight or starts outside of its box.
    pub fn of(config: &TunerConfig, policy: &dyn Policy, seed: u64) -> Result<Self, TunerError> {
        Attached::new(config, policy, seed).map(|attached| attached.tuner)
    }
}
