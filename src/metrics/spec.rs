//! What to measure, and the names of what is measured.

use gorgo_types::{Nanos, RegionId};
use serde::{Deserialize, Serialize};

/// Whether the record of each request is kept to the end of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Records {
    /// Up to [`AUTO_RECORDS_LIMIT`] requests; a longer run folds them into histograms and goes on with those.
    #[default]
    Auto,
    /// Always, whatever memory it takes (about 220 bytes a request).
    Always,
    /// Never: histograms of three significant digits from the start.
    Never,
}

/// Where [`Records::Auto`] gives up keeping records: about 430 MB of them.
pub const AUTO_RECORDS_LIMIT: usize = 2_000_000;

/// What counts, and against which objectives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeasureSpec {
    /// Requests scheduled before this are not measured.
    pub warm_up: Nanos,
    /// Instead: so many requests are not measured, nor any that is scheduled by the time of the last of them. The driver
    /// finds that time out and tells [`crate::Collector::measure_from`].
    pub warm_up_requests: Option<u64>,
    /// Requests scheduled at or after this are not measured; none: to the end of the run.
    pub stop: Option<Nanos>,
    /// Nothing is sent after so many requests; kept here for those who drive the run.
    pub stop_after_requests: Option<u64>,
    /// The run ends where so many fail; kept here likewise.
    pub max_errors: Option<ErrorLimit>,
    /// How long after `stop` (or the last arrival) the run may still go on; kept here for those who drive it.
    pub drain: Option<Nanos>,
    /// Longest TTFT of a good request.
    pub slo_ttft: Option<Nanos>,
    /// Longest TPOT of a good request; one of a single token has none and passes.
    pub slo_tpot: Option<Nanos>,
    /// Longest E2E of a good request.
    pub slo_e2e: Option<Nanos>,
    /// Whether records are kept.
    pub records: Records,
    /// Spacing of timeline samples; none: no timeline.
    pub timeline_step: Option<Nanos>,
    /// Whether the client may send a request later than it was scheduled: then the summary tells of that.
    pub client_holds_back: bool,
}

/// How many requests may fail. Failed, rejected and timed-out ones count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorLimit {
    /// With so many errors the run ends, 1 or more.
    pub errors: u32,
    /// Among so many requests that ended last; before so many have ended nothing is said.
    pub window: u32,
}

impl MeasureSpec {
    /// The window that measured requests are scheduled in, as far as it is known before the run.
    #[must_use]
    pub const fn window(&self) -> Window {
        let from = if self.warm_up_requests.is_some() { Nanos::MAX } else { self.warm_up };
        Window { from, to: self.stop }
    }
}

/// A span of scheduled time, [from, to); without `to` it goes to the end of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// First moment inside.
    pub from: Nanos,
    /// First moment outside.
    pub to: Option<Nanos>,
}

impl Window {
    /// Whether a moment is inside.
    #[must_use]
    pub fn contains(&self, at: Nanos) -> bool {
        at >= self.from && self.to.is_none_or(|to| at < to)
    }
}

/// Names for the ids in records, and what identifies the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetNames {
    /// The scenario's name.
    pub scenario: String,
    /// The policy's name.
    pub policy: String,
    /// The seed of all draws.
    pub seed: u64,
    /// Names of regions, by [`RegionId`].
    pub regions: Vec<String>,
    /// Names of replicas with their regions, by `ReplicaId`.
    pub replicas: Vec<(String, RegionId)>,
    /// Names of origins, by `OriginId`; may be set late, by [`crate::Collector::set_origins`].
    pub origins: Vec<String>,
}

/// The state of one region's replicas at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineSample {
    /// The moment.
    pub at: Nanos,
    /// The region.
    pub region: RegionId,
    /// Requests dispatched to the region's replicas and not yet ended.
    pub in_flight: u32,
    /// Of these, running on a replica.
    pub running: u32,
    /// Of these, waiting in a replica's queue.
    pub queued: u32,
}

/// What one replica did over the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaSummary {
    /// Name.
    pub id: String,
    /// Name of its region.
    pub region: String,
    /// Requests that it took in.
    pub requests: u64,
    /// Share of the run in which its GPU worked, 0 to 1.
    pub busy_fraction: f64,
    /// Mean over time of the share of its KV pool that requests held, 0 to 1.
    pub kv_used_mean: f64,
    /// Cached tokens thrown out.
    pub evicted_tokens: u64,
    /// Requests that lost their KV memory and started over, each time counted.
    pub retracted: u64,
}
