//! Replaying decision logs: does a policy choose again what was chosen, and which terms decided?
//!
//! A [`Case`] is one recorded decision, from a row of this project's log ([`crate::log::LogRow`]) or of the recorded
//! tables of the GORGO authors ([`recorded`]). A [`Verifier`] puts the cases to a policy one by one. Pure: reading files
//! is the caller's. Read [`case`] next, then [`recorded`].
//!
//! A match is the same target. Where the log has no draw and the policy draws among ties, any of the tied is a match
//! too, and is counted as such in [`VerifyReport::matched_by_tie`]. Whether the router's queue had room is not the
//! policy's to say, so a recorded rejection matches the decision to queue. Decisions that a router makes without its
//! policy ([`crate::router::decide`]) are made again in the same way, and counted in [`VerifyReport::by_router`].
//!
//! An *effect* is the number of decisions that would have been others without one term of the score (for policies
//! whose scores are sums), or without one signal (for the other policies). It says how much of a rule a log proves: a
//! term without effect may be wrong unseen.

pub mod case;
pub mod recorded;

pub use case::{Case, RowError};

use crate::decision::{Decision, Target, Tie};
use crate::policy::{DrawUse, Policy, Question};
use crate::router::{decide, hold_back};
use crate::signals::Signals;
use gorgo_types::ReplicaId;
use std::fmt;

/// Signals whose effect is counted one by one for policies whose scores are no sums.
const SIGNALS: &[(&str, Blank)] = &[
    ("rtt_ms", |s| (s.rtt_ewma_ms, s.scrape_latency_ms) = (None, None)),
    ("running_requests", |s| s.running_requests = 0),
    ("queued_requests", |s| s.queued_requests = 0),
    ("used_tokens", |s| s.used_tokens = 0),
    ("in_flight_requests", |s| s.in_flight_requests = 0),
    ("queued_tokens", |s| s.queued_tokens = 0),
    ("queued_uncached_tokens", |s| s.queued_uncached_tokens = 0),
    ("cached_tokens", |s| s.cached_tokens = 0),
];

/// Takes one signal away.
type Blank = fn(&mut Signals);

/// The rules by which a router decides without its policy.
const ROUTER_RULES: &[&str] = &["no-metrics", "no-replica", "no-replica-in-zone"];

/// How many mismatches are kept whole.
const KEPT_MISMATCHES: usize = 5;

/// Why a case cannot be put to a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The policy decides by lot which candidates it looks at, and the log does not have the lot.
    #[error("the log has no draws, and `{policy}` cannot be replayed without them")]
    NeedsDraw {
        /// The policy.
        policy: &'static str,
    },
    /// A row says with which weight the policy decided, and the policy has none of that name, or not of that value.
    #[error("request {request}: `weights.{name}` is {value}, wanted {wanted}")]
    Weight {
        /// The request.
        request: String,
        /// The weight.
        name: String,
        /// Its value.
        value: String,
        /// What may stand there.
        wanted: String,
    },
}

/// What a term or a signal decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Is `name` a term of the score, or a signal?
    pub kind: EffectKind,
    /// The term or signal.
    pub name: &'static str,
    /// Decisions that would have been others without it.
    pub changed: u64,
}

/// What was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// A term of the score, taken as 0 for every candidate.
    Term,
    /// A signal, taken as 0 (an RTT as unknown) for every candidate.
    Signal,
}

/// A decision that came out otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Which case, in the log's words.
    pub label: String,
    /// What the log has.
    pub recorded: Target,
    /// What the policy chose.
    pub decided: Target,
    /// The rule by which it chose.
    pub rule: &'static str,
    /// Every candidate with the policy's score.
    pub scores: Vec<(ReplicaId, f64)>,
}

/// The outcome of replaying a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyReport {
    /// Cases in which the policy chose what was recorded.
    pub matched: u64,
    /// Cases.
    pub total: u64,
    /// Of the matched: cases that match only because the recorded choice is among those tied for the best score.
    pub matched_by_tie: u64,
    /// Cases in which several candidates shared the best score.
    pub ties: u64,
    /// Cases that a router decides without its policy: nothing was scraped yet, or there is no replica.
    pub by_router: u64,
    /// Cases whose log has scores.
    pub scored: u64,
    /// Of those: cases in which some candidate's score came out otherwise.
    pub scores_changed: u64,
    /// The first mismatches.
    pub mismatches: Vec<Mismatch>,
    /// What each term or signal decided.
    pub effects: Vec<Effect>,
}

