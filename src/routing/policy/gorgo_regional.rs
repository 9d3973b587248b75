//! `gorgo-regional`: the cost of GORGO v1's regional balancers, in milliseconds. Wait here, or forward?
//!
//! For a candidate of the router's own region
//! `cost = q_s * t_p * running + t_p * waiting + t_p * uncached`, where
//! - `running` are the prompt tokens of this router's requests there ([`crate::Signals::queued_tokens`]);
//! - `waiting` are the prompt tokens in this router's queue.
//!
//! For a candidate of another region `cost = RTT + t_p * uncached`: its load has no price, only its gate
//! (`max_requests` running and waiting, `kv_threshold`) may close it. Where any open candidate of another region is known
//! to have a part of the prompt, those that have none cost `+inf` (`matched_only`). RTT is the time of the last
//! scrape of its metrics, in whole milliseconds and without an average (`whole_ms`, `last_scrape`); no price is put on it
//! for the own region.
//!
//! Equal costs go to the router's own region, else to the first in the fleet's order (v1: any, its map has no order).
//! With a prompt that the own region holds to its last token v1 charges the whole prefill (`exact_repeat_costs_all`).
//! A router that reaches every replica itself has no region of its own: then every candidate is a foreign one.
//!
//! Source: gotoni, `pkg/cluster/loadbalancer.go`, `GORGO2Policy.Select`, `calculateLocalCost` and `findPrefixMatches`, at
//! the commit nearest the paper: t_p = 0.094 ms per token, q_s = 0.5, 10 requests, threshold 0.95. Read [`crate::reach`]
//! for when it is asked at all.

use super::parameter::{Parameter, reader};
use super::{Configured, DrawUse, Needs, ParameterError, Policy, Question, count, rtt_ms};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

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
    "used share of the KV pool from which on another region's replica is closed (GORGO v1: 0.95)",
);
const MAX_REQUESTS: Parameter = Parameter::positive(
    "max_requests",
    10.0,
    1e9,
    "running and waiting requests from which on another region's replica is closed (GORGO v1: 10)",
);
const MATCHED_ONLY: Parameter = Parameter::flag(
    "matched_only",
    true,
    "of the other regions only those with a part of the prompt, if there is one (GORGO v1: true)",
);
const LAST_SCRAPE: Parameter = Parameter::flag(
    "last_scrape",
    true,
    "the round trip is the time of the last scrape, not the probes' average (GORGO v1: true)",
);
const WHOLE_MS: Parameter =
    Parameter::flag("whole_ms", true, "cut the round trip to whole milliseconds (GORGO v1: true)");
const EXACT_REPEAT_COSTS_ALL: Parameter = Parameter::flag(
    "exact_repeat_costs_all",
    true,
    "a prompt that the own region holds to its last token is charged whole (GORGO v1's code: true)",
);

reader! {
    prefill_ms_per_token: PREFILL_MS_PER_TOKEN,
    running_factor: RUNNING_FACTOR,
    kv_threshold: KV_THRESHOLD,
    max_requests: MAX_REQUESTS,
}

/// The parameters of `gorgo-regional`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one quirk of the published code")]
pub struct Parameters {
    /// Milliseconds of prefill per token, t_p.
    #[serde(deserialize_with = "prefill_ms_per_token")]
    pub prefill_ms_per_token: f64,
    /// Weight of the tokens of running requests, q_s.
    #[serde(deserialize_with = "running_factor")]
    pub running_factor: f64,
    /// Used share of the KV pool from which on another region's replica is closed.
    #[serde(deserialize_with = "kv_threshold")]
    pub kv_threshold: f64,
    /// Running and waiting requests from which on another region's replica is closed.
    #[serde(deserialize_with = "max_requests")]
    pub max_requests: f64,
    /// Of the other regions only those with a part of the prompt, if there is one?
    pub matched_only: bool,
    /// Is the round trip the time of the last scrape?
    pub last_scrape: bool,
    /// Cut the round trip to whole milliseconds?
    pub whole_ms: bool,
    /// Is a prompt that the own region holds to its last token charged whole?
    pub exact_repeat_costs_all: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            prefill_ms_per_token: PREFILL_MS_PER_TOKEN.number(),
            running_factor: RUNNING_FACTOR.number(),
            kv_threshold: KV_THRESHOLD.number(),
            max_requests: MAX_REQUESTS.number(),
            matched_only: true,
            last_scrape: true,
            whole_ms: true,
            exact_repeat_costs_all: true,
        }
    }
}

