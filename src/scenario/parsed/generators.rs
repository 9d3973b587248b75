//! `[workload.art_chat]` and `[workload.servegen]`: workloads that are made to have what is published of recorded ones.
//! What a key leaves out is in `data/workload`.

use gorgo_config::{
    Count, Duration, Located, NonNegative, Positive, PositiveDuration, Rate, Share,
};
use gorgo_workload::art_chat::{ArtInputTokens, ArtTurns};
use gorgo_workload::{ClientCv, OriginShare, SystemPrompts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Long chats with high reuse, matched to what is published of a window of ART-Chat-2.5M. Defaults are the window's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtChatTable {
    /// Which window. Default: apr5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Located<ArtWindow>>,
    /// A table of arrival times and lengths, of any kind that `arrivals_csv` reads, to which users and prompts are
    /// added, instead of drawing them; a relative path starts at the scenario file's folder. The busiest user is who
    /// sends the most frequent length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Located<String>>,
    /// How many requests; users are fewer in proportion, where they are not given. Beside `arrivals`: at most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// Time from the first to about the last request. Not beside `arrivals`. Default: 30min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Located<PositiveDuration>>,
    /// How many users; exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Located<u32>>,
    /// Share of the requests that the busiest user sends, all of one short length. Not beside `arrivals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_user_share: Option<Located<Share>>,
    /// The k-th of the other users sends in proportion to `1 / k^user_zipf_exponent`. Default: 0.7, an assumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_zipf_exponent: Option<Located<NonNegative>>,
    /// Share of the requests that have earlier turns; the others are lone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_turn_share: Option<Located<Share>>,
    /// How many of its requests a conversation has in the span, in the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_conversation: Option<Located<Positive>>,
    /// How many turns conversations have when the span ends, those before it included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Located<ArtTurns>>,
    /// Tokens of prompts. Not beside `arrivals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<Located<ArtInputTokens>>,
    /// Tokens of a whole answer, which is what clients ask for as `max_tokens`. Default: 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Located<u32>>,
    /// Share of the answers that are whole. Not beside `arrivals`. Default: 0.98.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_full_share: Option<Located<Share>>,
    /// Share of all blocks of prompts that the same user's earlier prompts had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_intra_user: Option<Located<Share>>,
    /// Tokens per block of that share. Default: 256, the data set's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_block_tokens: Option<Located<u32>>,
    /// Tokens per block of the prompts. Default: 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<Located<u32>>,
    /// Tokens of the chat template, with which all prompts begin; fewer than `block_tokens` match nothing. Default: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_tokens: Option<Located<u32>>,
    /// System prompts that users share. Default: 16, as long as the window's reuse across users asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Located<SystemPrompts>>,
    /// Which text template and busiest user have, the same under every seed, so that a policy that hashes prompts sends this
    /// user to the same replica under every seed. Default: another under each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_user_text: Option<Located<u32>>,
    /// How a user's requests cluster in time. Default: 4 requests, 15s apart, an assumption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Located<BurstsTable>>,
    /// A request of `arrivals` that is as long as an earlier one, at most so long before, is the same user's. Default: 0s,
    /// lengths say nothing of that kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_window: Option<Located<Duration>>,
    /// Where users sit. Default: unknown, which `[network.clients]` places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Located<Vec<OriginShare>>>,
}

/// A window of 30 minutes that the GORGO authors replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtWindow {
    /// 5 April, 16:15: 7,195 requests of 579 users; the weights were tuned on it.
    #[default]
    Apr5,
    /// 6 April, 15:05: 7,630 requests of 606 users.
    Apr6,
    /// 7 April, 19:45: 8,663 requests of 540 users.
    Apr7,
}

impl ArtWindow {
    /// Its name in scenarios and in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apr5 => "apr5",
            Self::Apr6 => "apr6",
            Self::Apr7 => "apr7",
        }
    }
}

/// How a user's requests cluster in time.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BurstsTable {
    /// Requests of a burst; 1: a user's requests are spread evenly at random.
    pub requests: u32,
    /// Mean gap between them.
    pub gap: Duration,
}

/// A mix of clients as in ServeGen. Defaults are the service's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServegenTable {
    /// Which service: its rate over time, lengths and clients. Default: m-large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Located<ServegenService>>,
    /// Mean rate over all of the service's time. Default: the service's own, 196 to 1,790 requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Located<Rate>>,
    /// True: the rate is the same at all times. Default: false, it follows the service's in windows of 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<bool>,
    /// Where time zero lies in the service's time, of 14 days (deepseek-r1: 1 day). Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Located<Duration>>,
    /// How many requests in all. Default: 10,000 where no `duration` is given, else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Located<Count>>,
    /// No request is scheduled from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Located<PositiveDuration>>,
    /// How many clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Located<u32>>,
    /// Share of the rate that the busiest ten send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top10_share: Option<Located<Share>>,
    /// Rate-weighted percentiles of clients' coefficients of variation of gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cv: Option<Located<ClientCv>>,
    /// Share of the clients whose gaps are Weibull; those of the others are gamma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weibull_share: Option<Located<Share>>,
    /// Tokens per block of the made-up prompts. Default: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<Located<u32>>,
    /// Where clients sit. Default: unknown, which `[network.clients]` places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Located<Vec<OriginShare>>>,
}

/// A model service whose aggregates ServeGen publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServegenService {
    /// 162 clients, 973 tokens of prompt and 160 of answer in the mean.
    #[default]
    MLarge,
    /// 109 clients, 301 and 52 tokens; the burstiest.
    MMid,
    /// 43 clients, 128 and 18 tokens; ten of them send 93 %.
    MSmall,
    /// 73 clients, 1,596 and 1,690 tokens: a reasoning model, of which one day is published.
    DeepseekR1,
}

impl ServegenService {
    /// Its name in scenarios and in the tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MLarge => "m-large",
            Self::MMid => "m-mid",
            Self::MSmall => "m-small",
            Self::DeepseekR1 => "deepseek-r1",
        }
    }
}
