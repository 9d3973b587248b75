//! What a router is told that belongs to no request: probes, scrapes, the fleet's changes, the replicas' caches.

use super::Router;
use crate::error::RoutingError;
use crate::fleet::Scrape;
use crate::health::Check;
use gorgo_types::{BlockChain, BlockId, Nanos, RegionId, ReplicaId, Tokens, ZoneId};

impl Router {
    /// A probe of `replica` has answered after `rtt`, or failed (`None`), which changes nothing but perhaps its health.
    pub fn probe_result(&mut self, now: Nanos, replica: ReplicaId, rtt: Option<Nanos>) {
        self.checked(now, replica, Check::Probe, rtt.is_some());
        let Some(rtt) = rtt else { return };
        if self.fleet.probed(now, replica, rtt) {
            self.queue.unblock();
        } else {
            self.ignored.unknown_replica += 1;
        }
    }

    /// A metrics scrape has answered. One that was taken before the one known is ignored.
    pub fn scraped(&mut self, now: Nanos, replica: ReplicaId, scrape: Scrape) {
        self.checked(now, replica, Check::Scrape, true);
        if self.fleet.scraped(replica, &scrape) {
            self.queue.unblock();
        } else if self.fleet.life(replica).is_none() {
            self.ignored.unknown_replica += 1;
        } else {
            self.ignored.old_scrape += 1;
        }
    }

    /// A metrics scrape has failed: what is known is kept, and ages.
    pub fn scrape_failed(&mut self, now: Nanos, replica: ReplicaId) {
        self.checked(now, replica, Check::Scrape, false);
    }

    fn checked(&mut self, now: Nanos, replica: ReplicaId, check: Check, ok: bool) {
        if let Some(health) = &mut self.health {
            health.checked(now, replica, check, ok, &mut self.fleet);
            self.queue.unblock();
        }
    }

    /// The fleet's owner has changed something: who is the last of a zone may be another now.
    fn fleet_changed(&mut self) {
        if let Some(health) = &self.health {
            health.tell(&mut self.fleet);
        }
        self.queue.unblock();
    }

    /// A replica joins, as the last candidate; a draining one is taken back into service in its place.
    ///
    /// # Errors
    /// When it is in service already, or its id is too large.
    pub fn replica_added(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        region: RegionId,
    ) -> Result<(), RoutingError> {
        let is_new = self.fleet.life(replica).is_none();
        self.fleet.add(replica, region)?;
        self.cached.resize(self.fleet.ids(), 0);
        if let Some(health) = &mut self.health
            && is_new
        {
            health.forget(now, replica, &mut self.fleet);
        }
        self.fleet_changed();
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
        self.fleet_changed();
        Ok(())
    }

    /// Says how much a replica is meant to bear against the others; a new one has the weight 1. Requests under way are not
    /// touched.
    ///
    /// # Errors
    /// When it is not in the fleet, or the weight is not from 1 to [`crate::MAX_WEIGHT`].
    pub fn set_replica_weight(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        weight: u32,
    ) -> Result<(), RoutingError> {
        self.fleet.set_weight(replica, weight)?;
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
        self.fleet_changed();
        Ok(())
    }

    /// A replica is gone, with its cache. Requests that are still there are to be told as failed, as any.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn replica_removed(&mut self, _now: Nanos, replica: ReplicaId) -> Result<(), RoutingError> {
        self.fleet.remove(replica)?;
        self.fleet_changed();
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
        self.fleet_changed();
        Ok(())
    }

    /// A replica's cache is empty again: it was restarted or flushed.
    pub fn cache_lost(&mut self, _now: Nanos, replica: ReplicaId) {
        if let Some(index) = &mut self.index {
            index.remove_replica(replica);
        }
    }

    /// A replica's engine says that it holds these blocks from now on. Their ids must be chained as those of the prompts are
    /// ([`gorgo_types::chain`]), so they tell what stands before them, and no parent is named. To be told once or again
    /// is the same.
    pub fn kv_stored(&mut self, _now: Nanos, replica: ReplicaId, blocks: &[BlockId]) {
        self.kv_event(replica, true, blocks);
    }

    /// A replica's engine says that it has given these blocks up. Blocks that it did not hold are passed over.
    pub fn kv_removed(&mut self, _now: Nanos, replica: ReplicaId, blocks: &[BlockId]) {
        self.kv_event(replica, false, blocks);
    }

    /// A replica's engine says that it holds nothing any more; to be told, too, when some of its events were lost.
    pub fn kv_cleared(&mut self, now: Nanos, replica: ReplicaId) {
        self.cache_lost(now, replica);
    }

    fn kv_event(&mut self, replica: ReplicaId, stored: bool, blocks: &[BlockId]) {
        if self.fleet.life(replica).is_none() {
            self.ignored.unknown_replica += 1;
        } else if let Some(index) = &mut self.index {
            self.ignored.kv_event += u64::from(!index.kv_event(replica, stored, blocks));
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
