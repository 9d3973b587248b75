//! `prefix-cache`: the longest cached prefix, unless load is out of balance.
//!
//! Over the eligible candidates, with running requests as of the last scrape:
//! 1. largest minus smallest running > `imbalance`: least-request (rule `imbalanced`);
//! 2. nobody has any of the prompt: least-request (rule `no-match`);
//! 3. of those with the longest match, the ones with running <= mean + `std_factor` sample standard deviations, mean
//!    and deviation over all eligible candidates (rule `match`), or all of them where none is left (rule
//!    `match-overloaded`); of these the one with the fewest running.
//!
//! So step 3 always takes the fewest running among the longest matches: the limit changes the rule's name, never the
//! choice. (Nor can a value lie two sample deviations above the mean of fewer than six, where (n-1)/sqrt(n) < 2.) With
//! `shorter_matches` it is AIBrix's limit, which does decide: the longest match *within* the limit, of equal ones the
//! fewest running, and least-request where no match is within it (rule `match-overloaded`).
//!
//! Ties go to any of the tied, by the draw. Candidates that a rule leaves out score `+inf`; least-request is the larger
//! of scraped running and own in-flight requests ([`super::least_request`]).
//!
//! Where weights differ, all of these counts are per unit of weight.
//!
//! Source: GORGO v2, `gorgo/policy/lb_aibrix.py`, `route_prefix_cache` with `imbalance_abs = 8` and `std_factor = 2.0`.
//! AIBrix takes `std_factor = 1`, and under imbalance keeps only the pods with the fewest running. GORGO's further
//! branch for prompts without tokens has no counterpart: a prompt has at least one.
//! Read [`super::prefix_tree`] next.

use super::least_request::requests;
use super::parameter::{Parameter, reader};
use super::{Configured, Needs, ParameterError, Policy, Question, count, weighed};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

const STD_FACTOR: Parameter = Parameter::weight(
    "std_factor",
    2.0,
    "sample deviations above the mean that a matched replica may run (GORGO v2: 2; AIBrix: 1)",
);
const IMBALANCE: Parameter = Parameter::weight(
    "imbalance",
    8.0,
    "spread of running requests beyond which matches are ignored (GORGO v2 and AIBrix: 8)",
);

const SHORTER_MATCHES: Parameter = Parameter::flag(
    "shorter_matches",
    false,
    "give up an overloaded longest match for a shorter one (GORGO v2: false; AIBrix: true)",
);

reader! { std_factor: STD_FACTOR, imbalance: IMBALANCE }

/// The parameters of `prefix-cache`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Sample standard deviations above the mean that a matched replica may run.
    #[serde(deserialize_with = "std_factor")]
    pub std_factor: f64,
    /// The spread of running requests beyond which matches are ignored.
    #[serde(deserialize_with = "imbalance")]
    pub imbalance: f64,
    /// Is an overloaded longest match given up for a shorter one?
    pub shorter_matches: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            std_factor: STD_FACTOR.number(),
            imbalance: IMBALANCE.number(),
            shorter_matches: false,
        }
    }
}

/// The policy `prefix-cache`.
#[derive(Clone, Copy, Debug)]
pub struct PrefixCache {
    parameters: Parameters,
}

/// What the rule needs of all eligible candidates together.
#[derive(Default)]
struct Fleet {
    eligible: u64,
    sum: u64,
    squares: u128,
    most: u32,
    fewest: u32,
    longest: u64,
}

impl Fleet {
    fn of(candidates: &[Signals]) -> Self {
        let start = Self { fewest: u32::MAX, ..Self::default() };
        candidates.iter().filter(|c| c.eligible).fold(start, |mut fleet, candidate| {
            let running = candidate.running_requests;
            fleet.eligible += 1;
            fleet.sum += u64::from(running);
            fleet.squares += u128::from(running).pow(2);
            fleet.most = fleet.most.max(running);
            fleet.fewest = fleet.fewest.min(running);
            fleet.longest = fleet.longest.max(candidate.cached_tokens);
            fleet
        })
    }

    fn spread(&self) -> f64 {
        f64::from(self.most.saturating_sub(self.fewest))
    }

