//! The router and who waits for it, under one lock: everything that a decision depends on, and nothing that waits.
//!
//! The order of calls is the simulator's: what is new is told, then requests that wait are served, then a new one is
//! decided. Hashing prompts, sockets and logs' files are outside. What is done with a decision is in `exchange.rs`.

use crate::answer::Refusal;
use crate::decisions::DecisionLog;
use crate::fleet::Replica;
use gorgo_random::{Key, Purpose};
use gorgo_routing::log::LogLine;
use gorgo_routing::{Action, Question, Router, RoutingRequest, Target, Ticket};
use gorgo_types::{BlockChain, Nanos, ReplicaId, RequestId, Tokens, ZoneId};
use http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the router may know of a request.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) id: RequestId,
    pub(crate) prompt: BlockChain,
    pub(crate) max_tokens: Tokens,
    pub(crate) session: Option<u64>,
    /// The zone that it must not leave.
    pub(crate) zone: Option<ZoneId>,
}

impl Ask {
    const fn visible(&self) -> RoutingRequest<'_> {
        RoutingRequest {
            id: self.id,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            session: self.session,
            hops: 0,
            residency: self.zone,
        }
    }
}

/// A request that counts at a replica, from now until its ticket is told of its end.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) replica: Arc<Replica>,
    pub(crate) ticket: Ticket,
    /// None where the policy gave the replica no score.
    pub(crate) score: Option<f64>,
    pub(crate) predicted_cached_tokens: u64,
}

/// What becomes of a request now.
#[derive(Debug)]
pub(crate) enum Place {
    At(Placed),
    /// In the queue, under this key.
    Waiting(u32, oneshot::Receiver<Result<Placed, Refusal>>),
    Nowhere(Refusal),
}

#[derive(Debug)]
struct Waiter {
    ask: Arc<Ask>,
    attempt: u32,
    excluded: Vec<ReplicaId>,
    reply: oneshot::Sender<Result<Placed, Refusal>>,
}

/// A replica of the fleet, as far as the router has to be told.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) replica: Arc<Replica>,
    pub(crate) healthy: bool,
    pub(crate) draining: bool,
    /// Failures in a row.
    pub(crate) failures: u32,
}

/// See the module.
pub(crate) struct Core {
    pub(crate) router: Router,
    /// By replica id.
    pub(crate) members: Vec<Option<Member>>,
    waiters: BTreeMap<u32, Waiter>,
    next_key: u32,
    key: Key,
    pub(crate) log: DecisionLog,
    /// When the timer wakes.
    pub(crate) planned: Option<Nanos>,
    /// Requests that left the queue because they waited too long.
    pub(crate) timed_out: u64,
}

impl Core {
    pub(crate) fn new(
        router: Router,
        replicas: &[Arc<Replica>],
        seed: u64,
        log: DecisionLog,
    ) -> Self {
        let mut core = Self {
            router,
            members: Vec::new(),
            waiters: BTreeMap::new(),
            next_key: 0,
            key: Key::new(seed),
            log,
            planned: None,
            timed_out: 0,
        };
        for replica in replicas {
            core.enter(Arc::clone(replica));
        }
        core
    }

    /// Puts a replica into the table of members; the router is told by the caller.
    pub(crate) fn enter(&mut self, replica: Arc<Replica>) {
        let index = replica.id.index();
        if self.members.len() <= index {
            self.members.resize_with(index + 1, || None);
        }
        let member = Member { replica, healthy: true, draining: false, failures: 0 };
        self.members[index] = Some(member);
    }

