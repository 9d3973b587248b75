//! `random`: uniformly among the eligible candidates, by the draw.
//!
//! Every candidate scores 0, so that all eligible ones are tied and the draw chooses. Source: the baseline `random` of
//! GORGO v2 (section 4 of the paper). No parameters. Read [`super::round_robin`] next.

use super::{Configured, NoParameters, ParameterError, Policy, Question};
use crate::decision::{Decision, Tie};

/// The policy `random`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

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
