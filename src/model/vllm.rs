//! vLLM V1's scheduler and memory: one token budget a step, shared by decodes and chunked prefills; KV in equal blocks.
//!
//! The rules stand in `README.md`, section *vLLM*; they were read in vLLM 0.32 (`v1/core/sched/scheduler.py`,
//! `kv_cache_manager.py`, `block_pool.py`). `vllm/step.rs` forms a step, `vllm/run.rs` has decode steps in runs,
//! `vllm/pool.rs` the blocks, `vllm/content.rs` what they are known by.
//!
//! Steps in which all that runs decodes and nobody new can join are one event, as in the other engine. Not modelled:
//! speculative decoding, priorities, asynchronous scheduling (which hides the scheduler's own time and never changes what is
//! computed), several KV groups.

mod content;
mod pool;
mod run;
mod step;
#[cfg(test)]
mod tests;

use crate::replica::count;
use crate::replica::request::Slot;
use crate::replica::scheduler::{DecodeRun, Iteration, Scheduler};
use crate::{
    CacheChange, EngineRequest, Femtos, ModelError, Observation, PrefillItem, Replica,
    ReplicaConfig, ReplicaOutput, RequestKey,
};
use gorgo_types::{BlockChain, BlockId, Nanos};
use pool::{Block, Pool};
use serde::{Deserialize, Serialize};

/// A simulated vLLM engine. Of its KV pool whole blocks count, less one that vLLM never uses; what it observes are tokens of
/// whole blocks, in the middle of a run of steps those of its first step.
pub type VllmReplica = Replica<Vllm>;

/// A request in this engine.
type Live = crate::replica::request::Live<Held>;

/// The limits of vLLM's scheduler. The default is that of its OpenAI server on an 80 GB GPU other than an A100
/// (`engine/arg_utils.py` of 0.32); smaller GPUs and the A100 have 2,048 tokens and 256 sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VllmLimits {
    /// Most tokens that one step computes (`--max-num-batched-tokens`).
    pub max_num_batched_tokens: u32,
    /// Most requests that run at once (`--max-num-seqs`).
    pub max_num_seqs: u32,
    /// Tokens per KV block (`--block-size`). A multiple or a part of the workload's block size.
    pub block_tokens: u32,
}

impl Default for VllmLimits {
    fn default() -> Self {
        Self { max_num_batched_tokens: 8_192, max_num_seqs: 1_024, block_tokens: 16 }
    }
}

/// Some of a request's tokens, computed in one step.
#[derive(Clone, Copy, Debug)]
struct Part {
    slot: Slot,
    new_tokens: u32,
}

/// The scheduler's memory.
#[derive(Clone, Debug)]
pub struct Vllm {
    limits: VllmLimits,
    pool: Pool,
    /// In the order in which they were admitted.
    running: Vec<Slot>,
    batch: Vec<Part>,
    prefills: Vec<PrefillItem>,
    /// Scratch: blocks found in the cache.
    found: Vec<Block>,
}

/// The blocks of a request.
#[derive(Clone, Debug, Default)]
pub struct Held {
    blocks: Vec<Block>,
    /// How many of them are named.
    named: u32,
    /// Whether it has been admitted before.
    was_admitted: bool,
}

impl Scheduler for Vllm {
    type Held = Held;

    fn new(config: &ReplicaConfig) -> Result<Self, ModelError> {
        let limits = config.limits.vllm.clone().unwrap_or_default();
        let blocks = (config.kv_pool_tokens / u64::from(limits.block_tokens)).saturating_sub(1);
        let refuse = |wanted: &str| ModelError::Invalid {
            part: "replica".to_owned(),
            field: "kv_pool_tokens".to_owned(),
            value: config.kv_pool_tokens.to_string(),
            wanted: wanted.to_owned(),
        };
        let blocks = u32::try_from(blocks).ok().filter(|&blocks| blocks < u32::MAX);
        let blocks = blocks.ok_or_else(|| refuse("fewer than 2^32 blocks"))?;
        if blocks == 0 {
            return Err(refuse("two blocks or more"));
        }
        Ok(Self {
            pool: Pool::new(blocks, config.prefix_cache),
            limits,
            running: Vec::new(),
            batch: Vec::new(),
            prefills: Vec::new(),
            found: Vec::new(),
        })
    }

    fn restart(&mut self, _: &ReplicaConfig) {
        self.running.clear();
        self.batch.clear();
        self.pool.clear();
    }

