//! `least-request`: the fewest requests, `max(running at the last scrape, own in flight)`.
//!
//! Ties go to any of the tied, by the draw. Source: GORGO v2, `gorgo/policy/lb_aibrix.py`, `route_least_request`: the
//! maximum of the two counts neither misses other clients' requests nor counts one's own twice. (The paper's text says
//! "fewest in flight from the proxy"; the code is followed.) Where weights differ, it is requests per unit of weight. No
//! parameters. Read [`super::least_load`] next.

use super::{Configured, Needs, NoParameters, ParameterError, Policy, Question};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;

/// The policy `least-request`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastRequest;

/// The requests of a candidate as this rule counts them, and the two counts.
pub(super) fn requests(candidate: &Signals) -> (f64, [f64; 2]) {
    let running = f64::from(candidate.running_requests);
    let in_flight = f64::from(candidate.in_flight_requests);
    (running.max(in_flight), [running, in_flight])
}

impl Configured for LeastRequest {
    type Parameters = NoParameters;
    const NAME: &'static str = "least-request";
    const SUMMARY: &'static str =
        "the fewest requests: the larger of scraped running and own in flight";

    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
}

impl Policy for LeastRequest {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: false, scrapes: true }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let terms = &["running_requests", "in_flight_requests"];
        if question.weighted {
            decision.fill("requests", terms, question.candidates, |candidate| {
                let (load, terms) = requests(candidate);
                (candidate.per_weight(load), terms)
            });
        } else {
            decision.fill("requests", terms, question.candidates, requests);
        }
        decision.choose_lowest(question.candidates, Tie::Draw, question.draw);
    }
}
