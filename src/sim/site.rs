//! Where routers stand, and which of them a client's requests go to.
//!
//! One router for all, or one in each of several regions. Each has its own books, probes and queue, and knows nothing
//! of the others but what it reads off the replicas' metrics. How a request passes from one to the next is in `flow.rs`.

use crate::agenda::Slot;
use crate::connections::Connections;
use crate::error::SimError;
use crate::world::World;
use gorgo_model::{ClientLeg, ModelError, Network};
use gorgo_routing::{Reach, Router};
use gorgo_types::{Nanos, Origin, RegionId, RequestId, ZoneId};
use std::collections::VecDeque;

/// A router and its place in the world.
#[derive(Debug)]
pub(crate) struct Site {
    pub region: RegionId,
    pub router: Router,
    /// Its connections to replicas, and to other routers for theirs; none: connections are always open.
    pub connections: Option<Connections>,
    /// How many scrapes in a row have failed, by replica.
    pub failed_scrapes: Vec<u32>,
    /// Until when the decision under way takes, if it decides on one request after the other.
    pub decides_until: Nanos,
    /// Requests that wait for their turn to be decided on, the first at the front.
    pub undecided: VecDeque<Slot>,
    /// When its queue is looked at next, as far as that is on the agenda.
    pub deadline: Option<Nanos>,
}

/// The way of an origin's requests into the world.
#[derive(Clone, Copy, Debug)]
pub struct Ingress {
    /// Which of the routers, in their order.
    pub site: u32,
    /// The way to it.
    pub leg: ClientLeg,
}

impl Ingress {
    /// The router with the shortest median way to the client; the first of several equally near ones. With a
    /// geographic proxy the client's place only chooses the router, and the way to it starts at the proxy.
    ///
    /// # Errors
    /// As [`Network::client_leg`].
    ///
    /// # Panics
    /// Where there is no router.
    pub fn nearest(
        network: &Network,
        routers: impl Iterator<Item = RegionId> + Clone,
        geo_proxy: Option<RegionId>,
        origin: &Origin,
    ) -> Result<Self, ModelError> {
        let mut best: Option<Self> = None;
        for (site, region) in (0_u32..).zip(routers.clone()) {
            let leg = network.client_leg(origin, region)?;
            if best.is_none_or(|best| leg.median < best.leg.median) {
                best = Some(Self { site, leg });
            }
        }
        let mut ingress = best.expect("there is a router");
        if let Some(proxy) = geo_proxy {
            let name = network.regions()[proxy.index()].name.clone();
            let proxy = Origin { region: Some(name), ..Origin::default() };
            let region = routers.clone().nth(ingress.site as usize).expect("the router is there");
            ingress.leg = network.client_leg(&proxy, region)?;
        }
        Ok(ingress)
    }

    /// The same way for the origin with this number: two origins drift independently.
    #[must_use]
    pub const fn of_origin(mut self, number: u32) -> Self {
        self.leg = self.leg.of_origin(number);
        self
    }
}

impl Site {
    /// Whether replicas of this region are reached through their own region's router.
    pub fn forwards_to(&self, region: RegionId) -> bool {
        matches!(self.router.config().reach, Reach::Region(_)) && region != self.region
    }
}

impl World<'_> {
    /// Learns the ways of the origins that the source has met since.
    pub(crate) fn learn_origins(&mut self, id: RequestId) -> Result<(), SimError> {
        while self.ingresses.len() < self.client.source().origins().len() {
            let origin = &self.client.source().origins()[self.ingresses.len()];
            let ingress = self
                .ingress(origin)
                .map_err(|source| SimError::Origin { id, source: Box::new(source) })?;
            self.residencies.push(origin.residency.as_deref().and_then(|name| self.zone(name)));
            self.ingresses.push(ingress.of_origin(self.ingresses.len() as u32));
        }
        Ok(())
    }

    /// The zone of this name. One that no replica stands in is the one after the last, so that nobody may serve its
    /// requests; where there are no zones at all, none.
    fn zone(&self, name: &str) -> Option<ZoneId> {
        let place = self.zones.iter().position(|zone| zone == name).unwrap_or(self.zones.len());
        ZoneId::from_index(place).filter(|_| !self.zones.is_empty())
    }

    fn ingress(&self, origin: &Origin) -> Result<Ingress, ModelError> {
        let sites = self.sites.iter().map(|site| site.region);
        Ingress::nearest(&self.network, sites, self.geo_proxy, origin)
    }

    /// The router of a region, for a request that is passed on to it.
    pub(crate) fn site_of(&self, region: RegionId) -> u32 {
        let place = self.sites.iter().position(|site| site.region == region);
        place.expect("a region with replicas has a router") as u32
    }
}