/// Puts recorded cases to a policy.
#[derive(Debug)]
pub struct Verifier {
    policy: Box<dyn Policy>,
    decision: Decision,
    without: Decision,
    blanked: Vec<Signals>,
    report: VerifyReport,
}

/// Puts all cases to a policy.
///
/// # Errors
/// When a case cannot be put to it.
pub fn verify(
    policy: Box<dyn Policy>,
    cases: impl IntoIterator<Item = Case>,
) -> Result<VerifyReport, VerifyError> {
    let mut verifier = Verifier::new(policy);
    for case in cases {
        verifier.check(&case)?;
    }
    Ok(verifier.into_report())
}

impl Verifier {
    /// A verifier for this policy, as it is before its first decision.
    #[must_use]
    pub fn new(policy: Box<dyn Policy>) -> Self {
        Self {
            policy,
            decision: Decision::new(),
            without: Decision::new(),
            blanked: Vec::new(),
            report: VerifyReport::default(),
        }
    }

    /// Puts the next case to the policy; true when it matches.
    ///
    /// # Errors
    /// When the case has no draw and the policy needs one.
    pub fn check(&mut self, case: &Case) -> Result<bool, VerifyError> {
        if case.draw.is_none() && self.policy.draw_use() == DrawUse::Sample {
            return Err(VerifyError::NeedsDraw { policy: self.policy.name() });
        }
        if let Some(memory) = case.memory {
            self.policy.recall(memory);
        }
        self.set_weights(case)?;
        let question = case.question();
        decide(&*self.policy, &question, &mut self.decision);
        let by_router = ROUTER_RULES.contains(&self.decision.rule);
        self.report.by_router += u64::from(by_router);
        let matched = self.compare(case);
        if matched && !by_router {
            self.count_effects(case, &question);
        }
        if let Target::Replica(replica) = case.chosen
            && let Some(sent_to) = case.candidates.iter().find(|c| c.replica == replica)
        {
            self.policy.on_dispatched(&question.request, sent_to);
        }
        Ok(matched)
    }

    /// What has come out so far.
    #[must_use]
    pub const fn report(&self) -> &VerifyReport {
        &self.report
    }

    /// The outcome.
    #[must_use]
    pub fn into_report(self) -> VerifyReport {
        self.report
    }

    /// Gives the policy the weights that a tuner had given it when it decided.
    fn set_weights(&mut self, case: &Case) -> Result<(), VerifyError> {
        for (name, &value) in &case.weights {
            let known = self.policy.tunable();
            let wrong = |wanted: String| {
                let (request, name) = (case.label.clone(), name.clone());
                VerifyError::Weight { request, name, value: value.to_string(), wanted }
            };
            let Some(place) = known.iter().position(|weight| weight.name == name) else {
                let names: Vec<_> = known.iter().map(|weight| weight.name).collect();
                let policy = self.policy.name();
                return Err(wrong(format!("a weight of `{policy}` ({})", names.join(", "))));
            };
            known[place].check(value).map_err(|error| wrong(error.wanted.to_string()))?;
            self.policy.set_weight(place, value);
        }
        Ok(())
    }

    fn compare(&mut self, case: &Case) -> bool {
        let report = &mut self.report;
        report.total += 1;
        report.ties += u64::from(self.decision.tied > 1);
        if let Some(scores) = &case.scores {
            report.scored += 1;
            report.scores_changed += u64::from(scores != self.decision.scores());
        }
        let same = same_target(self.decision.target, case.chosen);
        let tied = !same
            && tie_is_open(&*self.policy, case)
            && is_best(&self.decision, &case.candidates, case.chosen);
        report.matched += u64::from(same || tied);
        report.matched_by_tie += u64::from(tied);
        if !same && !tied && report.mismatches.len() < KEPT_MISMATCHES {
            let replicas = case.candidates.iter().map(|candidate| candidate.replica);
            report.mismatches.push(Mismatch {
                label: case.label.clone(),
                recorded: case.chosen,
                decided: self.decision.target,
                rule: self.decision.rule,
                scores: replicas.zip(self.decision.scores().iter().copied()).collect(),
            });
        }
        same || tied
    }

