//! What is kept of one request, and the laws that every record must obey.
//!
//! A record is written once, when the client knows the request's fate or the run ends. It holds no histogram and no
//! aggregate: [`crate::Collector`] makes those.

use crate::Invalid;
use gorgo_types::{Nanos, OriginId, RegionId, ReplicaId, RequestId};
use serde::{Deserialize, Serialize};
use std::hint::cold_path;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The last token reached the client.
    Completed,
    /// Every attempt ended in an error (crash, connection, too large for a replica).
    Failed,
    /// The router refused it.
    Rejected,
    /// The client gave it up of its own will.
    Cancelled,
    /// A deadline of the client or router passed.
    TimedOut,
    /// The run ended first.
    InFlight,
}

impl Status {
    /// Every status, in the order of the summary's `requests`.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::Rejected,
        Self::Cancelled,
        Self::TimedOut,
        Self::InFlight,
    ];

    /// The word used in files: `completed`, `failed`, `rejected`, `cancelled`, `timed_out`, `in_flight`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::InFlight => "in_flight",
        }
    }

    /// The status of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Where the time to first token went. The parts of a request with a first token add up to its TTFT exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TtftParts {
    /// Scheduled time to actual send (a pool of workers that are all busy, or a late client).
    pub client_queue: Nanos,
    /// Client to router over the network.
    pub client_to_router: Nanos,
    /// The router's decision.
    pub routing: Nanos,
    /// Held back in the router's queue.
    pub router_queue: Nanos,
    /// From one router to another.
    pub forward: Nanos,
    /// Attempts that came to nothing, from their dispatch to the next one's.
    pub failed_attempts: Nanos,
    /// Opening connections.
    pub connect: Nanos,
    /// Router to replica over the network.
    pub network_out: Nanos,
    /// The replica's own work outside the GPU (parsing, tokenizing).
    pub replica_overhead: Nanos,
    /// Waiting in the replica's queue.
    pub replica_queue: Nanos,
    /// From admission to the end of the iteration that gave the first token.
    pub prefill: Nanos,
    /// The first token's way back to the client.
    pub network_back: Nanos,
}

impl TtftParts {
    /// The names of the parts, in the order of the summary's `ttft_parts_ms`.
    #[must_use]
    pub const fn names() -> [&'static str; 12] {
        [
            "client_queue",
            "client_to_router",
            "routing",
            "router_queue",
            "forward",
            "failed_attempts",
            "connect",
            "network_out",
            "replica_overhead",
            "replica_queue",
            "prefill",
            "network_back",
        ]
    }

    /// The parts, in the order of [`TtftParts::names`].
    #[must_use]
    pub const fn values(&self) -> [Nanos; 12] {
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

    /// The parts from their values in the order of [`TtftParts::names`].
    #[must_use]
    pub const fn from_values(values: [Nanos; 12]) -> Self {
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
        ] = values;
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

    /// The sum of the parts: the TTFT, exactly. [`Nanos::MAX`] where it does not fit.
    #[must_use]
    pub fn total(&self) -> Nanos {
        self.values().into_iter().fold(Nanos::ZERO, Nanos::saturating_add)
    }
}

/// One request's fate. Times are simulated (or measured) time since time zero, at the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestRecord {
    /// Who it is.
    pub id: RequestId,
    /// Where it came from.
    pub origin: OriginId,
    /// Region of the router that it came in at; none where it never reached one. Of several routers this one asked
    /// first, whichever chose the replica.
    pub router_region: Option<RegionId>,
    /// The replica of the last attempt; none where none was chosen.
    pub replica: Option<ReplicaId>,
    /// That replica's region.
    pub region: Option<RegionId>,
    /// How it ended.
    pub status: Status,
    /// The policy's score of the chosen replica; 0 where the policy has none.
    pub score: f64,
    /// Prompt length.
    pub input_tokens: u32,
    /// Output length: of the whole answer, whether all of it arrived or not.
    pub output_tokens: u32,
    /// Prompt tokens that the router's index took to be in the replica's cache.
    pub predicted_cached_tokens: u32,
    /// Prompt tokens that were in the replica's cache.
    pub cached_tokens: u32,
    /// When the workload wanted it sent: TTFT and E2E count from here.
    pub scheduled: Nanos,
    /// Of the time from `scheduled` to `sent`: until the client came to it at all, because its queue was full or it
    /// stalled. The rest it waited in the client's queue.
    pub slip: Nanos,
    /// When it was sent; `scheduled` plus the part `client_queue`.
    pub sent: Nanos,
    /// When the first token reached the client.
    pub first_token: Option<Nanos>,
    /// When the client knew the outcome: of a completed one, its last token. None for [`Status::InFlight`] alone.
    pub finished: Option<Nanos>,
    /// Where the time to first token went; zeros where there was no first token.
    pub parts: TtftParts,
    /// How often a replica took its KV memory away and started it over.
    pub retractions: u16,
    /// How often it was dispatched.
    pub attempts: u16,
}

