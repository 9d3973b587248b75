//! What goes into a replica and what comes out: requests, events, gaps, observations, totals. Data only.

use crate::Femtos;
use gorgo_types::{BlockChain, Nanos, Tokens};
use serde::{Deserialize, Serialize};

/// The caller's handle of a request, unique among the requests alive in one replica.
///
/// Keys index a vector inside the replica, so they should be dense: reuse them. The largest is 2^24 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestKey(pub u32);

/// A request as an engine gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRequest {
    /// The prompt. All chains given to one replica have one block size.
    pub prompt: BlockChain,
    /// How many tokens it will emit before it ends, at least 1. Only the end of the output looks at it.
    pub output_tokens: Tokens,
    /// What the client allows, at least `output_tokens`: what admission reckons with.
    pub max_tokens: Tokens,
    /// Prompt followed by output, where known: what enters the cache when the request ends.
    pub sequence: Option<BlockChain>,
    /// Time from arrival until the scheduler sees it: HTTP, tokenizer, IPC.
    pub overhead: Nanos,
}

/// What happened to a request, in the order in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaEvent {
    /// The first token was emitted.
    FirstToken {
        /// The request.
        key: RequestKey,
        /// When.
        at: Nanos,
        /// When the scheduler saw the request: arrival + overhead.
        ready: Nanos,
        /// When the prefill batch with its first tokens started.
        admitted: Nanos,
        /// Prompt tokens that the cache had.
        cached_tokens: Tokens,
    },
    /// The last token was emitted.
    Finished {
        /// The request.
        key: RequestKey,
        /// When.
        at: Nanos,
    },
    /// A cancel took effect; nothing more is heard of the request.
    Cancelled {
        /// The request.
        key: RequestKey,
        /// When.
        at: Nanos,
    },
    /// The request lost its KV for lack of memory and waits again.
    Retracted {
        /// The request.
        key: RequestKey,
        /// When.
        at: Nanos,
    },
}

impl ReplicaEvent {
    /// The request it is about.
    #[must_use]
    pub const fn key(&self) -> RequestKey {
        match *self {
            Self::FirstToken { key, .. }
            | Self::Finished { key, .. }
            | Self::Cancelled { key, .. }
            | Self::Retracted { key, .. } => key,
        }
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Nanos {
        match *self {
            Self::FirstToken { at, .. }
            | Self::Finished { at, .. }
            | Self::Cancelled { at, .. }
            | Self::Retracted { at, .. } => at,
        }
    }
}

/// Gaps between tokens, in runs: `steps` gaps, the first of length `first`, each `increment` longer than the one
/// before; each of them was seen by `sequences` sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRun {
    /// The first gap.
    pub first: Femtos,
    /// What each further gap is longer by.
    pub increment: Femtos,
    /// Number of gaps, at least 1.
    pub steps: u64,
    /// How many sequences saw each of them, at least 1.
    pub sequences: u32,
}

/// Exact times of a sequence's tokens, in runs: the k-th token (from 0) of the run was emitted at
/// `first_at + k·first + k(k − 1)/2·increment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRun {
    /// The request.
    pub key: RequestKey,
    /// When the run's first token was emitted, since time zero.
    pub first_at: Femtos,
    /// Gap between the run's first and second token.
    pub first: Femtos,
    /// What each further gap is longer by.
    pub increment: Femtos,
    /// Number of tokens, at least 1.
    pub steps: u64,
}

/// What `advance` reports: a buffer that the caller reuses. `advance` appends; the caller clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaOutput {
    /// Events in order of time.
    pub events: Vec<ReplicaEvent>,
    /// Gaps between tokens, all requests together.
    pub gaps: Vec<GapRun>,
    /// Token times by request, where [`Replica::record_token_runs`](super::Replica::record_token_runs) asks for them.
    pub runs: Option<Vec<TokenRun>>,
}

impl ReplicaOutput {
    /// Empties the buffer and keeps its memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.gaps.clear();
        if let Some(runs) = &mut self.runs {
            runs.clear();
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let no_runs = self.runs.as_ref().is_none_or(Vec::is_empty);
        self.events.is_empty() && self.gaps.is_empty() && no_runs
    }

    /// Moves everything out of `other` to the end.
    pub fn append(&mut self, other: &mut Self) {
        self.events.append(&mut other.events);
        self.gaps.append(&mut other.gaps);
        if let Some(runs) = &mut other.runs {
            self.runs.get_or_insert_default().append(runs);
        }
    }

    /// Adds the times of some tokens.
    pub(crate) fn push_run(&mut self, run: TokenRun) {
        self.runs.get_or_insert_default().push(run);
    }
}

/// What an engine's metrics endpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Requests in the running batch, in the prefill batch under way, or between two chunks.
    pub running_requests: u32,
    /// Requests that are ready and hold no KV, retracted ones included.
    pub queued_requests: u32,
    /// Tokens held by running requests: the pool less what is free or evictable.
    pub used_tokens: u64,
    /// Tokens that are cached and could be evicted.
    pub cached_tokens: u64,
    /// The pool.
    pub kv_pool_tokens: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplicaTotals {
    /// Time in prefill batches that have ended.
    pub prefill_busy: Femtos,
    /// Time in decode steps that have ended.
    pub decode_busy: Femtos,
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that ran to their end.
    pub finished: u64,
    /// Requests cancelled.
    pub cancelled: u64,
    /// Requests lost in a crash.
    pub lost: u64,
    /// Retractions.
    pub retracted: u64,
    /// Prefill batches that have ended.
    pub prefill_batches: u64,
    /// Chunks that did not complete their prompt.
    pub partial_chunks: u64,
    /// Tokens computed by prefill.
    pub prefill_tokens: u64,
    /// Prompt tokens found in the cache at admission.
    pub cached_tokens: u64,
    /// Requests with a part of their prompt found in the cache.
    pub hit_requests: u64,
    /// Decode steps that have ended.
    pub decode_steps: u64,
    /// Tokens emitted.
    pub emitted_tokens: u64,
    /// Tokens evicted to make room for prefill.
    pub evicted_in_prefill_tokens: u64,
    /// Tokens evicted to make room for decode.
    pub evicted_in_decode_tokens: u64,
    /// How often a refusal set *batch is full*.
    pub batch_full: u64,
    /// Prefill batches beyond what the profile was measured on: their times are extrapolated.
    pub extrapolated_prefill_batches: u64,
    /// Decode steps in runs that began beyond what the profile was measured on, likewise.
    pub extrapolated_decode_steps: u64,
    /// Integral of used tokens (as in [`Observation`]) over time up to `until`, in tokens × femtoseconds.
    pub kv_token_time: u128,
    /// Up to where the counts go: the last boundary.
    pub until: Femtos,
}

impl ReplicaTotals {
    /// Time in which the GPU worked.
    #[must_use]
    pub const fn busy(&self) -> Femtos {
        Femtos(self.prefill_busy.0 + self.decode_busy.0)
    }

    /// Tokens evicted.
    #[must_use]
    pub const fn evicted_tokens(&self) -> u64 {
        self.evicted_in_prefill_tokens + self.evicted_in_decode_tokens
    }
}
