//! The decision log: one row holds everything that a decision depended on and everything it said.
//!
//! `decisions.jsonl` is a [`LogHead`] and then one row per decision, in the order they were made. Rows are written as
//! [`LogLine`], which borrows from the question and the decision, and read as [`LogRow`]. From a row alone every policy
//! decides again ([`crate::verify`]): the signals of all candidates, the draw, the word that the policy remembered, and
//! of the prompt what a policy may use, its length and its affinity key; where a tuner changes weights, those too.
//!
//! Signals are kept as columns, one array per signal, in the order of the candidates. Times are nanoseconds of the
//! run's clock, so an age is `now_ns` minus `rtt_at_ns` or `scraped_at_ns`. Words of 64 random bits are 16 hex digits,
//! as many readers of JSON round larger numbers than 2^53. A score or term of `+inf` is written as `null`.
//!
//! This file does no I/O: the caller writes rows with any serde format. Its reader must restore floats exactly (for
//! `serde_json`, its feature `float_roundtrip`). Read [`crate::verify`] next.

use crate::decision::{Decision, Target};
use crate::policy::session_affinity::prefix_key;
use crate::policy::{Policy, Question};
use crate::reach::Home;
use crate::signals::Signals;
use crate::tuner::TunedWeights;
use gorgo_types::{Nanos, RegionId, ReplicaId, ZoneId};
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The version of the format, in [`LogHead::gorgo_decisions`].
pub const VERSION: u32 = 1;

/// The first line of a decision log. `P` is the policy's complete parameters, from [`crate::registry::resolve`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead<P> {
    /// The version of the format: [`VERSION`].
    pub gorgo_decisions: u32,
    /// The policy that decided.
    pub policy: String,
    /// Its parameters.
    pub parameters: P,
    /// Tokens per block of the prompts, for information: rows give lengths in tokens.
    pub block_tokens: u32,
}

/// A row to write. Make it before the policy hears of the dispatch, so that `memory` is what the decision knew.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    question: &'a Question<'a>,
    decision: &'a Decision,
    memory: Option<u64>,
    weights: Option<TunedWeights<'a>>,
}

/// A row as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRow {
    /// The request, `session.turn`.
    pub request: String,
    /// When it was decided, in nanoseconds of the run's clock.
    pub now_ns: u64,
    /// Length of the prompt.
    pub prompt_tokens: u64,
    /// What the client asked for.
    pub max_tokens: u64,
    /// The session that the client named.
    pub session: Option<Hex>,
    /// The block id that stands for the first tokens of the prompt: the affinity key where there is no session.
    pub prefix: Hex,
    /// The zone that the request is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<ZoneId>,
    /// What the router of one region added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    /// The draw.
    pub draw: Hex,
    /// What the policy remembered.
    pub memory: Option<Hex>,
    /// The weights that a tuner had given the policy, by name; not written where there was no tuner. The others are the
    /// head's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<BTreeMap<String, f64>>,
    /// The signals of every candidate.
    pub candidates: SignalColumns,
    /// The rule that decided.
    pub rule: String,
    /// Where to.
    pub chosen: Target,
    /// How many candidates shared the best score.
    pub tied: u32,
    /// Every candidate's score.
    pub scores: Vec<Cost>,
    /// Names of the terms.
    pub term_names: Vec<String>,
    /// Every candidate's terms.
    pub terms: Vec<Vec<Cost>>,
}

/// 64 bits, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub u64);

/// A score or a term: `+inf` is written as `null`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost(pub f64);

