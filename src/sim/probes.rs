//! Probes: how the router learns the round trips and the replicas' metrics, and how old that knowledge is.
//!
//! There are two kinds, each with an interval of its own. An RTT probe tells the round trip it took. A scrape reads the
//! metrics when it reaches the replica, and its answer is back one round trip after it left: so what the router knows
//! of a replica is always at least half a round trip old, and up to an interval older. The router starts with one
//! answered round of both: it has been up for a while when the load begins.

use crate::agenda::{Event, Slot, Watch};
use crate::error::{SimError, Step};
use crate::flight::{back_of, out_of};
use crate::site::Site;
use crate::world::World;
use gorgo_model::Observation;
use gorgo_model::network::Traffic;
use gorgo_random::Purpose;
use gorgo_routing::Scrape;
use gorgo_types::{Nanos, ReplicaId};
use gorgo_workload::Due;

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Probe {
    watch: Watch,
    site: u32,
    replica: ReplicaId,
    rtt: Nanos,
    /// When the router sent it.
    asked: Nanos,
    /// It stays without an answer.
    failed: bool,
    taken_at: Nanos,
    seen: Observation,
}

/// When nobody was sent and nobody ended for so long, it is asked whether anybody ever will.
const TIME_WITHOUT_NEWS: Nanos = Nanos::from_secs(3600);
/// And so many rounds of probes, each of which may tell of room.
const ROUNDS_WITHOUT_NEWS: u64 = 10;

