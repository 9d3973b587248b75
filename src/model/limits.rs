//! How an engine is set up: the scheduler's limits and the replica's size. Defaults are SGLang 0.5's.

use crate::{CostProfile, ModelError, VllmLimits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// In which order waiting requests are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// First come, first served.
    #[default]
    Fcfs,
    /// Longest cached prefix first, while at most 128 wait; first come, first served otherwise.
    Lpm,
}

/// The scheduler's limits. The default is that of SGLang 0.5 on an 80 GB GPU
/// (`server_args.py`, `managers/schedule_policy.py`, `managers/scheduler_components/new_token_ratio_tracker.py`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineLimits {
    /// Most uncached tokens in one prefill batch.
    pub max_prefill_tokens: u32,
    /// Most tokens computed in one prefill batch; a longer prompt is computed in chunks.
    pub chunked_prefill_tokens: u32,
    /// Most requests that run at once.
    pub max_running_requests: u32,
    /// Order of the waiting queue.
    pub schedule: Schedule,
    /// What admission reserves for one request's output at most, in tokens.
    pub clip_max_new_tokens: u32,
    /// Share of their remaining outputs that running requests are expected to use, when idle: parts per billion.
    pub new_token_ratio_init_ppb: u32,
    /// The least that share falls to, parts per billion.
    pub new_token_ratio_min_ppb: u32,
    /// Decode steps in which the share falls from its initial to its least value.
    pub new_token_ratio_decay_steps: u32,
    /// Room for so many further steps is made when requests are retracted.
    pub retract_decode_steps: u32,
    /// For a model with recurrent layers (linear attention, Mamba): how many of their states the prefix cache keeps; a
    /// prompt hits only up to one of them (SGLang: `max_mamba_cache_size`). None: the model has no such layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_slots: Option<u32>,
    /// With `state_slots`: at this share of the places where states are left, parts per billion, a request can go on from
    /// one. It is no rule of any engine, but stands in for what keeps one from using states that it should have. Which
    /// places these are is a matter of what stands before them alone, so they are the same in every replica and run.
    #[serde(skip_serializing_if = "is_all")]
    pub state_use_ppb: u32,
    /// With `state_slots`: this share of the prompts, parts per billion, leaves a state from which the same prompt, sent
    /// again, has one token to compute. SGLang without extra buffers leaves none: its state at the end of a prompt stands for
    /// all of it. Which prompts these are is a matter of their text alone.
    #[serde(skip_serializing_if = "is_none_of_it")]
    pub state_repeat_ppb: u32,
    /// The engine is vLLM, with these limits; those above, but for the KV pool's, are SGLang's and mean nothing to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vllm: Option<VllmLimits>,
}

/// Everything, in parts per billion.
const ALL_PPB: u32 = 1_000_000_000;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_all(ppb: &u32) -> bool {
    *ppb == ALL_PPB
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_none_of_it(ppb: &u32) -> bool {
    *ppb == 0
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_prefill_tokens: 16_384,
            chunked_prefill_tokens: 8_192,
            max_running_requests: 2_048,
            schedule: Schedule::Fcfs,
            clip_max_new_tokens: 4_096,
            new_token_ratio_init_ppb: 700_000_000,
            new_token_ratio_min_ppb: 98_000_000,
            new_token_ratio_decay_steps: 600,
            retract_decode_steps: 20,
            state_slots: None,
            state_use_ppb: ALL_PPB,
            state_repeat_ppb: 0,
            vllm: None,
        }
    }
}

/// One replica: what it costs, how large it is and how it schedules.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Times of prefill batches and decode steps.
    pub profile: Arc<CostProfile>,
    /// Tokens of KV that fit on the GPU beside the weights.
    pub kv_pool_tokens: u64,
    /// The scheduler's limits.
    pub limits: EngineLimits,
    /// False: no prompt is ever found in the cache (`--disable-radix-cache`).
    pub prefix_cache: bool,
}

impl ReplicaConfig {
    /// Refuses what no engine could run with.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] with the field, its value and what was wanted.
    pub fn validate(&self) -> Result<(), ModelError> {
        let limits = &self.limits;
        let at_least_one = [
            ("kv_pool_tokens", self.kv_pool_tokens),
            ("max_prefill_tokens", u64::from(limits.max_prefill_tokens)),
            ("chunked_prefill_tokens", u64::from(limits.chunked_prefill_tokens)),
            ("max_running_requests", u64::from(limits.max_running_requests)),
            ("new_token_ratio_decay_steps", u64::from(limits.new_token_ratio_decay_steps)),
        ];
        let at_least_one = at_least_one.into_iter();
        let vllm = limits.vllm.iter().flat_map(|vllm| {
            [
                ("max_num_batched_tokens", u64::from(vllm.max_num_batched_tokens)),
                ("max_num_seqs", u64::from(vllm.max_num_seqs)),
                ("block_tokens", u64::from(vllm.block_tokens)),
            ]
        });
        let slots = limits.state_slots.map(|slots| ("state_slots", u64::from(slots)));
        for (field, value) in at_least_one.chain(slots).chain(vllm) {
            if value == 0 {
                return Err(invalid(field, value, "at least 1"));
            }
        }
        if self.kv_pool_tokens > MAX_POOL_TOKENS {
            return Err(invalid("kv_pool_tokens", self.kv_pool_tokens, "at most 2^40"));
        }
        let (init, min) = (limits.new_token_ratio_init_ppb, limits.new_token_ratio_min_ppb);
        if init > 1_000_000_000 {
            let wanted = "at most 1000000000 (parts per billion)";
            return Err(invalid("new_token_ratio_init_ppb", u64::from(init), wanted));
        }
        let shares = [
            ("state_use_ppb", limits.state_use_ppb),
            ("state_repeat_ppb", limits.state_repeat_ppb),
        ];
        for (field, ppb) in shares {
            if ppb > ALL_PPB {
                let wanted = "at most 1000000000 (parts per billion)";
                return Err(invalid(field, u64::from(ppb), wanted));
            }
        }
        if min > init {
            let wanted = &format!("at most new_token_ratio_init_ppb = {init}");
            return Err(invalid("new_token_ratio_min_ppb", u64::from(min), wanted));
        }
        Ok(())
    }
}

/// Larger pools would let products of tokens and parts per billion leave 128 bits far from any real machine.
const MAX_POOL_TOKENS: u64 = 1 << 40;

fn invalid(field: &str, value: u64, wanted: &str) -> ModelError {
    ModelError::Invalid {
        part: "replica".to_owned(),
        field: field.to_owned(),
        value: value.to_string(),
        wanted: wanted.to_owned(),
    }
}
