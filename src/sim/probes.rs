//! Probes: how the router learns the round trips and the replicas' metrics, and how old that knowledge is.
//!
//! There are two kinds, each with an interval of its own. An RTT probe tells the round trip it took. A scrape reads the
//! metrics when it reaches the replica, and its answer is back one round trip after it left: so what the router knows
//! of a replica is always at least half a round trip old, and up to an interval older. The router starts with one
//! answered round of both: it has been up for a while when the load begins.

use crate::agenda::{Event, Slot, Watch};
use crate::flight::{back_of, out_of};
use crate::world::World;
use gorgo_model::Observation;
use gorgo_model::network::Traffic;
use gorgo_random::Purpose;
use gorgo_routing::Scrape;
use gorgo_types::{Nanos, ReplicaId};

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Probe {
    watch: Watch,
    replica: ReplicaId,
    /// Opening its connection, before it travels.
    set_up: Nanos,
    rtt: Nanos,
    taken_at: Nanos,
    seen: Observation,
}

impl World<'_> {
    /// The rounds that were answered before the load began.
    pub(crate) fn first_probes(&mut self) {
        for watch in [Watch::Rtt, Watch::Metrics] {
            for index in 0..self.stations.len() {
                let replica = ReplicaId(index as u32);
                let (set_up, rtt) = self.probe_rtt(watch, replica, 0);
                let seen = self.stations[index].engine.observe(self.now);
                self.tell_router(&Probe { watch, replica, set_up, rtt, taken_at: self.now, seen });
            }
            if let Some(interval) = self.interval(watch) {
                self.agenda.push(interval, Event::ProbeRound(watch, 1));
            }
        }
    }

    const fn interval(&self, watch: Watch) -> Option<Nanos> {
        match watch {
            Watch::Rtt => self.probe_interval,
            Watch::Metrics => self.scrape_interval,
        }
    }

    /// The router sends a round of probes.
    pub(crate) fn probe_round(&mut self, watch: Watch, round: u32) {
        for index in 0..self.stations.len() {
            let replica = ReplicaId(index as u32);
            let (set_up, rtt) = self.probe_rtt(watch, replica, round);
            let seen = Observation::default();
            let slot = self.probes.insert(Probe {
                watch,
                replica,
                set_up,
                rtt,
                taken_at: Nanos::ZERO,
                seen,
            });
            let sent = self.now + set_up;
            match watch {
                Watch::Rtt => self.agenda.push(sent + rtt, Event::ProbeAnswered(slot)),
                Watch::Metrics => self.agenda.push(sent + out_of(rtt), Event::ProbeAtReplica(slot)),
            }
        }
        if let Some(interval) = self.interval(watch) {
            self.agenda.push(self.now + interval, Event::ProbeRound(watch, round.wrapping_add(1)));
        }
    }

    /// A scrape reads the replica's metrics.
    pub(crate) fn probe_at_replica(&mut self, slot: Slot) {
        let probe = self.probes.get_mut(slot);
        probe.taken_at = self.now;
        probe.seen = self.stations[probe.replica.index()].engine.observe(self.now);
        self.agenda.push(self.now + back_of(probe.rtt), Event::ProbeAnswered(slot));
    }

    /// The answer is back.
    pub(crate) fn probe_answered(&mut self, slot: Slot) {
        let probe = self.probes.remove(slot);
        self.tell_router(&probe);
    }

    fn tell_router(&mut self, probe: &Probe) {
        if let Some(connections) = &mut self.connections {
            connections.give_back_of_probe(probe.replica, self.now);
        }
        let took = probe.set_up + probe.rtt;
        match probe.watch {
            Watch::Rtt => self.router.probe_result(self.now, probe.replica, Some(took)),
            Watch::Metrics => {
                let scrape = Scrape {
                    running_requests: probe.seen.running_requests,
                    queued_requests: probe.seen.queued_requests,
                    used_tokens: probe.seen.used_tokens,
                    kv_pool_tokens: probe.seen.kv_pool_tokens,
                    taken_at: probe.taken_at,
                    latency: took,
                };
                self.router.scraped(self.now, probe.replica, scrape);
            }
        }
    }

    /// The time to open a probe's connection, and its round trip.
    fn probe_rtt(&mut self, watch: Watch, replica: ReplicaId, round: u32) -> (Nanos, Nanos) {
        let draw = self
            .key
            .with(Purpose::ProbeRtt)
            .word(watch as u64)
            .word(u64::from(replica.0))
            .word(u64::from(round))
            .draw();
        let region = self.stations[replica.index()].region;
        let traffic = match watch {
            Watch::Rtt => Traffic::RttProbes,
            Watch::Metrics => Traffic::Scrapes,
        };
        let rtt = self.network.rtt_at(self.router_region, region, self.now, traffic, draw);
        let set_up = (self.connections.as_mut())
            .map_or(Nanos::ZERO, |open| open.take_for_probe(replica, self.now, rtt));
        (set_up, rtt)
    }
}
