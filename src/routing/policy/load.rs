//! What counts as a replica's load, for policies that only need to compare loads.
//!
//! Not a policy. Read [`super::power_of_two`] next.

use super::count;
use super::parameter::{Initial, Parameter, Wanted};
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

/// A measure of load; the sources disagree about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// This router's own requests in flight: the classic choice, always fresh, blind to other clients.
    InFlight,
    /// Own requests in flight plus the replica's queue at the last scrape: the least-load of GORGO v1's proxy.
    Requests,
    /// Used KV tokens at the last scrape plus own queued prompt tokens: what GORGO v2's power-of-two compares.
    Tokens,
    /// Running and queued requests and used tokens at the last scrape plus own queued prompt tokens, simply added:
    /// GORGO v2's least-load.
    Combined,
}

impl Load {
    /// The words of the parameter.
    pub const WORDS: &'static [&'static str] = &["in-flight", "requests", "tokens", "combined"];

    /// The parameter `load` with a default.
    #[must_use]
    pub const fn parameter(default: &'static str, doc: &'static str) -> Parameter {
        Parameter {
            name: "load",
            default: Initial::Word(default),
            wanted: Wanted::Word(Self::WORDS),
            doc,
        }
    }

    /// The load of a candidate per unit of its weight, at least zero.
    #[must_use]
    pub fn per_weight(self, signals: &Signals) -> f64 {
        signals.per_weight(self.of(signals))
    }

    /// The load of a candidate, at least zero.
    #[must_use]
    pub fn of(self, signals: &Signals) -> f64 {
        let requests = |n: u32| f64::from(n);
        match self {
            Self::InFlight => requests(signals.in_flight_requests),
            Self::Requests => {
                requests(signals.in_flight_requests) + requests(signals.queued_requests)
            }
            Self::Tokens => count(signals.used_tokens) + count(signals.queued_tokens),
            Self::Combined => {
                requests(signals.running_requests)
                    + requests(signals.queued_requests)
                    + count(signals.used_tokens)
                    + count(signals.queued_tokens)
            }
        }
    }
}
