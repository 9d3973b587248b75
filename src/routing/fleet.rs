//! The candidates, in the fleet's order, with what the router knows of each and whether it may be chosen.
//!
//! Signals are kept from one decision to the next and changed where something happens, so that a decision only has to
//! fill in what depends on the request. Read [`crate::router`] next.

use crate::accounting::QueuedTokens;
use crate::error::RoutingError;
use crate::signals::{MAX_WEIGHT, RoutingRequest, Signals};
use gorgo_types::{Nanos, RegionId, ReplicaId, ZoneId};

/// Replica ids are below this. Ids index vectors and bits, so they are dense; a sparse one would waste both.
pub const MAX_REPLICAS: u32 = 4096;

/// One scrape of a replica's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Requests that the engine runs.
    pub running_requests: u32,
    /// Requests in the engine's own queue.
    pub queued_requests: u32,
    /// KV tokens in use by running requests, what could be evicted not counted.
    pub used_tokens: u64,
    /// KV pool size in tokens; 0 where unknown.
    pub kv_pool_tokens: u64,
    /// When the engine looked: the scrape's age counts from here.
    pub taken_at: Nanos,
    /// How long the scrape took, from request to answer.
    pub latency: Nanos,
}

/// Where a replica id stands now.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    slot: Option<u32>,
    /// Raised at each removal, so that requests sent to an earlier replica of this id are told apart.
    life: u32,
}

#[derive(Clone, Copy, Debug)]
struct State {
    healthy: bool,
    draining: bool,
    /// What [`crate::health`] says.
    fit: bool,
    /// Unfit, but to be chosen all the same, since nobody of the fleet, or of its zone, is fit.
    spared: bool,
    spared_for_zone: bool,
    /// Healthy, in service and below its gate; it may be chosen unless the router's reach says otherwise.
    open: bool,
    /// The same for a request that is bound to its zone.
    open_for_zone: bool,
}

impl State {
    const NEW: Self = Self {
        healthy: true,
        draining: false,
        fit: true,
        spared: false,
        spared_for_zone: false,
        open: true,
        open_for_zone: true,
    };

    const fn is_open(&self, bound: bool) -> bool {
        if bound { self.open_for_zone } else { self.open }
    }