/// What the times of a completed request come to, worked out once for all who ask; nothing of another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub ttft: Option<Nanos>,
    pub e2e: Option<Nanos>,
    pub tpot: Option<Nanos>,
}

impl RequestRecord {
    /// Its times, if it completed.
    pub(crate) fn times(&self) -> Times {
        if self.status != Status::Completed {
            cold_path();
            return Times::default();
        }
        Times { ttft: self.ttft(), e2e: self.e2e(), tpot: self.tpot() }
    }

    /// Scheduled time to first token, whatever became of the request later.
    #[must_use]
    pub fn ttft(&self) -> Option<Nanos> {
        self.first_token.map(|at| at.saturating_sub(self.scheduled))
    }

    /// Actual send to first token.
    #[must_use]
    pub fn ttft_from_send(&self) -> Option<Nanos> {
        self.first_token.map(|at| at.saturating_sub(self.sent))
    }

    /// Scheduled time to last token, of a completed request.
    #[must_use]
    pub fn e2e(&self) -> Option<Nanos> {
        if self.status != Status::Completed {
            return None;
        }
        self.finished.map(|at| at.saturating_sub(self.scheduled))
    }

    /// (E2E - TTFT) / (output tokens - 1) to the nearest nanosecond, of a completed request of 2 tokens or more.
    #[must_use]
    pub fn tpot(&self) -> Option<Nanos> {
        let (Some(e2e), Some(ttft)) = (self.e2e(), self.ttft()) else {
            return None;
        };
        let gaps = u64::from(self.output_tokens.checked_sub(1).filter(|&gaps| gaps > 0)?);
        Some(Nanos((e2e.0.saturating_sub(ttft.0) + gaps / 2) / gaps))
    }

    /// Checks what must hold in every record.
    ///
    /// # Errors
    /// When times go backwards, the parts do not add up to the TTFT, or the status does not fit the times.
    pub fn check(&self) -> Result<(), Invalid> {
        let Some(law) = self.first_wrong() else { return Ok(()) };
        cold_path();
        Err(Invalid::Record { id: self.id, law, record: Box::new(*self) })
    }

    fn first_wrong(&self) -> Option<&'static str> {
        let completed = self.status == Status::Completed;
        if self.sent < self.scheduled {
            return Some("it is sent no earlier than scheduled");
        }
        if self.slip > Nanos(self.sent.0 - self.scheduled.0) {
            return Some("its slip is part of the time from scheduled to sent");
        }
        if let Some(first) = self.first_token {
            if first < self.sent {
                return Some("its first token comes after it is sent");
            }
            if self.parts.total() != Nanos(first.0 - self.scheduled.0) {
                return Some("its TTFT parts add up to its TTFT");
            }
            if self.parts.client_queue != Nanos(self.sent.0 - self.scheduled.0) {
                return Some("its client_queue part is the time from scheduled to sent");
            }
        }
        if self.finished.is_none() != (self.status == Status::InFlight) {
            return Some("it has a finishing time unless it is in flight");
        }
        if self.finished.is_some_and(|at| at < self.first_token.unwrap_or(self.sent)) {
            return Some("it finishes after its first token and its sending");
        }
        if completed && (self.first_token.is_none() || self.replica.is_none()) {
            return Some("a completed request has a first token and a replica");
        }
        if self.replica.is_some() != self.region.is_some() {
            return Some("it has a replica and a region, or neither");
        }
        if self.replica.is_some() && self.router_region.is_none() {
            return Some("a router sent it to its replica");
        }
        if self.cached_tokens > self.input_tokens
            || self.predicted_cached_tokens > self.input_tokens
        {
            return Some("no more of the prompt is cached than it has tokens");
        }
        if !self.score.is_finite() {
            return Some("its score is a finite number");
        }
        None
    }
}
