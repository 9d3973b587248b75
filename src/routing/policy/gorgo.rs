//! `gorgo`: network, prefill and queue in one sum.
//!
//! `score = w_rtt * RTT_ms + w_prefill * uncached + w_queue * queued + w_used * used`, where RTT is the probes' average
//! (or the last scrape's latency before the first probe), `uncached` the prompt tokens that the router's index does not
//! know to be there (at least 0), `queued` the prompt tokens of this router's requests there (live, not discounted by
//! cache hits) and `used` the KV tokens in use at the last scrape. The lowest score wins; equal scores go to the first in
//! the fleet's order, as Python's `min` over a dict does. No random ties.
//!
//! Source: GORGO v2 (arXiv 2602.11688v2, equation 3; `gorgo/policy/gorgo.py`), with the weights that its tuner found,
//! 0.276 and 0.5 (section 4, figure 3); `w_prefill` is 1 there because only ratios matter, and there is no fourth term.
//! The fourth is in the earlier runs: the recorded log `decisions_gorgo-static.csv` is `w_rtt = 1`, `w_prefill = 70`,
//! `w_queue = w_used = 60`. Other runs before the paper's priced of the queued tokens those alone that were not cached when
//! they were sent (`queue_uncached_only`; [`Signals::queued_uncached_tokens`]).
//!
//! Where replicas differ in weight ([`Signals::weight`]), the prices of tokens are divided by it: a replica of twice the
//! weight is taken to compute twice as fast. The round trip is not.
//!
//! Any weight may differ on any replica, for fleets of different hardware: `replicas` maps a replica's index in the
//! fleet (from 0) to the weights that differ there. Read [`super::gorgo_proxy`] next.

use super::parameter::{Initial, Parameter, Wanted, reader};
use super::{Configured, DrawUse, Needs, ParameterError, Policy, Question, count, rtt_ms};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

const W_RTT: Parameter = Parameter::weight(
    "w_rtt",
    0.276,
    "price of a millisecond of round trip (GORGO v2's tuner: 0.276)",
);
const W_PREFILL: Parameter =
    Parameter::weight("w_prefill", 1.0, "price of an uncached prompt token (GORGO v2: 1)");
const W_QUEUE: Parameter = Parameter::weight(
    "w_queue",
    0.5,
    "price of an own queued prompt token (GORGO v2's tuner: 0.5, the upper end of its range)",
);
const W_USED: Parameter =
    Parameter::weight("w_used", 0.0, "price of a KV token in use at the last scrape (GORGO v2: 0)");
const QUEUE_UNCACHED_ONLY: Parameter = Parameter::flag(
    "queue_uncached_only",
    false,
    "of the queued tokens only those count that were not believed to be cached when they were sent (GORGO v2: all)",
);
const REPLICAS: Parameter = Parameter {
    name: "replicas",
    default: Initial::Empty,
    wanted: Wanted::PerReplica,
    doc: "weights that differ on a replica, by its index in the fleet",
};

reader! { w_rtt: W_RTT, w_prefill: W_PREFILL, w_queue: W_QUEUE, w_used: W_USED }

macro_rules! optional_reader {
    ($($name:ident: $reader:ident),+ $(,)?) => {
        $(fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
            $reader(from).map(Some)
        })+
    };
}

optional_reader! { some_rtt: w_rtt, some_prefill: w_prefill, some_queue: w_queue, some_used: w_used }

/// The parameters of `gorgo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Price of a millisecond of round trip.
    #[serde(deserialize_with = "w_rtt")]
    pub w_rtt: f64,
    /// Price of a prompt token that is not cached.
    #[serde(deserialize_with = "w_prefill")]
    pub w_prefill: f64,
    /// Price of a prompt token of this router's requests there.
    #[serde(deserialize_with = "w_queue")]
    pub w_queue: f64,
    /// Price of a KV token in use.
    #[serde(deserialize_with = "w_used")]
    pub w_used: f64,
    /// Of the queued tokens only those count that were not believed to be cached when they were sent.
    pub queue_uncached_only: bool,
    /// What differs on a replica.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<ReplicaIndex, Overrides>,
}

/// The weights that differ on one replica; what is not given is the fleet's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Price of a millisecond of round trip.
    #[serde(deserialize_with = "some_rtt", skip_serializing_if = "Option::is_none")]
    pub w_rtt: Option<f64>,
    /// Price of a prompt token that is not cached.
    #[serde(deserialize_with = "some_prefill", skip_serializing_if = "Option::is_none")]
    pub w_prefill: Option<f64>,
    /// Price of a prompt token of this router's requests there.
    #[serde(deserialize_with = "some_queue", skip_serializing_if = "Option::is_none")]
    pub w_queue: Option<f64>,
    /// Price of a KV token in use.
    #[serde(deserialize_with = "some_used", skip_serializing_if = "Option::is_none")]
    pub w_used: Option<f64>,
}

/// A replica's index in the fleet, from 0; a key of a table, so it is written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaIndex(pub u16);

impl Serialize for ReplicaIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ReplicaIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Index;
        impl serde::de::Visitor<'_> for Index {
            type Value = ReplicaIndex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a replica's index from 0 to {}", u16::MAX)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ReplicaIndex, E> {
                let wrong = |_| E::invalid_value(serde::de::Unexpected::Str(text), &self);
                text.parse().map(ReplicaIndex).map_err(wrong)
            }
        }
        deserializer.deserialize_str(Index)
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            w_rtt: W_RTT.number(),
            w_prefill: W_PREFILL.number(),
            w_queue: W_QUEUE.number(),
            w_used: W_USED.number(),
            queue_uncached_only: false,
            replicas: BTreeMap::new(),
        }
    }
}

