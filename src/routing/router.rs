//! The router: everything a load balancer remembers, and the one place where its parts meet.
//!
//! It is told what happened and when, and asked what to do; it has no clock, no I/O and no randomness of its own. The
//! life of a request: [`Router::decide`], then [`Router::dispatched`], which gives a [`crate::Ticket`]; with it
//! [`Router::response_headers`], [`Router::first_token`], and one of [`Router::finished`], [`Router::failed`],
//! [`Router::cancelled`]. A decision to queue leads to [`Router::enqueue`] and [`Router::poll`] instead.
//!
//! Here is what it decides; `life` has what it learns of requests, `told` what it learns of replicas, `switch` what may
//! be changed while it works. Deliberately not here: the rules themselves ([`crate::policy`]). Read [`crate::index`] next.

use crate::accounting::InFlights;
use crate::config::RouterConfig;
use crate::decision::{Decision, Target, Tie};
use crate::error::RoutingError;
use crate::fleet::Fleet;
use crate::health::{Health, HealthTotals, ReplicaHealth};
use crate::index::{Index, IndexStats};
use crate::policy::{Policy, Question};
use crate::queue::{Action, Queue};
use crate::reach::{Home, Reach};
use crate::signals::{RoutingRequest, Signals};
use crate::tuner::attached::Attached;
use crate::tuner::{TuneStep, TunedWeights, Tuner};
use gorgo_types::{Nanos, RegionId, ReplicaId, Tokens, ZoneId};
use std::hint::cold_path;

mod life;
mod switch;
mod told;

/// News that a router ignored, counted. A simulation that ends with any of them non-zero has a bug in its driver; in a
/// proxy they are the ordinary races between clients, replicas and the fleet's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// A stage that the request had passed already, or a ticket whose request had ended.
    pub late_news: u64,
    /// A probe, scrape or dispatch concerning a replica that is not in the fleet.
    pub unknown_replica: u64,
    /// A scrape older than the one known.
    pub old_scrape: u64,
    /// A prompt of another block size, matched with nothing and not learned.
    pub foreign_prompt: u64,
    /// A KV event that the index does not listen to ([`crate::LearnAt::KvEvent`]).
    pub kv_event: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    policy: Box<dyn Policy>,
    fleet: Fleet,
    in_flight: InFlights,
    queue: Queue,
    /// Kept only for policies that need it.
    index: Option<Index>,
    /// Scratch: cached tokens by replica id.
    cached: Vec<u64>,
    decision: Decision,
    /// What the region added to the last question, where the router is one of a region.
    home: Option<Home>,
    ignored: Ignored,
    /// These two apart, so that a router without them is no larger.
    tuner: Option<Box<Attached>>,
    health: Option<Box<Health>>,
}

/// Decides as a router does: by the policy, but at random (rule `no-metrics`) where the policy needs scraped metrics
/// and a replica that may be chosen was never scraped, as GORGO v2's proxy falls back.
///
/// It depends on the question alone, so a logged question gives the logged decision again. Without candidates the
/// decision is to reject (rule `no-replica`), and so it is where a request is bound to a zone in which no candidate
/// stands (rule `no-replica-in-zone`).
pub fn decide(policy: &dyn Policy, question: &Question<'_>, decision: &mut Decision) {
    let candidates = question.candidates;
    if candidates.is_empty() {
        decision.start("no-replica", &[]);
    } else if question.request.residency.is_some_and(|zone| !is_served(zone, candidates)) {
        decision.start("no-replica-in-zone", &[]);
        for _ in candidates {
            decision.push(0.0, &[]);
        }
    } else if policy.needs().scrapes
        && candidates.iter().any(|candidate| candidate.eligible && candidate.scraped_at.is_none())
    {
        decision.start("no-metrics", &[]);
        for _ in candidates {
            decision.push(0.0, &[]);
        }
        decision.choose_lowest(candidates, Tie::Draw, question.draw);
    } else {
        policy.decide(question, decision);
    }
    hold_back(question, decision);
    keep_inside(question, decision);
}

/// Whether any candidate stands in the zone.
fn is_served(zone: ZoneId, candidates: &[Signals]) -> bool {
    candidates.iter().any(|candidate| candidate.zone == Some(zone))
}

