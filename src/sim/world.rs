//! The world of one run: replicas, network, router and clients, moved from event to event.
//!
//! This file is the loop and the bookkeeping; what happens to a request on its way is in `flow.rs`, what happens to
//! probes in `probes.rs`, and what is set up before and summed up after in `setup.rs`. Nothing here knows files,
//! scenarios or the wall clock.
//!
//! `cold_path()`, here and in what the loop calls, marks what a plain run hardly ever does (faults, connections, queues,
//! tuners, errors): the compiler then lays it apart, so that more of the rest fits the instruction cache. It changes no
//! result.

use crate::agenda::{Agenda, Event, LAST, SOURCE_CLASS, Slot};
use crate::connections::Connections;
use crate::error::{SimError, Step};
use crate::flight::{Flight, record_of};
use crate::probes::Probe;
use crate::setup::{Observer, RouterSetup, Setup, TuneObserver};
use crate::site::{Ingress, Site};
use crate::stops::Stops;
use crate::table::Table;
use gorgo_metrics::{Collector, RunResult, Status, TimelineSample};
use gorgo_model::{Engine, Network, ReplicaOutput};
use gorgo_random::{Key, Purpose};
use gorgo_routing::{Ignored, Router};
use gorgo_scenario::FailureSpec;
use gorgo_types::{Nanos, RegionId, ReplicaId, RequestId, ZoneId};
use gorgo_workload::{Client, Due, Outgoing};
use std::collections::VecDeque;

/// A replica with its place in the world.
#[derive(Debug)]
pub(crate) struct Station {
    pub name: String,
    pub region: RegionId,
    pub overhead: Nanos,
    pub engine: Engine,
    /// Tells a scheduled wake from those that were scheduled before the plan changed.
    pub wake: u32,
    pub wake_at: Option<Nanos>,
    /// Outages under way.
    pub down: u32,
    /// Requests dispatched there whose response has not passed the router.
    pub in_flight: u32,
    pub requests: u64,
}

/// One run under way.
pub struct World<'a> {
    pub(crate) now: Nanos,
    pub(crate) agenda: Agenda,
    pub(crate) flights: Table<Flight>,
    pub(crate) probes: Table<Probe>,
    pub(crate) stations: Vec<Station>,
    pub(crate) network: Network,
    pub(crate) sites: Vec<Site>,
    /// By origin.
    pub(crate) ingresses: Vec<Ingress>,
    pub(crate) geo_proxy: Option<RegionId>,
    /// The names of the fleet's zones.
    pub(crate) zones: Vec<String>,
    /// By origin: the zone that its requests must not leave.
    pub(crate) residencies: Vec<Option<ZoneId>>,
    pub(crate) failures: FailureSpec,
    pub(crate) decision_time: Nanos,
    pub(crate) serial_decisions: bool,
    pub(crate) relay_time_per_token: Nanos,
    pub(crate) probe_interval: Option<Nanos>,
    pub(crate) scrape_interval: Option<Nanos>,
    pub(crate) client: Client,
    pub(crate) answers_client: bool,
    pub(crate) key: Key,
    /// The keys of what every request draws.
    pub(crate) rtt_key: Key,
    pub(crate) decision_key: Key,
    pub(crate) collector: Collector,
    pub(crate) output: ReplicaOutput,
    pub(crate) forced: Option<(RequestId, ReplicaId)>,
    pub(crate) forced_seen: bool,
    pub(crate) observer: Option<&'a mut Observer<'a>>,
    pub(crate) tuning: Option<&'a mut TuneObserver<'a>>,
    pub(crate) progress: Option<&'a dyn Fn(u64)>,
    pub(crate) sent: u64,
    pub(crate) ended: u64,
    pub(crate) check: bool,
    warm_up: Nanos,
    stops: Stops,
    stop: Option<Nanos>,
    drain: Option<Nanos>,
    timeline_step: Option<Nanos>,
    regions: usize,
    measured_under_way: u64,
    pub(crate) last_sent: Nanos,
    pub(crate) last_finished: Nanos,
}

