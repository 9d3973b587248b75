//! `[workload]`: what is asked of the fleet. Lengths, turns, prompts and origins are the workload crate's own types;
//! here they get units and places.

use super::{ArtChatTable, ServegenTable, keep_if};
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
    /// Long chats with high reuse, as in the windows of ART-Chat-2.5M that the GORGO authors replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub art_chat: Option<Located<ArtChatTable>>,
    /// Lone requests of a mix of clients, bursty and at a production service's rate, as in ServeGen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servegen: Option<Located<ServegenTable>>,
}

impl WorkloadTable {
    /// Takes away every kind that is not kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Self { chat, wildchat, trace, arrivals_csv, prefix_groups, art_chat, servegen } = self;
        keep_if(keep("chat"), chat);
        keep_if(keep("wildchat"), wildchat);
        keep_if(keep("trace"), trace);
        keep_if(keep("arrivals_csv"), arrivals_csv);
        keep_if(keep("prefix_groups"), prefix_groups);
        keep_if(keep("art_chat"), art_chat);
        keep_if(keep("servegen"), servegen);
    }
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
    /// How the rate of new sessions follows the local time of `origins`, and drifts. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<Located<DayTable>>,
}

/// How the rate of new sessions follows the time of day, and drifts. Local time is solar: UTC + longitude / 15; origins
/// of which the place is not known have the mean of a day at all hours.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayTable {
    /// The time of day at time zero, after midnight UTC, such as "14h". Default: 0s.
    #[serde(default)]
    pub start: Duration,
    /// Rates in the 24 hours of local time, from midnight on; their mean is the rate of `[load]`.
    pub hourly: Located<Vec<f64>>,
    /// Standard deviation / mean of a slow lognormal drift of the rate, which begins at its mean. Default: 0, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_cv: Option<Located<NonNegative>>,
    /// Time over which the drift keeps 1/e of its correlation. Default: 6h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_time: Option<Located<PositiveDuration>>,
}

/// Chat sessions as published of WildChat. What is not here is [`ChatTable`]'s default; a resolved scenario says it as
/// `[workload.chat]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WildchatTable {
    /// Which sample says where users sit. Default: first-9930.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Located<CountrySample>>,
    /// Whether users of the United States are spread over its states, by a biased sample. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub us_states: Option<bool>,
    /// The time of day at time zero, after midnight UTC, such as "14h". Not for a closed loop, which has no rate.
    /// Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Located<Duration>>,
    /// How the rate of new sessions follows users' local time. Not for a closed loop. Default: m-small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Located<HourlyCurve>>,
    /// Standard deviation / mean of a slow drift of that rate. Not for a closed loop. Default: 0.34.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_cv: Option<Located<NonNegative>>,
    /// Turns of a session. Default: as published of WildChat. `{ fixed = { turns = 1 } }` takes first messages alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Located<TurnCount>>,
    /// Time between an answer and what its user does next: another turn, or in a closed loop another session. Default: as
    /// for chat. `{ mean = "0s" }` is a load generator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Located<ThinkTable>>,
    /// System prompts that sessions share. Default: as for chat; WildChat publishes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Located<SystemPrompts>>,
    /// A session ends before a turn whose prompt and output would be longer. Default: 131,072, which the published
    /// lengths need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<Located<u32>>,
    /// How many requests in all. Default: 10,000 where no `duration` is given, else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// No request is scheduled from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Located<PositiveDuration>>,
    /// Users among whom sessions are spread; 0: each session has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Located<u64>>,
    /// Tokens of an answer. Default: as published of WildChat, cut at 4,096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Located<LengthSpec>>,
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

/// A published curve of the hours of a day: that of a model service of ServeGen's, its hour 0 taken for midnight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HourlyCurve {
    /// The same rate at all hours.
    Flat,
    /// 0.66 of the mean at five in the morning, 1.46 at eight in the evening: the only one that reads as a day.
    #[default]
    MSmall,
    /// 0.84 to 1.17 of the mean, in no daily rhythm.
    MMid,
    /// 0.79 to 1.14 of the mean, lowest at eight.
    MLarge,
}

impl HourlyCurve {
    /// Its name in scenarios and in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::MSmall => "m-small",
            Self::MMid => "m-mid",
            Self::MLarge => "m-large",
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
