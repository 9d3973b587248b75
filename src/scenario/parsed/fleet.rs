//! `[fleet]`: the replicas.

use gorgo_config::{Bytes, Count, Duration, Located};
use gorgo_model::Schedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The replicas: groups of equal ones, or in short the same in each of some regions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetTable {
    /// Groups of replicas; at least one. Not beside the short form.
    #[serde(default)]
    pub replicas: Located<Vec<Located<ReplicaTable>>>,
    /// The short form: regions that have the same replicas each, a group in each, named after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Located<Vec<Located<String>>>>,
    /// The short form: how many in each of `regions`. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_per_region: Option<Located<Count>>,
    /// The short form: GPU of a built-in profile, such as `h100-sxm`; goes with `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Located<String>>,
    /// The short form: model of a built-in profile, such as `llama-3.1-8b`; goes with `gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Located<String>>,
    /// The short form: a profile by name, instead of `gpu` and `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Located<String>>,
    /// The short form: the engine is vLLM V1, not SGLang. Default: the profile's engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vllm: Option<VllmTable>,
}

/// A group of equal replicas in one region.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaTable {
    /// What its replicas are called: `NAME-0`, `NAME-1`, ...; groups of one name count on. Default: the part of the
    /// region's name after the colon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Located<String>>,
    /// The region they stand in.
    pub region: Located<String>,
    /// The zone whose requests they may serve, beside those that are bound to no zone. Default: none; where no group has
    /// one, nobody asks where requests may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<Located<String>>,
    /// How much each of them is meant to bear against the others, for policies that compare load or take turns: a whole
    /// number, twice the weight twice the load. It says nothing of how fast they are. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Located<Count>>,
    /// How many. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Located<Count>>,
    /// GPU of a built-in profile, such as `h100-sxm`; goes with `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Located<String>>,
    /// Model of a built-in profile, such as `llama-3.1-8b`; goes with `gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Located<String>>,
    /// A profile by name, instead of `gpu` and `model`: one of `[[profiles]]` or a built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Located<String>>,
    /// Tokens of KV that fit on the GPU beside the weights. Default: the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_pool_tokens: Option<Located<Count>>,
    /// Memory for KV, instead of `kv_pool_tokens`: divided by the profile's bytes per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_pool_memory: Option<Located<Bytes>>,
    /// Most uncached tokens in one prefill batch. Default: the profile's, SGLang's 16,384.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_prefill_tokens: Option<Located<Count>>,
    /// Most tokens computed in one prefill batch; a longer prompt is computed in chunks. Default: the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunked_prefill_tokens: Option<Located<Count>>,
    /// Most requests that run at once. Default: the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_running_requests: Option<Located<Count>>,
    /// What admission reserves for one request's output at most, in tokens. Default: SGLang's 4,096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_max_new_tokens: Option<Located<u32>>,
    /// Share of their remaining outputs that running requests are expected to use, when idle: parts per billion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_token_ratio_init_ppb: Option<Located<u32>>,
    /// The least that share falls to, parts per billion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_token_ratio_min_ppb: Option<Located<u32>>,
    /// Decode steps in which the share falls from its initial to its least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_token_ratio_decay_steps: Option<Located<Count>>,
    /// Room for so many further steps is made when requests are retracted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retract_decode_steps: Option<Located<u32>>,
    /// For a model with recurrent layers (linear attention, Mamba): how many of their states the prefix cache keeps; a
    /// prompt hits only up to one of them. Default: the profile's; without it, the model has no such layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_slots: Option<Located<Count>>,
    /// With `state_slots`: at this share of the places where states are left, parts per billion, a request can go on from
    /// one; a stand-in for what is not known of an engine. Default: the profile's; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_use_ppb: Option<Located<u32>>,
    /// With `state_slots`: this share of the prompts, parts per billion, has one token to compute when it is sent again.
    /// Default: 0, as in SGLang without extra buffers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_repeat_ppb: Option<Located<u32>>,
    /// Order of the waiting queue: `fcfs` or `lpm`. Default: the profile's, SGLang's `fcfs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ScheduleName>")]
    pub schedule: Option<Schedule>,
    /// Time from a request's arrival at the engine until its scheduler sees it. Default: the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Duration>,
    /// False: no prompt is ever found in the cache. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_cache: Option<bool>,
    /// The engine is vLLM V1, not SGLang. Default: the profile's engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vllm: Option<VllmTable>,
}

/// The scheduler of vLLM V1. SGLang's limits mean nothing to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VllmTable {
    /// Most tokens that one step computes. Default: the profile's, else 8,192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_batched_tokens: Option<Located<Count>>,
    /// Most requests that run at once. Default: the profile's, else 1,024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_seqs: Option<Located<Count>>,
    /// Tokens per KV block; a multiple or a part of the workload's block size. Default: the profile's, else 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<Located<Count>>,
}

/// The names of `gorgo_model::Schedule`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum ScheduleName {
    Fcfs,
    Lpm,
}
