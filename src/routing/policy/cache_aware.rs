//! `cache-aware`: the longest cached prefix where it is a large share of the prompt, unless load is out of balance.
//!
//! Load is this router's own requests in flight, by the replica's weight where weights differ. Over the eligible candidates:
//! 1. largest minus smallest load > `balance_abs`, and largest > `balance_rel` times the smallest: the lowest load (rule
//!    `imbalanced`);
//! 2. the longest match is more than `cache_threshold` of the prompt: of those with it, the lowest load (rule `match`);
//! 3. otherwise the lowest load (rule `no-match`).
//!
//! Ties go to any of the tied, by the draw. Candidates that a rule leaves out score `+inf`.
//!
//! Source: the `cache_aware` policy of SGLang's router before August 2026, which the vLLM router, Ray Serve and SkyWalker
//! have too, with the defaults of its command line, 0.3, 64 and 1.5 (as a library: 0.5, 32 and 1.1). In step 3 it took the
//! worker with the smallest tree at first and the lowest load later; its tree is one of characters, bounded in size. Of
//! several with the longest match it names none; here the load decides. Read [`super::llm_d`] next.

use super::parameter::{Parameter, reader};
use super::{Configured, Needs, ParameterError, Policy, Question, count, weighed};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

const CACHE_THRESHOLD: Parameter = Parameter::weight(
    "cache_threshold",
    0.3,
    "share of the prompt that must be cached for a match to count (SGLang's router: 0.3; as a library: 0.5)",
);
const BALANCE_ABS: Parameter = Parameter::weight(
    "balance_abs",
    64.0,
    "spread of requests in flight beyond which matches are ignored (SGLang's router: 64; as a library: 32)",
);
const BALANCE_REL: Parameter = Parameter::weight(
    "balance_rel",
    1.5,
    "and the most must be so many times the fewest (SGLang's router: 1.5; as a library: 1.1)",
);

reader! { cache_threshold: CACHE_THRESHOLD, balance_abs: BALANCE_ABS, balance_rel: BALANCE_REL }

/// The parameters of `cache-aware`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Share of the prompt that must be cached for a match to count.
    #[serde(deserialize_with = "cache_threshold")]
    pub cache_threshold: f64,
    /// The spread of requests in flight beyond which matches are ignored.
    #[serde(deserialize_with = "balance_abs")]
    pub balance_abs: f64,
    /// The ratio of most to fewest requests beyond which they are, if the spread says so too.
    #[serde(deserialize_with = "balance_rel")]
    pub balance_rel: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            cache_threshold: CACHE_THRESHOLD.number(),
            balance_abs: BALANCE_ABS.number(),
            balance_rel: BALANCE_REL.number(),
        }
    }
}

/// The policy `cache-aware`.
#[derive(Clone, Copy, Debug)]
pub struct CacheAware {
    parameters: Parameters,
}

/// Requests of this router per unit of weight.
fn load<const WEIGHTED: bool>(candidate: &Signals) -> f64 {
    weighed::<WEIGHTED>(candidate, f64::from(candidate.in_flight_requests))
}

impl CacheAware {
    /// The rule that decides, and the match that a candidate must have under it.
    fn rule<const WEIGHTED: bool>(&self, question: &Question<'_>) -> (&'static str, u64) {
        let eligible = || question.candidates.iter().filter(|candidate| candidate.eligible);
        let loads = || eligible().map(load::<WEIGHTED>);
        let (most, fewest) = (loads().fold(0.0, f64::max), loads().fold(f64::INFINITY, f64::min));
        let Parameters { cache_threshold, balance_abs, balance_rel } = self.parameters;
        if most - fewest > balance_abs && most > balance_rel * fewest {
            return ("imbalanced", 0);
        }
        let longest = eligible().map(|candidate| candidate.cached_tokens).max().unwrap_or(0);
        let prompt = count(question.request.prompt.tokens().get());
        if count(longest) > cache_threshold * prompt { ("match", longest) } else { ("no-match", 0) }
    }

    fn score<const WEIGHTED: bool>(&self, question: &Question<'_>, decision: &mut Decision) {
        let (rule, wanted) = self.rule::<WEIGHTED>(question);
        let terms = &["in_flight_requests", "cached_tokens"];
        decision.fill(rule, terms, question.candidates, |candidate: &Signals| {
            let load = load::<WEIGHTED>(candidate);
            let score = if candidate.cached_tokens >= wanted { load } else { f64::INFINITY };
            (score, [load, count(candidate.cached_tokens)])
        });
    }
}

impl Configured for CacheAware {
    type Parameters = Parameters;
    const NAME: &'static str = "cache-aware";
    const SUMMARY: &'static str =
        "the longest cached prefix if it is long enough and load is in balance (SGLang's router)";
    const PARAMETERS: &'static [Parameter] = &[CACHE_THRESHOLD, BALANCE_ABS, BALANCE_REL];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        CACHE_THRESHOLD.check(parameters.cache_threshold)?;
        BALANCE_ABS.check(parameters.balance_abs)?;
        BALANCE_REL.check(parameters.balance_rel)?;
        Ok(Self { parameters })
    }
}

impl Policy for CacheAware {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: false }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        if question.weighted {
            self.score::<true>(question, decision);
        } else {
            self.score::<false>(question, decision);
        }
        decision.choose_lowest(question.candidates, Tie::Draw, question.draw);
    }
}