/// The policy `gorgo-regional`.
#[derive(Clone, Copy, Debug)]
pub struct GorgoRegional {
    parameters: Parameters,
}

impl GorgoRegional {
    fn rtt_ms(&self, candidate: &Signals) -> f64 {
        let last = candidate.scrape_latency_ms.filter(|_| self.parameters.last_scrape);
        let rtt = last.map_or_else(|| rtt_ms(candidate), |ms| ms.clamp(0.0, 1e12));
        if self.parameters.whole_ms { rtt.trunc() } else { rtt }
    }

    fn is_closed(&self, candidate: &Signals) -> bool {
        let requests = f64::from(candidate.running_requests) + f64::from(candidate.queued_requests);
        let (used, pool) = (count(candidate.used_tokens), candidate.kv_pool_tokens);
        candidate.per_weight(requests) >= self.parameters.max_requests
            || (pool > 0 && used / count(pool) >= self.parameters.kv_threshold)
    }

    fn uncached(&self, candidate: &Signals, question: &Question<'_>, local: bool) -> f64 {
        let uncached = candidate.uncached_tokens(&question.request);
        if uncached == 0 && local && self.parameters.exact_repeat_costs_all {
            return count(question.request.prompt.tokens().get());
        }
        count(uncached)
    }
}

const TERMS: &[&str; 4] = &["rtt", "running", "waiting", "prefill"];

impl Configured for GorgoRegional {
    type Parameters = Parameters;
    const NAME: &'static str = "gorgo-regional";
    const SUMMARY: &'static str = "wait here or forward: the cost in ms of GORGO v1's balancers";
    const PARAMETERS: &'static [Parameter] = &[
        PREFILL_MS_PER_TOKEN,
        RUNNING_FACTOR,
        KV_THRESHOLD,
        MAX_REQUESTS,
        MATCHED_ONLY,
        LAST_SCRAPE,
        WHOLE_MS,
        EXACT_REPEAT_COSTS_ALL,
    ];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        PREFILL_MS_PER_TOKEN.check(parameters.prefill_ms_per_token)?;
        RUNNING_FACTOR.check(parameters.running_factor)?;
        KV_THRESHOLD.check(parameters.kv_threshold)?;
        MAX_REQUESTS.check(parameters.max_requests)?;
        Ok(Self { parameters })
    }
}

impl Policy for GorgoRegional {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: false }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let candidates = question.candidates;
        let is_local = |c: &Signals| question.home.is_some_and(|home| home.is_local(c));
        let matches =
            |c: &Signals| c.eligible && !is_local(c) && !self.is_closed(c) && c.cached_tokens > 0;
        let matched_only = self.parameters.matched_only && candidates.iter().any(matches);
        let t_p = self.parameters.prefill_ms_per_token;
        let waiting = question.home.map_or(0.0, |home| count(home.waiting_tokens));
        decision.fill("cost", TERMS, candidates, |candidate| {
            let local = is_local(candidate);
            let t_p = candidate.per_weight(t_p);
            let prefill = t_p * self.uncached(candidate, question, local);
            if local {
                let running = count(candidate.queued_tokens) * t_p * self.parameters.running_factor;
                let terms = [0.0, running, t_p * waiting, prefill];
                return (terms.iter().sum(), terms);
            }
            let terms = [self.rtt_ms(candidate), 0.0, 0.0, prefill];
            let out = self.is_closed(candidate) || (matched_only && candidate.cached_tokens == 0);
            (if out { f64::INFINITY } else { terms.iter().sum() }, terms)
        });
        decision.choose_lowest(candidates, Tie::First, question.draw);
        prefer_home(question, decision);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }
}

/// A request is forwarded only where that is strictly cheaper.
fn prefer_home(question: &Question<'_>, decision: &mut Decision) {
    let Some(home) = question.home.filter(|_| decision.tied > 1) else { return };
    let best = (question.candidates.iter().zip(decision.scores()))
        .filter(|(candidate, _)| candidate.eligible)
        .map(|(_, &score)| score)
        .fold(f64::INFINITY, f64::min);
    let mut tied = question.candidates.iter().zip(decision.scores());
    if let Some((local, _)) =
        tied.find(|(c, score)| c.eligible && home.is_local(c) && **score == best)
    {
        decision.target = crate::decision::Target::Replica(local.replica);
    }
}
