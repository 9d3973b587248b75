//! The router and who waits for it, under one lock: everything that a decision depends on, and nothing that waits.
//!
//! The order of calls is the simulator's: what is new is told, then requests that wait are served, then a new one is
//! decided. Hashing prompts, sockets and logs' files are outside. What is done with a decision is in `exchange.rs`.

use crate::answer::Refusal;
use crate::decisions::DecisionLog;
use crate::fleet::Replica;
use crate::journal::Journal;
use gorgo_random::{Key, Purpose};
use gorgo_routing::log::LogLine;
use gorgo_routing::tuner::{TuneHead, TuneStep, TunerConfig, TunerError};
use gorgo_routing::{Action, Question, Router, RoutingRequest, Signals, Target, Ticket};
use gorgo_types::{BlockChain, Nanos, ReplicaId, RequestId, Tokens, ZoneId};
use http::StatusCode;
use std::collections::{BTreeMap, VecDeque};
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
    /// How many proxies have passed it on before this one.
    pub(crate) hops: u32,
}

impl Ask {
    const fn visible(&self) -> RoutingRequest<'_> {
        RoutingRequest {
            id: self.id,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            session: self.session,
            hops: self.hops,
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
    pub(crate) draining: bool,
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
    /// What the tuner tries, step by step; each tuner has a file of its own.
    pub(crate) tuning: Journal,
    /// When the timer wakes.
    pub(crate) planned: Option<Nanos>,
    /// Requests that left the queue because they waited too long.
    pub(crate) timed_out: u64,
    /// The tuner's last steps, the newest first.
    pub(crate) steps: VecDeque<TuneStep>,
}

/// How many steps of a tuner are kept to be shown.
const STEPS_KEPT: usize = 100;

impl Core {
    pub(crate) fn new(
        router: Router,
        replicas: &[Arc<Replica>],
        seed: u64,
        log: DecisionLog,
        tuning: Journal,
    ) -> Self {
        let mut core = Self {
            router,
            members: Vec::new(),
            waiters: BTreeMap::new(),
            next_key: 0,
            key: Key::new(seed),
            log,
            tuning,
            planned: None,
            timed_out: 0,
            steps: VecDeque::new(),
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
        self.members[index] = Some(Member { replica, draining: false });
    }

    /// The members in the order of their ids.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
    }

    fn member(&self, replica: ReplicaId) -> Option<&Member> {
        self.members.get(replica.index())?.as_ref()
    }

    /// Whether a replica is in service. One that is not fit may be, where nobody fitter is left.
    pub(crate) fn serves(&self, member: &Member) -> bool {
        let known = |s: &&Signals| s.replica == member.replica.id;
        let health = self.router.health_of(member.replica.id);
        let is_fit = health.is_none_or(|health| health.fit);
        let eligible = || self.router.signals().iter().find(known).is_some_and(|s| s.eligible);
        !member.draining && (is_fit || eligible())
    }

    /// Whether some replica within reach takes requests of this zone, though perhaps not now.
    pub(crate) fn any_serves(&self, ask: &Ask, excluded: &[ReplicaId]) -> bool {
        let Ask { zone, hops, .. } = *ask;
        let reach = self.router.config().reach;
        self.members().any(|member| {
            let inside = zone.is_none() || member.replica.zone == zone;
            let within = reach.covers(member.replica.region, hops);
            inside && within && self.serves(member) && !excluded.contains(&member.replica.id)
        })
    }

    /// Decides on a request. Replicas that have failed it are out of service for this decision alone, so the log shows them
    /// as not eligible.
    fn decide(&mut self, now: Nanos, ask: &Ask, attempt: u32, excluded: &[ReplicaId]) -> Target {
        let Self { router, key, log, members, .. } = self;
        let is_member = |id: &&ReplicaId| members.get(id.index()).is_some_and(Option::is_some);
        let out: Vec<ReplicaId> = excluded.iter().filter(is_member).copied().collect();
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
            let question = Question::new(now, request, router.signals(), draw, router.home());
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
            Target::Queue if attempt == 0 || self.any_serves(ask, excluded) => {
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
        if self.any_serves(ask, &[]) {
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

    /// Has a tuner change the policy's weights from now on. Of one that was at work the best weights stay.
    pub(crate) fn tune(&mut self, config: &TunerConfig, seed: u64) -> Result<(), TunerError> {
        self.router.untune();
        self.router.tune(config, seed)?;
        if let Some(tuner) = self.router.tuner() {
            self.tuning.head(&TuneHead::of(self.router.name(), tuner));
        }
        Ok(())
    }

    /// Tells the router something of a request, and keeps the step of a tuner's search that it ended.
    pub(crate) fn tell(&mut self, tell: impl FnOnce(&mut Router)) {
        tell(&mut self.router);
        if let Some(step) = self.router.take_tune_step() {
            tracing::info!(step = step.step, score = step.score, accepted = step.accepted, best = ?step.best, "the tuner's step");
            if let Ok(row) = serde_json::to_vec(&step) {
                self.tuning.row(row);
            }
            self.steps.truncate(STEPS_KEPT - 1);
            self.steps.push_front(step);
        }
    }
}