/// A policy of whatever origin cannot send a request out of its zone: such a choice is none.
fn keep_inside(question: &Question<'_>, decision: &mut Decision) {
    if let Some(zone) = question.request.residency
        && let Target::Replica(replica) = decision.target
        && !question.candidates.iter().any(|c| c.replica == replica && c.zone == Some(zone))
    {
        decision.target = Target::Queue;
    }
}

/// A choice in a region without room means to wait.
pub(crate) fn hold_back(question: &Question<'_>, decision: &mut Decision) {
    if let Some(home) = &question.home
        && let Target::Replica(replica) = decision.target
        && home.holds_back(replica, question.candidates)
    {
        decision.target = Target::Queue;
    }
}

impl Router {
    /// A router over a fleet, of which it knows nothing yet but where each replica stands. Candidates are in this order.
    ///
    /// # Errors
    /// When a parameter is out of range, an id appears twice, or an id is too large ([`crate::MAX_REPLICAS`]).
    pub fn new(
        config: RouterConfig,
        policy: Box<dyn Policy>,
        replicas: &[(ReplicaId, RegionId)],
    ) -> Result<Self, RoutingError> {
        config.validate()?;
        let mut fleet = Fleet::new(config.max_in_flight_per_replica, config.rtt_ewma_alpha);
        for &(replica, region) in replicas {
            fleet.add(replica, region)?;
        }
        let index = policy.needs().prefix_index.then(|| Index::of(&config));
        let health = config.health.map(|health| Box::new(Health::new(health)));
        Ok(Self {
            health,
            queue: Queue::new(&config),
            cached: vec![0; fleet.ids()],
            config,
            policy,
            fleet,
            in_flight: InFlights::default(),
            index,
            decision: Decision::new(),
            home: None,
            ignored: Ignored::default(),
            tuner: None,
        })
    }

    // ------------------------------------------------------------------------------------------------- decisions

    /// Decides where a request should go, now. Nothing that can be observed changes but [`Router::decision`] and
    /// [`Router::signals`], which show the decision just made; the request counts from [`Router::dispatched`] on.
    ///
    /// `draw` is the decision's only randomness: 64 bits keyed by (seed, request, attempt). Where the policy wants to
    /// queue and the queue is full, the target is [`Target::Reject`]. Requests that wait come first: call
    /// [`Router::poll`] until it gives nothing before deciding on a new one.
    pub fn decide(&mut self, now: Nanos, request: &RoutingRequest<'_>, draw: u64) -> &Decision {
        self.pass_time(now);
        if let Some(tuner) = &mut self.tuner {
            cold_path();
            tuner.before_decision(request.id, &mut *self.policy);
        }
        if let Some(index) = &self.index {
            if request.prompt.block_tokens() == self.config.block_tokens {
                index.match_all(request.prompt, &mut self.cached);
            } else {
                cold_path();
                self.cached.fill(0);
                self.ignored.foreign_prompt += 1;
            }
            self.fleet.set_cached(&self.cached);
        }
        let home = match &self.config.reach {
            Reach::All => {
                self.fleet.bind(request.residency);
                None
            }
            Reach::Region(reach) => {
                cold_path();
                let waiting = self.queue.waiting_tokens();
                self.home = Some(reach.narrow(&mut self.fleet, request, waiting));
                self.home
            }
        };
        let candidates = self.fleet.signals();
        let weighted = self.fleet.is_weighted();
        let question = Question { now, request: *request, candidates, draw, home, weighted };
        let unusual = home.is_some() || request.residency.is_some();
        if candidates.is_empty() || unusual || self.fleet.any_never_scraped() {
            cold_path();
            decide(&*self.policy, &question, &mut self.decision);
        } else {
            self.policy.decide(&question, &mut self.decision);
        }
        if self.decision.target == Target::Queue
            && (self.queue.is_full() || self.config.reach.never_serves(request, candidates))
        {
            self.decision.target = Target::Reject;
        }
        &self.decision
    }

