//! The slow engine: one iteration of `src/model/README.md` per loop.
//!
//! Here: what arrives, cancels, crashes and scrapes, and the boundary with its five steps. The prefill batch is formed
//! and ended in `prefill.rs`, decode steps in `decode.rs`; what of a request enters the cache, and when it goes, is in
//! `kv.rs`. There is no fast path at all.

use crate::coverage::Coverage;
use crate::script::{Action, Index, Outcome, Script};
use crate::trie::{Place, TokenName, TokenTrie, names};
use gorgo_model::{
    EngineRequest, Femtos, Observation, ReplicaConfig, ReplicaEvent, ReplicaTotals, RequestKey,
};
use gorgo_types::Nanos;
use std::collections::BTreeMap;

mod decode;
mod kv;
mod prefill;
#[cfg(test)]
mod tests;

/// A request that is alive.
#[derive(Clone, Debug)]
struct Live {
    request: EngineRequest,
    /// The prompt's tokens (P of them).
    prompt: Vec<TokenName>,
    ready: Nanos,
    admitted: Option<Femtos>,
    /// Prompt tokens the cache had at the first admission.
    cached: u64,
    /// Tokens emitted (g).
    emitted: u64,
    /// Tokens of KV held, in the cache under lock or of its own.
    held: u64,
    /// How many of those are in the cache.
    in_cache: u64,
    /// The end of the locked path.
    locked: Option<Place>,
}

impl Live {
    fn prompt_tokens(&self) -> u64 {
        self.prompt.len() as u64
    }

    fn block_tokens(&self) -> u64 {
        u64::from(self.request.prompt.block_tokens())
    }

    /// L: what a prefill has to get through.
    fn prefill_tokens(&self) -> u64 {
        self.prompt_tokens() + self.emitted
    }

    const fn own(&self) -> u64 {
        self.held - self.in_cache
    }

    /// What admission reserves for the rest of the output.
    fn reserve(&self, clip: u32) -> u64 {
        (self.request.max_tokens.0 - self.emitted).min(u64::from(clip))
    }
}

/// One request's part of a prefill batch.
#[derive(Clone, Copy, Debug)]
struct Part {
    index: Index,
    new: u64,
    before: u64,
    completes: bool,
}

/// What the engine is busy with, and until when.
#[derive(Clone, Debug)]
enum Doing {
    Nothing,
    Prefill(Vec<Part>, Femtos),
    Decode(Femtos),
}

/// The slow engine.
#[derive(Clone, Debug)]
pub struct Oracle {
    config: ReplicaConfig,
    live: BTreeMap<Index, Live>,
    /// Arrived, not ready yet; in order of arrival.
    coming: Vec<Index>,
    waiting: Vec<Index>,
    running: Vec<Index>,
    chunked: Option<Index>,
    cancels: Vec<Index>,
    doing: Doing,
    batch_is_full: bool,
    ratio_ppb: u64,
    trie: TokenTrie,
    last_boundary: Femtos,
    outcome: Outcome,
    gaps: BTreeMap<Femtos, u64>,
    coverage: Coverage,
}

fn key(index: Index) -> RequestKey {
    RequestKey(u32::try_from(index).expect("a script has few requests"))
}

/// Runs a script to its end.
///
/// # Panics
/// Where the engine breaks one of its own laws, a request is never served, or the script is out of order.
#[must_use]
pub fn run_slow(script: &Script) -> (Outcome, Coverage) {
    let mut oracle = Oracle::new(script.config.clone());
    let mut last = Nanos::ZERO;
    for (at, action) in &script.actions {
        assert!(*at >= last, "a script is in order");
        last = *at;
        oracle.run_boundaries(*at, action.waits_for_boundaries());
        oracle.act(*at, action);
    }
    oracle.run_boundaries(Nanos::MAX, true);
    oracle.finish()
}

impl Oracle {
    fn new(config: ReplicaConfig) -> Self {
        let ratio_ppb = u64::from(config.limits.new_token_ratio_init_ppb);
        Self {
            config,
            live: BTreeMap::new(),
            coming: Vec::new(),
            waiting: Vec::new(),
            running: Vec::new(),
            chunked: None,
            cancels: Vec::new(),
            doing: Doing::Nothing,
            batch_is_full: false,
            ratio_ppb,
            trie: TokenTrie::new(),
            last_boundary: Femtos::ZERO,
            outcome: Outcome::default(),
            gaps: BTreeMap::new(),
            coverage: Coverage::default(),
        }
    }

