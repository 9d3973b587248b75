//! What a router is told that belongs to no request: probes, scrapes, the fleet's changes, the replicas' caches.

use super::Router;
use crate::error::RoutingError;
use crate::fleet::Scrape;
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, Tokens, ZoneId};

impl Router {
    /// A probe of `replica` has answered after `rtt`, or failed (`None`), which changes nothing.
    pub fn probe_result(&mut self, now: Nanos, replica: ReplicaId, rtt: Option<Nanos>) {
        let Some(rtt) = rtt else { return };
        if self.fleet.probed(now, replica, rtt) {
            self.queue.unblock();
        } else {
            self.ignored.unknown_replica += 1;
        }
    }

    /// A metrics scrape has answered. One that was taken before the one known is ignored.
    pub fn scraped(&mut self, _now: Nanos, replica: ReplicaId, scrape: Scrape) {
        if self.fleet.scraped(replica, &scrape) {
            self.queue.unblock();
        } else if self.fleet.life(replica).is_none() {
            self.ignored.unknown_replica += 1;
        } else {
            self.ignored.old_scrape += 1;
        }
    }

    /// A metrics scrape has failed: what is known is kept, and ages.
    pub const fn scrape_failed(&mut self, _now: Nanos, _replica: ReplicaId) {}

    /// A replica joins, as the last candidate; a draining one is taken back into service in its place.
    ///
    /// # Errors
    /// When it is in service already, or its id is too large.
    pub fn replica_added(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        region: RegionId,
    ) -> Result<(), RoutingError> {
        self.fleet.add(replica, region)?;
        self.cached.resize(self.fleet.ids(), 0);
        self.queue.unblock();
        Ok(())
    }

    /// Says in which zone a replica stands; a new one stands in none. Requests under way are not touched.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn set_zone(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        zone: Option<ZoneId>,
    ) -> Result<(), RoutingError> {
        self.fleet.set_zone(replica, zone)?;
        self.queue.unblock();
        Ok(())
    }

    /// A replica takes no new requests; those it has go on.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn replica_draining(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
    ) -> Result<(), RoutingError> {
        self.fleet.drain(replica)?;
        self.queue.unblock();
        Ok(())
    }

    /// A replica is gone, with its cache. Requests that are still there are to be told as failed, as any.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn replica_removed(&mut self, _now: Nanos, replica: ReplicaId) -> Result<(), RoutingError> {
        self.fleet.remove(replica)?;
        self.queue.unblock();
        if let Some(index) = &mut self.index {
            index.remove_replica(replica);
        }
        Ok(())
    }

    /// A replica is found healthy or not; an unhealthy one is not chosen.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn set_health(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        healthy: bool,
    ) -> Result<(), RoutingError> {
        self.fleet.set_health(replica, healthy)?;
        self.queue.unblock();
        Ok(())
    }

    /// A replica's cache is empty again: it was restarted or flushed.
    pub fn cache_lost(&mut self, _now: Nanos, replica: ReplicaId) {
        if let Some(index) = &mut self.index {
            index.remove_replica(replica);
        }
    }

    /// A replica reported how many leading tokens of a prompt it had when it admitted the request: what the index
    /// believes beyond is dropped. The last block cannot be judged, since an engine always computes at least one token.
    /// To be told before the same request is learned: afterwards the replica has the whole prompt.
    pub fn cache_reported(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        prompt: &BlockChain,
        cached: Tokens,
    ) {
        if let Some(index) = &mut self.index
            && cached < prompt.tokens_in(prompt.blocks() - 1)
        {
            index.trim(replica, prompt, cached);
        }
    }
}