impl World<'_> {
    /// The rounds that were answered before the load began.
    pub(crate) fn first_probes(&mut self) -> Step {
        for watch in [Watch::Rtt, Watch::Metrics] {
            for (site, replica) in self.probed() {
                let (set_up, rtt) = self.probe_rtt(watch, site, replica, 0);
                let seen = self.stations[replica.index()].engine.observe(self.now);
                let (asked, taken_at, failed) = (self.now, self.now, false);
                let probe = Probe { watch, site, replica, rtt, asked, failed, taken_at, seen };
                self.tell_router(&probe, set_up + rtt)?;
            }
            if let Some(interval) = self.interval(watch) {
                self.agenda.push(interval, Event::ProbeRound(watch, 1));
            }
        }
        Ok(())
    }

    /// Who probes whom: every router every replica.
    fn probed(&self) -> impl Iterator<Item = (u32, ReplicaId)> + use<> {
        let (sites, stations) = (self.sites.len() as u32, self.stations.len() as u32);
        (0..sites)
            .flat_map(move |site| (0..stations).map(move |replica| (site, ReplicaId(replica))))
    }

    const fn interval(&self, watch: Watch) -> Option<Nanos> {
        match watch {
            Watch::Rtt => self.probe_interval,
            Watch::Metrics => self.scrape_interval,
        }
    }

    /// The router sends a round of probes.
    pub(crate) fn probe_round(&mut self, watch: Watch, round: u32) -> Step {
        self.look_for_progress(watch)?;
        for (site, replica) in self.probed() {
            let (set_up, rtt) = self.probe_rtt(watch, site, replica, round);
            let seen = Observation::default();
            let (asked, taken_at, failed) = (self.now, Nanos::ZERO, false);
            let probe = Probe { watch, site, replica, rtt, asked, failed, taken_at, seen };
            let slot = self.probes.insert(probe);
            self.send_probe(slot, set_up);
        }
        if let Some(interval) = self.interval(watch) {
            self.agenda.push(self.now + interval, Event::ProbeRound(watch, round.wrapping_add(1)));
        }
        Ok(())
    }

    /// Probes go on as long as a request is under way: for ever, where it waits for ever.
    fn look_for_progress(&mut self, watch: Watch) -> Step {
        let since = self.last_sent.max(self.last_finished);
        let rounds = self
            .interval(watch)
            .map_or(Nanos::ZERO, |interval| Nanos(interval.0.saturating_mul(ROUNDS_WITHOUT_NEWS)));
        if self.flights.is_empty()
            || self.now.saturating_sub(since) < rounds.max(TIME_WITHOUT_NEWS)
            || matches!(self.client.next_send().map_err(SimError::from)?, Due::At(_))
            || !self.agenda.has_watches_alone()
        {
            return Ok(());
        }
        Err(SimError::WaitForEver { requests: self.flights.len(), since }.into())
    }

    /// Sends a probe whose connection takes so long to open. An RTT probe is not looked at before its answer is back.
    fn send_probe(&mut self, slot: Slot, set_up: Nanos) {
        let &Probe { watch, site, replica, rtt, asked, .. } = self.probes.get(slot);
        let from = self.sites[site as usize].region;
        let region = self.stations[replica.index()].region;
        let through = self.network.passes(from, region, asked, rtt);
        let there = through + set_up + out_of(rtt);
        if through - asked > self.failures.probe_timeout {
            self.give_probe_up(slot);
        } else if watch == Watch::Metrics {
            self.agenda.push(there, Event::ProbeAtReplica(slot));
        } else {
            self.answer_probe(slot, there);
        }
    }

    /// A replica answers a probe at this time: the answer may be late, or too late.
    fn answer_probe(&mut self, slot: Slot, at: Nanos) {
        let &Probe { site, replica, rtt, asked, .. } = self.probes.get(slot);
        let region = self.stations[replica.index()].region;
        let router = self.sites[site as usize].region;
        let sent = self.network.passes(region, router, at, rtt);
        if sent > at && sent + back_of(rtt) - asked > self.failures.probe_timeout {
            self.give_probe_up(slot);
        } else {
            self.agenda.push(sent + back_of(rtt), Event::ProbeAnswered(slot));
        }
    }

    /// Nothing passes a cut link in the time that the router waits.
    fn give_probe_up(&mut self, slot: Slot) {
        let probe = self.probes.get_mut(slot);
        probe.failed = true;
        let at = (probe.asked + self.failures.probe_timeout).max(self.now);
        self.agenda.push(at, Event::ProbeAnswered(slot));
    }

    /// A scrape reads the replica's metrics, or is refused.
    pub(crate) fn probe_at_replica(&mut self, slot: Slot) {
        let probe = self.probes.get_mut(slot);
        let station = &self.stations[probe.replica.index()];
        probe.taken_at = self.now;
        probe.seen = station.engine.observe(self.now);
        probe.failed = station.down > 0;
        self.answer_probe(slot, self.now);
    }

    /// The answer is back.
    pub(crate) fn probe_answered(&mut self, slot: Slot) -> Step {
        let mut probe = self.probes.remove(slot);
        probe.failed |= probe.watch == Watch::Rtt && self.stations[probe.replica.index()].down > 0;
        let took = self.now - probe.asked;
        self.tell_router(&probe, took)
    }

    fn tell_router(&mut self, probe: &Probe, took: Nanos) -> Step {
        let Site { router, connections, .. } = &mut self.sites[probe.site as usize];
        if probe.failed {
            match probe.watch {
                Watch::Rtt => router.probe_result(self.now, probe.replica, None),
                Watch::Metrics => {
                    router.scrape_failed(self.now, probe.replica);
                    self.scrape_told(probe.site, probe.replica, false)?;
                }
            }
            return Ok(());
        }
        if let Some(connections) = connections {
            connections.give_back_of_probe(probe.replica, self.now);
        }
        match probe.watch {
            Watch::Rtt => router.probe_result(self.now, probe.replica, Some(took)),
            Watch::Metrics => {
                let scrape = Scrape {
                    running_requests: probe.seen.running_requests,
                    queued_requests: probe.seen.queued_requests,
                    used_tokens: probe.seen.used_tokens,
                    kv_pool_tokens: probe.seen.kv_pool_tokens,
                    taken_at: probe.taken_at,
                    latency: took,
                };
                router.scraped(self.now, probe.replica, scrape);
                if self.sites[probe.site as usize].failed_scrapes[probe.replica.index()] > 0 {
                    self.scrape_told(probe.site, probe.replica, true)?;
                }
            }
        }
        // Whether a region has room is known by scrapes alone: with nothing under way no other news would come.
        if self.sites[probe.site as usize].router.queued() > 0 {
            self.serve_queue(probe.site)?;
        }
        Ok(())
    }

    /// The time to open a probe's connection, and its round trip.
    fn probe_rtt(
        &mut self,
        watch: Watch,
        site: u32,
        replica: ReplicaId,
        round: u32,
    ) -> (Nanos, Nanos) {
        let draw = self
            .key
            .with(Purpose::ProbeRtt)
            .word(watch as u64)
            .word(u64::from(replica.0) | u64::from(site) << 32)
            .word(u64::from(round))
            .draw();
        let region = self.stations[replica.index()].region;
        let Site { region: from, connections, .. } = &mut self.sites[site as usize];
        let traffic = match watch {
            Watch::Rtt => Traffic::RttProbes,
            Watch::Metrics => Traffic::Scrapes,
        };
        let rtt = self.network.rtt_at(*from, region, self.now, traffic, draw);
        let set_up = (connections.as_mut())
            .map_or(Nanos::ZERO, |open| open.take_for_probe(replica, self.now, rtt));
        (set_up, rtt)
    }
}
