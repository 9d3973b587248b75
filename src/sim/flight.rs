//! A request under way: what the world must remember between its events.

use gorgo_metrics::{RequestRecord, Status, TtftParts};
use gorgo_model::halves;
use gorgo_routing::Ticket;
use gorgo_types::{Nanos, RegionId, ReplicaId, Request};
use gorgo_workload::Outgoing;

/// One request between its scheduled time and its end.
#[derive(Debug)]
pub(crate) struct Flight {
    pub request: Request,
    pub record: RequestRecord,
    /// Round trip between client and router, one draw for all of the request.
    pub client_rtt: Nanos,
    /// Round trip between the last router and the replica, one draw for all of the request.
    pub replica_rtt: Nanos,
    /// When it reached the router.
    pub at_router: Nanos,
    /// When it reached the replica.
    pub at_replica: Nanos,
    pub ticket: Option<Ticket>,
    /// The router that has it.
    pub site: u32,
    /// The router that passed it on.
    pub passed_on: Option<PassedOn>,
    /// When this attempt was dispatched.
    pub dispatched: Nanos,
    /// The time this attempt took to open its connection.
    pub set_up: Nanos,
    /// When the router heard, or will hear, the last of this attempt: a connection keeps its order.
    pub heard: Nanos,
    /// Counts towards the end of the run.
    pub measured: bool,
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
            request: outgoing.request,
            record,
            client_rtt,
            replica_rtt: Nanos::ZERO,
            at_router: Nanos::ZERO,
            at_replica: Nanos::ZERO,
            ticket: None,
            site,
            passed_on: None,
            dispatched: Nanos::ZERO,
            set_up: Nanos::ZERO,
            heard: Nanos::ZERO,
            measured,
        }
    }

    /// The replica it was sent to.
    ///
    /// # Panics
    /// Before it was dispatched.
    pub fn replica(&self) -> ReplicaId {
        self.record.replica.expect("the request was dispatched")
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