/// The signals of the candidates, signal by signal; see [`Signals`] for units.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the field of `Signals` of that name")]
pub struct SignalColumns {
    pub replica: Vec<u32>,
    pub region: Vec<u32>,
    pub rtt_ewma_ms: Vec<Option<f64>>,
    pub scrape_latency_ms: Vec<Option<f64>>,
    pub rtt_at_ns: Vec<Option<u64>>,
    pub running_requests: Vec<u32>,
    pub queued_requests: Vec<u32>,
    pub used_tokens: Vec<u64>,
    pub kv_pool_tokens: Vec<u64>,
    pub scraped_at_ns: Vec<Option<u64>>,
    pub in_flight_requests: Vec<u32>,
    pub queued_tokens: Vec<u64>,
    /// Empty, and not written, where no candidate has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued_uncached_tokens: Vec<u64>,
    pub cached_tokens: Vec<u64>,
    pub eligible: Vec<bool>,
    /// Empty, and not written, where no candidate belongs to a zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zone: Vec<Option<ZoneId>>,
    /// Empty, and not written, where every candidate has the weight 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight: Vec<u32>,
}

/// A column of a [`LogRow`] that is longer or shorter than the list of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`candidates.{column}` has {got} values, wanted {wanted}, one for each replica")]
pub struct RaggedColumns {
    /// Which one.
    pub column: &'static str,
    /// Its length.
    pub got: usize,
    /// The number of replicas.
    pub wanted: usize,
}

impl<'a> LogLine<'a> {
    /// The row of a decision that `policy` has just made.
    #[must_use]
    pub fn new(question: &'a Question<'a>, decision: &'a Decision, policy: &dyn Policy) -> Self {
        Self { question, decision, memory: policy.memory(), weights: None }
    }

    /// The row, with the weights that a tuner had given the policy ([`crate::Router::tuned_weights`]).
    #[must_use]
    pub const fn tuned(self, weights: Option<TunedWeights<'a>>) -> Self {
        Self { weights, ..self }
    }

    /// The row as an owned value, to keep in memory.
    #[must_use]
    pub fn to_row(&self) -> LogRow {
        let Self { question, decision, memory, weights } = self;
        let request = &question.request;
        let n = question.candidates.len();
        LogRow {
            request: request.id.to_string(),
            now_ns: question.now.0,
            prompt_tokens: request.prompt.tokens().get(),
            max_tokens: request.max_tokens.get(),
            session: request.session.map(Hex),
            prefix: Hex(prefix_key(request.prompt)),
            residency: request.residency,
            home: question.home,
            draw: Hex(question.draw),
            memory: memory.map(Hex),
            weights: weights.map(|weights| {
                weights.iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
            candidates: SignalColumns::of(question.candidates),
            rule: decision.rule.to_owned(),
            chosen: decision.target,
            tied: decision.tied,
            scores: decision.scores().iter().copied().map(Cost).collect(),
            term_names: decision.term_names.iter().map(|&name| name.to_owned()).collect(),
            terms: (0..n).map(|i| decision.terms(i).iter().copied().map(Cost).collect()).collect(),
        }
    }
}

/// One column of the candidates, written without a copy.
struct Column<'a, T>(&'a [Signals], fn(&Signals) -> T);

impl<T: Serialize> Serialize for Column<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// All columns of the candidates, written without a copy; the fields of [`SignalColumns`], in its order.
struct Columns<'a>(&'a [Signals]);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.0;
        let (zones, weights, uncached) = (any_zone(all), any_weight(all), any_uncached(all));
        let fields = 14 + [zones, weights, uncached].into_iter().map(usize::from).sum::<usize>();
        let mut out = serializer.serialize_struct("SignalColumns", fields)?;
        out.serialize_field("replica", &Column(all, |s| s.replica.0))?;
        out.serialize_field("region", &Column(all, |s| s.region.0))?;
        out.serialize_field("rtt_ewma_ms", &Column(all, |s| s.rtt_ewma_ms))?;
        out.serialize_field("scrape_latency_ms", &Column(all, |s| s.scrape_latency_ms))?;
        out.serialize_field("rtt_at_ns", &Column(all, |s| s.rtt_at))?;
        out.serialize_field("running_requests", &Column(all, |s| s.running_requests))?;
        out.serialize_field("queued_requests", &Column(all, |s| s.queued_requests))?;
        out.serialize_field("used_tokens", &Column(all, |s| s.used_tokens))?;
        out.serialize_field("kv_pool_tokens", &Column(all, |s| s.kv_pool_tokens))?;
        out.serialize_field("scraped_at_ns", &Column(all, |s| s.scraped_at))?;
        out.serialize_field("in_flight_requests", &Column(all, |s| s.in_flight_requests))?;
        out.serialize_field("queued_tokens", &Column(all, |s| s.queued_tokens))?;
        if uncached {
            let column = Column(all, |s| s.queued_uncached_tokens);
            out.serialize_field("queued_uncached_tokens", &column)?;
        }
        out.serialize_field("cached_tokens", &Column(all, |s| s.cached_tokens))?;
        out.serialize_field("eligible", &Column(all, |s| s.eligible))?;
        if zones {
            out.serialize_field("zone", &Column(all, |s| s.zone))?;
        }
        if weights {
            out.serialize_field("weight", &Column(all, |s| s.weight))?;
        }
        out.end()
    }
}