    fn count_effects(&mut self, case: &Case, question: &Question<'_>) {
        if self.policy.additive() {
            for (place, &name) in self.decision.term_names.iter().enumerate() {
                self.decide_without_term(question, place);
                self.count_effect(case, EffectKind::Term, name);
            }
        } else {
            for &(name, blank) in SIGNALS {
                self.blanked.clone_from(&case.candidates);
                self.blanked.iter_mut().for_each(blank);
                let blanked = Question { candidates: &self.blanked, ..*question };
                self.policy.decide(&blanked, &mut self.without);
                hold_back(&blanked, &mut self.without);
                self.count_effect(case, EffectKind::Signal, name);
            }
        }
    }

    /// Makes the decision again with one term taken as 0.
    fn decide_without_term(&mut self, question: &Question<'_>, place: usize) {
        self.without.start(self.decision.rule, &[]);
        for (i, &score) in self.decision.scores().iter().enumerate() {
            let terms = self.decision.terms(i).iter().enumerate();
            let rest: f64 = terms.map(|(k, &term)| if k == place { 0.0 } else { term }).sum();
            self.without.push(if score.is_finite() { rest } else { score }, &[]);
        }
        let tie = match self.policy.draw_use() {
            DrawUse::None => Tie::First,
            DrawUse::Ties | DrawUse::Sample => Tie::Draw,
        };
        self.without.choose_lowest(question.candidates, tie, question.draw);
        hold_back(question, &mut self.without);
    }

    /// Compares the decision without something (in `without`) with the recorded one.
    fn count_effect(&mut self, case: &Case, kind: EffectKind, name: &'static str) {
        let same = same_target(self.without.target, case.chosen)
            || (tie_is_open(&*self.policy, case)
                && is_best(&self.without, &case.candidates, case.chosen));
        let known = self.report.effects.iter_mut().find(|e| e.kind == kind && e.name == name);
        match known {
            Some(effect) => effect.changed += u64::from(!same),
            None => {
                self.report.effects.push(Effect { kind, name, changed: u64::from(!same) });
            }
        }
    }
}

/// The same replica, or none both times.
const fn same_target(decided: Target, recorded: Target) -> bool {
    match (decided, recorded) {
        (Target::Replica(a), Target::Replica(b)) => a.0 == b.0,
        (Target::Queue | Target::Reject, Target::Queue | Target::Reject) => true,
        (Target::Replica(_), _) | (_, Target::Replica(_)) => false,
    }
}

/// May any of the tied have been chosen, for all the log says?
fn tie_is_open(policy: &dyn Policy, case: &Case) -> bool {
    case.draw.is_none() && policy.draw_use() == DrawUse::Ties
}

/// Is `target` among the candidates that share the best score?
fn is_best(decision: &Decision, candidates: &[Signals], target: Target) -> bool {
    let Target::Replica(replica) = target else {
        return false;
    };
    let scored = || candidates.iter().zip(decision.scores()).filter(|(c, _)| c.eligible);
    let best = scored().map(|(_, &score)| score).fold(f64::INFINITY, f64::min);
    best < f64::INFINITY && scored().any(|(c, &score)| c.replica == replica && score == best)
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "term",
            Self::Signal => "signal",
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = |target: Target| match target {
            Target::Replica(replica) => format!("replica {}", replica.0),
            Target::Queue => "the queue".to_owned(),
            Target::Reject => "a rejection".to_owned(),
        };
        let (recorded, decided) = (target(self.recorded), target(self.decided));
        write!(f, "{}: recorded {recorded}, decided {decided} by `{}`;", self.label, self.rule)?;
        f.write_str(" scores")?;
        self.scores.iter().try_for_each(|(replica, score)| write!(f, " {}={score}", replica.0))
    }
}