impl<'a> World<'a> {
    /// Puts everything in its place at time zero.
    ///
    /// # Errors
    /// When a replica or the router refuses its configuration.
    pub fn new(setup: Setup<'a>) -> Result<Self, SimError> {
        let stations = setup.stations()?;
        let replicas: Vec<_> = stations
            .iter()
            .enumerate()
            .map(|(i, station)| (ReplicaId(i as u32), station.region))
            .collect();
        let site = |(number, given): (u64, RouterSetup)| {
            let mut router = Router::new(given.config, given.policy, &replicas)?;
            for (&(replica, _), given) in replicas.iter().zip(&setup.replicas) {
                router.set_zone(Nanos::ZERO, replica, given.zone)?;
                router.set_replica_weight(Nanos::ZERO, replica, given.weight)?;
            }
            if let Some(tuner) = &setup.tuner {
                router.tune(tuner, setup.seed.wrapping_add(number))?;
            }
            let connections = setup.connect.map(|spec| Connections::new(spec, stations.len()));
            let failed_scrapes = vec![0; stations.len()];
            let region = given.region;
            Ok(Site {
                region,
                router,
                connections,
                failed_scrapes,
                decides_until: Nanos::ZERO,
                undecided: VecDeque::new(),
                deadline: None,
            })
        };
        let routers = (0..).zip(setup.routers);
        let sites = routers.map(site).collect::<Result<_, SimError>>()?;
        let mut client = Client::new(setup.source, &setup.client)?;
        if let Some(requests) = setup.measure.stop_after_requests {
            client.stop_after(requests);
        }
        let answers_client = client.needs_completions();
        let mut world = Self {
            now: Nanos::ZERO,
            agenda: Agenda::default(),
            flights: Table::default(),
            probes: Table::default(),
            stations,
            regions: setup.names.regions.len(),
            sites,
            ingresses: Vec::new(),
            geo_proxy: setup.geo_proxy,
            zones: setup.zones,
            residencies: Vec::new(),
            network: setup.network.with_key(Key::new(setup.seed)),
            failures: setup.failures,
            decision_time: setup.decision_time,
            serial_decisions: setup.serial_decisions,
            relay_time_per_token: setup.relay_time_per_token,
            probe_interval: setup.probe_interval,
            scrape_interval: setup.scrape_interval,
            client,
            answers_client,
            key: Key::new(setup.seed),
            rtt_key: Key::new(setup.seed).with(Purpose::NetworkRtt),
            decision_key: Key::new(setup.seed).with(Purpose::Decision),
            warm_up: setup.measure.window().from,
            stops: Stops::new(&setup.measure),
            stop: setup.measure.stop,
            drain: setup.measure.drain,
            timeline_step: setup.measure.timeline_step,
            collector: Collector::new(setup.measure, &setup.names),
            output: ReplicaOutput::default(),
            forced: setup.options.forced,
            forced_seen: false,
            observer: setup.options.observer,
            tuning: setup.options.tuning,
            progress: setup.options.progress,
            check: setup.options.check,
            sent: 0,
            ended: 0,
            measured_under_way: 0,
            last_sent: Nanos::ZERO,
            last_finished: Nanos::ZERO,
        };
        if let Some(requests) = world.client.source().size_hint() {
            world.collector.expect(requests);
            world.flights.expect(requests);
        }
        world.plan_outages(&setup.outages);
        world.first_probes()?;
        if world.timeline_step.is_some() {
            world.agenda.push(Nanos::ZERO, Event::Sample);
        }
        Ok(world)
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When the workload is bad, a request can never be served, or a law of conservation is broken.
    pub fn run(mut self) -> Result<RunResult, SimError> {
        let mut cut = None;
        'run: loop {
            let due = self.client.next_send()?;
            let limit = self.limit(&due);
            let sends = match due {
                Due::At(at) => (at, SOURCE_CLASS),
                Due::Waiting | Due::End => LAST,
            };
            let before = limit.map_or(LAST, |limit| (limit, u8::MAX)).min(sends);
            loop {
                if self.stops.gives_up() || self.is_over(&due)? {
                    break 'run;
                }
                let Some((at, event)) = self.agenda.pop_before(before) else { break };
                assert!(at >= self.now, "an event at {at} comes after {}", self.now);
                self.now = at;
                self.happen(event)?;
                if self.answers_client {
                    continue 'run;
                }
            }
            // What comes next is the request, or lies beyond the limit.
            let at = match (due, self.agenda.next_at()) {
                (Due::At(at), _) | (_, Some(at)) => at,
                _ => return Err(SimError::Stuck { at: self.now }),
            };
            if limit.is_some_and(|limit| at > limit) {
                cut = limit;
                break;
            }
            assert!(at >= self.now, "a request at {at} comes after {}", self.now);
            self.now = at;
            self.send()?;
        }
        self.finish(cut)
    }

