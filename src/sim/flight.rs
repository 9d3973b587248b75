//! A request under way: what the world must remember between its events.

use gorgo_metrics::{RequestRecord, Status, TtftParts};
use gorgo_model::halves;
use gorgo_routing::Ticket;
use gorgo_types::{Nanos, RegionId, ReplicaId, Request};
use gorgo_workload::Outgoing;

/// One request between its scheduled time and its end.
///
/// What every event reads comes first, so that most events touch one cache line of a request's seven.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Flight {
    /// The replica of this attempt, and its region: the record's, once more.
    pub replica: Option<(ReplicaId, RegionId)>,
    /// The router that has it.
    pub site: u32,
    /// Round trip between the last router and the replica, one draw for all of the request.
    pub replica_rtt: Nanos,
    /// When the router heard, or will hear, the last of this attempt: a connection keeps its order.
    pub heard: Nanos,
    pub ticket: Option<Ticket>,
    /// Counts towards the end of the run.
    pub measured: bool,
    /// The router that passed it on.
    pub passed_on: Option<Box<PassedOn>>,
    /// Round trip between client and router, one draw for all of the request.
    pub client_rtt: Nanos,

    pub request: Request,
    pub record: RequestRecord,
    /// When it reached the router.
    pub at_router: Nanos,
    /// When it reached the replica.
    pub at_replica: Nanos,
    /// When this attempt was dispatched.
    pub dispatched: Nanos,
    /// The time this attempt took to open its connection.
    pub set_up: Nanos,
}

/// What the first of two routers must be told in the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassedOn {
    pub site: u32,
    /// The replica it had chosen.
    pub replica: ReplicaId,
    pub ticket: Ticket,
    /// Round trip between the two.
    pub rtt: Nanos,
    /// The second one refused it.
    pub refused: Option<Status>,
}

/// The way out of a round trip.
pub(crate) const fn out_of(rtt: Nanos) -> Nanos {
    halves(rtt).0
}

/// The way back of a round trip.
pub(crate) const fn back_of(rtt: Nanos) -> Nanos {
    halves(rtt).1
}

impl Flight {
    /// A request that its client sends.
    pub fn new(
        outgoing: Outgoing,
        (site, region): (u32, RegionId),
        client_rtt: Nanos,
        measured: bool,
    ) -> Self {
        let mut record = record_of(&outgoing);
        record.router_region = Some(region);
        record.parts.client_to_router = out_of(client_rtt);
        Self {
            replica: None,
            site,
            replica_rtt: Nanos::ZERO,
            heard: Nanos::ZERO,
            ticket: None,
            measured,
            passed_on: None,
            client_rtt,
            request: outgoing.request,
            record,
            at_router: Nanos::ZERO,
            at_replica: Nanos::ZERO,
            dispatched: Nanos::ZERO,
            set_up: Nanos::ZERO,
        }
    }

    /// The replica it was sent to, and its region.
    ///
    /// # Panics
    /// Before it was dispatched.
    pub fn sent_to(&self) -> (ReplicaId, RegionId) {
        self.replica.expect("the request was dispatched")
    }
}

/// The record of a request that nobody has heard of but its client.
#[must_use]
pub fn record_of(outgoing: &Outgoing) -> RequestRecord {
    let Outgoing { scheduled, offered, sent, request } = outgoing;
    RequestRecord {
        id: request.id,
        origin: request.origin,
        router_region: None,
        replica: None,
        region: None,
        status: Status::InFlight,
        score: 0.0,
        input_tokens: narrow(request.prompt.tokens().get()),
        output_tokens: narrow(request.output_tokens.get()),
        predicted_cached_tokens: 0,
        cached_tokens: 0,
        scheduled: *scheduled,
        slip: *offered - *scheduled,
        sent: *sent,
        first_token: None,
        finished: None,
        parts: TtftParts { client_queue: *sent - *scheduled, ..TtftParts::default() },
        retractions: 0,
        attempts: 0,
    }
}

/// Chains hold at most `u32::MAX` tokens, and outputs are held to the same bound when they are read.
fn narrow(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
