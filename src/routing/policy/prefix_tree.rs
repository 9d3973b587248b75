//! `prefix-tree`: the longest cached prefix; where there is none, the least load.
//!
//! Rule `match`: among the eligible candidates with the longest match, the one with the lower load; others score
//! `+inf`. Rule `fallback`: nobody has any of the prompt, and the lowest load decides. Equal loads go to the first in
//! the fleet's order. Where weights differ, load is per unit of weight.
//!
//! Source: the prefix-similarity policy of GORGO v1 (`prefix-tree` of gotoni's proxy: maximum match, falling back to
//! least-load, which there is own running count plus the engine's waiting count: `load = "requests"`). The source does
//! not say which of several equal matches wins; here the load decides, as prompts with a common system prompt would
//! otherwise all go to the first replica. Read [`super::cache_aware`] next.

use super::load::Load;
use super::parameter::Parameter;
use super::{Configured, DrawUse, Needs, ParameterError, Policy, Question, count};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

/// The parameters of `prefix-tree`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// The load that decides among equal matches.
    pub load: Load,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { load: Load::Requests }
    }
}

/// The policy `prefix-tree`.
#[derive(Clone, Copy, Debug)]
pub struct PrefixTree {
    load: Load,
}

impl Configured for PrefixTree {
    type Parameters = Parameters;
    const NAME: &'static str = "prefix-tree";
    const SUMMARY: &'static str =
        "the longest cached prefix, else the least load (GORGO v1's prefix similarity)";
    const PARAMETERS: &'static [Parameter] = &[Load::parameter(
        "requests",
        "the load that decides among equal matches (gotoni: requests)",
    )];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        Ok(Self { load: parameters.load })
    }
}

impl Policy for PrefixTree {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: self.load != Load::InFlight }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let candidates = question.candidates;
        let eligible = candidates.iter().filter(|c| c.eligible);
        let longest = eligible.map(|c| c.cached_tokens).max().unwrap_or(0);
        let rule = if longest > 0 { "match" } else { "fallback" };
        let terms = &["load", "cached_tokens"];
        let price = |candidate: &Signals, load: f64| {
            let kept = longest == 0 || candidate.cached_tokens == longest;
            let score = if kept { load } else { f64::INFINITY };
            (score, [load, count(candidate.cached_tokens)])
        };
        if question.weighted {
            decision.fill(rule, terms, candidates, |c| price(c, self.load.per_weight(c)));
        } else {
            decision.fill(rule, terms, candidates, |c| price(c, self.load.of(c)));
        }
        decision.choose_lowest(candidates, Tie::First, question.draw);
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }
}
