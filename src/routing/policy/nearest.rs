//! `nearest`: the smallest round trip among the eligible replicas.
//!
//! The round trip is the probes' average, or the last scrape's latency before the first probe. Ties go to the first in
//! the fleet's order. It is what a geographic DNS or anycast would do. No parameters. Weights do not
//! matter to it. Read [`super::gorgo`] next.

use super::{Configured, DrawUse, NoParameters, ParameterError, Policy, Question, rtt_ms};
use crate::decision::{Decision, Tie};

/// The policy `nearest`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nearest;

impl Configured for Nearest {
    type Parameters = NoParameters;
    const NAME: &'static str = "nearest";
    const SUMMARY: &'static str = "the smallest round trip";

    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
}

impl Policy for Nearest {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        decision
            .fill_sums("rtt", &["rtt_ms"], question.candidates, |candidate| [rtt_ms(candidate)]);
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }
}
