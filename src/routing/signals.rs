//! What a router knows of each replica when it decides.
//!
//! Deliberately not here: how the numbers are kept up to date ([`crate::Router`]), and what a policy makes of them
//! ([`crate::policy`]). Read [`crate::decision`] next.

use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens, ZoneId};
use serde::{Deserialize, Serialize};

/// One candidate as the router sees it: scraped values are as old as the last scrape, counters of its own are live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// The replica.
    pub replica: ReplicaId,
    /// Where it stands.
    pub region: RegionId,
    /// Moving average of the probed round trip, in milliseconds; `None` before the first probe has answered.
    pub rtt_ewma_ms: Option<f64>,
    /// How long the last metrics scrape took, in milliseconds; stands in for the RTT while there is no probe.
    pub scrape_latency_ms: Option<f64>,
    /// When the RTT average last changed.
    pub rtt_at: Option<Nanos>,
    /// Running requests, from the last scrape.
    pub running_requests: u32,
    /// Requests in the replica's own queue, from the last scrape.
    pub queued_requests: u32,
    /// KV tokens in use, from the last scrape.
    pub used_tokens: u64,
    /// KV pool size, from the last scrape; 0 where unknown.
    pub kv_pool_tokens: u64,
    /// When the scraped values were taken; `None` before the first scrape.
    pub scraped_at: Option<Nanos>,
    /// This router's requests that are dispatched there and not yet released, live.
    pub in_flight_requests: u32,
    /// Prompt tokens of those requests, live, not discounted by cache hits.
    pub queued_tokens: u64,
    /// Of these, the tokens that the router's index did not believe to be cached there when the requests were sent; all of
    /// them without an index.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queued_uncached_tokens: u64,
    /// Leading tokens of this request's prompt that the router's index believes to be cached there.
    pub cached_tokens: u64,
    /// May it be chosen now? False when it is unhealthy, draining, at its capacity gate, or outside of the request's
    /// zone.
    pub eligible: bool,
    /// The zone in which it keeps what it is sent; `None`: it belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneId>,
    /// How much it is meant to bear against the others, from 1 to [`MAX_WEIGHT`]: twice the weight, twice the load. Equal
    /// weights change nothing.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
}

/// The largest weight of a replica. Weights say how replicas compare, so this is a ratio, far beyond that of any two GPUs.
pub const MAX_WEIGHT: u32 = 1_000;

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_one(weight: &u32) -> bool {
    *weight == 1
}

impl Signals {
    /// A replica of which nothing is known yet.
    #[must_use]
    pub const fn unknown(replica: ReplicaId, region: RegionId) -> Self {
        Self {
            replica,
            region,
            rtt_ewma_ms: None,
            scrape_latency_ms: None,
            rtt_at: None,
            running_requests: 0,
            queued_requests: 0,
            used_tokens: 0,
            kv_pool_tokens: 0,
            scraped_at: None,
            in_flight_requests: 0,
            queued_tokens: 0,
            queued_uncached_tokens: 0,
            cached_tokens: 0,
            eligible: true,
            zone: None,
            weight: 1,
        }
    }

    /// The round trip to price, in milliseconds: the probes' average, else the last scrape's latency, else zero.
    #[must_use]
    pub fn rtt_ms(&self) -> f64 {
        self.rtt_ewma_ms.or(self.scrape_latency_ms).unwrap_or(0.0)
    }

    /// A load as replicas of different weights compare theirs: per unit of weight.
    #[must_use]
    #[inline]
    pub fn per_weight(&self, load: f64) -> f64 {
        if self.weight > 1 { load / f64::from(self.weight) } else { load }
    }

    /// Prompt tokens that would have to be prefilled there, at least zero.
    #[must_use]
    pub fn uncached_tokens(&self, request: &RoutingRequest<'_>) -> u64 {
        request.prompt.tokens().get().saturating_sub(self.cached_tokens)
    }
}

/// What a router may see of a request. The true output length is not among it.
#[derive(Clone, Copy, Debug)]
pub struct RoutingRequest<'a> {
    /// Who it is.
    pub id: RequestId,
    /// The prompt.
    pub prompt: &'a BlockChain,
    /// What the client asked for.
    pub max_tokens: Tokens,
    /// The session, where the client names one: the affinity key of session policies.
    pub session: Option<u64>,
    /// How many routers have passed it on before this one.
    pub hops: u32,
    /// The zone that it must not leave: only replicas of this zone may be chosen, whatever the policy says.
    pub residency: Option<ZoneId>,
}
