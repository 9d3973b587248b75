//! Policies: one file each, one line each in the [`registry`].
//!
//! A policy is a pure rule over signals. It decides without changing anything; what it must remember (a round-robin
//! counter, say) it learns in [`Policy::on_dispatched`]. Lower scores are better.
//!
//! # Adding a policy
//! 1. A file named after it, with a parameter struct (`serde`, `deny_unknown_fields`, defaults with their source).
//! 2. `impl Policy` for it: fill the [`Decision`] with a score and its terms for every candidate, then choose.
//! 3. One line in the registry. `examples/custom_policy.rs` does it outside the crate, without the registry.

pub mod registry;

use crate::decision::Decision;
use crate::signals::{RoutingRequest, Signals};
use gorgo_types::{Nanos, ReplicaId};
use std::fmt::Debug;

/// What a policy needs the router to keep for it; what none needs is not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    /// The prefix index: `Signals::cached_tokens` is filled in.
    pub prefix_index: bool,
    /// Scraped metrics: until every replica has been scraped once, the router decides at random instead.
    pub scrapes: bool,
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

    /// Hears that the request was sent to `replica` (which may differ from the choice, when a decision was forced).
    fn on_dispatched(&mut self, _request: &RoutingRequest<'_>, _replica: ReplicaId) {}
}
