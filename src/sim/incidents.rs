//! What goes wrong: replicas that crash and come back, requests that fail on the way, probes that stay unanswered.
//!
//! A crash is a process that dies on a host that lives: what it held is reset, and what reaches it while it is down is
//! refused, both of which the router hears of half a round trip later. A cut link is not heard of at all: a request that
//! does not get through in the router's time fails, and an answer comes late. What a replica's engine goes on computing
//! behind a cut link is not cancelled. The router's index does not learn that a cache is gone.

use crate::agenda::{Event, Slot};
use crate::error::{SimError, Step};
use crate::flight::back_of;
use crate::world::World;
use gorgo_metrics::Status;
use gorgo_scenario::Outage;
use gorgo_types::{Nanos, ReplicaId};

impl World<'_> {
    /// Puts the beginnings and ends of the outages on the agenda.
    pub(crate) fn plan_outages(&mut self, outages: &[Outage]) {
        for &Outage { replica, from, to } in outages {
            self.agenda.push(from, Event::Down(replica));
            self.agenda.push(to, Event::Up(replica));
        }
    }

    /// A replica crashes, after everything that it does at this instant.
    pub(crate) fn down(&mut self, replica: ReplicaId) -> Step {
        self.stations[replica.index()].down += 1;
        if self.stations[replica.index()].down > 1 {
            return Ok(());
        }
        self.advance(replica)?;
        let lost = self.stations[replica.index()].engine.fail(self.now);
        for key in lost {
            self.reset(Slot(key.0));
        }
        for connections in self.sites.iter_mut().filter_map(|site| site.connections.as_mut()) {
            connections.break_all(replica);
        }
        self.plan_wake(replica);
        Ok(())
    }

    /// A replica is back, empty. (Outages may overlap: the last end counts.)
    pub(crate) fn up(&mut self, replica: ReplicaId) {
        self.stations[replica.index()].down -= 1;
    }

    /// The replica's host resets a request's connection: the router hears of it after what was sent before.
    pub(crate) fn reset(&mut self, slot: Slot) {
        let flight = self.flights.get(slot);
        let region = self.stations[flight.sent_to().index()].region;
        let rtt = flight.replica_rtt;
        let router = self.sites[flight.site as usize].region;
        let sent = self.network.passes(region, router, self.now, rtt);
        let at = (sent + back_of(rtt)).max(flight.heard.unwrap_or(Nanos::ZERO));
        self.agenda.push(at, Event::AttemptFailed(slot));
    }

    /// The router learns that an attempt came to nothing: it tries again, or gives up.
    pub(crate) fn attempt_failed(&mut self, slot: Slot) -> Step {
        let now = self.now;
        let flight = self.flights.get_mut(slot);
        let (replica, site) = (flight.sent_to(), flight.site);
        if let Some(ticket) = flight.ticket.take() {
            self.sites[site as usize].router.failed(now, ticket);
        }
        self.stations[replica.index()].in_flight -= 1;
        let record = &mut flight.record;
        if record.first_token.is_none() && record.attempts < self.failures.attempts {
            // What this attempt took is one part; the next one starts as a request that has just come.
            record.parts.connect = record.parts.connect - flight.set_up;
            record.parts.failed_attempts += now - flight.since;
            record.cached_tokens = 0;
            self.at_router(slot)?;
        } else {
            self.refuse(slot, Status::Failed)?;
        }
        self.tell_tuning(site);
        self.serve_queue(site)
    }

    /// A scrape has succeeded or failed: the router may find a replica unhealthy, or healthy again.
    pub(crate) fn scrape_told(&mut self, site: u32, replica: ReplicaId, ok: bool) -> Step {
        let limit = self.failures.unhealthy_after;
        let place = &mut self.sites[site as usize];
        let failed = &mut place.failed_scrapes[replica.index()];
        let before = *failed;
        *failed = if ok { 0 } else { before.saturating_add(1) };
        let (was, is) = (before >= limit, *failed >= limit);
        if limit == 0 || was == is {
            return Ok(());
        }
        place.router.set_health(self.now, replica, !is).map_err(SimError::from)?;
        self.serve_queue(site)
    }
}
