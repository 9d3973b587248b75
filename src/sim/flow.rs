//! The way of a request: client, router, replica, and back.
//!
//! Each function is one event. Times are only ever computed forwards; the parts of TTFT are written where they arise
//! and add up by construction (the collector asserts it).

use crate::agenda::{Event, Slot};
use crate::error::{SimError, Step};
use crate::flight::{Flight, PassedOn, back_of, out_of};
use crate::setup::as_ns;
use crate::site::{Ingress, Site};
use crate::world::World;
use gorgo_metrics::Status;
use gorgo_model::network::Traffic;
use gorgo_model::{EngineRequest, ReplicaEvent, RequestKey};
use gorgo_random::{Draw, Key, Purpose};
use gorgo_routing::{Action, Target, Ticket};
use gorgo_types::{Nanos, ReplicaId, RequestId, Tokens};
use gorgo_workload::{Completed, Outgoing};
use std::hint::cold_path;

/// The link between clients and the router, as a word of keys; links to replicas are numbered by their region.
const CLIENT_LINK: u64 = u64::MAX;

/// What is drawn for a request, from the key of a purpose, depends on nothing but its identity and one word: where other
/// requests go changes it as little as what the policy decided before. Every request draws three times, far apart: one copy
/// of the code serves all.
#[inline(never)]
const fn request_draw(purpose: Key, id: RequestId, word: u64) -> Draw {
    purpose.word(id.session).word(id.turn as u64).word(word).draw()
}

/// The draw for the round trip between a request's client and its router.
#[must_use]
pub const fn client_draw(key: Key, id: RequestId) -> Draw {
    request_draw(key.with(Purpose::NetworkRtt), id, CLIENT_LINK)
}

/// The most that passing on tokens stretches a decision.
const MOST_STRETCH: f64 = 20.0;

