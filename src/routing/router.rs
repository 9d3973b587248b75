//! The router: everything a load balancer remembers, and the one place where its parts meet.
//!
//! It is told what happened and when, and asked what to do; it has no clock, no I/O and no randomness of its own. The
//! life of a request: [`Router::decide`], then [`Router::dispatched`], which gives a [`Ticket`]; with it
//! [`Router::response_headers`], [`Router::first_token`], and one of [`Router::finished`], [`Router::failed`],
//! [`Router::cancelled`]. A decision to queue leads to [`Router::enqueue`] and [`Router::poll`] instead.
//!
//! Deliberately not here: the rules themselves ([`crate::policy`]). Read [`crate::index`] next.

use crate::accounting::{InFlight, InFlights, Stage, Ticket};
use crate::config::{LearnAt, ReleaseAt, RouterConfig};
use crate::decision::{Decision, Target, Tie};
use crate::error::RoutingError;
use crate::fleet::{Fleet, Scrape};
use crate::index::{Index, IndexStats};
use crate::policy::{Policy, Question};
use crate::queue::{Action, Queue};
use crate::reach::Reach;
use crate::signals::{RoutingRequest, Signals};
use crate::tuner::attached::Attached;
use crate::tuner::{TuneStep, TunedWeights, Tuner, TunerConfig, TunerError};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, Tokens};

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
    ignored: Ignored,
    /// Apart, so that a router without one is no larger.
    tuner: Option<Box<Attached>>,
}

