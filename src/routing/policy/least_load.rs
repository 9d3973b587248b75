//! `least-load`: the smallest sum of running requests, queued requests, used KV tokens and own queued prompt tokens.
//!
//! The first three are from the last scrape, the last is live. Requests and tokens are simply added, so tokens decide
//! nearly always. Where weights differ, the sum is per unit of weight. Ties go to any of the tied, by the draw. Source:
//! GORGO v2, `gorgo/policy/lb_aibrix.py`, `route_least_load`; it reproduces every decision of the recorded log
//! `decisions_least-load.csv`. No parameters. Read [`super::prefix_cache`] next.

use super::{Configured, Needs, NoParameters, ParameterError, Policy, Question, count};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;

/// The policy `least-load`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastLoad;

const TERMS: &[&str; 4] = &["running_requests", "queued_requests", "used_tokens", "queued_tokens"];

impl Configured for LeastLoad {
    type Parameters = NoParameters;
    const NAME: &'static str = "least-load";
    const SUMMARY: &'static str = "the smallest sum of requests and tokens, as GORGO v2 adds them";

    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
}

impl Policy for LeastLoad {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: false, scrapes: true }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let terms = |candidate: &Signals| {
            [
                f64::from(candidate.running_requests),
                f64::from(candidate.queued_requests),
                count(candidate.used_tokens),
                count(candidate.queued_tokens),
            ]
        };
        if question.weighted {
            decision.fill_sums("load", TERMS, question.candidates, |candidate| {
                terms(candidate).map(|load| candidate.per_weight(load))
            });
        } else {
            decision.fill_sums("load", TERMS, question.candidates, terms);
        }
        decision.choose_lowest(question.candidates, Tie::Draw, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }
}