    /// Mean plus `factor` sample standard deviations of the running requests. The sum of squared deviations is taken
    /// in whole numbers, so that the threshold of counts is as exact as a float can be.
    #[expect(clippy::cast_precision_loss, reason = "the deviations are rounded once, here")]
    fn threshold(&self, factor: f64) -> f64 {
        let n = self.eligible.max(1);
        let mean = count(self.sum) / count(n);
        if n < 2 {
            return mean;
        }
        let deviations = u128::from(n) * self.squares - u128::from(self.sum).pow(2);
        mean + factor * (deviations as f64 / (count(n) * count(n - 1))).sqrt()
    }
}

/// Running requests per unit of weight.
fn running<const WEIGHTED: bool>(candidate: &Signals) -> f64 {
    weighed::<WEIGHTED>(candidate, f64::from(candidate.running_requests))
}

/// As [`Fleet::spread`], per unit of weight.
fn spread_by_weight(candidates: &[Signals]) -> f64 {
    let all = || candidates.iter().filter(|c| c.eligible).map(running::<true>);
    (all().fold(0.0, f64::max) - all().fold(f64::INFINITY, f64::min)).max(0.0)
}

/// As [`Fleet::threshold`], per unit of weight.
fn threshold_by_weight(candidates: &[Signals], factor: f64) -> f64 {
    let all = || candidates.iter().filter(|c| c.eligible).map(running::<true>);
    let n = count(all().count() as u64);
    let mean = all().sum::<f64>() / n.max(1.0);
    let squares: f64 = all().map(|running| (running - mean) * (running - mean)).sum();
    if n < 2.0 { mean } else { mean + factor * (squares / (n - 1.0)).sqrt() }
}

const TERMS: &[&str; 3] = &["running_requests", "in_flight_requests", "cached_tokens"];

impl PrefixCache {
    fn least_request<const WEIGHTED: bool>(
        rule: &'static str,
        question: &Question<'_>,
        decision: &mut Decision,
    ) {
        decision.fill(rule, TERMS, question.candidates, |candidate| {
            let (score, [running, in_flight]) = requests(candidate);
            (
                weighed::<WEIGHTED>(candidate, score),
                [running, in_flight, count(candidate.cached_tokens)],
            )
        });
    }

    fn longest_match<const WEIGHTED: bool>(
        &self,
        fleet: &Fleet,
        question: &Question<'_>,
        decision: &mut Decision,
    ) {
        let factor = self.parameters.std_factor;
        let limit = if WEIGHTED {
            threshold_by_weight(question.candidates, factor)
        } else {
            fleet.threshold(factor)
        };
        let calm = |c: &&Signals| c.eligible && running::<WEIGHTED>(c) <= limit;
        let longest_calm = question.candidates.iter().filter(calm).map(|c| c.cached_tokens).max();
        let wanted =
            if self.parameters.shorter_matches { longest_calm.unwrap_or(0) } else { fleet.longest };
        if wanted == 0 {
            return Self::least_request::<WEIGHTED>("match-overloaded", question, decision);
        }
        let any_calm = longest_calm.is_some_and(|longest| longest == wanted);
        let rule = if any_calm { "match" } else { "match-overloaded" };
        decision.fill(rule, TERMS, question.candidates, |candidate| {
            let [counted, in_flight] = requests(candidate).1;
            let kept = candidate.cached_tokens == wanted && (!any_calm || calm(&candidate));
            let score = if kept { running::<WEIGHTED>(candidate) } else { f64::INFINITY };
            (score, [counted, in_flight, count(candidate.cached_tokens)])
        });
    }

    fn score<const WEIGHTED: bool>(&self, question: &Question<'_>, decision: &mut Decision) {
        let fleet = Fleet::of(question.candidates);
        let spread = if WEIGHTED { spread_by_weight(question.candidates) } else { fleet.spread() };
        if spread > self.parameters.imbalance {
            Self::least_request::<WEIGHTED>("imbalanced", question, decision);
        } else if fleet.longest == 0 {
            Self::least_request::<WEIGHTED>("no-match", question, decision);
        } else {
            self.longest_match::<WEIGHTED>(&fleet, question, decision);
        }
    }
}

impl Configured for PrefixCache {
    type Parameters = Parameters;
    const NAME: &'static str = "prefix-cache";
    const SUMMARY: &'static str =
        "the longest cached prefix unless running requests are out of balance (AIBrix)";
    const PARAMETERS: &'static [Parameter] = &[STD_FACTOR, IMBALANCE, SHORTER_MATCHES];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        STD_FACTOR.check(parameters.std_factor)?;
        IMBALANCE.check(parameters.imbalance)?;
        Ok(Self { parameters })
    }
}

impl Policy for PrefixCache {
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
}
