//! `[workload]`: what is asked of the fleet. Lengths, turns, prompts and origins are the workload crate's own types;
//! here they get units and places.

use gorgo_config::{Count, Duration, Located, NonNegative, PositiveDuration};
use gorgo_workload::{LengthSpec, OriginShare, SystemPrompts, TurnCount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked of the fleet: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadTable {
    /// Generated chat sessions with turns, shared system prompts and think time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Located<ChatTable>>,
    /// Chat sessions as published of WildChat: turns, lengths and countries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wildchat: Option<Located<WildchatTable>>,
    /// A recorded trace, known by what stands in it: gorgo's own format, Mooncake's, ART-Chat's, a table of arrivals
    /// (gorgo's, Azure's or BurstGPT's), or GuideLLM's prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Located<TraceTable>>,
    /// Arrival times and lengths without prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals_csv: Option<Located<ArrivalsCsvTable>>,
    /// Generated lone requests that share prefixes: for runs of any size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_groups: Option<Located<PrefixGroupsTable>>,
}

/// Generated chat sessions. Defaults are `gorgo_workload::ChatSpec`'s, which names their sources.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatTable {
    /// How many requests in all. Default: 10,000 where no `duration` is given, else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// No request is scheduled from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Located<PositiveDuration>>,
    /// Tokens per block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<Located<u32>>,
    /// How long an answer is taken to last, where later turns are due at planned times (`turns = "recorded"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumed_service: Option<ServiceTable>,
    /// Turns of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Located<TurnCount>>,
    /// System prompts that sessions share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Located<SystemPrompts>>,
    /// Tokens of one user text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_tokens: Option<Located<LengthSpec>>,
    /// Tokens of one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Located<LengthSpec>>,
    /// What clients ask for as `max_tokens`. Default: the answer's length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Located<u32>>,
    /// A session ends before a turn whose prompt and output would be longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<Located<u32>>,
    /// Time between an answer and the next turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Located<ThinkTable>>,
    /// Users among whom sessions are spread; 0: each session has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Located<u64>>,
    /// Where users sit. Default: unknown, which `[network.clients]` places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Located<Vec<OriginShare>>>,
}

/// Chat sessions as published of WildChat. What is not here is [`ChatTable`]'s default; a resolved scenario says it as
/// `[workload.chat]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WildchatTable {
    /// Which sample says where users sit. Default: first-9930.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Located<CountrySample>>,
    /// How many requests in all. Default: 10,000 where no `duration` is given, else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// No request is scheduled from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Located<PositiveDuration>>,
    /// Users among whom sessions are spread; 0: each session has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Located<u64>>,
    /// What clients ask for as `max_tokens`. Default: the answer's length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Located<u32>>,
}

/// A published sample of WildChat's countries. They disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CountrySample {
    /// The first 9,930 conversations of WildChat-1M, of April 2023, in all languages: China first.
    #[default]
    #[serde(rename = "first-9930")]
    First9930,
    /// 188,732 English conversations without toxic ones: the United States first.
    #[serde(rename = "english-188732")]
    English188732,
}

impl CountrySample {
    /// Its name in scenarios and in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First9930 => "first-9930",
            Self::English188732 => "english-188732",
        }
    }
}

/// Lognormal think time.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThinkTable {
    /// Mean; 0s: no think time.
    pub mean: Duration,
    /// Standard deviation. Default: 0s, always the mean.
    #[serde(default)]
    pub sd: Duration,
}

/// How long an answer is taken to last where nobody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceTable {
    /// Whatever its length.
    pub base: Duration,
    /// For each output token.
    pub per_token: Duration,
}

/// A recorded trace.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceTable {
    /// The file, plain, gzip or zstd; a relative path starts at the scenario file's folder.
    pub path: Located<String>,
    /// At most so many requests. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// For `turns = "after-previous"`: how much of a recorded gap between turns was service. Default: none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumed_service: Option<ServiceTable>,
}

/// Arrival times and lengths from a CSV file: gorgo's columns `request_id`, `arrival_ms`, `input_tokens`,
/// `output_tokens`, Azure's or BurstGPT's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArrivalsCsvTable {
    /// The file, plain, gzip or zstd; a relative path starts at the scenario file's folder.
    pub path: Located<String>,
    /// At most so many requests. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// Tokens per block of the made-up prompts. Default: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<Located<u32>>,
}

/// Lone requests that share prefixes. Defaults are `gorgo_workload::PrefixGroupsSpec`'s.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixGroupsTable {
    /// How many requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// Tokens per block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<Located<u32>>,
    /// How many shared prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Located<u32>>,
    /// Weight of prefix k (from 1) is `1 / k^zipf_exponent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zipf_exponent: Option<Located<NonNegative>>,
    /// Lengths of the shared prefixes in tokens: prefix k has the (k mod n)-th of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_tokens: Option<Located<Vec<u32>>>,
    /// Fewest tokens of a request's own, after its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_tokens_min: Option<Located<u32>>,
    /// Most tokens of a request's own; lengths are uniform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_tokens_max: Option<Located<u32>>,
    /// Fewest output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_min: Option<Located<u32>>,
    /// Most output tokens; lengths are uniform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<Located<u32>>,
    /// Where requests come from. Default: unknown, which `[network.clients]` places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Located<Vec<OriginShare>>>,
}
