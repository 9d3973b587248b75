//! `llm-d`: prefix match, waiting requests and KV memory, each between 0 and 1, in one weighted sum.
//!
//! `cost = w_prefix * (1 - matched / prompt) + w_queue * (waiting - fewest) / (most - fewest) + w_kv * used / pool`, with
//! waiting, used and pool as of the last scrape. Fewest and most waiting are those of the eligible candidates; where all
//! have as many the term is 0. A pool of unknown size counts as empty. The lowest cost wins; ties go to any of the tied,
//! by the draw.
//!
//! Where weights differ, waiting is per unit of weight.
//!
//! So one waiting request against none weighs as much as a hundred against none: the term knows only order.
//!
//! Source: the scorers of llm-d's router (Gateway API inference extension), which takes the largest of the weighted sum of
//! what is here 1 less each term: the same choice. Weights 2, 1 and 1 for prefix, queue and KV memory as in its sample with
//! precise prefixes; others say 2:2:1 or 3:2:2. It scrapes every 50 ms. Read [`super::session_affinity`] next.

use super::parameter::{Parameter, reader};
use super::{Configured, Needs, ParameterError, Policy, Question, count, weighed};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

const W_PREFIX: Parameter =
    Parameter::weight("w_prefix", 2.0, "weight of the share of the prompt not matched (llm-d: 2)");
const W_QUEUE: Parameter =
    Parameter::weight("w_queue", 1.0, "weight of the place among the waiting requests (llm-d: 1)");
const W_KV: Parameter =
    Parameter::weight("w_kv", 1.0, "weight of the used share of the KV pool (llm-d: 1)");

reader! { w_prefix: W_PREFIX, w_queue: W_QUEUE, w_kv: W_KV }

/// The parameters of `llm-d`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Weight of the share of the prompt that is not matched.
    #[serde(deserialize_with = "w_prefix")]
    pub w_prefix: f64,
    /// Weight of the place among the waiting requests of all.
    #[serde(deserialize_with = "w_queue")]
    pub w_queue: f64,
    /// Weight of the used share of the KV pool.
    #[serde(deserialize_with = "w_kv")]
    pub w_kv: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { w_prefix: W_PREFIX.number(), w_queue: W_QUEUE.number(), w_kv: W_KV.number() }
    }
}

/// The policy `llm-d`.
#[derive(Clone, Copy, Debug)]
pub struct LlmD {
    parameters: Parameters,
}

/// Waiting requests per unit of weight.
fn waiting<const WEIGHTED: bool>(candidate: &Signals) -> f64 {
    weighed::<WEIGHTED>(candidate, f64::from(candidate.queued_requests))
}

/// The fewest waiting of the eligible candidates, and how many more the most are.
fn range(question: &Question<'_>) -> (f64, f64) {
    let eligible = || question.candidates.iter().filter(|candidate| candidate.eligible);
    if question.weighted {
        let all = || eligible().map(waiting::<true>);
        let fewest = all().fold(f64::INFINITY, f64::min);
        return (fewest, all().fold(0.0, f64::max) - fewest);
    }
    let all = || eligible().map(|candidate| candidate.queued_requests);
    let fewest = all().min().unwrap_or(0);
    (f64::from(fewest), f64::from(all().max().unwrap_or(0) - fewest))
}

impl LlmD {
    fn score<const WEIGHTED: bool>(&self, question: &Question<'_>, decision: &mut Decision) {
        let Parameters { w_prefix, w_queue, w_kv } = self.parameters;
        let (fewest, span) = range(question);
        let prompt = question.request.prompt.tokens().get();
        let terms = &["prefix", "queue", "kv"];
        decision.fill_sums("score", terms, question.candidates, |candidate: &Signals| {
            let matched = count(candidate.cached_tokens.min(prompt)) / count(prompt);
            let behind = (waiting::<WEIGHTED>(candidate) - fewest).max(0.0);
            let place = if span > 0.0 { behind / span } else { 0.0 };
            let pool = candidate.kv_pool_tokens;
            let used = if pool == 0 { 0.0 } else { count(candidate.used_tokens) / count(pool) };
            [w_prefix * (1.0 - matched), w_queue * place, w_kv * used]
        });
    }
}

impl Configured for LlmD {
    type Parameters = Parameters;
    const NAME: &'static str = "llm-d";
    const SUMMARY: &'static str = "prefix, queue and KV memory between 0 and 1, weighted (llm-d)";
    const PARAMETERS: &'static [Parameter] = &[W_PREFIX, W_QUEUE, W_KV];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        W_PREFIX.check(parameters.w_prefix)?;
        W_QUEUE.check(parameters.w_queue)?;
        W_KV.check(parameters.w_kv)?;
        Ok(Self { parameters })
    }
}

impl Policy for LlmD {
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
        decision.choose_lowest(question.candidates, Tie::Draw, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }
}
