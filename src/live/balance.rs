//! A router inside the client: where several URLs are given, the scenario's policy picks among them for each request.
//!
//! It is `gorgo-routing`'s router with its queue, told of everything when it happens here. What it is not told without
//! probes (`probe.rs`) it does not know.

use crate::clock::Clock;
use gorgo_random::{Key, Purpose};
use gorgo_routing::{Action, Router, RoutingRequest, Scrape, Target, Ticket};
use gorgo_types::{Nanos, ReplicaId, Request, ZoneId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub replica: ReplicaId,
    pub ticket: Ticket,
    pub score: f64,
    pub predicted_cached_tokens: u64,
}

/// Why it goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The queue is full, or there is nobody.
    Away,
    /// It waited in the queue for too long.
    TimedOut,
}

/// The router and the requests that wait in its queue.
pub(crate) struct Balancer {
    state: Mutex<State>,
    clock: Clock,
    key: Key,
}

struct State {
    router: Router,
    /// By the queue's keys.
    waiting: Vec<Option<Waiting>>,
}

struct Waiting {
    request: Arc<Request>,
    zone: Option<ZoneId>,
    attempt: u16,
    tell: oneshot::Sender<Result<Place, Turned>>,
}

/// Takes a request out of the queue when its client gives up.
struct InQueue<'a> {
    balancer: &'a Balancer,
    key: u32,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let mut state = self.balancer.lock();
        // Whoever has got its answer is no longer there.
        if state.waiting[self.key as usize].take().is_some() {
            state.router.dequeue(self.balancer.clock.now(), self.key);
        }
    }
}

/// What the router may see of a request.
fn visible(request: &Request, residency: Option<ZoneId>) -> RoutingRequest<'_> {
    RoutingRequest {
        id: request.id,
        prompt: &request.prompt,
        max_tokens: request.max_tokens,
        session: request.has_session.then_some(request.id.session),
        hops: 0,
        residency,
    }
}

impl Balancer {
    pub fn new(router: Router, clock: Clock, key: Key) -> Self {
        Self { state: Mutex::new(State { router, waiting: Vec::new() }), clock, key }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a request, and waits in the queue where it must. One that is bound to a zone goes to replicas of it alone.
    pub async fn place(
        &self,
        request: &Arc<Request>,
        zone: Option<ZoneId>,
        attempt: u16,
    ) -> Result<Place, Turned> {
        let (mut answer, key) = {
            let mut state = self.lock();
            let now = self.clock.now();
            match state.decide(now, self.key, (request, zone), attempt) {
                Target::Replica(replica) => {
                    return Ok(state.dispatch(now, (request, zone), replica));
                }
                Target::Reject => return Err(Turned::Away),
                Target::Queue => {}
            }
            let free = state.waiting.iter().position(Option::is_none);
            let key = free.unwrap_or_else(|| {
                state.waiting.push(None);
                state.waiting.len() - 1
            });
            let number = u32::try_from(key).map_err(|_| Turned::Away)?;
            if !state.router.enqueue(now, number, request.prompt.tokens()) {
                return Err(Turned::Away);
            }
            let (tell, answer) = oneshot::channel();
            let request = Arc::clone(request);
            state.waiting[key] = Some(Waiting { request, zone, attempt, tell });
            (answer, number)
        };
        let _in_queue = InQueue { balancer: self, key };
        loop {
            let deadline = self.lock().router.next_deadline();
            let Some(deadline) = deadline else {
                return (&mut answer).await.unwrap_or(Err(Turned::Away));
            };
            let until = Instant::from_std(self.clock.instant(deadline));
            match tokio::time::timeout_at(until, &mut answer).await {
                Ok(answer) => return answer.unwrap_or(Err(Turned::Away)),
                Err(_) => self.tell(|_, _| ()),
            }
        }
    }

    /// Tells the router something, and lets go what may leave the queue then.
    pub fn tell(&self, news: impl FnOnce(&mut Router, Nanos)) {
        let mut state = self.lock();
        let now = self.clock.now();
        news(&mut state.router, now);
        while let Some(action) = state.router.poll(now) {
            match action {
                Action::TimedOut(key) => {
                    if let Some(waiting) = state.waiting[key as usize].take() {
                        let _ = waiting.tell.send(Err(Turned::TimedOut));
                    }
                }
                Action::Retry(key) => {
                    let Some(Waiting { request, zone, attempt, .. }) = &state.waiting[key as usize]
                    else {
                        continue;
                    };
                    let (request, zone, attempt) = (Arc::clone(request), *zone, *attempt);
                    match state.decide(now, self.key, (&request, zone), attempt) {
                        Target::Queue => state.router.requeue(now, key),
                        Target::Reject => state.answer(now, key, Err(Turned::Away)),
                        Target::Replica(replica) => {
                            let place = state.dispatch(now, (&request, zone), replica);
                            state.answer(now, key, Ok(place));
                        }
                    }
                }
            }
        }
    }

    /// A probe has answered, or has not.
    pub fn probed(&self, replica: ReplicaId, rtt: Option<Nanos>) {
        self.tell(|router, now| router.probe_result(now, replica, rtt));
    }

    /// A scrape has answered.
    pub fn scraped(&self, replica: ReplicaId, scrape: Scrape) {
        self.tell(|router, now| router.scraped(now, replica, scrape));
    }
}

impl State {
    /// The simulator's draw, so that both decide alike on the same signals.
    fn decide(
        &mut self,
        now: Nanos,
        key: Key,
        (request, zone): (&Request, Option<ZoneId>),
        attempt: u16,
    ) -> Target {
        let id = request.id;
        let key = key.with(Purpose::Decision).word(id.session).word(u64::from(id.turn));
        let draw = key.word(u64::from(attempt)).draw().bits();
        self.router.decide(now, &visible(request, zone), draw).target
    }

    fn dispatch(
        &mut self,
        now: Nanos,
        (request, zone): (&Request, Option<ZoneId>),
        replica: ReplicaId,
    ) -> Place {
        // The decision's lists are in the order of the candidates.
        let candidate = self.router.signals().iter().position(|seen| seen.replica == replica);
        let score = candidate.and_then(|at| self.router.decision().scores().get(at).copied());
        let cached = candidate.map(|at| self.router.signals()[at].cached_tokens);
        Place {
            ticket: self.router.dispatched(now, &visible(request, zone), replica),
            replica,
            score: score.filter(|score| score.is_finite()).unwrap_or(0.0),
            predicted_cached_tokens: cached.unwrap_or(0),
        }
    }

    fn answer(&mut self, now: Nanos, key: u32, place: Result<Place, Turned>) {
        if let Some(waiting) = self.waiting[key as usize].take()
            && let Err(Ok(place)) = waiting.tell.send(place)
        {
            // It has gone meanwhile: nobody will tell of its end.
            self.router.cancelled(now, place.ticket);
        }
    }
}
