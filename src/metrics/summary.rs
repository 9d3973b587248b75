//! The shape of `summary.json`: the numbers of one run of one policy. Others rely on the names.
//!
//! Times are milliseconds as floats. What does not exist, or falls on a request that never ended, is `null`; the
//! reason then stands in `warnings`.

use crate::{Cost, LiveSummary, ReplicaSummary, Status, TtftParts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the summary's shape that this code writes.
pub const SCHEMA: u32 = 1;

/// The numbers of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The policy's name.
    pub policy: String,
    /// The seed of all draws.
    pub seed: u64,
    /// From time zero to the end of the run, in seconds.
    pub duration_s: f64,
    /// What was measured.
    pub window: MeasuredWindow,
    /// The objectives of a good request.
    pub slo_ms: Slo,
    /// Requests of the whole run, by what became of them.
    pub requests: RequestCounts,
    /// Where the percentiles of `ttft_ms`, `ttft_from_send_ms`, `e2e_ms` and `tpot_ms` come from. Those of `itl_ms`
    /// are always a histogram's.
    pub percentiles_from: PercentilesFrom,
    /// Scheduled time to first token, of the measured requests.
    pub ttft_ms: Distribution,
    /// Actual send to first token.
    pub ttft_from_send_ms: Distribution,
    /// Scheduled time to last token.
    pub e2e_ms: Distribution,
    /// (E2E - TTFT) / (output tokens - 1), of completed requests of 2 tokens or more.
    pub tpot_ms: Distribution,
    /// Single gaps between tokens, as the replicas made them.
    pub itl_ms: Distribution,
    /// Mean parts of the TTFT over the measured completed requests; null where there are none.
    pub ttft_parts_ms: Option<PartsMs>,
    /// Cache hits of the measured completed requests.
    pub cache: CacheRates,
    /// How much was going on.
    pub load: Load,
    /// Measured requests meeting all their objectives, per second of the window; null for an empty window.
    pub goodput_rps: Option<f64>,
    /// Share of the measured requests meeting all their objectives; null where there are none.
    pub good_fraction: Option<f64>,
    /// What the measured window costs; null where nobody gave prices.
    #[serde(default)]
    pub cost_usd: Option<Cost>,
    /// What the client held back; absent where it sends every request when it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientHeld>,
    /// What each replica did.
    pub replicas: Vec<ReplicaSummary>,
    /// What a reader must know before trusting a number.
    pub warnings: Vec<String>,
    /// What the tuner of the policy's weights did; not written where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuner: Option<TunerSummary>,
    /// What a run against real URLs came to beside; not written of a simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveSummary>,
}

/// What a tuner came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunerSummary {
    /// Its strategy.
    pub strategy: String,
    /// Candidates that were judged.
    pub steps: u64,
    /// Of these, accepted.
    pub accepted: u64,
    /// The weights at the start, by name.
    pub start: BTreeMap<String, f64>,
    /// The best weights known at the end.
    pub weights: BTreeMap<String, f64>,
}

/// What a client with a limit held back, of the measured requests. `ttft_ms` and `e2e_ms` include it; a load generator
/// that starts its clock when it sends sees nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientHeld {
    /// Scheduled time to actual send. A request that was never sent counts with the time until the end of the run.
    pub queue_ms: Distribution,
    /// Of that, the time until the client came to the request: its queue was full, or it stalled.
    pub slip_ms: Distribution,
    /// Share of the requests that were sent later than scheduled; null where there are none.
    pub waited_fraction: Option<f64>,
    /// Requests of the whole run that were due and still not sent when it ended: they count as in flight.
    pub never_sent: u64,
}

/// Which requests the summary measures: those scheduled in [from, to).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredWindow {
    /// Start of the window: the warm-up, in seconds.
    pub from_s: f64,
    /// End of the window: the stop or the end of the run, whichever comes first, in seconds.
    pub to_s: f64,
    /// The stop as it was asked for, in seconds; null where the window goes to the end of the run.
    pub stop_s: Option<f64>,
    /// Requests scheduled in it.
    pub measured: u64,
    /// Of these, completed.
    pub measured_completed: u64,
    /// Requests scheduled before it.
    #[serde(default)]
    pub warm_up: u64,
    /// Requests scheduled after it: they keep up the load until the measured ones have ended.
    #[serde(default)]
    pub cool_down: u64,
}