    /// What every request goes through is told here, all else in `happen_beside`, so that the loop stays small.
    #[inline]
    fn happen(&mut self, event: Event) -> Step {
        match event {
            Event::AtRouter(slot) => self.at_router(slot),
            Event::AtReplica(slot) => self.at_replica(slot),
            Event::Wake(replica, wake) => self.wake(replica, wake),
            Event::FirstTokenAtRouter(slot) => {
                self.first_token_at_router(slot);
                Ok(())
            }
            Event::EndAtRouter(slot) => self.end_at_router(slot),
            Event::AtClient(slot) => self.at_client(slot),
            _ => self.happen_beside(event),
        }
    }

    #[inline(never)]
    fn happen_beside(&mut self, event: Event) -> Step {
        match event {
            Event::ProbeAnswered(slot) => return self.probe_answered(slot),
            Event::AttemptFailed(slot) => return self.attempt_failed(slot),
            Event::FirstTokenAtFirstRouter(slot) => self.first_token_at_first_router(slot),
            Event::EndAtFirstRouter(slot) => return self.end_at_first_router(slot),
            Event::RouterDeadline(site) => return self.router_deadline(site),
            Event::Up(replica) => self.up(replica),
            Event::Down(replica) => return self.down(replica),
            Event::Turn(site) => return self.turn(site),
            Event::ProbeRound(watch, round) => return self.probe_round(watch, round),
            Event::ProbeAtReplica(slot) => self.probe_at_replica(slot),
            Event::Sample => self.sample(),
            Event::AtRouter(_)
            | Event::AtReplica(_)
            | Event::Wake(..)
            | Event::FirstTokenAtRouter(_)
            | Event::EndAtRouter(_)
            | Event::AtClient(_) => unreachable!("`happen` has them"),
        }
        Ok(())
    }

    /// Is there nothing left that the result depends on?
    fn is_over(&mut self, due: &Due) -> Result<bool, SimError> {
        let stop = self.stop.unwrap_or(Nanos::MAX);
        if self.measured_under_way > 0 {
            return Ok(false);
        }
        // What the client still holds counts by the time it was due.
        if self.client.holds_back()
            && let Due::At(at) = self.client.next_due()?
        {
            return Ok(at >= stop);
        }
        match due {
            Due::End => Ok(self.stop.is_some() || self.flights.is_empty()),
            Due::At(at) => Ok(*at >= stop),
            Due::Waiting if self.now >= stop => Ok(true),
            Due::Waiting if self.flights.is_empty() => Err(SimError::Stuck { at: self.now }),
            Due::Waiting => Ok(false),
        }
    }

    /// The time after which nothing counts any more: `drain` after the stop, or after the last request was sent. A
    /// response whose end has passed the router by then counts as completed, though its client hears of it half a round
    /// trip later.
    fn limit(&self, due: &Due) -> Option<Nanos> {
        let drain = self.drain?;
        match (self.stop, due) {
            (Some(stop), _) => Some(stop.saturating_add(drain)),
            (None, Due::End) => Some(self.last_sent.saturating_add(drain)),
            (None, _) => None,
        }
    }

    /// The next request of the source leaves its client.
    fn send(&mut self) -> Step {
        let outgoing = self.client.send().map_err(SimError::from)?;
        let (scheduled, id) = (outgoing.scheduled, outgoing.request.id);
        self.learn_origins(id)?;
        // Those scheduled at the same instant as the last one of the warm-up belong to it.
        if self.stops.is_warm(self.sent + 1) {
            self.warm_up = scheduled + Nanos(1);
            self.collector.measure_from(self.warm_up);
        }
        let measured = scheduled >= self.warm_up && self.stop.is_none_or(|stop| scheduled < stop);
        self.measured_under_way += u64::from(measured);
        self.last_sent = outgoing.sent;
        self.sent += 1;
        self.set_out(outgoing, measured);
        Ok(())
    }