impl World<'_> {
    /// A client sends a request.
    pub(crate) fn set_out(&mut self, outgoing: Outgoing, measured: bool) {
        let request = &outgoing.request;
        let Ingress { site, leg } = self.ingresses[request.origin.index()];
        let draw = request_draw(self.rtt_key, request.id, CLIENT_LINK);
        let sent = outgoing.sent;
        let client_rtt = self.network.client_rtt_at(&leg, sent, draw);
        let prompt = request.prompt.tokens();
        let region = self.sites[site as usize].region;
        let mut flight = Flight::new(outgoing, (site, region), client_rtt, measured);
        let parts = &mut flight.record.parts;
        parts.client_to_router += self.network.client_sending(prompt);
        if let Some(connections) = &self.sites[site as usize].connections {
            cold_path();
            let bytes = self.network.payload().bytes(prompt);
            let (set_up, slow_start) = connections.of_client(client_rtt, bytes);
            parts.connect += set_up;
            parts.client_to_router += slow_start;
        }
        let at_router = sent + parts.connect + parts.client_to_router;
        let slot = self.flights.insert(flight);
        self.agenda.push(at_router, Event::AtRouter(slot));
    }

    /// A request reaches the router.
    pub(crate) fn at_router(&mut self, slot: Slot) -> Step {
        let flight = self.flights.get_mut(slot);
        flight.since = self.now;
        if self.serial_decisions {
            cold_path();
            let number = flight.site;
            let site = &mut self.sites[number as usize];
            if site.decides_until > self.now || !site.undecided.is_empty() {
                if site.undecided.is_empty() {
                    self.agenda.push(site.decides_until, Event::Turn(number));
                }
                site.undecided.push_back(slot);
                return Ok(());
            }
            self.take_turn(number);
        }
        self.decide(slot, true)
    }

    /// A router that decides on one request after the other takes the next of those that wait.
    #[cold]
    pub(crate) fn turn(&mut self, number: u32) -> Step {
        let first = self.sites[number as usize].undecided.pop_front();
        self.take_turn(number);
        self.decide(first.expect("a turn is somebody's"), true)
    }

    /// Such a router begins a decision; whoever waits for it is next when it is over.
    fn take_turn(&mut self, number: u32) {
        let takes = self.routing_time(number);
        let site = &mut self.sites[number as usize];
        site.decides_until = self.now + takes;
        if !site.undecided.is_empty() {
            self.agenda.push(site.decides_until, Event::Turn(number));
        }
    }

    /// The router decides on a request: a new one, or the head of its queue.
    pub(crate) fn decide(&mut self, slot: Slot, is_new: bool) -> Step {
        let flight = self.flights.get_mut(slot);
        let request = flight.visible(self.residencies[flight.record.origin.index()]);
        let router = &mut self.sites[flight.site as usize].router;
        let attempt = u64::from(flight.record.attempts) | u64::from(request.hops) << 32;
        let draw = request_draw(self.decision_key, request.id, attempt).bits();
        let mut target = router.decide(self.now, &request, draw).target;
        if let Some((id, replica)) = self.forced
            && id == request.id
        {
            cold_path();
            target = Target::Replica(replica);
            self.forced_seen = true;
        }
        if let Some(observer) = self.observer.as_deref_mut() {
            cold_path();
            observer(self.now, &request, draw, router, target);
        }
        match target {
            Target::Replica(replica) => {
                self.dispatch(slot, replica);
                Ok(())
            }
            Target::Queue if is_new => {
                cold_path();
                let site = flight.site;
                if router.enqueue(self.now, slot.0, request.prompt.tokens()) {
                    self.watch_deadline(site);
                    Ok(())
                } else {
                    self.refuse(slot, Status::Rejected)
                }
            }
            Target::Queue => {
                cold_path();
                router.requeue(self.now, slot.0);
                Ok(())
            }
            Target::Reject => {
                cold_path();
                self.refuse(slot, Status::Rejected)
            }
        }
    }

    /// What a decision takes that a router makes now: it has what passing on tokens leaves of the thread's time. The same
    /// whenever it is asked at one instant, before the request of that decision is sent out.
    fn routing_time(&self, site: u32) -> Nanos {
        if self.relay_time_per_token == Nanos::ZERO {
            return self.decision_time;
        }
        cold_path();
        let rates = self.stations.iter().filter_map(|station| {
            let (sequences, step) = station.engine.decode_step(self.now)?;
            Some(f64::from(sequences) / step.as_s())
        });
        // Each router passes on what it has sent out itself, also to another one; who of a batch that was is not asked. What is
        // between two routers is with one of them and with no replica.
        let all: u32 = self.stations.iter().map(|station| station.in_flight).sum();
        let sent_out = self.sites[site as usize].router.in_flight() as f64;
        let own = (sent_out / f64::from(all.max(1))).min(1.0);
        let busy = rates.sum::<f64>() * own * self.relay_time_per_token.as_s();
        let stretch = 1.0 / (1.0 - busy).max(1.0 / MOST_STRETCH);
        Nanos((self.decision_time.0 as f64 * stretch).round() as u64)
    }

    fn dispatch(&mut self, slot: Slot, replica: ReplicaId) {
        let routing = self.routing_time(self.flights.get(slot).site);
        let flight = self.flights.get_mut(slot);
        let request = flight.visible(self.residencies[flight.record.origin.index()]);
        let site = &mut self.sites[flight.site as usize];
        let ticket = site.router.dispatched(self.now, &request, replica);
        let station = &mut self.stations[replica.index()];
        let region = station.region;
        let link = u64::from(region.0) | u64::from(request.hops) << 32;
        let draw = request_draw(self.rtt_key, request.id, link);
        let from = site.region;
        let rtt = self.network.rtt_at(from, region, self.now, Traffic::Requests, draw);
        let prompt = request.prompt.tokens();
        let mut out = out_of(rtt) + self.network.sending(from, region, prompt);
        let mut set_up = Nanos::ZERO;
        if let Some(connections) = &mut site.connections {
            cold_path();
            let bytes = self.network.payload().bytes(prompt);
            let slow_start;
            (set_up, slow_start) = connections.take(replica, self.now, rtt, bytes);
            out += slow_start;
        }
        if site.forwards_to(region) {
            cold_path();
            return self.pass_on(slot, replica, ticket, [routing, set_up, out, rtt]);
        }
        let router = &site.router;
        let start = self.now + routing;
        let opened = self.network.passes(from, region, start, rtt) + set_up;
        let sent = self.network.passes(from, region, opened, rtt);
        station.in_flight += 1;
        station.requests += 1;
        let record = &mut flight.record;
        (record.replica, record.region) = (Some(replica), Some(region));
        record.attempts += 1;
        record.score = router.decision().scores().get(replica.index()).copied().unwrap_or(0.0);
        record.predicted_cached_tokens =
            router.signals().get(replica.index()).map_or(0, |s| s.cached_tokens as u32);
        record.parts.router_queue += self.now - flight.since;
        record.parts.routing = match flight.passed_on {
            Some(_) => record.parts.routing + routing,
            None => routing,
        };
        record.parts.connect += set_up;
        record.parts.network_out = sent - start - set_up + out;
        (flight.replica, flight.ticket) = (Some(replica), Some(ticket));
        (flight.since, flight.set_up, flight.heard) = (self.now, set_up, None);
        flight.replica_rtt = rtt;
        // Opening the connection and sending the request both need the link.
        if sent - start - set_up > self.failures.connect_timeout {
            cold_path();
            let gives_up = start + self.failures.connect_timeout;
            self.agenda.push(gives_up, Event::AttemptFailed(slot));
        } else {
            self.agenda.push(sent + out, Event::AtReplica(slot));
        }
    }

    /// A router passes a request on to the router of another region.
    fn pass_on(
        &mut self,
        slot: Slot,
        replica: ReplicaId,
        ticket: Ticket,
        [routing, set_up, out, rtt]: [Nanos; 4],
    ) {
        let next = self.site_of(self.stations[replica.index()].region);
        let flight = self.flights.get_mut(slot);
        let parts = &mut flight.record.parts;
        parts.router_queue += self.now - flight.since;
        parts.routing += routing;
        parts.connect += set_up;
        parts.forward = out;
        let site = flight.site;
        flight.passed_on = Some(Box::new(PassedOn { site, replica, ticket, rtt, refused: None }));
        flight.site = next;
        self.agenda.push(self.now + routing + set_up + out, Event::AtRouter(slot));
    }

    /// The router turns a request away; the client hears of it half a round trip later.
    pub(crate) fn refuse(&mut self, slot: Slot, status: Status) -> Step {
        let flight = self.flights.get_mut(slot);
        if let Some(first) = &mut flight.passed_on
            && first.refused.is_none()
        {
            first.refused = Some(status);
            self.agenda.push(self.now + back_of(first.rtt), Event::EndAtFirstRouter(slot));
            return Ok(());
        }
        let id = flight.record.id;
        let at_client = self.now + back_of(flight.client_rtt);
        self.retire(slot, status, at_client)?;
        if self.answers_client {
            self.client.finished(Completed { id, at: at_client, ok: false });
        }
        Ok(())
    }

    /// A request reaches its replica.
    pub(crate) fn at_replica(&mut self, slot: Slot) -> Step {
        let flight = self.flights.get_mut(slot);
        flight.at_replica = self.now;
        let replica = flight.sent_to();
        if self.stations[replica.index()].down > 0 {
            cold_path();
            self.reset(slot);
            return Ok(());
        }
        let station = &mut self.stations[replica.index()];
        let request = EngineRequest {
            prompt: flight.prompt.clone(),
            output_tokens: Tokens(u64::from(flight.record.output_tokens)),
            max_tokens: flight.max_tokens,
            sequence: flight.sequence.clone(),
            overhead: station.overhead,
        };
        station.engine.arrive(self.now, RequestKey(slot.0), request).map_err(|source| {
            SimError::Request {
                id: flight.record.id,
                at: self.now,
                replica: station.name.clone(),
                source: Box::new(source),
            }
        })?;
        self.plan_wake(replica);
        Ok(())
    }

    /// Puts the replica's next wake on the agenda, if it changed.
    pub(crate) fn plan_wake(&mut self, replica: ReplicaId) {
        let station = &mut self.stations[replica.index()];
        let next = station.engine.next_wake();
        if next == station.wake_at {
            return;
        }
        station.wake_at = next;
        station.wake = station.wake.wrapping_add(1);
        if let Some(at) = next {
            self.agenda.push(at.max(self.now), Event::Wake(replica, station.wake));
        }
    }

    /// A replica reaches a boundary.
    pub(crate) fn wake(&mut self, replica: ReplicaId, wake: u32) -> Step {
        let station = &mut self.stations[replica.index()];
        if station.wake != wake {
            return Ok(());
        }
        station.wake_at = None;
        self.advance(replica)?;
        self.plan_wake(replica);
        Ok(())
    }

    /// Moves a replica on to now and passes on what it did.
    pub(crate) fn advance(&mut self, replica: ReplicaId) -> Step {
        let station = &mut self.stations[replica.index()];
        self.output.clear();
        station.engine.advance(self.now, &mut self.output);
        if self.check {
            cold_path();
            station.engine.check().map_err(|broken| {
                SimError::Invalid(format!("replica `{}`: {broken}", station.name))
            })?;
        }
        let measured = self.collector.in_window(self.now);
        for run in self.output.gaps.iter().filter(|_| measured) {
            self.collector.gaps(as_ns(run.first), as_ns(run.increment), run.steps, run.sequences);
        }
        for index in 0..self.output.events.len() {
            let event = self.output.events[index];
            self.replica_event(event);
        }
        Ok(())
    }

    fn replica_event(&mut self, event: ReplicaEvent) {
        let slot = Slot(event.key().0);
        let flight = self.flights.get_mut(slot);
        let rtt = flight.replica_rtt;
        let region = self.stations[flight.sent_to().index()].region;
        let router = self.sites[flight.site as usize].region;
        let sent = self.network.passes(region, router, event.at(), rtt);
        let passes_router = (sent + back_of(rtt)).max(flight.heard.unwrap_or(Nanos::ZERO));
        flight.heard = Some(passes_router);
        match event {
            ReplicaEvent::FirstToken { at, ready, admitted, cached_tokens, .. } => {
                let parts = &mut flight.record.parts;
                parts.replica_overhead = ready - flight.at_replica;
                parts.replica_queue = admitted - ready;
                parts.prefill = at - admitted;
                flight.record.cached_tokens = cached_tokens.get() as u32;
                let first = flight.passed_on.as_ref();
                let between = first.map_or(Nanos::ZERO, |first| back_of(first.rtt));
                let at_client = passes_router + between + back_of(flight.client_rtt);
                flight.record.parts.network_back = at_client - at;
                flight.record.first_token = Some(at_client);
                self.agenda.push(passes_router, Event::FirstTokenAtRouter(slot));
            }
            ReplicaEvent::Finished { .. } => {
                self.agenda.push(passes_router, Event::EndAtRouter(slot));
            }
            ReplicaEvent::Retracted { .. } => {
                cold_path();
                flight.record.retractions = flight.record.retractions.saturating_add(1);
            }
            ReplicaEvent::Cancelled { .. } => {}
        }
    }

    /// The first token passes the router, and the response's headers with it: the later news implies the earlier.
    pub(crate) fn first_token_at_router(&mut self, slot: Slot) {
        let flight = self.flights.get(slot);
        if let Some(first) = &flight.passed_on {
            cold_path();
            let at = self.now + back_of(first.rtt);
            self.agenda.push(at, Event::FirstTokenAtFirstRouter(slot));
        }
        if let Some(ticket) = flight.ticket {
            let site = flight.site;
            self.sites[site as usize].router.first_token(self.now, ticket);
            self.tell_tuning(site);
        }
    }

    /// The first token passes the router that had passed its request on.
    pub(crate) fn first_token_at_first_router(&mut self, slot: Slot) {
        if let Some(first) = &self.flights.get(slot).passed_on {
            let site = first.site;
            self.sites[site as usize].router.first_token(self.now, first.ticket);
            self.tell_tuning(site);
        }
    }

    /// Passes on the step of a router's tuner that the news ended, where somebody wants to know.
    #[inline]
    pub(crate) fn tell_tuning(&mut self, site: u32) {
        if self.tuning.is_some() {
            self.tell_of_step(site);
        }
    }

    #[cold]
    fn tell_of_step(&mut self, site: u32) {
        if let Some(observer) = self.tuning.as_deref_mut()
            && let Some(step) = self.sites[site as usize].router.take_tune_step()
        {
            observer(&step);
        }
    }

    /// The end of a response passes the router.
    pub(crate) fn end_at_router(&mut self, slot: Slot) -> Step {
        let flight = self.flights.get(slot);
        let replica = flight.sent_to();
        let site = &mut self.sites[flight.site as usize];
        if let Some(ticket) = flight.ticket {
            site.router.finished(self.now, ticket, flight.sequence.as_ref());
        }
        self.stations[replica.index()].in_flight -= 1;
        if let Some(connections) = &mut site.connections {
            cold_path();
            connections.give_back(replica, self.now);
        }
        let (site, first_rtt) = (flight.site, flight.passed_on.as_ref().map(|first| first.rtt));
        self.tell_tuning(site);
        if let Some(rtt) = first_rtt {
            cold_path();
            self.agenda.push(self.now + back_of(rtt), Event::EndAtFirstRouter(slot));
        } else {
            self.back_to_client(slot)?;
        }
        self.serve_queue(site)
    }

    /// The end of a response passes the router that had passed its request on, or it hears that the other refused.
    pub(crate) fn end_at_first_router(&mut self, slot: Slot) -> Step {
        let flight = self.flights.get(slot);
        let first = *flight.passed_on.as_deref().expect("a request that was passed on");
        let site = &mut self.sites[first.site as usize];
        if let Some(connections) = &mut site.connections {
            connections.give_back(first.replica, self.now);
        }
        if let Some(status) = first.refused {
            site.router.failed(self.now, first.ticket);
            self.refuse(slot, status)?;
        } else {
            site.router.finished(self.now, first.ticket, flight.sequence.as_ref());
            self.tell_tuning(first.site);
            self.back_to_client(slot)?;
        }
        self.serve_queue(first.site)
    }

    /// The end of a response leaves the last router on its way.
    fn back_to_client(&mut self, slot: Slot) -> Step {
        let at_client = self.now + back_of(self.flights.get(slot).client_rtt);
        if self.answers_client {
            self.agenda.push(at_client, Event::AtClient(slot));
            return Ok(());
        }
        self.retire(slot, Status::Completed, at_client)
    }

    /// The end of a response reaches its client.
    pub(crate) fn at_client(&mut self, slot: Slot) -> Step {
        let id = self.flights.get(slot).record.id;
        self.retire(slot, Status::Completed, self.now)?;
        self.client.finished(Completed { id, at: self.now, ok: true });
        Ok(())
    }

    /// The head of a router's queue may be offered, or have waited long enough.
    pub(crate) fn router_deadline(&mut self, site: u32) -> Step {
        self.sites[site as usize].deadline = None;
        self.serve_queue(site)
    }

    /// Lets requests of a router's queue go, as long as it gives any.
    pub(crate) fn serve_queue(&mut self, site: u32) -> Step {
        while let Some(action) = self.sites[site as usize].router.poll(self.now) {
            self.serve(action)?;
        }
        self.watch_deadline(site);
        Ok(())
    }

    #[cold]
    fn serve(&mut self, action: Action) -> Step {
        match action {
            Action::Retry(key) => self.decide(Slot(key), false),
            Action::TimedOut(key) => self.refuse(Slot(key), Status::TimedOut),
        }
    }

    #[inline]
    fn watch_deadline(&mut self, site: u32) {
        let Site { router, deadline, .. } = &self.sites[site as usize];
        if let Some(at) = router.next_deadline()
            && deadline.is_none_or(|planned| at < planned)
        {
            self.plan_deadline(site, at);
        }
    }

    #[cold]
    fn plan_deadline(&mut self, site: u32, at: Nanos) {
        self.sites[site as usize].deadline = Some(at);
        self.agenda.push(at.max(self.now), Event::RouterDeadline(site));
    }
}
