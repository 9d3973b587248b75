//! `[measure]`: what is measured.

use crate::Records;
use gorgo_config::{Count, Duration, Located, PositiveDuration, Share};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasureTable {
    /// Requests scheduled before this are not measured. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Duration>,
    /// Instead of `warm_up`: so many requests are not measured, nor any scheduled by the time of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_requests: Option<Located<Count>>,
    /// Requests scheduled at or after this are not measured. Default: all to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Located<PositiveDuration>>,
    /// Nothing more is sent after so many requests, warm-up included. Default: as many as the workload has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after_requests: Option<Located<Count>>,
    /// The run ends when this share of the requests that ended last failed, were rejected or timed out. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_share: Option<Located<Share>>,
    /// How many requests that ended last `max_error_share` looks at. Default: 30, GuideLLM's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_window: Option<Located<Count>>,
    /// How long the run may go on after the last measured request was scheduled. Default: until all have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
    /// Longest TTFT of a good request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo_ttft: Option<PositiveDuration>,
    /// Longest time per output token of a good request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo_tpot: Option<PositiveDuration>,
    /// Longest time to the last token of a good request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo_e2e: Option<PositiveDuration>,
    /// Whether the record of every request is kept: `auto`, `always` or `never`. Default: auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    /// Spacing of timeline samples. Default: no timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline_step: Option<PositiveDuration>,
}