/// Whether zones are worth a column.
fn any_zone(candidates: &[Signals]) -> bool {
    candidates.iter().any(|candidate| candidate.zone.is_some())
}

/// Whether uncached tokens are worth a column.
fn any_uncached(candidates: &[Signals]) -> bool {
    candidates.iter().any(|candidate| candidate.queued_uncached_tokens > 0)
}

/// Whether weights are worth a column.
fn any_weight(candidates: &[Signals]) -> bool {
    candidates.iter().any(|candidate| candidate.weight != 1)
}

/// Scores or terms, written without a copy.
struct Costs<'a>(&'a [f64]);

impl Serialize for Costs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().copied().map(Cost))
    }
}

/// Every candidate's terms, written without a copy.
struct Terms<'a>(&'a Decision);

impl Serialize for Terms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let n = self.0.scores().len();
        let mut out = serializer.serialize_seq(Some(n))?;
        for i in 0..n {
            out.serialize_element(&Costs(self.0.terms(i)))?;
        }
        out.end()
    }
}

impl Serialize for LogLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { question, decision, memory, weights } = self;
        let request = &question.request;
        let given = [request.residency.is_some(), question.home.is_some(), weights.is_some()];
        let fields = 15 + given.into_iter().map(usize::from).sum::<usize>();
        let mut out = serializer.serialize_struct("LogRow", fields)?;
        out.serialize_field("request", &format_args!("{}", request.id))?;
        out.serialize_field("now_ns", &question.now)?;
        out.serialize_field("prompt_tokens", &request.prompt.tokens())?;
        out.serialize_field("max_tokens", &request.max_tokens)?;
        out.serialize_field("session", &request.session.map(Hex))?;
        out.serialize_field("prefix", &Hex(prefix_key(request.prompt)))?;
        if let Some(zone) = &request.residency {
            out.serialize_field("residency", zone)?;
        }
        if let Some(home) = &question.home {
            out.serialize_field("home", home)?;
        }
        out.serialize_field("draw", &Hex(question.draw))?;
        out.serialize_field("memory", &memory.map(Hex))?;
        if let Some(weights) = weights {
            out.serialize_field("weights", weights)?;
        }
        out.serialize_field("candidates", &Columns(question.candidates))?;
        out.serialize_field("rule", decision.rule)?;
        out.serialize_field("chosen", &decision.target)?;
        out.serialize_field("tied", &decision.tied)?;
        out.serialize_field("scores", &Costs(decision.scores()))?;
        out.serialize_field("term_names", decision.term_names)?;
        out.serialize_field("terms", &Terms(decision))?;
        out.end()
    }
}

