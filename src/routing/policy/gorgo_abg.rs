//! `gorgo-abg`: `alpha * latency + beta / cache-hit probability + gamma / compute availability`.
//!
//! This is the form in which a summary article describes GORGO. The article defines none of the three quantities and
//! gives no constants. What is taken here, with the bounds that keep every score finite:
//! - latency: the round trip in milliseconds (probes' average, or the last scrape's latency), at least 0;
//! - cache-hit probability: cached / prompt tokens, between `hit_floor` and 1;
//! - compute availability: the smaller of the free share of the KV pool, `1 - used / pool` (1 where the pool's size is
//!   unknown), and the free share of the running slots, `1 - requests / slots`, where requests is the larger of scraped
//!   running and own in flight; between `availability_floor` and 1.
//!
//! So the second term lies in `[beta, beta / hit_floor]` and the third in `[gamma, gamma / availability_floor]`. The
//! defaults are this project's: alpha = 1 and beta = gamma = 10 with floors of 0.05 put the range from no hit to a full
//! hit at 190 ms, which is the prefill of 2,000 tokens at GORGO v1's 0.094 ms, and the same for a full against an idle
//! replica; `slots` is the `--max-running-requests 10` of GORGO v1's engines. Equal scores go to the first in the
//! fleet's order. Read [`super::nearest`] next.

use super::least_request::requests;
use super::parameter::{Parameter, reader};
use super::{Configured, DrawUse, Needs, ParameterError, Policy, Question, count, rtt_ms, weighed};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

const ALPHA: Parameter =
    Parameter::weight("alpha", 1.0, "price of a millisecond of round trip (this project: 1)");
const BETA: Parameter = Parameter::weight(
    "beta",
    10.0,
    "price of a full cache hit; a miss costs beta / hit_floor (this project: 10)",
);
const GAMMA: Parameter = Parameter::weight(
    "gamma",
    10.0,
    "price of an idle replica; a full one costs gamma / availability_floor (this project: 10)",
);
const HIT_FLOOR: Parameter = Parameter::positive(
    "hit_floor",
    0.05,
    1.0,
    "smallest cache-hit probability (this project: 0.05)",
);
const AVAILABILITY_FLOOR: Parameter = Parameter::positive(
    "availability_floor",
    0.05,
    1.0,
    "smallest compute availability (this project: 0.05)",
);
const SLOTS: Parameter = Parameter::positive(
    "slots",
    10.0,
    1e9,
    "running requests that fill a replica (GORGO v1's engines: 10)",
);

reader! {
    alpha: ALPHA,
    beta: BETA,
    gamma: GAMMA,
    hit_floor: HIT_FLOOR,
    availability_floor: AVAILABILITY_FLOOR,
    slots: SLOTS,
}

/// The parameters of `gorgo-abg`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Price of a millisecond of round trip.
    #[serde(deserialize_with = "alpha")]
    pub alpha: f64,
    /// Price of a full cache hit.
    #[serde(deserialize_with = "beta")]
    pub beta: f64,
    /// Price of an idle replica.
    #[serde(deserialize_with = "gamma")]
    pub gamma: f64,
    /// The smallest cache-hit probability, above 0 and at most 1.
    #[serde(deserialize_with = "hit_floor")]
    pub hit_floor: f64,
    /// The smallest compute availability, above 0 and at most 1.
    #[serde(deserialize_with = "availability_floor")]
    pub availability_floor: f64,
    /// Running requests that fill a replica.
    #[serde(deserialize_with = "slots")]
    pub slots: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            alpha: ALPHA.number(),
            beta: BETA.number(),
            gamma: GAMMA.number(),
            hit_floor: HIT_FLOOR.number(),
            availability_floor: AVAILABILITY_FLOOR.number(),
            slots: SLOTS.number(),
        }
    }
}

/// The policy `gorgo-abg`.
#[derive(Clone, Copy, Debug)]
pub struct GorgoAbg {
    parameters: Parameters,
}

impl GorgoAbg {
    fn hit_probability(&self, candidate: &Signals, prompt_tokens: u64) -> f64 {
        let share = count(candidate.cached_tokens) / count(prompt_tokens);
        share.clamp(self.parameters.hit_floor, 1.0)
    }

    fn availability<const WEIGHTED: bool>(&self, candidate: &Signals) -> f64 {
        let pool = candidate.kv_pool_tokens;
        let memory = if pool == 0 { 1.0 } else { 1.0 - count(candidate.used_tokens) / count(pool) };
        let slots =
            1.0 - weighed::<WEIGHTED>(candidate, requests(candidate).0) / self.parameters.slots;
        memory.min(slots).clamp(self.parameters.availability_floor, 1.0)
    }

    fn score<const WEIGHTED: bool>(&self, question: &Question<'_>, decision: &mut Decision) {
        let tokens = question.request.prompt.tokens().get();
        decision.fill_sums("score", TERMS, question.candidates, |candidate| {
            [
                self.parameters.alpha * rtt_ms(candidate),
                self.parameters.beta / self.hit_probability(candidate, tokens),
                self.parameters.gamma / self.availability::<WEIGHTED>(candidate),
            ]
        });
    }
}

const TERMS: &[&str; 3] = &["latency", "hit", "availability"];

impl Configured for GorgoAbg {
    type Parameters = Parameters;
    const NAME: &'static str = "gorgo-abg";
    const SUMMARY: &'static str = "alpha latency + beta / hit probability + gamma / availability";
    const PARAMETERS: &'static [Parameter] =
        &[ALPHA, BETA, GAMMA, HIT_FLOOR, AVAILABILITY_FLOOR, SLOTS];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        ALPHA.check(parameters.alpha)?;
        BETA.check(parameters.beta)?;
        GAMMA.check(parameters.gamma)?;
        HIT_FLOOR.check(parameters.hit_floor)?;
        AVAILABILITY_FLOOR.check(parameters.availability_floor)?;
        SLOTS.check(parameters.slots)?;
        Ok(Self { parameters })
    }
}

impl Policy for GorgoAbg {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: true }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        if question.weighted {
            self.score::<true>(question, decision);
        } else {
            self.score::<false>(question, decision);
        }
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }

    fn tunable(&self) -> &'static [Parameter] {
        &[ALPHA, BETA, GAMMA]
    }

    fn weight(&self, index: usize) -> f64 {
        let Parameters { alpha, beta, gamma, .. } = self.parameters;
        [alpha, beta, gamma].get(index).copied().unwrap_or(f64::NAN)
    }

    fn set_weight(&mut self, index: usize, value: f64) {
        let Parameters { alpha, beta, gamma, .. } = &mut self.parameters;
        if let Some(weight) = [alpha, beta, gamma].into_iter().nth(index) {
            *weight = value;
        }
    }
}