    /// The members in the order of their ids.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
    }

    fn member(&self, replica: ReplicaId) -> Option<&Member> {
        self.members.get(replica.index())?.as_ref()
    }

    /// Whether some replica takes requests of this zone, though perhaps not now.
    pub(crate) fn any_serves(&self, zone: Option<ZoneId>, excluded: &[ReplicaId]) -> bool {
        self.members().any(|member| {
            let inside = zone.is_none() || member.replica.zone == zone;
            let serves = member.healthy && !member.draining && inside;
            serves && !excluded.contains(&member.replica.id)
        })
    }

    /// Decides on a request. Replicas that have failed it are out of service for this decision alone, so the log shows them
    /// as not eligible.
    fn decide(&mut self, now: Nanos, ask: &Ask, attempt: u32, excluded: &[ReplicaId]) -> Target {
        let Self { router, key, log, members, .. } = self;
        let out: Vec<ReplicaId> = excluded
            .iter()
            .copied()
            .filter(|id| {
                members.get(id.index()).and_then(Option::as_ref).is_some_and(|m| m.healthy)
            })
            .collect();
        for &replica in &out {
            // It is a member, so the router knows it.
            let _ = router.set_health(now, replica, false);
        }
        let request = ask.visible();
        let draw = key
            .with(Purpose::Decision)
            .word(request.id.session)
            .word(u64::from(request.id.turn))
            .word(u64::from(attempt) | u64::from(request.hops) << 32)
            .draw()
            .bits();
        let target = router.decide(now, &request, draw).target;
        if log.is_wanted() {
            let question =
                Question { now, request, candidates: router.signals(), draw, home: None };
            let line = LogLine::new(&question, router.decision(), router.policy());
            log.write(&line.tuned(router.tuned_weights()));
        }
        for &replica in &out {
            let _ = router.set_health(now, replica, true);
        }
        target
    }

    /// Finds a request a replica, or a place in the queue. `attempt`: how often it was sent before.
    pub(crate) fn place(
        &mut self,
        now: Nanos,
        ask: &Arc<Ask>,
        attempt: u32,
        excluded: &[ReplicaId],
    ) -> Place {
        self.serve_queue(now);
        match self.decide(now, ask, attempt, excluded) {
            Target::Replica(replica) => match self.dispatch(now, ask, replica) {
                Some(placed) => Place::At(placed),
                None => Place::Nowhere(self.refusal(ask)),
            },
            Target::Queue if attempt == 0 || self.any_serves(ask.zone, excluded) => {
                let key = self.next_key;
                if !self.router.enqueue(now, key, ask.prompt.tokens()) {
                    return Place::Nowhere(self.refusal(ask));
                }
                self.next_key = key.wrapping_add(1);
                let (reply, placed) = oneshot::channel();
                let (ask, excluded) = (Arc::clone(ask), excluded.to_vec());
                self.waiters.insert(key, Waiter { ask, attempt, excluded, reply });
                Place::Waiting(key, placed)
            }
            Target::Queue | Target::Reject => Place::Nowhere(self.refusal(ask)),
        }
    }

    fn dispatch(&mut self, now: Nanos, ask: &Ask, replica: ReplicaId) -> Option<Placed> {
        let member = Arc::clone(&self.member(replica)?.replica);
        let signals = self.router.signals();
        let at = signals.iter().position(|signals| signals.replica == replica)?;
        let predicted_cached_tokens = signals[at].cached_tokens;
        let score = self.router.decision().scores().get(at).copied();
        let ticket = self.router.dispatched(now, &ask.visible(), replica);
        Some(Placed { replica: member, ticket, score, predicted_cached_tokens })
    }

    /// Why there is no place.
    fn refusal(&self, ask: &Ask) -> Refusal {
        if self.any_serves(ask.zone, &[]) {
            let message = "all replicas are at their limit and the queue is full";
            Refusal::for_now(StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
        } else {
            let (kind, message) = match ask.zone {
                None => ("no_replica", "no replica is in service"),
                Some(_) => ("no_replica_in_zone", "no replica of the request's zone is in service"),
            };
            Refusal::for_now(StatusCode::SERVICE_UNAVAILABLE, kind, message)
        }
    }

    /// Lets requests of the queue go, as long as the router gives any. To be called after anything it is told.
    pub(crate) fn serve_queue(&mut self, now: Nanos) {
        while let Some(action) = self.router.poll(now) {
            match action {
                Action::Retry(key) => self.retry(now, key),
                Action::TimedOut(key) => {
                    self.timed_out += 1;
                    if let Some(waiter) = self.waiters.remove(&key) {
                        let message = "waited too long for a replica";
                        let status = StatusCode::SERVICE_UNAVAILABLE;
                        let refusal = Refusal::for_now(status, "queue_timeout", message);
                        // Nobody listens: the client has gone, and the waiter's guard is about to say so.
                        let _ = waiter.reply.send(Err(refusal));
                    }
                }
            }
        }
    }

    fn retry(&mut self, now: Nanos, key: u32) {
        let Some(waiter) = self.waiters.remove(&key) else { return };
        if waiter.reply.is_closed() {
            return;
        }
        let outcome = match self.decide(now, &waiter.ask, waiter.attempt, &waiter.excluded) {
            Target::Queue => {
                self.router.requeue(now, key);
                self.waiters.insert(key, waiter);
                return;
            }
            Target::Replica(replica) => self.dispatch(now, &waiter.ask, replica),
            Target::Reject => None,
        };
        let outcome = outcome.ok_or_else(|| self.refusal(&waiter.ask));
        if let Err(Ok(placed)) = waiter.reply.send(outcome) {
            self.router.cancelled(now, placed.ticket);
        }
    }

    /// A waiting request's client has gone.
    pub(crate) fn leave_queue(&mut self, now: Nanos, key: u32) {
        if self.waiters.remove(&key).is_some() {
            self.router.dequeue(now, key);
        }
    }

    /// An attempt at, or a probe of, a replica came to an end: so many failures in a row and it is out of service, one
    /// success and it is back. `limit` 0: it always stays.
    pub(crate) fn heard(&mut self, now: Nanos, replica: ReplicaId, ok: bool, limit: u32) {
        let Some(member) = self.members.get_mut(replica.index()).and_then(Option::as_mut) else {
            return;
        };
        member.failures = if ok { 0 } else { member.failures.saturating_add(1) };
        let healthy = limit == 0 || member.failures < limit;
        if healthy != member.healthy {
            member.healthy = healthy;
            tracing::warn!(replica = %member.replica.name, healthy, "health changed");
            let _ = self.router.set_health(now, replica, healthy);
        }
    }
}
