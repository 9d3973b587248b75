//! `power-of-two`: of two different eligible replicas drawn at random, the one with the lower load.
//!
//! Where weights differ, both are drawn in proportion to their weights, and the load is per unit of weight.
//!
//! The score of the two is their load, of all others `+inf`; equal loads go to either, by the draw. With one eligible
//! replica there is nothing to draw (rule `alone`).
//!
//! What is compared is the parameter `load`. Its default, own requests in flight, is the classic rule (Mitzenmacher,
//! "The Power of Two Choices in Randomized Load Balancing", 2001). GORGO v2's `power-of-two` compares used plus queued
//! tokens (`load = "tokens"`, `gorgo/policy/lb_aibrix.py`); smg's gateway compares an expected wait in seconds, which
//! needs a throughput that no signal here carries. Read [`super::least_request`] next.

use super::load::Load;
use super::parameter::Parameter;
use super::random::by_weight;
use super::{Configured, DrawUse, Needs, ParameterError, Policy, Question};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use gorgo_random::Draw;
use serde::{Deserialize, Serialize};

/// The parameters of `power-of-two`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Which load is compared.
    pub load: Load,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { load: Load::InFlight }
    }
}

/// The policy `power-of-two`.
#[derive(Clone, Copy, Debug)]
pub struct PowerOfTwo {
    load: Load,
}

impl PowerOfTwo {
    fn decide_by_weight(&self, candidates: &[Signals], draws: [Draw; 2], decision: &mut Decision) {
        let first = by_weight(candidates, None, draws[0]);
        let second = by_weight(candidates, first, draws[1]);
        let rule = if second.is_some() { "two-choices" } else { "alone" };
        decision.start(rule, &["load"]);
        for (place, candidate) in candidates.iter().enumerate() {
            let load = self.load.per_weight(candidate);
            let drawn = [first, second].contains(&Some(place));
            decision.push(if drawn { load } else { f64::INFINITY }, &[load]);
        }
        decision.choose_lowest(candidates, Tie::Draw, draws[1].next().bits());
    }
}

impl Configured for PowerOfTwo {
    type Parameters = Parameters;
    const NAME: &'static str = "power-of-two";
    const SUMMARY: &'static str = "the less loaded of two replicas drawn at random";
    const PARAMETERS: &'static [Parameter] = &[Load::parameter(
        "in-flight",
        "which load is compared (default: Mitzenmacher 2001; GORGO v2: tokens)",
    )];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        Ok(Self { load: parameters.load })
    }
}

impl Policy for PowerOfTwo {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: false, scrapes: self.load != Load::InFlight }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let candidates = question.candidates;
        // Three independent draws: the first candidate, the second among the others, and the tie.
        let first_draw = Draw::from_bits(question.draw);
        let second_draw = first_draw.next();
        if question.weighted {
            self.decide_by_weight(candidates, [first_draw, second_draw], decision);
            return;
        }
        let eligible = candidates.iter().filter(|c| c.eligible).count() as u64;
        let first = first_draw.below(eligible);
        let second = match second_draw.below(eligible.saturating_sub(1)) {
            other if other >= first => other + 1,
            other => other,
        };
        decision.start(if eligible > 1 { "two-choices" } else { "alone" }, &["load"]);
        let mut place = 0;
        for candidate in candidates {
            let load = self.load.of(candidate);
            let drawn = candidate.eligible && (place == first || place == second);
            place += u64::from(candidate.eligible);
            decision.push(if drawn { load } else { f64::INFINITY }, &[load]);
        }
        decision.choose_lowest(candidates, Tie::Draw, second_draw.next().bits());
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::Sample
    }
}
