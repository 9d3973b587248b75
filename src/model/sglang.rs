//! SGLang's scheduler and memory: prefill before decode, one pool of tokens, a radix cache.
//!
//! The rules stand in `README.md`, section by section; `sglang/prefill.rs` has the prefill batch, `sglang/decode.rs` the
//! decode step, memory and release, `sglang/running.rs` the sums of the running batch, [`crate::cache`] the prefix cache.
//! Whatever a step changes in every sequence is a number that they share.
//!
//! KV tokens are conserved: asserted at every boundary in every build.

mod check;
mod decode;
mod prefill;
mod running;
#[cfg(test)]
mod tests;

use crate::cache::NodeId;
use crate::replica::count;
use crate::replica::request::Slot;
use crate::replica::scheduler::{DecodeRun, Iteration, Scheduler};
use crate::{
    CacheChange, EngineRequest, Femtos, ModelError, Observation, PrefillItem, PrefixCache, Replica,
    ReplicaConfig, ReplicaOutput, RequestKey,
};
use gorgo_types::Nanos;
use prefill::BatchItem;
use running::Running;

/// A simulated SGLang engine.
pub type SglangReplica = Replica<Sglang>;

/// A request in this engine.
type Live = crate::replica::request::Live<Held>;

/// The scheduler's memory.
#[derive(Clone, Debug)]
pub struct Sglang {
    /// What `new_token_ratio` loses each decode step, parts per billion.
    decay_ppb: u64,
    running: Running,
    /// The request whose prompt is computed in chunks.
    chunked: Option<Slot>,
    /// The prefill batch under way.
    batch: Vec<BatchItem>,
    batch_costs: Vec<PrefillItem>,

    cache: PrefixCache,
    /// Pool = free + tokens of the tree + own tokens of requests.
    free: u64,
    own: u64,

    ratio_ppb: u64,
    batch_is_full: bool,
}

/// What a request holds, and where it stands in the running batch.
#[derive(Clone, Debug)]
pub struct Held {
    max_tokens: u32,
    /// KV tokens that are its own and not the tree's, as of joining the running batch.
    own: u64,
    /// End of the path that it has locked, and the number of prompt blocks up to there.
    node: NodeId,
    node_blocks: u32,
    /// When it joined the running batch: decode steps by then, ordinal, index among the members.
    joined_at_step: u64,
    joined: u64,
    member: u32,
}

impl Live {
    /// min(M − g, clip): what admission sets aside for its further output.
    fn reserve(&self, clip: u32) -> u64 {
        u64::from((self.held.max_tokens - self.emitted).min(clip))
    }
}

/// Positions in a sequence fit 32 bits.
const MOST_TOKENS: u64 = u32::MAX as u64;

impl Scheduler for Sglang {
    type Held = Held;

    fn new(config: &ReplicaConfig) -> Result<Self, ModelError> {
        let limits = &config.limits;
        let span = limits.new_token_ratio_init_ppb - limits.new_token_ratio_min_ppb;
        let cache = PrefixCache::with_state_slots(limits.state_slots);
        Ok(Self {
            decay_ppb: u64::from(span / limits.new_token_ratio_decay_steps),
            running: Running::default(),
            chunked: None,
            batch: Vec::new(),
            batch_costs: Vec::new(),
            cache: cache
                .with_state_use(limits.state_use_ppb)
                .with_state_repeat(limits.state_repeat_ppb),
            free: config.kv_pool_tokens,
            own: 0,
            ratio_ppb: u64::from(limits.new_token_ratio_init_ppb),
            batch_is_full: false,
        })
    }

    fn restart(&mut self, config: &ReplicaConfig) {
        self.running.clear();
        self.chunked = None;
        self.batch.clear();
        self.cache.clear();
        self.free = config.kv_pool_tokens;
        self.own = 0;
        self.rest(config);
    }