    /// What happens by itself as time passes.
    #[inline]
    fn pass_time(&mut self, now: Nanos) {
        if let Some(health) = &mut self.health
            && health.is_due(now)
        {
            cold_path();
            health.advance(now, &mut self.fleet);
            self.queue.unblock();
        }
    }

    /// What the last decision was made on, one per candidate. `cached_tokens` belongs to that decision's request; what
    /// is told later shows at once.
    #[must_use]
    pub fn signals(&self) -> &[Signals] {
        self.fleet.signals()
    }

    /// What the router's region added to the last question; nothing where it reaches every replica itself.
    #[must_use]
    pub const fn home(&self) -> Option<Home> {
        self.home
    }

    /// The last decision.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    // ------------------------------------------------------------------------------------------------- the queue

    /// Puts a request of so many prompt tokens, after the decision to queue it, at the end of the queue. False: the queue is
    /// full.
    pub fn enqueue(&mut self, now: Nanos, key: u32, prompt: Tokens) -> bool {
        self.queue.push(now, key, prompt.get())
    }

    /// Puts the request that [`Router::poll`] offered last, and that was again decided to queue, back to the head. It
    /// keeps its deadline.
    ///
    /// # Panics
    /// When `key` is not the one offered last.
    pub fn requeue(&mut self, _now: Nanos, key: u32) {
        self.queue.push_back_to_head(key);
    }

    /// Takes a request out of the queue, because its client gave up. False: it is not there.
    pub fn dequeue(&mut self, _now: Nanos, key: u32) -> bool {
        self.queue.remove(key)
    }

    /// What to do for queued requests now; to be called until it gives nothing, after anything was told and at
    /// [`Router::next_deadline`]. The head is offered again only after something has changed.
    #[inline]
    pub fn poll(&mut self, now: Nanos) -> Option<Action> {
        self.pass_time(now);
        self.queue.poll(now)
    }

    /// When [`Router::poll`] must be called next, if nothing is told before.
    #[must_use]
    #[inline]
    pub fn next_deadline(&self) -> Option<Nanos> {
        let queue = self.queue.next_deadline();
        match &self.health {
            Some(health) => queue.into_iter().chain(health.deadline()).min(),
            None => queue,
        }
    }

    /// Requests in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    // ------------------------------------------------------------------------------------------------- inspection

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.policy.name()
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &dyn Policy {
        &*self.policy
    }

    /// The tuner; none: the policy keeps its weights.
    #[must_use]
    pub fn tuner(&self) -> Option<&Tuner> {
        self.tuner.as_deref().map(Attached::tuner)
    }

    /// The step of the tuner's search that the last news ended, once: to be asked for after [`Router::first_token`],
    /// [`Router::finished`], [`Router::failed`] and [`Router::cancelled`] by whoever logs them.
    pub fn take_tune_step(&mut self) -> Option<TuneStep> {
        self.tuner.as_mut().and_then(|tuner| tuner.take_step())
    }

    /// The tuned weights that the last decision was made with; none without a tuner.
    #[must_use]
    pub fn tuned_weights(&self) -> Option<TunedWeights<'_>> {
        self.tuner.as_deref().map(Attached::installed)
    }

    /// The parameters.
    #[must_use]
    pub const fn config(&self) -> &RouterConfig {
        &self.config
    }

    /// What is known of a replica's health; nothing where the router was not asked to look after it
    /// ([`RouterConfig::health`]), or it is not in the fleet.
    #[must_use]
    pub fn health_of(&self, replica: ReplicaId) -> Option<ReplicaHealth> {
        self.fleet.life(replica)?;
        self.health.as_ref().map(|health| health.of(replica))
    }

    /// How often replicas were found unfit, for whichever reason.
    #[must_use]
    pub fn health_totals(&self) -> HealthTotals {
        self.health.as_ref().map(|health| health.totals()).unwrap_or_default()
    }

    /// Requests dispatched and not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What the prefix index holds; nothing where the policy needs none.
    #[must_use]
    pub fn index_stats(&self) -> IndexStats {
        self.index.as_ref().map(Index::stats).unwrap_or_default()
    }

    /// News that were ignored.
    #[must_use]
    pub const fn ignored(&self) -> Ignored {
        self.ignored
    }
}