    /// A request is over, one way or the other: it is recorded and forgotten.
    pub(crate) fn retire(&mut self, slot: Slot, status: Status, at_client: Nanos) -> Step {
        let flight = self.flights.get_mut(slot);
        flight.record.status = status;
        flight.record.finished = Some(at_client);
        let pushed = self.collector.push(&flight.record);
        self.stops.ended(status, self.now);
        self.measured_under_way -= u64::from(flight.measured);
        self.flights.free(slot);
        self.last_finished = self.last_finished.max(at_client);
        self.ended += 1;
        if self.ended.is_multiple_of(1024)
            && let Some(progress) = self.progress
        {
            progress(self.ended);
        }
        pushed.map_err(|invalid| SimError::Invalid(invalid.to_string()).into())
    }

    fn sample(&mut self) {
        let mut samples: Vec<TimelineSample> = (0..self.regions)
            .map(|region| TimelineSample {
                at: self.now,
                region: RegionId(region as u32),
                in_flight: 0,
                running: 0,
                queued: 0,
            })
            .collect();
        for station in &self.stations {
            let seen = station.engine.observe(self.now);
            let sample = &mut samples[station.region.index()];
            sample.in_flight += station.in_flight;
            sample.running += seen.running_requests;
            sample.queued += seen.queued_requests;
        }
        for sample in samples {
            self.collector.sample(sample);
        }
        if let Some(step) = self.timeline_step {
            self.agenda.push(self.now + step, Event::Sample);
        }
    }

    /// Records what is still under way, asks the replicas for their totals, and checks the laws once more.
    #[inline(never)]
    fn finish(mut self, cut: Option<Nanos>) -> Result<RunResult, SimError> {
        if let Some((id, _)) = self.forced
            && !self.forced_seen
        {
            return Err(SimError::Forced(format!("request {id} never reached the router")));
        }
        // Messages never cross here: news that the router could not place is news that was told wrongly.
        // (A scrape may be overtaken by a later one.)
        for site in &self.sites {
            let ignored = Ignored { old_scrape: 0, ..site.router.ignored() };
            if ignored != Ignored::default() {
                return Err(SimError::Invalid(format!(
                    "a router was told what cannot be: {ignored:?}"
                )));
            }
        }
        // The last answers may still be on their way to their clients: they have ended, as `limit` says.
        let end = cut.unwrap_or(self.now).max(self.last_finished);
        for (_, flight) in self.flights.iter() {
            let mut record = flight.record;
            record.status = Status::InFlight;
            record.finished = None;
            if record.first_token.is_some_and(|at| at > end) {
                record.first_token = None;
            }
            self.collector
                .push(&record)
                .map_err(|invalid| SimError::Invalid(invalid.to_string()))?;
        }
        if self.warm_up == Nanos::MAX {
            self.collector.measure_from(end);
        }
        self.record_unsent(end)?;
        for index in 0..self.stations.len() {
            let summary = self.station_summary(index, end)?;
            self.collector.replica(summary);
        }
        if let Some(tuner) = self.tuner_summary() {
            self.collector.tuner(tuner);
        }
        let told = self.client.source().warnings().into_iter();
        let told = self.stops.warning().into_iter().chain(told);
        let told = told.chain(self.residency_warning());
        for warning in told.chain(self.extrapolation_warning()).chain(self.network.warning()) {
            self.collector.warn(warning);
        }
        let origins =
            self.client.source().origins().iter().map(gorgo_workload::info::origin_name).collect();
        self.collector.set_origins(origins);
        self.collector.set_legs(self.origin_legs());
        self.collector
            .finish(end, self.sent)
            .map_err(|invalid| SimError::Invalid(invalid.to_string()))
    }

    /// Requests that were due by the end and that the client still held count as under way: a slow fleet is not to look
    /// better by what was never asked of it.
    fn record_unsent(&mut self, end: Nanos) -> Result<(), SimError> {
        if !self.client.holds_back() {
            return Ok(());
        }
        let before = self.stop.unwrap_or(Nanos::MAX).min(end);
        while let Some((scheduled, request)) = self.client.never_sent(before)? {
            let outgoing = Outgoing { scheduled, offered: scheduled, sent: end, request };
            self.sent += 1;
            self.collector.never_sent();
            self.collector
                .push(&record_of(&outgoing))
                .map_err(|invalid| SimError::Invalid(invalid.to_string()))?;
        }
        Ok(())
    }
}