    fn accept(
        replica: &SglangReplica,
        key: RequestKey,
        request: &EngineRequest,
    ) -> Result<(u32, Held), ModelError> {
        let (output, max) = (request.output_tokens.0, request.max_tokens.0);
        let Ok(max_tokens) = u32::try_from(max) else {
            return Err(ModelError::BadRequest {
                key,
                field: "max_tokens",
                value: max.to_string(),
                wanted: format!("at most {}", u32::MAX),
            });
        };
        let config = &replica.config;
        let reserved = max.min(u64::from(config.limits.clip_max_new_tokens));
        let (prompt, pool) = (request.prompt.tokens().0, config.kv_pool_tokens);
        if prompt + reserved >= pool || prompt + output > pool || prompt + output > MOST_TOKENS {
            return Err(ModelError::TooLarge {
                key,
                prompt_tokens: prompt,
                output_tokens: output,
                reserved_tokens: reserved,
                kv_pool_tokens: pool,
            });
        }
        let held = Held {
            max_tokens,
            own: 0,
            node: NodeId::ROOT,
            node_blocks: 0,
            joined_at_step: 0,
            joined: 0,
            member: 0,
        };
        // No larger than max_tokens, which fits.
        Ok((u32::try_from(output).unwrap_or(max_tokens), held))
    }

    #[inline]
    fn welcomes(replica: &SglangReplica) -> bool {
        // While the batch is full nothing is tried at a boundary, whoever waits.
        !replica.state.batch_is_full
    }

    fn queue_changed(_: &mut SglangReplica, _: Nanos) {
        // Where the first that waits could be admitted, every step is a boundary already.
    }

    #[inline]
    fn end_batch(replica: &mut SglangReplica, start: Femtos, at: Femtos, out: &mut ReplicaOutput) {
        replica.end_prefill(start, at, out);
    }

    #[inline]
    fn end_decode(replica: &mut SglangReplica, run: DecodeRun, out: &mut ReplicaOutput) {
        replica.count_steps(run, out);
        while let Some(slot) = replica.state.running.pop_finished() {
            replica.leave(slot);
            replica.finish(slot, out);
        }
    }

    #[inline]
    fn count_steps(replica: &mut SglangReplica, run: DecodeRun, out: &mut ReplicaOutput) {
        replica.count_steps(run, out);
    }

    #[inline]
    fn release_cancelled(replica: &mut SglangReplica, slot: Slot) {
        replica.release_cancelled(slot);
    }

    #[inline]
    fn start(replica: &mut SglangReplica, at: Femtos, out: &mut ReplicaOutput) -> Iteration {
        let next = if let Some(end) = replica.start_prefill(at) {
            Iteration::Batch { start: at, end }
        } else if !replica.state.running.is_empty() {
            Iteration::Decode(replica.start_decode(at, out))
        } else {
            assert!(replica.waiting.is_empty(), "whoever waits alone is admitted");
            replica.state.rest(&replica.config);
            Iteration::Idle
        };
        replica.assert_conserved();
        next
    }

    fn observe(replica: &SglangReplica, now: Nanos) -> Observation {
        let state = &replica.state;
        let under_way = match replica.iteration {
            Iteration::Decode(run) => {
                (run.steps_ended(now) + 1) * u64::from(state.running.sequences())
            }
            Iteration::Idle | Iteration::Batch { .. } => 0,
        };
        Observation {
            running_requests: count(state.running.len() + state.batch.len()),
            queued_requests: 0,
            used_tokens: replica.used_tokens() + under_way,
            cached_tokens: state.cache.evictable_tokens(),
            kv_pool_tokens: replica.config.kv_pool_tokens,
        }
    }

    fn check(replica: &SglangReplica) -> Result<(), String> {
        replica.check_state()
    }
}

impl Sglang {
    /// Nothing to do: the scheduler forgets what it had learnt.
    fn rest(&mut self, config: &ReplicaConfig) {
        self.ratio_ppb = u64::from(config.limits.new_token_ratio_init_ppb);
        self.batch_is_full = false;
    }
}

impl SglangReplica {
    /// Keeps what enters the prefix cache and leaves it, from now on; [`Self::take_cache_changes`] gives it.
    pub fn record_cache_changes(&mut self) {
        self.state.cache.record_changes();
    }

    /// What has entered the prefix cache and left it since the last time, in that order.
    pub fn take_cache_changes(&mut self) -> Vec<CacheChange> {
        self.state.cache.take_changes()
    }

    /// The pool less what is free or evictable.
    const fn used_tokens(&self) -> u64 {
        self.config.kv_pool_tokens - self.state.free - self.state.cache.evictable_tokens()
    }

    fn assert_conserved(&self) {
        let state = &self.state;
        assert!(
            state.free + state.own + state.cache.tokens() == self.config.kv_pool_tokens,
            "KV tokens are lost or doubled: free {} + own {} + cached {} of {}",
            state.free,
            state.own,
            state.cache.tokens(),
            self.config.kv_pool_tokens
        );
    }
}
