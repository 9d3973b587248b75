//! A run as both engines get it, and what came of it.
//!
//! A [`Script`] is a configuration and a list of things that happen from outside; an [`Outcome`] is everything that
//! can be seen of an engine from there. Requests are known by their ordinal among the script's arrivals. Who runs a
//! script: `engine.rs` (slow) and `fast.rs`.

use gorgo_model::{EngineRequest, Femtos, Observation, ReplicaConfig, ReplicaEvent, ReplicaTotals};
use gorgo_types::Nanos;
use std::fmt;

/// A request, by its ordinal among the arrivals of its script.
pub type Index = usize;

/// Something that happens to a replica from outside.
#[derive(Clone, Debug)]
pub enum Action {
    /// A request arrives.
    Arrive(EngineRequest),
    /// A request that has arrived before (and may be over) is cancelled.
    Cancel(Index),
    /// The replica crashes.
    Crash,
    /// The replica is advanced to this time although nothing may be due: no effect.
    Poke,
    /// A scrape, after everything else at this time.
    Observe,
}

/// A configuration and what happens, in order of time.
#[derive(Clone, Debug)]
pub struct Script {
    /// The replica.
    pub config: ReplicaConfig,
    /// What happens when. At one time, crashes, observations and pokes come last.
    pub actions: Vec<(Nanos, Action)>,
}

impl Script {
    /// Brings the actions into the order in which they are told.
    pub fn sort(&mut self) {
        self.actions.sort_by_key(|(at, action)| (*at, action.waits_for_boundaries()));
    }
}

/// For a person who looks for a fault: one line an action.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReplicaConfig { kv_pool_tokens, prefix_cache, limits, profile } = &self.config;
        writeln!(
            f,
            "pool {kv_pool_tokens}, prefix cache {prefix_cache}, {limits:?}, {}",
            profile.name
        )?;
        let mut arrived = 0;
        for (at, action) in &self.actions {
            let Action::Arrive(request) = action else {
                writeln!(f, "{:>8} ns {action:?}", at.0)?;
                continue;
            };
            let EngineRequest { prompt, output_tokens, max_tokens, sequence, overhead } = request;
            write!(f, "{:>8} ns request {arrived}: overhead {}, {prompt:?}", at.0, overhead.0)?;
            write!(f, " by {}, output {output_tokens} of {max_tokens}", prompt.block_tokens())?;
            writeln!(f, ", then {sequence:?}")?;
            arrived += 1;
        }
        Ok(())
    }
}

impl Action {
    /// Whether the boundaries at its very time come before it.
    #[must_use]
    pub const fn waits_for_boundaries(&self) -> bool {
        matches!(self, Self::Crash | Self::Observe | Self::Poke)
    }
}

/// What could be seen of an engine. Keys in `events` are the requests' indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests that were refused on arrival.
    pub refused: Vec<Index>,
    /// Requests that were alive when nothing could happen any more: a fault of the engine.
    pub never_served: Vec<Index>,
    /// When each token of each request was emitted.
    pub tokens: Vec<Vec<Femtos>>,
    /// The events, in order.
    pub events: Vec<ReplicaEvent>,
    /// What each cancel answered.
    pub cancels: Vec<bool>,
    /// What each crash lost.
    pub lost: Vec<Vec<Index>>,
    /// What each scrape saw.
    pub observations: Vec<(Nanos, Observation)>,
    /// Gaps between tokens: (length, how many), by length.
    pub gaps: Vec<(Femtos, u64)>,
    /// The counts at the end.
    pub totals: ReplicaTotals,
}

impl Outcome {
    /// The first difference from another outcome, in words.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        fn first<T: PartialEq + std::fmt::Debug>(what: &str, a: &[T], b: &[T]) -> Option<String> {
            let at = (0..a.len().max(b.len())).find(|&i| a.get(i) != b.get(i))?;
            Some(format!("{what} {at}: {:?} against {:?}", a.get(at), b.get(at)))
        }
        first("refused", &self.refused, &other.refused)
            .or_else(|| first("event", &self.events, &other.events))
            .or_else(|| {
                let requests = self.tokens.iter().zip(&other.tokens).enumerate();
                requests
                    .filter_map(|(i, (a, b))| first(&format!("request {i}, token"), a, b))
                    .next()
            })
            .or_else(|| first("cancel", &self.cancels, &other.cancels))
            .or_else(|| first("crash", &self.lost, &other.lost))
            .or_else(|| first("observation", &self.observations, &other.observations))
            .or_else(|| first("gap", &self.gaps, &other.gaps))
            .or_else(|| {
                (self.totals != other.totals)
                    .then(|| format!("totals: {:?} against {:?}", self.totals, other.totals))
            })
    }
}