    /// Takes requests as far as its owner is concerned.
    const fn in_service(&self) -> bool {
        self.healthy && !self.draining
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fleet {
    signals: Vec<Signals>,
    states: Vec<State>,
    places: Vec<Place>,
    gate: Option<u32>,
    alpha: f64,
    never_scraped: usize,
    /// Whether weights differ from 1.
    weighted: bool,
    /// The zone that the candidates were last narrowed to by [`Fleet::bind`].
    bound: Option<ZoneId>,
}

impl Fleet {
    pub(crate) const fn new(gate: Option<u32>, alpha: f64) -> Self {
        Self {
            signals: Vec::new(),
            states: Vec::new(),
            places: Vec::new(),
            gate,
            alpha,
            never_scraped: 0,
            weighted: false,
            bound: None,
        }
    }

    pub(crate) fn signals(&self) -> &[Signals] {
        &self.signals
    }

    /// True while some candidate was never scraped, eligible or not.
    pub(crate) const fn any_never_scraped(&self) -> bool {
        self.never_scraped > 0
    }

    /// True where some candidate's weight is not 1.
    pub(crate) const fn is_weighted(&self) -> bool {
        self.weighted
    }

    /// One more than the largest id that was ever in the fleet.
    pub(crate) fn ids(&self) -> usize {
        self.places.len()
    }

    fn slot(&self, replica: ReplicaId) -> Option<usize> {
        self.places.get(replica.index())?.slot.map(|slot| slot as usize)
    }

    pub(crate) fn life(&self, replica: ReplicaId) -> Option<u32> {
        self.places.get(replica.index()).filter(|place| place.slot.is_some()).map(|p| p.life)
    }

    /// Adds a replica as the last candidate; a draining one of that id is taken back into service instead.
    pub(crate) fn add(&mut self, replica: ReplicaId, region: RegionId) -> Result<(), RoutingError> {
        if replica.0 >= MAX_REPLICAS {
            return Err(RoutingError::ReplicaIdTooLarge { replica, limit: MAX_REPLICAS });
        }
        if let Some(slot) = self.slot(replica) {
            if !self.states[slot].draining {
                return Err(RoutingError::DuplicateReplica { replica });
            }
            self.states[slot].draining = false;
            self.refresh(slot);
            return Ok(());
        }
        if self.places.len() <= replica.index() {
            self.places.resize(replica.index() + 1, Place::default());
        }
        // At most MAX_REPLICAS candidates, so the slot fits.
        self.places[replica.index()].slot = Some(self.signals.len() as u32);
        self.signals.push(Signals::unknown(replica, region));
        self.states.push(State::NEW);
        self.never_scraped += 1;
        Ok(())
    }

    pub(crate) fn drain(&mut self, replica: ReplicaId) -> Result<(), RoutingError> {
        let slot = self.slot(replica).ok_or(RoutingError::UnknownReplica { replica })?;
        self.states[slot].draining = true;
        self.refresh(slot);
        Ok(())
    }

    pub(crate) fn remove(&mut self, replica: ReplicaId) -> Result<(), RoutingError> {
        let slot = self.slot(replica).ok_or(RoutingError::UnknownReplica { replica })?;
        let removed = self.signals.remove(slot);
        self.states.remove(slot);
        if self.weighted {
            self.see_weights();
        }
        self.never_scraped -= usize::from(removed.scraped_at.is_none());
        let place = &mut self.places[replica.index()];
        place.slot = None;
        place.life = place.life.wrapping_add(1);
        for signals in &self.signals[slot..] {
            if let Some(slot) = &mut self.places[signals.replica.index()].slot {
                *slot -= 1;
            }
        }
        Ok(())
    }

    pub(crate) fn set_health(
        &mut self,
        replica: ReplicaId,
        healthy: bool,
    ) -> Result<(), RoutingError> {
        let slot = self.slot(replica).ok_or(RoutingError::UnknownReplica { replica })?;
        self.states[slot].healthy = healthy;
        self.refresh(slot);
        Ok(())
    }

    fn refresh(&mut self, slot: usize) {
        let (signals, state) = (&mut self.signals[slot], &mut self.states[slot]);
        let below_gate = self.gate.is_none_or(|gate| signals.in_flight_requests < gate);
        let takes = state.in_service() && below_gate;
        state.open = takes && (state.fit || state.spared);
        state.open_for_zone = takes && (state.fit || state.spared || state.spared_for_zone);
        signals.eligible = state.open;
    }

    /// Every candidate, and whether it takes requests as far as its owner is concerned.
    pub(crate) fn in_service(&self) -> impl Iterator<Item = (&Signals, bool)> {
        self.signals.iter().zip(&self.states).map(|(signals, state)| (signals, state.in_service()))
    }

    /// Says of every candidate whether it is fit, and if not, whether it goes on for all, or for its zone.
    pub(crate) fn set_fitness(&mut self, of: impl Fn(&Signals) -> (bool, bool, bool)) {
        for slot in 0..self.states.len() {
            let state = &mut self.states[slot];
            (state.fit, state.spared, state.spared_for_zone) = of(&self.signals[slot]);
            self.refresh(slot);
        }
    }

    /// Whether any candidate that is open satisfies `wanted`; `bound`: for a request that is bound to their zone.
    pub(crate) fn any_open(&self, bound: bool, wanted: impl Fn(&Signals) -> bool) -> bool {
        let mut candidates = self.signals.iter().zip(&self.states);
        candidates.any(|(signals, state)| state.is_open(bound) && wanted(signals))
    }

    /// Leaves only the open candidates that satisfy `wanted` to be chosen; `bound` as above.
    pub(crate) fn narrow(&mut self, bound: bool, wanted: impl Fn(&Signals) -> bool) {
        for (signals, state) in self.signals.iter_mut().zip(&self.states) {
            signals.eligible = state.is_open(bound) && wanted(signals);
        }
    }

    /// Says in which zone a replica stands.
    pub(crate) fn set_zone(
        &mut self,
        replica: ReplicaId,
        zone: Option<ZoneId>,
    ) -> Result<(), RoutingError> {
        let slot = self.slot(replica).ok_or(RoutingError::UnknownReplica { replica })?;
        self.signals[slot].zone = zone;
        Ok(())
    }

    /// Says how much a replica is meant to bear against the others.
    pub(crate) fn set_weight(
        &mut self,
        replica: ReplicaId,
        weight: u32,
    ) -> Result<(), RoutingError> {
        let slot = self.slot(replica).ok_or(RoutingError::UnknownReplica { replica })?;
        if !(1..=MAX_WEIGHT).contains(&weight) {
            return Err(RoutingError::ReplicaWeight { replica, got: weight, most: MAX_WEIGHT });
        }
        self.signals[slot].weight = weight;
        if weight != 1 {
            self.weighted = true;
        } else if self.weighted {
            self.see_weights();
        }
        Ok(())
    }

    fn see_weights(&mut self) {
        self.weighted = self.signals.iter().any(|signals| signals.weight != 1);
    }

    /// Leaves only the open candidates of a zone to be chosen, and all open ones again for a request without one.
    #[inline]
    pub(crate) fn bind(&mut self, zone: Option<ZoneId>) {
        if zone.is_some() || self.bound.is_some() {
            self.bound = zone;
            self.narrow(zone.is_some(), |signals| zone.is_none() || signals.zone == zone);
        }
    }

    /// Counts a request that is sent to `replica`, where that is in the fleet, and says what is then known of it. The index
    /// has just been asked about this request.
    pub(crate) fn count(
        &mut self,
        replica: ReplicaId,
        request: &RoutingRequest<'_>,
    ) -> (QueuedTokens, Option<&Signals>) {
        let all = request.prompt.tokens().get();
        let Some(slot) = self.slot(replica) else {
            return (QueuedTokens { all, uncached: all }, None);
        };
        let signals = &mut self.signals[slot];
        let uncached = signals.uncached_tokens(request);
        signals.in_flight_requests += 1;
        signals.queued_tokens += all;
        signals.queued_uncached_tokens += uncached;
        self.refresh(slot);
        (QueuedTokens { all, uncached }, Some(&self.signals[slot]))
    }

    /// Takes a counted request off again, unless its replica has been removed since.
    ///
    /// # Panics
    /// When more is released than was counted: the accounting is broken.
    pub(crate) fn release(&mut self, replica: ReplicaId, life: u32, tokens: QueuedTokens) {
        if self.life(replica) != Some(life) {
            return;
        }
        let Some(slot) = self.slot(replica) else { return };
        let signals = &mut self.signals[slot];
        signals.in_flight_requests = signals
            .in_flight_requests
            .checked_sub(1)
            .expect("a replica's in-flight count fell below zero");
        signals.queued_tokens = signals
            .queued_tokens
            .checked_sub(tokens.all)
            .expect("a replica's queued tokens fell below zero");
        signals.queued_uncached_tokens = signals
            .queued_uncached_tokens
            .checked_sub(tokens.uncached)
            .expect("a replica's queued uncached tokens fell below zero");
        self.refresh(slot);
    }

    /// Enters a probe's round trip: the first is taken as it is, later ones move the average. False: no such replica.
    pub(crate) fn probed(&mut self, now: Nanos, replica: ReplicaId, rtt: Nanos) -> bool {
        let Some(slot) = self.slot(replica) else { return false };
        let signals = &mut self.signals[slot];
        let new = rtt.as_ms();
        let average =
            signals.rtt_ewma_ms.map_or(new, |old| self.alpha * new + (1.0 - self.alpha) * old);
        signals.rtt_ewma_ms = Some(average);
        signals.rtt_at = Some(now);
        true
    }

    /// Enters a scrape. False: no such replica, or an answer older than the one known.
    pub(crate) fn scraped(&mut self, replica: ReplicaId, scrape: &Scrape) -> bool {
        let Some(slot) = self.slot(replica) else { return false };
        let signals = &mut self.signals[slot];
        match signals.scraped_at {
            Some(known) if known > scrape.taken_at => return false,
            Some(_) => {}
            None => self.never_scraped -= 1,
        }
        signals.running_requests = scrape.running_requests;
        signals.queued_requests = scrape.queued_requests;
        signals.used_tokens = scrape.used_tokens;
        signals.kv_pool_tokens = scrape.kv_pool_tokens;
        signals.scraped_at = Some(scrape.taken_at);
        signals.scrape_latency_ms = Some(scrape.latency.as_ms());
        true
    }

    /// Sets every candidate's cached tokens from a table by replica id.
    pub(crate) fn set_cached(&mut self, by_replica: &[u64]) {
        for signals in &mut self.signals {
            signals.cached_tokens = by_replica[signals.replica.index()];
        }
    }
}