    fn finish(mut self) -> (Outcome, Coverage) {
        self.check();
        self.outcome.never_served = self.live.keys().copied().collect();
        self.outcome.gaps = self.gaps.into_iter().collect();
        (self.outcome, self.coverage)
    }

    const fn totals(&mut self) -> &mut ReplicaTotals {
        &mut self.outcome.totals
    }

    fn of(&self, index: Index) -> &Live {
        &self.live[&index]
    }

    fn of_mut(&mut self, index: Index) -> &mut Live {
        self.live.get_mut(&index).expect("a request that is alive")
    }

    /// When the next boundary is.
    fn next_boundary(&self) -> Option<Femtos> {
        match self.doing {
            Doing::Prefill(_, ends) | Doing::Decode(ends) => Some(ends),
            Doing::Nothing => {
                let ready = self.coming.iter().map(|&index| self.of(index).ready).min();
                ready.map(Femtos::from_nanos)
            }
        }
    }

    /// Runs the boundaries before `until`, or also one at it.
    fn run_boundaries(&mut self, until: Nanos, inclusive: bool) {
        let until = Femtos::from_nanos(until);
        while let Some(next) = self.next_boundary() {
            if next > until || (next == until && !inclusive) {
                break;
            }
            self.boundary(next);
        }
    }

    fn act(&mut self, now: Nanos, action: &Action) {
        match action {
            Action::Arrive(request) => self.arrive(now, request),
            Action::Cancel(index) => self.cancel(now, *index),
            Action::Crash => self.crash(),
            Action::Poke => {}
            Action::Observe => self.observe(now),
        }
    }

    fn arrive(&mut self, now: Nanos, request: &EngineRequest) {
        let index = self.outcome.tokens.len();
        self.outcome.tokens.push(Vec::new());
        let prompt = names(&request.prompt, request.prompt.tokens().0);
        let prompt_tokens = request.prompt.tokens().0;
        let pool = self.config.kv_pool_tokens;
        let reserve = request.max_tokens.0.min(u64::from(self.config.limits.clip_max_new_tokens));
        if prompt_tokens + reserve >= pool || prompt_tokens + request.output_tokens.0 > pool {
            self.outcome.refused.push(index);
            return;
        }
        self.totals().arrived += 1;
        let live = Live {
            request: request.clone(),
            prompt,
            ready: now + request.overhead,
            admitted: None,
            cached: 0,
            emitted: 0,
            held: 0,
            in_cache: 0,
            locked: None,
        };
        self.live.insert(index, live);
        self.coming.push(index);
    }

    fn cancel(&mut self, now: Nanos, index: Index) {
        let alive = self.live.contains_key(&index);
        self.outcome.cancels.push(alive);
        if !alive || self.cancels.contains(&index) {
            return;
        }
        if self.coming.contains(&index) || self.waiting.contains(&index) {
            self.coming.retain(|&other| other != index);
            self.waiting.retain(|&other| other != index);
            self.live.remove(&index);
            self.totals().cancelled += 1;
            self.coverage.cancelled_waiting += 1;
            self.outcome.events.push(ReplicaEvent::Cancelled { key: key(index), at: now });
        } else {
            self.cancels.push(index);
        }
    }

    fn crash(&mut self) {
        let lost: Vec<Index> = self.live.keys().copied().collect();
        self.coverage.crashes += u64::from(!lost.is_empty());
        self.totals().lost += lost.len() as u64;
        self.outcome.lost.push(lost);
        let fresh = Self::new(self.config.clone());
        *self = Self {
            last_boundary: self.last_boundary,
            outcome: std::mem::take(&mut self.outcome),
            gaps: std::mem::take(&mut self.gaps),
            coverage: self.coverage,
            ..fresh
        };
    }

    fn observe(&mut self, now: Nanos) {
        let in_prefill = match &self.doing {
            Doing::Prefill(batch, _) => batch.len(),
            Doing::Nothing | Doing::Decode(_) => 0,
        };
        if matches!(self.doing, Doing::Decode(_)) {
            let on_boundary = self.last_boundary == Femtos::from_nanos(now);
            self.coverage.observed_on_boundary += u64::from(on_boundary);
            self.coverage.observed_in_decode += u64::from(!on_boundary);
        }
        let ready = self.coming.iter().filter(|&&index| self.of(index).ready <= now).count();
        let observation = Observation {
            running_requests: (self.running.len() + in_prefill) as u32,
            queued_requests: (ready + self.waiting.len()) as u32,
            used_tokens: self.used(),
            cached_tokens: self.trie.evictable(),
            kv_pool_tokens: self.config.kv_pool_tokens,
        };
        self.outcome.observations.push((now, observation));
    }