    fn accept(
        replica: &VllmReplica,
        key: RequestKey,
        request: &EngineRequest,
    ) -> Result<(u32, Held), ModelError> {
        let state = &replica.state;
        let (chain, own) = (request.prompt.block_tokens(), state.limits.block_tokens);
        if !chain.is_multiple_of(own) && !own.is_multiple_of(chain) {
            return Err(ModelError::BadRequest {
                key,
                field: "block size",
                value: chain.to_string(),
                wanted: format!("a multiple or a part of the engine's {own}"),
            });
        }
        let (prompt, output) = (request.prompt.tokens().0, request.output_tokens.0);
        let pool = u64::from(state.pool.blocks()) * u64::from(own);
        match u32::try_from(prompt.saturating_add(output)) {
            Ok(all) if u64::from(all) <= pool => Ok((all - prompt as u32, Held::default())),
            _ => Err(ModelError::TooLarge {
                key,
                prompt_tokens: prompt,
                output_tokens: output,
                reserved_tokens: output,
                kv_pool_tokens: pool,
            }),
        }
    }

    fn welcomes(_: &VllmReplica) -> bool {
        true
    }

    fn queue_changed(replica: &mut VllmReplica, now: Nanos) {
        // Whoever is first now may fit.
        replica.cut_run(Femtos::from_nanos(now));
    }

    fn end_batch(replica: &mut VllmReplica, start: Femtos, at: Femtos, out: &mut ReplicaOutput) {
        replica.end_step(start, at, out);
    }

    fn end_decode(replica: &mut VllmReplica, run: DecodeRun, out: &mut ReplicaOutput) {
        replica.count_steps(run, out);
        replica.end_finished(out);
    }

    fn count_steps(replica: &mut VllmReplica, run: DecodeRun, out: &mut ReplicaOutput) {
        replica.count_steps(run, out);
    }

    fn release_cancelled(replica: &mut VllmReplica, slot: Slot) {
        replica.state.running.retain(|&other| other != slot);
        replica.release(slot);
    }

    fn start(replica: &mut VllmReplica, at: Femtos, out: &mut ReplicaOutput) -> Iteration {
        replica.start_step(at, out)
    }

    fn observe(replica: &VllmReplica, _: Nanos) -> Observation {
        let state = &replica.state;
        let size = u64::from(state.limits.block_tokens);
        Observation {
            running_requests: count(state.running.len()),
            queued_requests: 0,
            used_tokens: state.used_tokens(),
            cached_tokens: u64::from(state.pool.free_known()) * size,
            kv_pool_tokens: u64::from(state.pool.blocks()) * size,
        }
    }

    fn check(replica: &VllmReplica) -> Result<(), String> {
        let state = &replica.state;
        state.pool.audit()?;
        for &slot in &state.running {
            let live = replica.requests.at(slot);
            let room = live.held.blocks.len() as u64 * u64::from(state.limits.block_tokens);
            if u64::from(live.computed) > room {
                return Err(format!("{:?} has {} tokens in {room}", live.key, live.computed));
            }
        }
        let placed = replica.coming.len() + replica.waiting.len() + state.running.len();
        if placed != replica.requests.len() {
            return Err(format!("{placed} requests have a place, not {}", replica.requests.len()));
        }
        Ok(())
    }
}

impl Vllm {
    /// Tokens of the blocks that are held.
    fn used_tokens(&self) -> u64 {
        let held = self.pool.blocks() - self.pool.free();
        u64::from(held) * u64::from(self.limits.block_tokens)
    }
}

impl VllmReplica {
    /// As [`crate::SglangReplica::record_cache_changes`], of the engine's own blocks ([`VllmReplica::block_id`]). As vLLM
    /// says it: a block that is computed twice is told twice, stored and removed.
    pub fn record_cache_changes(&mut self) {
        self.state.pool.record_changes();
    }

    /// As [`crate::SglangReplica::take_cache_changes`].
    pub fn take_cache_changes(&mut self) -> Vec<CacheChange> {
        self.state.pool.take_changes()
    }

    /// What the engine block `index` of a chain, of `block_tokens` tokens, is told as; none: the chain has no such block, or
    /// neither block size is a multiple of the other.
    #[must_use]
    pub fn block_id(chain: &BlockChain, index: u32, block_tokens: u32) -> Option<BlockId> {
        let own = chain.block_tokens();
        let fits = block_tokens > 0
            && (own.is_multiple_of(block_tokens) || block_tokens.is_multiple_of(own));
        fits.then(|| content::content(chain, index, block_tokens)).flatten()
    }

    /// Ends a request that may hold blocks.
    fn release(&mut self, slot: Slot) -> RequestKey {
        let live = self.requests.at(slot);
        let key = live.key;
        self.state.pool.release(&live.held.blocks);
        self.requests.free(slot);
        key
    }
}
