//! What the summary of a run against real URLs says beside: whether the client kept its times, and how rounds differ.

use crate::{Distribution, Summary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run against real URLs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveSummary {
    /// From when a request was to be sent until it was.
    pub send_lag_ms: Distribution,
    /// The 99th percentile that it may have.
    pub send_lag_limit_ms: f64,
    /// Whether it was kept: of a run that is not valid no number says what it seems to.
    pub is_valid: bool,
    /// Connections that were opened.
    pub connections: u64,
    /// Requests that the client sent again.
    pub retries: u64,
    /// Answers whose tokens nobody counted; the workload's numbers stand in their place.
    pub answers_without_usage: u64,
    /// Answers of which the replica told when it had the request, began and gave the first token.
    pub answers_with_timing: u64,
    /// Pieces of streams that held text: less than the tokens where a piece holds several.
    pub pieces: u64,
    /// Why requests came to nothing, and how many.
    pub failures: BTreeMap<String, u64>,
    /// The rounds that a summary pools; empty for a single one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<RoundNumbers>,
}

/// One round of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundNumbers {
    /// Which, from 1.
    pub round: u32,
    /// Requests measured.
    pub measured: u64,
    /// Of these, completed.
    pub completed: u64,
    /// Scheduled time to first token.
    pub ttft_ms: Distribution,
    /// Scheduled time to last token.
    pub e2e_ms: Distribution,
    /// Prompt tokens found in caches / prompt tokens.
    pub real_token_hit_rate: Option<f64>,
    /// The 99th percentile of the send lag.
    pub send_lag_ms_p99: Option<f64>,
}

impl RoundNumbers {
    /// Those of a round's summary.
    #[must_use]
    pub fn of(round: u32, summary: &Summary) -> Self {
        Self {
            round,
            measured: summary.window.measured,
            completed: summary.window.measured_completed,
            ttft_ms: summary.ttft_ms,
            e2e_ms: summary.e2e_ms,
            real_token_hit_rate: summary.cache.real_token_hit_rate,
            send_lag_ms_p99: summary.live.as_ref().and_then(|live| live.send_lag_ms.p99),
        }
    }
}
