//! The life of a dispatched request: what each stage releases, and what it teaches the index.
//!
//! A later stage implies the earlier ones; news of a stage already passed is counted and ignored
//! ([`crate::accounting`]). Read [`super::told`] next.

use super::Router;
use crate::accounting::{InFlight, QueuedTokens, Stage, Ticket};
use crate::config::{LearnAt, ReleaseAt};
use crate::health::End;
use crate::signals::RoutingRequest;
use gorgo_types::{BlockChain, Nanos, ReplicaId};
use std::hint::cold_path;

impl Router {
    /// The request is sent to `replica`: the decision's, or another one where the decision was overruled. Comes right after
    /// [`Self::decide`] on it: what the index knew of it then is what is counted.
    pub fn dispatched(
        &mut self,
        now: Nanos,
        request: &RoutingRequest<'_>,
        replica: ReplicaId,
    ) -> Ticket {
        let life = self.fleet.life(replica);
        self.ignored.unknown_replica += u64::from(life.is_none());
        let (tokens, sent_to) = self.fleet.count(replica, request);
        if let Some(sent_to) = sent_to {
            self.policy.on_dispatched(request, sent_to);
        }
        let knows_blocks = request.prompt.block_tokens() == self.config.block_tokens;
        let mut prompt = None;
        if let Some(index) = &mut self.index
            && life.is_some()
            && knows_blocks
        {
            match self.config.learn_at {
                LearnAt::Dispatch => index.insert(replica, request.prompt),
                LearnAt::KvEvent => {}
                LearnAt::Headers | LearnAt::FirstToken | LearnAt::Finished => {
                    prompt = Some(request.prompt.clone());
                }
            }
        }
        let ticket = self.in_flight.insert(InFlight {
            stage: Stage::Dispatched,
            replica,
            life: life.unwrap_or(u32::MAX),
            tokens,
            counted: life.is_some(),
            holds_queue: self.queue.take_turn(),
            prompt,
        });
        if let Some(health) = &mut self.health {
            cold_path();
            health.dispatched(now, ticket.slot(), replica, &mut self.fleet);
        }
        if let Some(tuner) = &mut self.tuner {
            cold_path();
            let signals = self.fleet.signals().iter();
            let work = signals.map(|s| s.uncached_tokens(request)).min().unwrap_or(tokens.all);
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
        if let Some(health) = &mut self.health
            && is_news
        {
            cold_path();
            health.answered(now, ticket.slot(), &mut self.fleet);
            self.queue.unblock();
        }
        if let Some(tuner) = &mut self.tuner
            && is_news
        {
            cold_path();
            tuner.first_token(now, ticket.slot());
        }
    }

    /// The response is complete. `sequence` is prompt and output, where the caller knows their blocks; it is learned
    /// if the configuration says so.
    pub fn finished(&mut self, now: Nanos, ticket: Ticket, sequence: Option<&BlockChain>) {
        let is_news = self.advance_to_end(ticket, true, sequence);
        if is_news {
            self.ended(now, ticket, End::Good);
        }
        if let Some(tuner) = &mut self.tuner
            && is_news
        {
            cold_path();
            tuner.finished(now, ticket.slot());
        }
    }

    /// The request failed, and it was the replica's failure: no answer, one that broke off, or one that says so (a 503,
    /// not a 400). An answer with a bad status for which the replica is not to blame is told as finished.
    pub fn failed(&mut self, now: Nanos, ticket: Ticket) {
        self.lost(now, ticket, true);
    }

    /// The client gave up, and the replica was told.
    pub fn cancelled(&mut self, now: Nanos, ticket: Ticket) {
        self.lost(now, ticket, false);
    }

    fn lost(&mut self, now: Nanos, ticket: Ticket, failed: bool) {
        let is_news = self.advance_to_end(ticket, false, None);
        if is_news {
            self.ended(now, ticket, if failed { End::Failed } else { End::Neither });
        }
        if let Some(tuner) = &mut self.tuner
            && is_news
        {
            tuner.lost(now, ticket.slot(), failed);
        }
    }

    /// What the end of a request says of its replica's health.
    #[inline]
    fn ended(&mut self, now: Nanos, ticket: Ticket, end: End) {
        if self.health.is_some() {
            self.tell_health(now, ticket, end);
        }
    }

    #[cold]
    fn tell_health(&mut self, now: Nanos, ticket: Ticket, end: End) {
        if let Some(health) = &mut self.health {
            health.ended(now, ticket.slot(), end, &mut self.fleet);
            self.queue.unblock();
        }
    }

    /// False: it was told before, or the request has ended.
    fn advance(&mut self, ticket: Ticket, stage: Stage, ok: bool) -> bool {
        let Some(request) = self.in_flight.advance(ticket, stage) else {
            cold_path();
            self.ignored.late_news += 1;
            return false;
        };
        let release = request.counted && stage >= release_stage(self.config.release_at);
        if release {
            request.counted = false;
        }
        let (replica, life, tokens) = (request.replica, request.life, request.tokens);
        if !ok {
            cold_path();
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
            cold_path();
            self.ignored.late_news += 1;
            return false;
        };
        if request.counted {
            self.release(request.replica, request.life, request.tokens);
        }
        if request.holds_queue {
            self.queue.end_turn();
        }
        if !ok {
            cold_path();
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

    fn release(&mut self, replica: ReplicaId, life: u32, tokens: QueuedTokens) {
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
        // Of events there is no stage, and no prompt waits for one.
        LearnAt::Finished | LearnAt::KvEvent => Stage::Ended,
    }
}
