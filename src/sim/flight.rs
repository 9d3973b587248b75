//! A request under way: what the world must remember between its events.

use gorgo_metrics::{RequestRecord, Status, TtftParts};
use gorgo_model::halves;
use gorgo_routing::{RoutingRequest, Ticket};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, Request, Tokens, ZoneId};
use gorgo_workload::Outgoing;

/// One request between its scheduled time and its end.
///
/// Thousands may wait, and then every line of one is far away when its turn comes. So what every event reads comes first,
/// in one cache line, then what the first token writes; and what the record says is not here a second time, but for the
/// replica. It takes six lines.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Flight {
    /// When the router heard, or will hear, the last of this attempt, if anything: a connection keeps its order. (What
    /// tells a free slot of the table from a flight is in here too, so that it is in the first line.)
    pub heard: Option<Nanos>,
    /// The replica of this attempt: the record's, once more.
    pub replica: Option<ReplicaId>,
    /// The router that has it.
    pub site: u32,
    pub ticket: Option<Ticket>,
    /// Round trip between the last router and the replica, one draw for all of the request.
    pub replica_rtt: Nanos,
    /// Round trip between client and router, one draw for all of the request.
    pub client_rtt: Nanos,
    /// The router that passed it on.
    pub passed_on: Option<Box<PassedOn>>,

    pub record: RequestRecord,
    /// When it reached the replica.
    pub at_replica: Nanos,

    /// What is sent. Who it is, where it comes from and how long its output is, the record says.
    pub prompt: BlockChain,
    pub sequence: Option<BlockChain>,
    pub max_tokens: Tokens,
    /// When it reached the router; from then on when this attempt was dispatched.
    pub since: Nanos,
    /// The time this attempt took to open its connection.
    pub set_up: Nanos,
    pub has_session: bool,
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
        let Request { prompt, sequence, max_tokens, has_session, .. } = outgoing.request;
        Self {
            heard: None,
            replica: None,
            site,
            ticket: None,
            replica_rtt: Nanos::ZERO,
            client_rtt,
            passed_on: None,
            record,
            at_replica: Nanos::ZERO,
            prompt,
            sequence,
            max_tokens,
            since: Nanos::ZERO,
            set_up: Nanos::ZERO,
            has_session,
            measured,
        }
    }

    /// What the router may see of it.
    pub fn visible(&self, residency: Option<ZoneId>) -> RoutingRequest<'_> {
        RoutingRequest {
            id: self.record.id,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            session: self.has_session.then_some(self.record.id.session),
            hops: u32::from(self.passed_on.is_some()),
            residency,
        }
    }

    /// The replica it was sent to.
    ///
    /// # Panics
    /// Before it was dispatched.
    pub fn sent_to(&self) -> ReplicaId {
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
