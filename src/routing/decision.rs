//! The result of a decision: where to, and why, with every candidate's score and the terms it is made of.
//!
//! A [`Decision`] is a buffer that is used again and again: deciding allocates nothing once it has grown to the
//! number of replicas. Scores are costs: lower is better; `+inf` marks a candidate that may not be chosen. No NaN can
//! enter ([`Decision::push`] refuses it), so scores are totally ordered.

use crate::signals::Signals;
use gorgo_types::ReplicaId;
use serde::{Deserialize, Serialize};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// To this replica, now.
    Replica(ReplicaId),
    /// Into the router's own queue: no replica may be chosen at present.
    Queue,
    /// Nowhere: the router's queue is full, or there is no replica at all.
    Reject,
}

/// How candidates with equal scores are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tie {
    /// The first in the fleet's order.
    First,
    /// Uniformly by the decision's draw.
    Draw,
}

/// A decision with its reasons. Candidates are in the order of the signals given to the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where the request goes.
    pub target: Target,
    /// Which rule of the policy decided, for policies with several (`score`, `imbalanced`, `fallback`, ...).
    pub rule: &'static str,
    /// How many candidates shared the best score.
    pub tied: u32,
    /// Names of the terms.
    pub term_names: &'static [&'static str],
    scores: Vec<f64>,
    terms: Vec<f64>,
}

impl Decision {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            target: Target::Reject,
            rule: "none",
            tied: 0,
            term_names: &[],
            scores: Vec::new(),
            terms: Vec::new(),
        }
    }

    /// Empties the buffer for a decision whose scores are made of these terms.
    pub fn start(&mut self, rule: &'static str, term_names: &'static [&'static str]) {
        self.target = Target::Reject;
        self.rule = rule;
        self.tied = 0;
        self.term_names = term_names;
        self.scores.clear();
        self.terms.clear();
    }

    /// Adds the next candidate's score and terms (as many as there are term names).
    ///
    /// # Panics
    /// When the score is NaN or the number of terms is wrong: both are bugs of the policy.
    pub fn push(&mut self, score: f64, terms: &[f64]) {
        assert!(!score.is_nan(), "a policy scored NaN");
        assert_eq!(terms.len(), self.term_names.len(), "a policy gave the wrong number of terms");
        self.scores.push(score);
        self.terms.extend_from_slice(terms);
    }

    /// Fills the buffer at once: for every candidate its score and terms. What [`Decision::start`] and
    /// [`Decision::push`] do, faster for a number of terms known to the compiler.
    ///
    /// # Panics
    /// When a score is NaN: a bug of the policy.
    pub fn fill<const N: usize>(
        &mut self,
        rule: &'static str,
        term_names: &'static [&'static str; N],
        candidates: &[Signals],
        mut score: impl FnMut(&Signals) -> (f64, [f64; N]),
    ) {
        const { assert!(N > 0, "a score without terms is pushed") };
        (self.target, self.rule, self.tied) = (Target::Reject, rule, 0);
        self.term_names = term_names;
        // Every place is overwritten below, so a buffer of the right size is not cleared first.
        self.scores.resize(candidates.len(), 0.0);
        self.terms.resize(candidates.len() * N, 0.0);
        let mut nan = false;
        let terms = self.terms.as_chunks_mut::<N>().0;
        for ((candidate, total), terms) in candidates.iter().zip(&mut self.scores).zip(terms) {
            let (sum, parts) = score(candidate);
            nan |= sum.is_nan();
            (*total, *terms) = (sum, parts);
        }
        assert!(!nan, "a policy scored NaN");
    }

    /// As [`Decision::fill`], each score being the sum of the candidate's terms, added from the first to the last.
    ///
    /// # Panics
    /// When a sum is NaN: a bug of the policy.
    pub fn fill_sums<const N: usize>(
        &mut self,
        rule: &'static str,
        term_names: &'static [&'static str; N],
        candidates: &[Signals],
        mut terms: impl FnMut(&Signals) -> [f64; N],
    ) {
        self.fill(rule, term_names, candidates, |candidate| {
            let terms = terms(candidate);
            (terms.iter().sum(), terms)
        });
    }

    /// Chooses the candidate of the lowest score among the eligible ones; none leads to [`Target::Queue`].
    ///
    /// `draw` is used only for [`Tie::Draw`] and only where there is a tie.
    pub fn choose_lowest(&mut self, candidates: &[Signals], tie: Tie, draw: u64) {
        let best = self.lowest(candidates);
        if best == f64::INFINITY {
            (self.target, self.tied) = (Target::Queue, 0);
            return;
        }
        let costs = candidates.iter().zip(&self.scores);
        let tied = costs.map(|(candidate, &score)| u32::from(cost(candidate, score) == best)).sum();
        self.tied = tied;
        let skip = match tie {
            Tie::Draw if tied > 1 => ((u128::from(draw) * u128::from(tied)) >> 64) as usize,
            Tie::First | Tie::Draw => 0,
        };
        let index = self.nth_tied(candidates, best, skip);
        self.target = Target::Replica(candidates[index].replica);
    }

    /// The lowest score that may be chosen, `+inf` without one.
    ///
    /// Scores are in no order, so a branch on a new minimum would be mispredicted, and a chain of minima waits for each
    /// one before it: hence four chains without branches.
    fn lowest(&self, candidates: &[Signals]) -> f64 {
        let lower = |a: f64, b: f64| if b < a { b } else { a };
        let mut lanes = [f64::INFINITY; 4];
        for (candidates, scores) in candidates.chunks(4).zip(self.scores.chunks(4)) {
            for ((candidate, &score), lane) in candidates.iter().zip(scores).zip(&mut lanes) {
                *lane = lower(*lane, cost(candidate, score));
            }
        }
        lanes.into_iter().fold(f64::INFINITY, lower)
    }

    fn nth_tied(&self, candidates: &[Signals], best: f64, n: usize) -> usize {
        candidates
            .iter()
            .zip(&self.scores)
            .enumerate()
            .filter(|(_, (candidate, score))| candidate.eligible && **score == best)
            .nth(n)
            .map_or(0, |(i, _)| i)
    }

    /// Every candidate's score.
    #[must_use]
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// The terms of candidate `index`, in the order of [`Decision::term_names`].
    #[must_use]
    pub fn terms(&self, index: usize) -> &[f64] {
        let n = self.term_names.len();
        &self.terms[index * n..(index + 1) * n]
    }
}

/// A score for the choice: what may not be chosen costs `+inf`.
const fn cost(candidate: &Signals, score: f64) -> f64 {
    if candidate.eligible { score } else { f64::INFINITY }
}

impl Default for Decision {
    fn default() -> Self {
        Self::new()
    }
}