/// Decides as a router does: by the policy, but at random (rule `no-metrics`) where the policy needs scraped metrics
/// and a replica that may be chosen was never scraped, as GORGO v2's proxy falls back.
///
/// It depends on the question alone, so a logged question gives the logged decision again. Without candidates the
/// decision is to reject (rule `no-replica`).
pub fn decide(policy: &dyn Policy, question: &Question<'_>, decision: &mut Decision) {
    let candidates = question.candidates;
    if candidates.is_empty() {
        decision.start("no-replica", &[]);
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
        let index =
            policy.needs().prefix_index.then(|| Index::new(config.block_tokens, config.index));
        Ok(Self {
            queue: Queue::new(&config),
            cached: vec![0; fleet.ids()],
            config,
            policy,
            fleet,
            in_flight: InFlights::default(),
            index,
            decision: Decision::new(),
            ignored: Ignored::default(),
            tuner: None,
        })
    }

    /// Lets a tuner change the policy's weights from now on, starting from those that it has; `seed` keys its draws. A
    /// tuner that was there before is gone, and the policy keeps the weights that it was given last.
    ///
    /// # Errors
    /// When a parameter is out of range, or the policy has no such weight or starts outside of its box.
    pub fn tune(&mut self, config: &TunerConfig, seed: u64) -> Result<(), TunerError> {
        self.tuner = Some(Box::new(Attached::new(config, &*self.policy, seed)?));
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- decisions

    /// Decides where a request should go, now. Nothing that can be observed changes but [`Router::decision`] and
    /// [`Router::signals`], which show the decision just made; the request counts from [`Router::dispatched`] on.
    ///
    /// `draw` is the decision's only randomness: 64 bits keyed by (seed, request, attempt). Where the policy wants to
    /// queue and the queue is full, the target is [`Target::Reject`]. Requests that wait come first: call
    /// [`Router::poll`] until it gives nothing before deciding on a new one.
    pub fn decide(&mut self, now: Nanos, request: &RoutingRequest<'_>, draw: u64) -> &Decision {
        if let Some(tuner) = &mut self.tuner {
            tuner.before_decision(request.id, &mut *self.policy);
        }
        if let Some(index) = &self.index {
            if request.prompt.block_tokens() == self.config.block_tokens {
                index.match_all(request.prompt, &mut self.cached);
            } else {
                self.cached.fill(0);
                self.ignored.foreign_prompt += 1;
            }
            self.fleet.set_cached(&self.cached);
        }
        let home = match &self.config.reach {
            Reach::All => None,
            Reach::Region(reach) => {
                let waiting = self.queue.waiting_tokens();
                Some(reach.narrow(&mut self.fleet, request.hops, waiting))
            }
        };
        let candidates = self.fleet.signals();
        let question = Question { now, request: *request, candidates, draw, home };
        if candidates.is_empty() || home.is_some() || self.fleet.any_never_scraped() {
            decide(&*self.policy, &question, &mut self.decision);
        } else {
            self.policy.decide(&question, &mut self.decision);
        }
        if self.decision.target == Target::Queue && self.queue.is_full() {
            self.decision.target = Target::Reject;
        }
        &self.decision
    }

    /// What the last decision was made on, one per candidate. `cached_tokens` belongs to that decision's request; what
    /// is told later shows at once.
    #[must_use]
    pub fn signals(&self) -> &[Signals] {
        self.fleet.signals()
    }

    /// The last decision.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    // ------------------------------------------------------------------------------------- the life of a request

    /// The request is sent to `replica`: the decision's, or another one where the decision was overruled.
    pub fn dispatched(
        &mut self,
        now: Nanos,
        request: &RoutingRequest<'_>,
        replica: ReplicaId,
    ) -> Ticket {
        let prompt_tokens = request.prompt.tokens().get();
        let life = self.fleet.life(replica);
        self.ignored.unknown_replica += u64::from(life.is_none());
        if life.is_some() {
            self.fleet.count(replica, prompt_tokens);
            self.policy.on_dispatched(request, replica);
        }
        let knows_blocks = request.prompt.block_tokens() == self.config.block_tokens;
        let mut prompt = None;
        if let Some(index) = &mut self.index
            && life.is_some()
            && knows_blocks
        {
            if self.config.learn_at == LearnAt::Dispatch {
                index.insert(replica, request.prompt);
            } else {
                prompt = Some(request.prompt.clone());
            }
        }
        let ticket = self.in_flight.insert(InFlight {
            stage: Stage::Dispatched,
            replica,
            life: life.unwrap_or(u32::MAX),
            prompt_tokens,
            counted: life.is_some(),
            holds_queue: self.queue.take_turn(),
            prompt,
        });
        if let Some(tuner) = &mut self.tuner {
            let signals = self.fleet.signals().iter();
            let work = signals.map(|s| s.uncached_tokens(request)).min().unwrap_or(prompt_tokens);
            tuner.dispatched(now, request.id, replica, &self.decision, work, ticket.slot());
        }
        ticket
    }

    /// The replica's response headers arrive; `ok`: with a good status. A prompt answered with a bad one is never
    /// learned (if it was not at dispatch); the request still has to be told as failed or finished.
    #[inline]
    pub fn response_headers(&mut self, _now: Nanos, ticket: Ticket, ok: bool) {
        self.advance(ticket, Stage::Headers, ok);
    }

    /// The first token arrives.
    #[inline]
    pub fn first_token(&mut self, now: Nanos, ticket: Ticket) {
        let is_news = self.advance(ticket, Stage::FirstToken, true);
        if let Some(tuner) = &mut self.tuner
            && is_news
        {
            tuner.first_token(now, ticket.slot());
        }
    }

    /// The response is complete. `sequence` is prompt and output, where the caller knows their blocks; it is learned
    /// if the configuration says so.
    pub fn finished(&mut self, now: Nanos, ticket: Ticket, sequence: Option<&BlockChain>) {
        let is_news = self.advance_to_end(ticket, true, sequence);
        if let Some(tuner) = &mut self.tuner
            && is_news
        {
            tuner.finished(now, ticket.slot());
        }
    }

    /// The request failed: no answer, a bad one, or one that broke off.
    pub fn failed(&mut self, now: Nanos, ticket: Ticket) {
        self.lost(now, ticket, true);
    }

    /// The client gave up, and the replica was told.
    pub fn cancelled(&mut self, now: Nanos, ticket: Ticket) {
        self.lost(now, ticket, false);
    }

    fn lost(&mut self, now: Nanos, ticket: Ticket, failed: bool) {
        let is_news = self.advance_to_end(ticket, false, None);
        if let Some(tuner) = &mut self.tuner
            && is_news
        {
            tuner.lost(now, ticket.slot(), failed);
        }
    }

    /// False: it was told before, or the request has ended.
    fn advance(&mut self, ticket: Ticket, stage: Stage, ok: bool) -> bool {
        let Some(request) = self.in_flight.advance(ticket, stage) else {
            self.ignored.late_news += 1;
            return false;
        };
        let release = request.counted && stage >= release_stage(self.config.release_at);
        if release {
            request.counted = false;
        }
        let (replica, life, tokens) = (request.replica, request.life, request.prompt_tokens);
        if !ok {
            request.prompt = None;
        }
        let learn = stage >= learn_stage(self.config.learn_at);
        let prompt = if learn { request.prompt.take() } else { None };
        if release {
            self.release(replica, life, tokens);
        }
        if let Some(prompt) = prompt {
            self.learn(replica, life, &prompt);
        }
        true
    }

    /// False: the request had ended before.
    fn advance_to_end(&mut self, ticket: Ticket, ok: bool, sequence: Option<&BlockChain>) -> bool {
        let Some(mut request) = self.in_flight.end(ticket) else {
            self.ignored.late_news += 1;
            return false;
        };
        if request.counted {
            self.release(request.replica, request.life, request.prompt_tokens);
        }
        if request.holds_queue {
            self.queue.end_turn();
        }
        if !ok {
            return true;
        }
        if let Some(prompt) = request.prompt.take() {
            self.learn(request.replica, request.life, &prompt);
        }
        if let Some(sequence) = sequence.filter(|_| self.config.learn_output) {
            self.learn(request.replica, request.life, sequence);
        }
        true
    }

    fn release(&mut self, replica: ReplicaId, life: u32, tokens: u64) {
        self.fleet.release(replica, life, tokens);
        self.queue.unblock();
    }

    fn learn(&mut self, replica: ReplicaId, life: u32, chain: &BlockChain) {
        if let Some(index) = &mut self.index
            && self.fleet.life(replica) == Some(life)
            && chain.block_tokens() == self.config.block_tokens
        {
            index.insert(replica, chain);
        }
    }

    // ------------------------------------------------------------------------------------------ what probes tell

    /// A probe of `replica` has answered after `rtt`, or failed (`None`), which changes nothing.
    pub fn probe_result(&mut self, now: Nanos, replica: ReplicaId, rtt: Option<Nanos>) {
        let Some(rtt) = rtt else { return };
        if self.fleet.probed(now, replica, rtt) {
            self.queue.unblock();
        } else {
            self.ignored.unknown_replica += 1;
        }
    }

    /// A metrics scrape has answered. One that was taken before the one known is ignored.
    pub fn scraped(&mut self, _now: Nanos, replica: ReplicaId, scrape: Scrape) {
        if self.fleet.scraped(replica, &scrape) {
            self.queue.unblock();
        } else if self.fleet.life(replica).is_none() {
            self.ignored.unknown_replica += 1;
        } else {
            self.ignored.old_scrape += 1;
        }
    }

    /// A metrics scrape has failed: what is known is kept, and ages.
    pub const fn scrape_failed(&mut self, _now: Nanos, _replica: ReplicaId) {}

    // ------------------------------------------------------------------------------------------ what the fleet does

    /// A replica joins, as the last candidate; a draining one is taken back into service in its place.
    ///
    /// # Errors
    /// When it is in service already, or its id is too large.
    pub fn replica_added(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        region: RegionId,
    ) -> Result<(), RoutingError> {
        self.fleet.add(replica, region)?;
        self.cached.resize(self.fleet.ids(), 0);
        self.queue.unblock();
        Ok(())
    }

    /// A replica takes no new requests; those it has go on.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn replica_draining(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
    ) -> Result<(), RoutingError> {
        self.fleet.drain(replica)?;
        self.queue.unblock();
        Ok(())
    }

    /// A replica is gone, with its cache. Requests that are still there are to be told as failed, as any.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn replica_removed(&mut self, _now: Nanos, replica: ReplicaId) -> Result<(), RoutingError> {
        self.fleet.remove(replica)?;
        self.queue.unblock();
        if let Some(index) = &mut self.index {
            index.remove_replica(replica);
        }
        Ok(())
    }

    /// A replica is found healthy or not; an unhealthy one is not chosen.
    ///
    /// # Errors
    /// When it is not in the fleet.
    pub fn set_health(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        healthy: bool,
    ) -> Result<(), RoutingError> {
        self.fleet.set_health(replica, healthy)?;
        self.queue.unblock();
        Ok(())
    }

    /// A replica's cache is empty again: it was restarted or flushed.
    pub fn cache_lost(&mut self, _now: Nanos, replica: ReplicaId) {
        if let Some(index) = &mut self.index {
            index.remove_replica(replica);
        }
    }

    /// A replica reported how many leading tokens of a prompt it had when it admitted the request: what the index
    /// believes beyond is dropped. The last block cannot be judged, since an engine always computes at least one token.
    /// To be told before the same request is learned: afterwards the replica has the whole prompt.
    pub fn cache_reported(
        &mut self,
        _now: Nanos,
        replica: ReplicaId,
        prompt: &BlockChain,
        cached: Tokens,
    ) {
        if let Some(index) = &mut self.index
            && cached < prompt.tokens_in(prompt.blocks() - 1)
        {
            index.trim(replica, prompt, cached);
        }
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
        self.queue.poll(now)
    }

    /// When [`Router::poll`] must be called next, if nothing is told before.
    #[must_use]
    #[inline]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.queue.next_deadline()
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

const fn release_stage(at: ReleaseAt) -> Stage {
    match at {
        ReleaseAt::Headers => Stage::Headers,
        ReleaseAt::FirstToken => Stage::FirstToken,
        ReleaseAt::Finished => Stage::Ended,
    }
}

const fn learn_stage(at: LearnAt) -> Stage {
    match at {
        LearnAt::Dispatch => Stage::Dispatched,
        LearnAt::Headers => Stage::Headers,
        LearnAt::FirstToken => Stage::FirstToken,
        LearnAt::Finished => Stage::Ended,
    }
}
