//! Policies: one file each, one line each in the [`registry`].
//!
//! A policy is a pure rule over signals. It decides without changing anything; what it must remember (a round-robin
//! position, say) it learns in [`Policy::on_dispatched`]. Lower scores are better.
//!
//! # Adding a policy
//! 1. A file named after it, with a parameter struct (`serde`, `deny_unknown_fields`, defaults with their source; see
//!    [`parameter`]), or [`NoParameters`].
//! 2. `impl Policy` for it: fill the [`Decision`] with a score and its terms for every candidate, then choose.
//! 3. `impl Configured` for it, and one line in the registry. `examples/custom_policy.rs` does without 3, outside the
//!    crate.
//!
//! Scores must never be NaN; `+inf` means "may not be chosen". Candidates that are not eligible are scored as well,
//! so that a log shows what they would have cost, but [`Decision::choose_lowest`] never chooses them.
//!
//! Replicas may differ in weight ([`Signals::weight`]): load and work are then compared per unit of weight
//! ([`Signals::per_weight`]), turns and lots fall in its proportion. Round trips, cached tokens and shares of a KV pool are
//! what they are. Each policy whose choice weights touch says so; a policy that does not ask [`Question::weighted`] treats
//! replicas alike.

pub mod cache_aware;
pub mod gorgo;
pub mod gorgo_abg;
pub mod gorgo_proxy;
pub mod gorgo_regional;
pub mod least_load;
pub mod least_request;
pub mod llm_d;
pub mod load;
pub mod nearest;
pub mod parameter;
pub mod power_of_two;
pub mod prefix_cache;
pub mod prefix_tree;
pub mod random;
pub mod registry;
pub mod round_robin;
pub mod session_affinity;

pub use parameter::{Configured, NoParameters, Parameter, ParameterError};

use crate::decision::Decision;
use crate::reach::Home;
use crate::signals::{RoutingRequest, Signals};
use gorgo_types::Nanos;
use std::fmt::Debug;

/// What a policy needs the router to keep for it; what none needs is not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    /// The prefix index: `Signals::cached_tokens` is filled in.
    pub prefix_index: bool,
    /// Scraped metrics: until every replica has been scraped once, the router decides at random instead.
    pub scrapes: bool,
}

/// What a policy uses the question's draw for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DrawUse {
    /// Nothing: the same signals give the same choice.
    None,
    /// To choose among candidates of equal score: without the draw, any of them may have been chosen.
    #[default]
    Ties,
    /// To decide which candidates are looked at: a decision cannot be replayed without its draw.
    Sample,
}

/// Everything a decision may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The time of the decision.
    pub now: Nanos,
    /// The request.
    pub request: RoutingRequest<'a>,
    /// The candidates, in the fleet's order; never empty.
    pub candidates: &'a [Signals],
    /// 64 random bits, keyed by (seed, request, attempt) and logged: the only randomness there is.
    pub draw: u64,
    /// What a router of one region adds; `None` where the router reaches every replica itself.
    pub home: Option<Home>,
    /// Whether some candidate's weight is not 1: where none is, weights are not looked at.
    pub weighted: bool,
}

impl<'a> Question<'a> {
    /// A question whose candidates are looked through for weights.
    #[must_use]
    pub fn new(
        now: Nanos,
        request: RoutingRequest<'a>,
        candidates: &'a [Signals],
        draw: u64,
        home: Option<Home>,
    ) -> Self {
        let weighted = candidates.iter().any(|candidate| candidate.weight != 1);
        Self { now, request, candidates, draw, home, weighted }
    }
}

/// A routing policy.
pub trait Policy: Debug + Send {
    /// Its name in scenarios, tables and logs.
    fn name(&self) -> &'static str;

    /// What the router must keep for it.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Decides. `decision` is an emptied or used buffer: start with [`Decision::start`], push every candidate, choose.
    fn decide(&self, question: &Question<'_>, decision: &mut Decision);

    /// Hears that the request was sent to this replica (which may differ from the choice, when a decision was forced).
    fn on_dispatched(&mut self, _request: &RoutingRequest<'_>, _sent_to: &Signals) {}

    /// True where every finite score is the sum of its terms and the lowest is chosen: a replayed log can then say what
    /// each term decided. For other policies it says what each signal decided.
    fn additive(&self) -> bool {
        false
    }

    /// What the draw is used for.
    fn draw_use(&self) -> DrawUse {
        DrawUse::default()
    }

    /// The one word that [`Policy::on_dispatched`] changes, for the decision log; `None` where it remembers nothing.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// Puts a remembered word back, so that a logged decision can be made again.
    fn recall(&mut self, _memory: u64) {}

    /// The parameters that may change while it routes: a tuner's, for example. None: it cannot be tuned.
    fn tunable(&self) -> &'static [Parameter] {
        &[]
    }

    /// The value of the `index`-th of [`Policy::tunable`]; NaN where there is none.
    fn weight(&self, _index: usize) -> f64 {
        f64::NAN
    }

    /// Changes the `index`-th of [`Policy::tunable`]; the caller has checked the value by its [`Parameter::check`].
    fn set_weight(&mut self, _index: usize, _value: f64) {}
}

/// A load per unit of weight, where weights are looked at: a compile-time choice, so that a fleet without them pays nothing.
fn weighed<const WEIGHTED: bool>(candidate: &Signals, load: f64) -> f64 {
    if WEIGHTED { candidate.per_weight(load) } else { load }
}

/// A count as a score term.
///
/// Signed conversion is one instruction where the unsigned one is several; the mask keeps a nonsense above 2^63 from
/// turning negative.
#[expect(clippy::cast_precision_loss, reason = "counts of tokens and requests stay far below 2^53")]
const fn count(n: u64) -> f64 {
    (n & i64::MAX as u64).cast_signed() as f64
}

/// The round trip to price: not negative, and finite whatever a probe reported (at most 1e12 ms, some 31 years).
#[expect(clippy::manual_clamp, reason = "clamp would pass NaN on; max takes 0 instead")]
fn rtt_ms(signals: &Signals) -> f64 {
    signals.rtt_ms().max(0.0).min(1e12)
}