    /// One iteration ends and the next begins.
    fn boundary(&mut self, at: Femtos) {
        assert!(at >= self.last_boundary, "time does not go back");
        let was_busy = !matches!(self.doing, Doing::Nothing);
        let used = u128::from(self.used());
        let span = (at - self.last_boundary).0;
        self.totals().kv_token_time += used * span;
        self.totals().until = at;
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Prefill(batch, _) => self.end_prefill(at, &batch),
            Doing::Decode(_) => self.end_decode(at),
            Doing::Nothing => {}
        }
        self.take_cancels(at);
        self.join_ready(at, was_busy);
        self.last_boundary = at;
        if self.chunked.is_some() || (!self.waiting.is_empty() && !self.batch_is_full) {
            let batch = self.form_batch();
            if !batch.is_empty() {
                self.start_prefill(at, batch);
                self.check();
                return;
            }
        }
        if self.running.is_empty() {
            assert!(self.waiting.is_empty(), "a lone request is never refused");
            self.ratio_ppb = u64::from(self.config.limits.new_token_ratio_init_ppb);
            self.clear_full();
        } else {
            self.start_decode(at);
        }
    }

    /// (b): cancelled requests that hold something are released like finished ones.
    fn take_cancels(&mut self, at: Femtos) {
        for index in std::mem::take(&mut self.cancels) {
            if !self.live.contains_key(&index) {
                continue;
            }
            if self.chunked == Some(index) {
                self.chunked = None;
                self.coverage.cancelled_chunked += 1;
            } else {
                self.running.retain(|&other| other != index);
                self.coverage.cancelled_running += 1;
            }
            self.release(index);
            self.totals().cancelled += 1;
            let event = ReplicaEvent::Cancelled { key: key(index), at: at.to_nanos() };
            self.outcome.events.push(event);
        }
    }

    /// (c): by ready time, then by arrival.
    fn join_ready(&mut self, at: Femtos, was_busy: bool) {
        let ready = |live: &Live| Femtos::from_nanos(live.ready);
        let mut joining: Vec<Index> =
            self.coming.iter().copied().filter(|&index| ready(self.of(index)) <= at).collect();
        self.coming.retain(|index| !joining.contains(index));
        joining.sort_by_key(|&index| self.of(index).ready);
        for &index in &joining {
            let on_boundary = was_busy && ready(self.of(index)) == at;
            self.coverage.ready_on_boundary += u64::from(on_boundary);
            let overtaken = self
                .coming
                .iter()
                .chain(&joining)
                .any(|&other| other < index && self.of(other).ready > self.of(index).ready);
            self.coverage.ready_out_of_order += u64::from(overtaken);
        }
        self.waiting.extend(joining);
    }

    fn clear_full(&mut self) {
        self.coverage.full_cleared += u64::from(self.batch_is_full);
        self.batch_is_full = false;
    }

    fn emit(&mut self, index: Index, at: Femtos) {
        let live = self.of_mut(index);
        live.emitted += 1;
        let (emitted, ready, cached) = (live.emitted, live.ready, live.cached);
        let admitted = live.admitted.expect("a request that emits was admitted");
        if let Some(&before) = self.outcome.tokens[index].last() {
            *self.gaps.entry(at - before).or_insert(0) += 1;
        }
        self.outcome.tokens[index].push(at);
        self.totals().emitted_tokens += 1;
        if emitted == 1 {
            self.outcome.events.push(ReplicaEvent::FirstToken {
                key: key(index),
                at: at.to_nanos(),
                ready,
                admitted: admitted.to_nanos(),
                cached_tokens: gorgo_types::Tokens(cached),
            });
        }
    }

    /// A request has emitted all.
    fn end_request(&mut self, index: Index, at: Femtos) {
        self.release(index);
        self.totals().finished += 1;
        self.coverage.finished += 1;
        let event = ReplicaEvent::Finished { key: key(index), at: at.to_nanos() };
        self.outcome.events.push(event);
    }
}
