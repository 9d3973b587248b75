//! Parameters of the ART-Chat workload. The defaults are the window of 5 April, 16:15 to 16:45; the numbers of all three
//! windows, with their sources and where those disagree, are in `data/workload/art_chat_windows.csv` and its README.

use crate::WorkloadError;
use crate::draws::{Length, LengthSpec, OriginShare, Origins};
use crate::error::{in_range, whole_in_range};
use crate::{SystemPrompts, art_chat::shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many turns conversations have when the window ends, those before the window included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtTurns {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Most.
    pub max: f64,
}

/// Tokens of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtInputTokens {
    /// Length of the busiest user's prompts, which are all alike.
    pub top_user: u32,
    /// Median of all prompts.
    pub median: u32,
    /// Mean of all prompts.
    pub mean: f64,
    /// 95th percentile of all prompts.
    pub p95: u32,
    /// Longest prompt.
    pub max: u32,
}

/// How a user's requests cluster in time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Requests of a burst; 1: a user's requests are spread evenly at random over the span.
    pub requests: u32,
    /// Mean gap between them, in seconds; exponential.
    pub gap_s: f64,
}

/// Parameters of [`ArtChat`](crate::ArtChat).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArtChatSpec {
    /// How many requests.
    pub requests: u32,
    /// Time from the first to about the last request, in seconds.
    pub span_s: f64,
    /// Times are divided by this; bursts and the span are in the time before.
    pub speedup: f64,
    /// How many users; exact.
    pub users: u32,
    /// Share of the requests that the busiest user sends, all of the same short prompt.
    pub top_user_share: f64,
    /// The k-th of the other users sends a share of the rest in proportion to `1 / k^user_zipf_exponent`, at least one
    /// request (an assumption: no distribution is published).
    pub user_zipf_exponent: f64,
    /// Share of the requests that have earlier turns; the others are lone.
    pub multi_turn_share: f64,
    /// How many of its requests a conversation has in the span, in the mean; fewer where the turns leave no room, as a
    /// conversation has at least one turn more than requests.
    pub requests_per_conversation: f64,
    /// How many turns conversations have when the span ends.
    pub turns: ArtTurns,
    /// Tokens of prompts.
    pub input_tokens: ArtInputTokens,
    /// Tokens of a whole answer, which is what clients ask for.
    pub output_tokens: u32,
    /// Share of the answers that are whole; the others are cut at a length that is even at random.
    pub output_full_share: f64,
    /// Share of all blocks of prompts that the same user's earlier prompts had: requests are given to users so that it
    /// comes out.
    pub reuse_intra_user: f64,
    /// Tokens per block of that figure. Default: 256, the blocks of the data set's own `hash_ids`.
    pub reuse_block_tokens: u32,
    /// Tokens per block of the prompts.
    pub block_tokens: u32,
    /// Tokens of the chat template, with which all prompts of all users begin. As caches and indexes match whole
    /// blocks, fewer than `block_tokens` match nothing.
    pub template_tokens: u32,
    /// System prompts that users share; the busiest user has none.
    pub system: SystemPrompts,
    /// Which text template and busiest user have, the same under every seed; none: another under each. A policy that
    /// hashes prompts then sends this user to the same replica under every seed.
    pub top_user_text: Option<u32>,
    /// How a user's requests cluster in time (an assumption).
    pub bursts: Bursts,
    /// Of times and lengths that were given: a request as long as an earlier one, at most so many recorded seconds
    /// before, is the same user's. 0: lengths say nothing of that kind.
    pub repeat_window_s: f64,
    /// Where users sit; none: the unknown origin.
    pub origins: Vec<OriginShare>,
}

impl Default for ArtChatSpec {
    fn default() -> Self {
        let tokens = LengthSpec { mean: 380.0, sd: 200.0, min: 16, max: 2_048 };
        Self {
            requests: 7_195,
            span_s: 1_800.0,
            speedup: 1.0,
            users: 579,
            top_user_share: 0.3181,
            user_zipf_exponent: 0.7,
            multi_turn_share: 0.739,
            requests_per_conversation: 5.41,
            turns: ArtTurns { mean: 30.3, median: 10.0, p90: 91.0, max: 279.0 },
            input_tokens: ArtInputTokens {
                top_user: 17,
                median: 5_638,
                mean: 6_877.0,
                p95: 19_886,
                max: 23_872,
            },
            output_tokens: 128,
            output_full_share: 0.98,
            reuse_intra_user: 0.785,
            reuse_block_tokens: 256,
            block_tokens: 256,
            template_tokens: 16,
            system: SystemPrompts { count: 16, zipf_exponent: 0.0, tokens },
            top_user_text: None,
            bursts: Bursts { requests: 4, gap_s: 15.0 },
            repeat_window_s: 0.0,
            origins: Vec::new(),
        }
    }
}