/// The four weights, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weights {
    rtt: f64,
    prefill: f64,
    queue: f64,
    used: f64,
}

impl Weights {
    fn checked(rtt: f64, prefill: f64, queue: f64, used: f64) -> Result<Self, ParameterError> {
        Ok(Self {
            rtt: W_RTT.check(rtt)?,
            prefill: W_PREFILL.check(prefill)?,
            queue: W_QUEUE.check(queue)?,
            used: W_USED.check(used)?,
        })
    }

    /// `queued`: the tokens that its queue counts for.
    fn terms(&self, candidate: &Signals, prompt_tokens: u64, queued: u64) -> [f64; 4] {
        [
            self.rtt * rtt_ms(candidate),
            self.prefill * count(prompt_tokens.saturating_sub(candidate.cached_tokens)),
            self.queue * count(queued),
            self.used * count(candidate.used_tokens),
        ]
    }
}

/// The policy `gorgo`.
#[derive(Clone, Debug)]
pub struct Gorgo {
    fleet: Weights,
    queue_uncached_only: bool,
    /// The weights of replica `i`, for the replicas up to the last with weights of its own; usually empty.
    replicas: Vec<Weights>,
    /// What was given of them.
    overrides: BTreeMap<ReplicaIndex, Overrides>,
}

impl Overrides {
    /// A replica's weights: its own, and for what is not given the fleet's.
    fn over(&self, fleet: Weights) -> Result<Weights, ParameterError> {
        Weights::checked(
            self.w_rtt.unwrap_or(fleet.rtt),
            self.w_prefill.unwrap_or(fleet.prefill),
            self.w_queue.unwrap_or(fleet.queue),
            self.w_used.unwrap_or(fleet.used),
        )
    }
}

/// The weights of the replicas up to the last with weights of its own.
fn by_replica(
    fleet: Weights,
    overrides: &BTreeMap<ReplicaIndex, Overrides>,
) -> Result<Vec<Weights>, ParameterError> {
    let known = overrides.last_key_value().map_or(0, |(last, _)| usize::from(last.0) + 1);
    let mut all = vec![fleet; known];
    for (index, own) in overrides {
        all[usize::from(index.0)] = own.over(fleet)?;
    }
    Ok(all)
}

impl Gorgo {
    fn weights(&self, candidate: &Signals) -> &Weights {
        self.replicas.get(candidate.replica.index()).unwrap_or(&self.fleet)
    }

    fn queued(&self, candidate: &Signals) -> u64 {
        if self.queue_uncached_only {
            candidate.queued_uncached_tokens
        } else {
            candidate.queued_tokens
        }
    }
}

const TERMS: &[&str; 4] = &["rtt", "prefill", "queue", "used"];

const WEIGHTS: &[Parameter] = &[W_RTT, W_PREFILL, W_QUEUE, W_USED];

impl Configured for Gorgo {
    type Parameters = Parameters;
    const NAME: &'static str = "gorgo";
    const SUMMARY: &'static str =
        "the smallest weighted sum of round trip, uncached, queued and used tokens (GORGO v2)";
    const PARAMETERS: &'static [Parameter] =
        &[W_RTT, W_PREFILL, W_QUEUE, W_USED, QUEUE_UNCACHED_ONLY, REPLICAS];

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        let Parameters { w_rtt, w_prefill, w_queue, w_used, queue_uncached_only, replicas } =
            parameters;
        let fleet = Weights::checked(w_rtt, w_prefill, w_queue, w_used)?;
        let by_replica = by_replica(fleet, &replicas)?;
        Ok(Self { fleet, queue_uncached_only, replicas: by_replica, overrides: replicas })
    }
}

impl Policy for Gorgo {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: true }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let tokens = question.request.prompt.tokens().get();
        if question.weighted {
            decision.fill_sums("score", TERMS, question.candidates, |candidate| {
                let [rtt, work @ ..] =
                    self.weights(candidate).terms(candidate, tokens, self.queued(candidate));
                let [prefill, queue, used] = work.map(|price| candidate.per_weight(price));
                [rtt, prefill, queue, used]
            });
        } else if self.replicas.is_empty() {
            decision.fill_sums("score", TERMS, question.candidates, |candidate| {
                self.fleet.terms(candidate, tokens, self.queued(candidate))
            });
        } else {
            decision.fill_sums("score", TERMS, question.candidates, |candidate| {
                self.weights(candidate).terms(candidate, tokens, self.queued(candidate))
            });
        }
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }

    fn tunable(&self) -> &'static [Parameter] {
        WEIGHTS
    }

    fn weight(&self, index: usize) -> f64 {
        let Weights { rtt, prefill, queue, used } = self.fleet;
        [rtt, prefill, queue, used].get(index).copied().unwrap_or(f64::NAN)
    }

    /// A replica's own weight stays what it is.
    fn set_weight(&mut self, index: usize, value: f64) {
        let Weights { rtt, prefill, queue, used } = &mut self.fleet;
        if let Some(weight) = [rtt, prefill, queue, used].into_iter().nth(index) {
            *weight = value;
        }
        if let Ok(replicas) = by_replica(self.fleet, &self.overrides) {
            self.replicas = replicas;
        }
    }
}