impl SignalColumns {
    /// The columns of these candidates.
    #[must_use]
    pub fn of(candidates: &[Signals]) -> Self {
        fn column<T>(candidates: &[Signals], value: impl Fn(&Signals) -> T) -> Vec<T> {
            candidates.iter().map(value).collect()
        }
        Self {
            replica: column(candidates, |s| s.replica.0),
            region: column(candidates, |s| s.region.0),
            rtt_ewma_ms: column(candidates, |s| s.rtt_ewma_ms),
            scrape_latency_ms: column(candidates, |s| s.scrape_latency_ms),
            rtt_at_ns: column(candidates, |s| s.rtt_at.map(|at| at.0)),
            running_requests: column(candidates, |s| s.running_requests),
            queued_requests: column(candidates, |s| s.queued_requests),
            used_tokens: column(candidates, |s| s.used_tokens),
            kv_pool_tokens: column(candidates, |s| s.kv_pool_tokens),
            scraped_at_ns: column(candidates, |s| s.scraped_at.map(|at| at.0)),
            in_flight_requests: column(candidates, |s| s.in_flight_requests),
            queued_tokens: column(candidates, |s| s.queued_tokens),
            queued_uncached_tokens: if any_uncached(candidates) {
                column(candidates, |s| s.queued_uncached_tokens)
            } else {
                Vec::new()
            },
            cached_tokens: column(candidates, |s| s.cached_tokens),
            eligible: column(candidates, |s| s.eligible),
            zone: if any_zone(candidates) { column(candidates, |s| s.zone) } else { Vec::new() },
            weight: if any_weight(candidates) {
                column(candidates, |s| s.weight)
            } else {
                Vec::new()
            },
        }
    }

    /// The candidates of these columns.
    ///
    /// # Errors
    /// When the columns differ in length.
    pub fn signals(&self) -> Result<Vec<Signals>, RaggedColumns> {
        self.check_lengths()?;
        let signals = |i: usize| Signals {
            replica: ReplicaId(self.replica[i]),
            region: RegionId(self.region[i]),
            rtt_ewma_ms: self.rtt_ewma_ms[i],
            scrape_latency_ms: self.scrape_latency_ms[i],
            rtt_at: self.rtt_at_ns[i].map(Nanos),
            running_requests: self.running_requests[i],
            queued_requests: self.queued_requests[i],
            used_tokens: self.used_tokens[i],
            kv_pool_tokens: self.kv_pool_tokens[i],
            scraped_at: self.scraped_at_ns[i].map(Nanos),
            in_flight_requests: self.in_flight_requests[i],
            queued_tokens: self.queued_tokens[i],
            queued_uncached_tokens: self.queued_uncached_tokens.get(i).copied().unwrap_or(0),
            cached_tokens: self.cached_tokens[i],
            eligible: self.eligible[i],
            zone: self.zone.get(i).copied().flatten(),
            weight: self.weight.get(i).copied().unwrap_or(1),
        };
        Ok((0..self.replica.len()).map(signals).collect())
    }

    fn check_lengths(&self) -> Result<(), RaggedColumns> {
        let wanted = self.replica.len();
        let optional = |got: usize| if got == 0 { wanted } else { got };
        let lengths = [
            ("region", self.region.len()),
            ("rtt_ewma_ms", self.rtt_ewma_ms.len()),
            ("scrape_latency_ms", self.scrape_latency_ms.len()),
            ("rtt_at_ns", self.rtt_at_ns.len()),
            ("running_requests", self.running_requests.len()),
            ("queued_requests", self.queued_requests.len()),
            ("used_tokens", self.used_tokens.len()),
            ("kv_pool_tokens", self.kv_pool_tokens.len()),
            ("scraped_at_ns", self.scraped_at_ns.len()),
            ("in_flight_requests", self.in_flight_requests.len()),
            ("queued_tokens", self.queued_tokens.len()),
            ("queued_uncached_tokens", optional(self.queued_uncached_tokens.len())),
            ("cached_tokens", self.cached_tokens.len()),
            ("eligible", self.eligible.len()),
            ("zone", optional(self.zone.len())),
            ("weight", optional(self.weight.len())),
        ];
        match lengths.into_iter().find(|&(_, got)| got != wanted) {
            Some((column, got)) => Err(RaggedColumns { column, got, wanted }),
            None => Ok(()),
        }
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = Hex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 hex digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hex, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(wrong());
                }
                u64::from_str_radix(text, 16).map(Hex).map_err(|_| wrong())
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.is_finite().then_some(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cost = Option::<f64>::deserialize(deserializer)?;
        Ok(Self(cost.unwrap_or(f64::INFINITY)))
    }
}
