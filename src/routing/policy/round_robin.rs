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
        // Replicas may have left the fleet, so the position is an id, not an index; past the last it is the first. Ids are
        // used again, so the fleet's order need not be theirs.
        let ids = || candidates.iter().map(|c| c.replica.0).enumerate();
        let next = ids().filter(|&(_, id)| id >= self.next).min_by_key(|&(_, id)| id);
        let position = next.or_else(|| ids().min_by_key(|&(_, id)| id)).map_or(0, |(at, _)| at);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Target;
    use crate::signals::Signals;
    use gorgo_types::{BlockChain, Nanos, RegionId, RequestId, Tokens};

    #[test]
    fn all_have_their_turn_in_a_fleet_of_any_order() {
        let prompt = BlockChain::from_tokens(&[1], 16).unwrap();
        let request = RoutingRequest {
            id: RequestId { session: 0, turn: 0 },
            prompt: &prompt,
            max_tokens: Tokens(1),
            session: None,
            hops: 0,
            residency: None,
        };
        let fleet = [1, 0, 3].map(|id| Signals::unknown(ReplicaId(id), RegionId(0)));
        let mut policy = RoundRobin::default();
        let mut turns = Vec::new();
        for _ in 0..6 {
            let now = Nanos::ZERO;
            let question = Question { now, request, candidates: &fleet, draw: 0, home: None };
            let mut decision = Decision::new();
            policy.decide(&question, &mut decision);
            let Target::Replica(replica) = decision.target else { panic!("all are eligible") };
            policy.on_dispatched(&request, replica);
            turns.push(replica.0);
        }
        assert_eq!(turns, [0, 1, 3, 0, 1, 3]);
    }
}