/// Objectives in milliseconds; null where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Longest TTFT.
    pub ttft: Option<f64>,
    /// Longest TPOT.
    pub tpot: Option<f64>,
    /// Longest E2E.
    pub e2e: Option<f64>,
}

/// Requests by what became of them: `injected` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// All that went in.
    pub injected: u64,
    /// Whose last token arrived.
    pub completed: u64,
    /// Whose attempts all failed.
    pub failed: u64,
    /// That the router refused.
    pub rejected: u64,
    /// That the client gave up.
    pub cancelled: u64,
    /// That ran into a deadline.
    pub timed_out: u64,
    /// That were under way when the run ended.
    pub in_flight: u64,
}

impl RequestCounts {
    /// The count of one status.
    #[must_use]
    pub const fn of(&self, status: Status) -> u64 {
        match status {
            Status::Completed => self.completed,
            Status::Failed => self.failed,
            Status::Rejected => self.rejected,
            Status::Cancelled => self.cancelled,
            Status::TimedOut => self.timed_out,
            Status::InFlight => self.in_flight,
        }
    }

    /// Counts one request of a status (`injected` is left to the driver's own count).
    pub const fn add(&mut self, status: Status) {
        *match status {
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Rejected => &mut self.rejected,
            Status::Cancelled => &mut self.cancelled,
            Status::TimedOut => &mut self.timed_out,
            Status::InFlight => &mut self.in_flight,
        } += 1;
    }

    /// The sum over all statuses: conservation says that it equals `injected`.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        Status::ALL.into_iter().map(|status| self.of(status)).sum()
    }
}

/// Where percentiles come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PercentilesFrom {
    /// Exact, from every record.
    Records,
    /// From a histogram of three significant digits.
    Histogram,
}

/// A distribution of times in milliseconds. Percentiles are nearest rank: the value of rank ceil(q n).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Mean.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

/// Mean parts of the TTFT in milliseconds; what each part is: [`TtftParts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of TtftParts, documented there")]
pub struct PartsMs {
    pub client_queue: f64,
    pub client_to_router: f64,
    pub routing: f64,
    pub router_queue: f64,
    pub forward: f64,
    pub failed_attempts: f64,
    pub connect: f64,
    pub network_out: f64,
    pub replica_overhead: f64,
    pub replica_queue: f64,
    pub prefill: f64,
    pub network_back: f64,
}

impl PartsMs {
    /// The parts, in the order of [`TtftParts::names`].
    #[must_use]
    pub const fn values(&self) -> [f64; 12] {
        [
            self.client_queue,
            self.client_to_router,
            self.routing,
            self.router_queue,
            self.forward,
            self.failed_attempts,
            self.connect,
            self.network_out,
            self.replica_overhead,
            self.replica_queue,
            self.prefill,
            self.network_back,
        ]
    }

    /// The means of sums over `count` requests, in nanoseconds, in the order of [`TtftParts::names`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
    pub fn from_sums_ns(sums: [u128; 12], count: u64) -> Self {
        let [
            client_queue,
            client_to_router,
            routing,
            router_queue,
            forward,
            failed_attempts,
            connect,
            network_out,
            replica_overhead,
            replica_queue,
            prefill,
            network_back,
        ] = sums.map(|sum| sum as f64 / count as f64 / 1e6);
        Self {
            client_queue,
            client_to_router,
            routing,
            router_queue,
            forward,
            failed_attempts,
            connect,
            network_out,
            replica_overhead,
            replica_queue,
            prefill,
            network_back,
        }
    }

    /// Name and value of each part.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        TtftParts::names().into_iter().zip(self.values())
    }
}

/// Cache hits, as shares of prompt tokens and of requests; null where nothing completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheRates {
    /// Prompt tokens found in the replica's cache / prompt tokens.
    pub real_token_hit_rate: Option<f64>,
    /// Requests with any token found in the replica's cache / requests.
    pub real_request_hit_rate: Option<f64>,
    /// Prompt tokens that the router's index predicted / prompt tokens.
    pub predicted_token_hit_rate: Option<f64>,
    /// Requests with any predicted token / requests.
    pub predicted_request_hit_rate: Option<f64>,
}

/// How much was going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Mean over the window of the requests sent and not yet ended, unmeasured ones included; null if it is empty.
    pub mean_in_flight: Option<f64>,
    /// Share of the measured requests with a replica that went to the busiest one; null where there are none.
    pub busiest_replica_share: Option<f64>,
}
