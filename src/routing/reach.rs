//! How far a router reaches: to every replica, or only to those of its own region and, through their routers, to the
//! others.
//!
//! A central proxy dispatches to any replica itself. Where each region has a load balancer of its own (GORGO v1), a
//! balancer serves what its region can take, forwards what it cannot to another region's balancer, at most so many times,
//! and keeps the rest waiting. Which candidates may be chosen is then a question of reach, answered here before the
//! policy is asked; what they cost stays the policy's. How a request travels is the caller's. Read [`crate::router`]
//! next.

use crate::fleet::Fleet;
use crate::signals::{RoutingRequest, Signals};
use gorgo_types::{RegionId, ReplicaId};
use serde::{Deserialize, Serialize};

/// Which replicas a router may choose, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Every replica, itself.
    #[default]
    All,
    /// Those of its own region itself, the others through the router of their region.
    Region(RegionReach),
}

/// The reach of one region's router.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionReach {
    /// Its region.
    pub region: RegionId,
    /// How many routers may pass a request on; 0: none, a request is served where it came in. GORGO v1: 1.
    pub max_hops: u32,
    /// Serve a request here as long as a replica of the region has room, whatever the policy would say; none: the
    /// policy always decides among all candidates.
    pub local_first: Option<Room>,
    /// What a region without room means to the policy. True: its replicas stay candidates, and choosing one means to
    /// wait for it (GORGO v1: the cost of waiting is compared with that of forwarding). False: they are no candidates.
    pub may_wait: bool,
}

/// When a replica has room for another request, by its last scrape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Room {
    /// It runs fewer requests than this. GORGO v1: 5.
    pub running_requests_below: u32,
    /// Its KV pool is used to a smaller share than this. GORGO v1: 0.95.
    pub kv_share_below: f64,
}

impl Default for Room {
    fn default() -> Self {
        Self { running_requests_below: 5, kv_share_below: 0.95 }
    }
}

impl Room {
    /// Whether this replica has room. One that was never scraped has, as in GORGO v1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^53")]
    pub fn is_at(&self, signals: &Signals) -> bool {
        let used = signals.used_tokens as f64;
        let pool = signals.kv_pool_tokens as f64;
        signals.running_requests < self.running_requests_below
            && (pool == 0.0 || used / pool < self.kv_share_below)
    }
}

/// What a region's router adds to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// Its region.
    pub region: RegionId,
    /// Prompt tokens of the requests that wait in its queue.
    pub waiting_tokens: u64,
    /// The region has no room: choosing one of its replicas means to wait.
    pub full: bool,
}

impl Home {
    /// Whether the candidate stands in the router's own region.
    #[must_use]
    pub fn is_local(&self, candidate: &Signals) -> bool {
        candidate.region == self.region
    }

    /// Whether choosing this replica means to wait.
    pub(crate) fn holds_back(&self, replica: ReplicaId, candidates: &[Signals]) -> bool {
        self.full && candidates.iter().any(|c| c.replica == replica && self.is_local(c))
    }
}

impl Reach {
    /// Whether a router may send a request to replicas of a region that so many routers have passed on already: itself, or
    /// by that region's router.
    #[must_use]
    pub fn covers(&self, region: RegionId, hops: u32) -> bool {
        match self {
            Self::All => true,
            Self::Region(reach) => region == reach.region || hops < reach.max_hops,
        }
    }

    /// Whether a request is bound to a zone of which no candidate is within reach: to wait would be in vain.
    pub(crate) fn never_serves(
        &self,
        request: &RoutingRequest<'_>,
        candidates: &[Signals],
    ) -> bool {
        let Some(zone) = request.residency else { return false };
        let within = |signals: &Signals| self.covers(signals.region, request.hops);
        !candidates.iter().any(|signals| signals.zone == Some(zone) && within(signals))
    }
}

impl RegionReach {
    /// Marks the candidates that may be chosen for a request that `hops` routers have passed on already, and that may
    /// be bound to a zone.
    pub(crate) fn narrow(
        &self,
        fleet: &mut Fleet,
        &RoutingRequest { hops, residency, .. }: &RoutingRequest<'_>,
        waiting_tokens: u64,
    ) -> Home {
        let inside = |signals: &Signals| residency.is_none() || signals.zone == residency;
        let local = |signals: &Signals| signals.region == self.region;
        let has_room = |signals: &Signals| {
            local(signals)
                && inside(signals)
                && self.local_first.is_none_or(|room| room.is_at(signals))
        };
        let bound = residency.is_some();
        let room = fleet.any_open(bound, has_room);
        match self.local_first {
            Some(_) if room => fleet.narrow(bound, has_room),
            Some(_) => {
                let forwards = hops < self.max_hops;
                fleet.narrow(bound, |signals| {
                    inside(signals) && if local(signals) { self.may_wait } else { forwards }
                });
            }
            None if hops < self.max_hops => fleet.narrow(bound, inside),
            None => fleet.narrow(bound, |signals| local(signals) && inside(signals)),
        }
        let full = self.local_first.is_some() && !room;
        Home { region: self.region, waiting_tokens, full }
    }
}
