//! `round-robin`: the next eligible replica after the one that was dispatched to last.
//!
//! The score is how many steps a candidate stands from the position, in the fleet's order and around its end; the
//! lowest is chosen, so replicas that are not eligible are skipped. The position is the replica after the last one
//! dispatched to, so it moves in [`Policy::on_dispatched`] and not in the decision; it starts at the first replica. Two
//! decisions without a dispatch between them agree. Scores differ, so there are no ties. No parameters. Source: the
//! common rule of load balancers (`round_robin` in the routers of smg and vLLM).
//!
//! Where weights differ (rule `weighted-turn`), a replica of weight w has w turns in each round, evenly spaced: at
//! 1/(2w), 3/(2w), ... of it, and of equal times the lower id comes first. The score is how far off a candidate's next turn
//! is, in rounds. Turns of replicas that are not eligible pass, and are not made up for. That is the order of nginx's
//! smooth weighted round robin in spirit, but its whole memory is the last turn. Read [`super::power_of_two`] next.

use super::{Configured, DrawUse, NoParameters, ParameterError, Policy, Question, count};
use crate::decision::{Decision, Tie};
use crate::signals::{MAX_WEIGHT, RoutingRequest, Signals};

/// The policy `round-robin`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    /// The lowest replica id whose turn it is.
    next: u32,
    /// When in its round the last turn was.
    last: Turn,
}

/// The `index`-th turn, from 0, of a replica with `extra` more than one in each round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turn {
    index: u16,
    extra: u16,
}

impl Turn {
    fn of(index: u32, weight: u32) -> Self {
        let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        Self { index: small(index), extra: small(weight.clamp(1, MAX_WEIGHT) - 1) }
    }

    /// Its time as a fraction of a round: numerator and denominator.
    fn time(self) -> (u32, u32) {
        (2 * u32::from(self.index) + 1, 2 * (u32::from(self.extra) + 1))
    }
}

impl RoundRobin {
    /// A candidate's next turn, and whether it is in the round to come.
    fn turn(&self, candidate: &Signals) -> (Turn, bool) {
        let weight = candidate.weight.clamp(1, MAX_WEIGHT);
        let (above, below) = self.last.time();
        // The first index whose time (2 i + 1) / (2 weight) is not before above / below.
        let index = (2 * weight * above).div_ceil(below).saturating_sub(1).div_ceil(2);
        let is_now = (2 * index + 1) * below == 2 * weight * above;
        let index = index + u32::from(is_now && candidate.replica.0 < self.next);
        if index < weight { (Turn::of(index, weight), false) } else { (Turn::of(0, weight), true) }
    }

    fn decide_by_weight(&self, candidates: &[Signals], decision: &mut Decision) {
        let fraction = |(above, below): (u32, u32)| f64::from(above) / f64::from(below);
        let now = fraction(self.last.time());
        decision.start("weighted-turn", &["rounds", "order"]);
        for candidate in candidates {
            let (turn, in_next_round) = self.turn(candidate);
            let rounds = fraction(turn.time()) + f64::from(u8::from(in_next_round)) - now;
            // It tells equal times apart and no others, which differ by 1 / (2 MAX_WEIGHT^2) at least.
            let order = f64::from(candidate.replica.0) * 1e-11;
            decision.push(rounds + order, &[rounds, order]);
        }
    }
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
        if question.weighted {
            self.decide_by_weight(candidates, decision);
            decision.choose_lowest(candidates, Tie::First, question.draw);
            return;
        }
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

    fn on_dispatched(&mut self, _request: &RoutingRequest<'_>, sent_to: &Signals) {
        if sent_to.weight > 1 || self.last != Turn::default() {
            self.last = self.turn(sent_to).0;
        }
        self.next = sent_to.replica.0.saturating_add(1);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }

    /// The id in the lower half; above it the last turn, which is 0 where nobody weighs more than 1.
    fn memory(&self) -> Option<u64> {
        let Turn { index, extra } = self.last;
        Some(u64::from(index) << 48 | u64::from(extra) << 32 | u64::from(self.next))
    }

    fn recall(&mut self, memory: u64) {
        let part = |shift: u32| (memory >> shift) as u16;
        let turn = Turn { index: part(48), extra: part(32) };
        let is_good = turn.index <= turn.extra && u32::from(turn.extra) < MAX_WEIGHT;
        self.last = if is_good { turn } else { Turn::default() };
        self.next = memory as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Target;
    use crate::signals::Signals;
    use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};

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
            let question = Question::new(now, request, &fleet, 0, None);
            let mut decision = Decision::new();
            policy.decide(&question, &mut decision);
            let Target::Replica(replica) = decision.target else { panic!("all are eligible") };
            policy.on_dispatched(&request, fleet.iter().find(|c| c.replica == replica).unwrap());
            turns.push(replica.0);
        }
        assert_eq!(turns, [0, 1, 3, 0, 1, 3]);
    }
}
