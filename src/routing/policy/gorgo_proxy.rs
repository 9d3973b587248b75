//! `gorgo-proxy`: the cost of GORGO v1's centralized proxy, in milliseconds.
//!
//! `cost = q_s * t_p * running + t_p * queued + t_p * tokens + RTT - t_p * matched`, where
//! - `running` are the prompt tokens of this proxy's own tracked requests there ([`crate::Signals::queued_tokens`]; v1
//!   forgets a request when the response *headers* arrive, so the router should release load then);
//! - `queued` is the engine's waiting count at the last scrape times the mean prompt of the tracked requests (whole
//!   tokens, rounded down), or times 500 when none is tracked; 0 with `count_waiting = false`, as in the revisions that
//!   gate capacity in the proxy;
//! - `tokens` is the whole prompt and `matched` its leading tokens known to be there: the match is subtracted from the
//!   whole sum, and running tokens count as if none were prefilled yet;
//! - RTT is the probes' average in whole milliseconds, the fraction cut off (`whole_ms`).
//!
//! A replica whose KV pool is used to `kv_threshold` or more at the last scrape costs `+inf` (a pool of unknown size
//! passes); when all are, the request waits in the router's queue. Equal costs go to the first in the fleet's order (v1
//! sorts with an unstable sort, so there the order of equals is open).
//!
//! Source: gotoni, `pkg/proxy/proxy.go`, `selectServer` and `calculateServerCost`, at the commit nearest the paper:
//! t_p = 0.094 ms per token (the paper's fit: 0.0938), q_s = 0.5, threshold 0.95.
//! Read [`super::gorgo_abg`] next.

use super::parameter::{Parameter, reader};
use super::{Configured, DrawUse, Needs, ParameterError, Policy, Question, count, rtt_ms};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

/// Prompt tokens of a waiting request when the proxy tracks none of its own (gotoni: "about 2,000 characters").
pub const WAITING_TOKENS: u64 = 500;

const PREFILL_MS_PER_TOKEN: Parameter = Parameter::weight(
    "prefill_ms_per_token",
    0.094,
    "t_p: milliseconds of prefill per token (GORGO v1's code: 0.094)",
);
const RUNNING_FACTOR: Parameter = Parameter::weight(
    "running_factor",
    0.5,
    "q_s: weight of the tokens of running requests (GORGO v1: 0.5)",
);
const KV_THRESHOLD: Parameter = Parameter::positive(
    "kv_threshold",
    0.95,
    1e9,
    "used share of the KV pool from which on a replica may not be chosen (GORGO v1: 0.95)",
);
const WHOLE_MS: Parameter =
    Parameter::flag("whole_ms", true, "cut the round trip to whole milliseconds (GORGO v1: true)");
const COUNT_WAITING: Parameter = Parameter::flag(
    "count_waiting",
    true,
    "price the engine's waiting requests (GORGO v1: true; its later capacity gate: false)",
);

reader! {
    prefill_ms_per_token: PREFILL_MS_PER_TOKEN,
    running_factor: RUNNING_FACTOR,
    kv_threshold: KV_THRESHOLD,
}

/// The parameters of `gorgo-proxy`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Milliseconds of prefill per token, t_p.
    #[serde(deserialize_with = "prefill_ms_per_token")]
    pub prefill_ms_per_token: f64,
    /// Weight of the tokens of running requests, q_s.
    #[serde(deserialize_with = "running_factor")]
    pub running_factor: f64,
    /// Used share of the KV pool from which on a replica may not be chosen.
    #[serde(deserialize_with = "kv_threshold")]
    pub kv_threshold: f64,
    /// Cut the round trip to whole milliseconds?
    pub whole_ms: bool,
    /// Price the engine's waiting requests?
    pub count_waiting: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            prefill_ms_per_token: PREFILL_MS_PER_TOKEN.number(),
            running_factor: RUNNING_FACTOR.number(),
            kv_threshold: KV_THRESHOLD.number(),
            whole_ms: true,
            count_waiting: true,
        }
    }
}

/// The policy `gorgo-proxy`.
#[derive(Clone, Copy, Debug)]
pub struct GorgoProxy {
    parameters: Parameters,
}

impl GorgoProxy {
    fn waiting_tokens(&self, candidate: &Signals) -> u64 {
        if !self.parameters.count_waiting {
            return 0;
        }
        let tracked = u64::from(candidate.in_flight_requests);
        let each = candidate.queued_tokens.checked_div(tracked).unwrap_or(WAITING_TOKENS);
        u64::from(candidate.queued_requests).saturating_mul(each)
    }

    fn is_full(&self, candidate: &Signals) -> bool {
        let pool = candidate.kv_pool_tokens;
        pool > 0 && count(candidate.used_tokens) / count(pool) >= self.parameters.kv_threshold
    }

    fn terms(&self, candidate: &Signals, prompt_tokens: u64) -> [f64; 5] {
        let t_p = self.parameters.prefill_ms_per_token;
        let rtt = rtt_ms(candidate);
        [
            count(candidate.queued_tokens) * t_p * self.parameters.running_factor,
            count(self.waiting_tokens(candidate)) * t_p,
            count(prompt_tokens) * t_p,
            if self.parameters.whole_ms { rtt.trunc() } else { rtt },
            -(count(candidate.cached_tokens.min(prompt_tokens)) * t_p),
        ]
    }
}

const TERMS: &[&str; 5] = &["running", "waiting", "prompt", "rtt", "matched"];

impl Configured for GorgoProxy {
    type Parameters = Parameters;
    const NAME: &'static str = "gorgo-proxy";
    const SUMMARY: &'static str = "the cost in milliseconds of GORGO v1's centralized proxy";
    const PARAMETERS: &'static [Parameter] =
        &[PREFILL_MS_PER_TOKEN, RUNNING_FACTOR, KV_THRESHOLD, WHOLE_MS, COUNT_WAITING];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        PREFILL_MS_PER_TOKEN.check(parameters.prefill_ms_per_token)?;
        RUNNING_FACTOR.check(parameters.running_factor)?;
        KV_THRESHOLD.check(parameters.kv_threshold)?;
        Ok(Self { parameters })
    }
}

impl Policy for GorgoProxy {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: self.parameters.count_waiting }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let tokens = question.request.prompt.tokens().get();
        decision.fill("cost", TERMS, question.candidates, |candidate| {
            let mut terms = self.terms(candidate, tokens);
            if question.weighted {
                let [running, waiting, prompt, _rtt, matched] = &mut terms;
                for work in [running, waiting, prompt, matched] {
                    *work = candidate.per_weight(*work);
                }
            }
            let cost = if self.is_full(candidate) { f64::INFINITY } else { terms.iter().sum() };
            (cost, terms)
        });
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }

    fn tunable(&self) -> &'static [Parameter] {
        &[PREFILL_MS_PER_TOKEN, RUNNING_FACTOR]
    }

    fn weight(&self, index: usize) -> f64 {
        let Parameters { prefill_ms_per_token, running_factor, .. } = self.parameters;
        [prefill_ms_per_token, running_factor].get(index).copied().unwrap_or(f64::NAN)
    }

    fn set_weight(&mut self, index: usize, value: f64) {
        let Parameters { prefill_ms_per_token, running_factor, .. } = &mut self.parameters;
        if let Some(weight) = [prefill_ms_per_token, running_factor].into_iter().nth(index) {
            *weight = value;
        }
    }
}