impl ArtChatSpec {
    /// How many requests the busiest user sends.
    #[must_use]
    pub fn top_user_requests(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the requests, rounded"
        )]
        let top = (f64::from(self.requests) * self.top_user_share).round() as u32;
        top
    }

    /// Checks that there are lengths with the wanted percentiles and mean, which only drawn ones need.
    ///
    /// # Errors
    /// Where there are none.
    pub fn validate_lengths(&self) -> Result<(), WorkloadError> {
        shape::input_lengths(self).map(drop)
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is out of range, or there are fewer requests than users.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        const MOST: u64 = 16_000_000;
        whole_in_range("requests", u64::from(self.requests), 1, MOST, "requests")?;
        in_range("span_s", self.span_s, 1e-3, 1e9, "seconds")?;
        in_range("speedup", self.speedup, 1e-6, 1e6, "recorded time / simulated time")?;
        in_range("top_user_share", self.top_user_share, 0.0, 1.0, "share")?;
        let others = self.requests.saturating_sub(self.top_user_requests());
        // The busiest user is one of them.
        let most = u64::from(others) + u64::from(self.top_user_requests() > 0);
        let unit = "users, at most one for each request, and all requests of the busiest one's";
        whole_in_range("users", u64::from(self.users), 1, most, unit)?;
        if others > 0 && self.users < 2 && self.top_user_requests() > 0 {
            whole_in_range("users", u64::from(self.users), 2, most, unit)?;
        }
        in_range("user_zipf_exponent", self.user_zipf_exponent, 0.0, 10.0, "exponent")?;
        in_range("multi_turn_share", self.multi_turn_share, 0.0, 1.0, "share")?;
        let per = self.requests_per_conversation;
        in_range("requests_per_conversation", per, 1.0, 1e6, "requests")?;
        in_range("turns.median", self.turns.median, 2.0, 1e6, "turns")?;
        in_range("turns.p90", self.turns.p90, self.turns.median, 1e6, "turns")?;
        in_range("turns.max", self.turns.max, self.turns.p90, 1e6, "turns")?;
        in_range("turns.mean", self.turns.mean, 2.0, self.turns.max, "turns")?;
        let input = &self.input_tokens;
        let (median, p95, max) =
            (u64::from(input.median), u64::from(input.p95), u64::from(input.max));
        whole_in_range("input_tokens.max", max, 1, MOST, "tokens")?;
        whole_in_range("input_tokens.p95", p95, 1, max, "tokens")?;
        whole_in_range("input_tokens.median", median, 1, p95, "tokens")?;
        whole_in_range("input_tokens.top_user", u64::from(input.top_user), 1, median, "tokens")?;
        in_range("input_tokens.mean", input.mean, 1.0, f64::from(input.max), "tokens")?;
        whole_in_range("output_tokens", u64::from(self.output_tokens), 1, MOST, "tokens")?;
        in_range("output_full_share", self.output_full_share, 0.0, 1.0, "share")?;
        in_range("reuse_intra_user", self.reuse_intra_user, 0.0, 1.0, "share")?;
        let blocks =
            [("reuse_block_tokens", self.reuse_block_tokens), ("block_tokens", self.block_tokens)];
        for (field, tokens) in blocks {
            whole_in_range(field, u64::from(tokens), 1, 1 << 20, "tokens")?;
        }
        whole_in_range("template_tokens", u64::from(self.template_tokens), 0, MOST, "tokens")?;
        whole_in_range("system.count", u64::from(self.system.count), 0, MOST, "prompts")?;
        in_range("system.zipf_exponent", self.system.zipf_exponent, 0.0, 10.0, "exponent")?;
        Length::new("system.tokens", self.system.tokens)?;
        whole_in_range("bursts.requests", u64::from(self.bursts.requests), 1, MOST, "requests")?;
        in_range("bursts.gap_s", self.bursts.gap_s, 0.0, 1e9, "seconds")?;
        in_range("repeat_window_s", self.repeat_window_s, 0.0, 1e9, "seconds")?;
        shape::Depths::new(&self.turns)?;
        Origins::new(&self.origins).map(drop)
    }
}
