//! `round-robin`: the next eligible replica after the one that was dispatched to last.
//!
//! The score is how many steps a candidate stands from the position, in the fleet's order and around its end; the
//! lowest is chosen, so replicas that are not eligible are skipped. The position is the replica after the last one
//! dispatched to, so it moves in [`Policy::on_dispatched`] and not in the decision; it starts at the first replica. Two
//! decisions without a dispatch between them agree. Scores differ, so there are no ties. No parameters. Source: the
//! common rule of load balancers (`round_robin` in the routers of smg and vLLM).
//! Read [`super::power_of_two`] next.

use super::{Configured, DrawUse, NoParameters, ParameterError, Policy, Question, count};
use crate::decision::{Decision, Tie};
use crate::signals::RoutingRequest;
use gorgo_types::ReplicaId;

/// The policy `round-robin`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    /// The lowest replica id whose turn it is.
    next: u32,
}

impl Configured for RoundRobin {
    type Parameters = NoParameters;
    const NAME: &'static str = "round-robin";
    const SUMMARY: &'static str = "the next eligible replica after the last one dispatched to";

    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self::default())
    }
}

impl Policy for RoundRobin {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let candidates = question.candidates;
        // Replicas may have left the fleet, so the position is an id, not an index; past the last it is the first.
        let position = candidates.iter().position(|c| c.replica.0 >= self.next).unwrap_or(0);
        let n = candidates.len();
        decision.start("turn", &["steps"]);
        for i in 0..n {
            let steps = count(((i + n - position) % n) as u64);
            decision.push(steps, &[steps]);
        }
        decision.choose_lowest(candidates, Tie::First, question.draw);
    }

    fn on_dispatched(&mut self, _request: &RoutingRequest<'_>, replica: ReplicaId) {
        self.next = replica.0.saturating_add(1);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }

    fn memory(&self) -> Option<u64> {
        Some(u64::from(self.next))
    }

    fn recall(&mut self, memory: u64) {
        self.next = u32::try_from(memory).unwrap_or(0);
    }
}
