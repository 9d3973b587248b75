//! `random`: uniformly among the eligible candidates, by the draw.
//!
//! Every candidate scores 0, so that all eligible ones are tied and the draw chooses. Where weights differ, the draw falls
//! in their proportion (rule `weighted`): the one drawn scores 0, the others `+inf`. Source: the baseline `random` of
//! GORGO v2 (section 4 of the paper). No parameters. Read [`super::round_robin`] next.

use super::{Configured, NoParameters, ParameterError, Policy, Question};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use gorgo_random::Draw;

/// The policy `random`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

/// The place of an eligible candidate, drawn in proportion to the weights; `but`: not this one.
pub(super) fn by_weight(candidates: &[Signals], but: Option<usize>, draw: Draw) -> Option<usize> {
    let eligible = || candidates.iter().enumerate().filter(|(i, c)| c.eligible && Some(*i) != but);
    let total: u64 = eligible().map(|(_, c)| u64::from(c.weight)).sum();
    let mut left = draw.below(total);
    for (place, candidate) in eligible() {
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => return Some(place),
        }
    }
    None
}

impl Configured for Random {
    type Parameters = NoParameters;
    const NAME: &'static str = "random";
    const SUMMARY: &'static str = "uniformly among the eligible replicas";

    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
}

impl Policy for Random {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        if question.weighted {
            let drawn = by_weight(question.candidates, None, Draw::from_bits(question.draw));
            decision.start("weighted", &[]);
            for place in 0..question.candidates.len() {
                decision.push(if drawn == Some(place) { 0.0 } else { f64::INFINITY }, &[]);
            }
            decision.choose_lowest(question.candidates, Tie::First, question.draw);
            return;
        }
        decision.start("random", &[]);
        for _ in question.candidates {
            decision.push(0.0, &[]);
        }
        decision.choose_lowest(question.candidates, Tie::Draw, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }
}
