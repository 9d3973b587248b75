//! `[load]`: when requests are sent.

use super::ThinkTable;
use gorgo_config::{Count, Duration, Located, Positive, Rate};
use gorgo_workload::TurnTiming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When requests are sent: at most one kind. Default for traces and arrival files: `recorded`; generators need one.
///
/// For the chat workload an arrival is a new session, and a user of a closed loop holds one session after the other.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// When later turns of a session are due: at their `recorded` times, or `after-previous`, once the turn before
    /// has ended and the client has thought. Default: after-previous for chat, recorded for traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Located<TurnTiming>>,
    /// Evenly spaced arrivals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Located<RateTable>>,
    /// Independent exponential gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poisson: Option<Located<RateTable>>,
    /// Independent gamma gaps: bursts where `cv` is above 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<Located<GammaTable>>,
    /// The workload's own times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Located<RecordedTable>>,
    /// A fixed number of users, each with at most one request under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_loop: Option<Located<ClosedLoopTable>>,
}

/// Arrivals at a rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateTable {
    /// Mean rate of arrivals.
    pub rate: Located<Rate>,
}

/// Bursty arrivals.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GammaTable {
    /// Mean rate of arrivals.
    pub rate: Located<Rate>,
    /// Coefficient of variation of the gaps (standard deviation / mean).
    pub cv: Located<Positive>,
}

/// The workload's own times.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedTable {
    /// Times are divided by this. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speedup: Option<Located<Positive>>,
    /// Only requests recorded from here on, in the trace's own time. Default: from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Located<Duration>>,
    /// Only requests recorded before here, in the trace's own time. Default: to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Located<Duration>>,
}

/// A fixed number of users.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedLoopTable {
    /// How many.
    pub users: Located<Count>,
    /// Time between the end of a user's request and its next one; not for chat, whose sessions have their own.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Located<ThinkTable>>,
    /// The users' first requests are spread evenly over this span. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Duration>,
}
