//! A simulated SGLang engine: a passive state machine from arrivals to token times.
//!
//! The rules stand in `README.md`, section by section; this file has the iteration and time, `replica/prefill.rs`
//! the prefill batch, `replica/decode.rs` the decode step, memory and release, `replica/running.rs` the sums of the
//! running batch, [`crate::cache`] the prefix cache.
//!
//! What makes it fast: nothing is done per decode step or per block. A run of decode steps is one event whose end can
//! still be revised (an arrival or a cancel cuts it at the next step's end), and whatever a step changes in every
//! sequence is a number that they share. A lone boundary therefore costs the same whether one step led to it or ten
//! thousand. Nothing is done ahead of time: memory for a step is taken, or made by eviction, when that step starts.
//!
//! Time never goes back, KV tokens are conserved and no count is negative: asserted in every build.

mod arrival;
mod check;
mod decode;
mod interface;
mod mutation;
mod prefill;
mod request;
mod running;
pub(crate) mod series;
#[cfg(test)]
mod tests;

pub(crate) use arrival::validate_sequence;
pub use interface::{
    EngineRequest, GapRun, Observation, ReplicaEvent, ReplicaOutput, ReplicaTotals, RequestKey,
    TokenRun,
};

#[cfg(feature = "mutations")]
pub use mutation::Mutation;
#[cfg(not(feature = "mutations"))]
use mutation::Mutation;

use crate::{CacheChange, Femtos, ModelError, PrefillItem, PrefixCache, ReplicaConfig};
use gorgo_types::Nanos;
use hashbrown::HashMap;
use prefill::BatchItem;
use request::{Live, Requests, Slot};
use running::Running;
use rustc_hash::FxBuildHasher;
use series::StepSeries;
use std::collections::VecDeque;

/// What the GPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Iteration {
    Idle,
    /// The batch in `Replica::batch`.
    Prefill {
        start: Femtos,
        end: Femtos,
    },
    Decode(DecodeRun),
}

/// Decode steps of an unchanging batch. Cut short, it keeps its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DecodeRun {
    start: Femtos,
    series: StepSeries,
    steps: u64,
    end: Femtos,
}

/// One engine.
///
/// Calls come in order of time. All arrivals up to a time are told before [`Replica::advance`] to that time;
/// [`Replica::next_wake`] says when to advance next. From then on an event's time is final.
#[derive(Clone, Debug)]
pub struct Replica {
    config: ReplicaConfig,
    /// What `new_token_ratio` loses each decode step, parts per billion.
    decay_ppb: u64,
    /// Block size of all chains, from the first request on.
    block_tokens: Option<u32>,

    requests: Requests,
    by_key: HashMap<RequestKey, Slot, FxBuildHasher>,
    /// Still in their overhead, in order of (ready time, arrival).
    coming: VecDeque<(Nanos, Slot)>,
    waiting: VecDeque<Slot>,
    running: Running,
    /// The request whose prompt is computed in chunks.
    chunked: Option<Slot>,
    /// The prefill batch under way.
    batch: Vec<BatchItem>,
    batch_costs: Vec<PrefillItem>,
    /// Cancels that wait for a boundary: when asked for, of whom (slot and number of its arrival).
    cancels: VecDeque<(Nanos, Slot, u64)>,

    cache: PrefixCache,
    /// Pool = free + tokens of the tree + own tokens of requests.
    free: u64,
    own: u64,

    ratio_ppb: u64,
    batch_is_full: bool,

    iteration: Iteration,
    /// The end of the iteration, or the next ready time where idle; `wake` is the same in nanoseconds.
    boundary: Option<Femtos>,
    wake: Option<Nanos>,
    /// The latest time that a caller has named.
    clock: Nanos,
    /// What happened outside `advance` and has not been reported yet.
    unreported: ReplicaOutput,
    record_token_runs: bool,
    step_by_step: bool,
    totals: ReplicaTotals,
    #[cfg(feature = "mutations")]
    mutation: Option<Mutation>,
}

impl Replica {
    /// An idle replica with an empty cache, at time zero.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] where the configuration makes no sense.
    pub fn new(config: ReplicaConfig) -> Result<Self, ModelError> {
        config.validate()?;
        let limits = &config.limits;
        let span = limits.new_token_ratio_init_ppb - limits.new_token_ratio_min_ppb;
        Ok(Self {
            decay_ppb: u64::from(span / limits.new_token_ratio_decay_steps),
            block_tokens: None,
            requests: Requests::default(),
            by_key: HashMap::default(),
            coming: VecDeque::new(),
            waiting: VecDeque::new(),
            running: Running::default(),
            chunked: None,
            batch: Vec::new(),
            batch_costs: Vec::new(),
            cancels: VecDeque::new(),
            cache: PrefixCache::with_state_slots(limits.state_slots)
                .with_state_use(limits.state_use_ppb),
            free: config.kv_pool_tokens,
            own: 0,
            ratio_ppb: u64::from(limits.new_token_ratio_init_ppb),
            batch_is_full: false,
            iteration: Iteration::Idle,
            boundary: None,
            wake: None,
            clock: Nanos::ZERO,
            unreported: ReplicaOutput::default(),
            record_token_runs: false,
            step_by_step: false,
            totals: ReplicaTotals::default(),
            #[cfg(feature = "mutations")]
            mutation: None,
            config,
        })
    }

    /// What the replica was made from.
    #[must_use]
    pub const fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    /// Whether `advance` fills [`ReplicaOutput::runs`], at a cost per sequence and run of steps. Off at first.
    pub fn record_token_runs(&mut self, record: bool) {
        self.record_token_runs = record;
    }

    /// Whether every decode step is a boundary of its own, so that tokens are reported when they are emitted and not at the
    /// end of their run: for whoever passes them on as they come. It changes no time. Off at first; it concerns runs that
    /// start afterwards.
    pub fn step_by_step(&mut self, each: bool) {
        self.step_by_step = each;
    }

    /// Keeps what enters the prefix cache and leaves it, from now on; [`Self::take_cache_changes`] gives it.
    pub fn record_cache_changes(&mut self) {
        self.cache.record_changes();
    }

    /// What has entered the prefix cache and left it since the last time, in that order.
    pub fn take_cache_changes(&mut self) -> Vec<CacheChange> {
        self.cache.take_changes()
    }

    /// When `advance` must be called next. Changes with every arrive, cancel, fail and advance.
    #[must_use]
    pub fn next_wake(&self) -> Option<Nanos> {
        if self.unreported.is_empty() { self.wake } else { Some(self.clock) }
    }

    /// Processes every boundary up to and including `now`, and appends what happened to `out`.
    ///
    /// # Panics
    /// When `now` lies before a time that was named earlier.
    pub fn advance(&mut self, now: Nanos, out: &mut ReplicaOutput) {
        self.tell_time(now);
        if !self.unreported.is_empty() {
            out.append(&mut self.unreported);
        }
        self.run_until(Femtos::from_nanos(now), out);
    }

    /// What a scrape at `now` would see; exact in the middle of a run of steps too. Changes nothing.
    ///
    /// Boundaries up to `now` must have been processed by [`Replica::advance`] already: what they would change is
    /// not seen.
    #[must_use]
    pub fn observe(&self, now: Nanos) -> Observation {
        let under_way = match self.iteration {
            Iteration::Decode(run) => {
                let since = Femtos::from_nanos(now).saturating_sub(run.start);
                let ended = run.series.steps_within(since, run.steps - 1);
                (ended + 1) * u64::from(self.running.sequences())
            }
            Iteration::Idle | Iteration::Prefill { .. } => 0,
        };
        let ready = self.coming.partition_point(|&(ready, _)| ready <= now);
        Observation {
            running_requests: count(self.running.len() + self.batch.len()),
            queued_requests: count(self.waiting.len() + ready),
            used_tokens: self.used_tokens() + under_way,
            cached_tokens: self.cache.evictable_tokens(),
            kv_pool_tokens: self.config.kv_pool_tokens,
        }
    }

    /// Counts since the start, up to the last boundary.
    #[must_use]
    pub const fn totals(&self) -> ReplicaTotals {
        self.totals
    }

    /// Asks for a cancel: at once for a request without KV, else at the first boundary at or after `now`. False
    /// where no such request is alive (any more). A request that is alive answers with [`ReplicaEvent::Cancelled`]
    /// in a later `advance`, or with [`ReplicaEvent::Finished`] if it ends first; its key is in use until then.
    ///
    /// # Panics
    /// When `now` lies before a time that was named earlier.
    pub fn cancel(&mut self, now: Nanos, key: RequestKey) -> bool {
        self.tell_time(now);
        self.catch_up(Femtos::from_nanos(now));
        let Some(&slot) = self.by_key.get(&key) else { return false };
        let live = self.requests.at_mut(slot);
        match live.place {
            // Those that time out are the oldest: they are found, and taken out, near the front.
            request::Place::Coming => {
                let place = self.coming.iter().position(|&(_, other)| other == slot);
                self.coming.remove(place.expect("who comes is on the list"));
            }
            request::Place::Waiting => {
                let place = self.waiting.iter().position(|&other| other == slot);
                self.waiting.remove(place.expect("who waits is in the queue"));
            }
            request::Place::Prefill | request::Place::Running => {
                if !live.cancelled {
                    live.cancelled = true;
                    self.cancels.push_back((now, slot, live.arrival));
                    self.cut_run(Femtos::from_nanos(now));
                }
                return true;
            }
        }
        self.forget(slot);
        self.totals.cancelled += 1;
        self.unreported.events.push(ReplicaEvent::Cancelled { key, at: now });
        self.reschedule();
        true
    }

    /// A crash: everything alive is lost, the cache too. Returns what was lost, in order of keys. The replica can be
    /// used on, as one that has just started.
    ///
    /// # Panics
    /// When `now` lies before a time that was named earlier.
    pub fn fail(&mut self, now: Nanos) -> Vec<RequestKey> {
        self.tell_time(now);
        self.catch_up(Femtos::from_nanos(now) + Femtos(1));
        if let Iteration::Decode(run) = self.iteration {
            let since = Femtos::from_nanos(now).saturating_sub(run.start);
            let ended = run.series.steps_within(since, run.steps - 1);
            if ended > 0 {
                let mut out = std::mem::take(&mut self.unreported);
                let end = run.start + run.series.length(ended);
                self.count_steps(DecodeRun { steps: ended, end, ..run }, &mut out);
                self.unreported = out;
                self.totals.until = end;
            }
        }
        let mut lost: Vec<RequestKey> = self.requests.iter().map(|(_, live)| live.key).collect();
        lost.sort_unstable();
        self.totals.lost += lost.len() as u64;
        self.requests.clear();
        self.by_key.clear();
        self.coming.clear();
        self.waiting.clear();
        self.running.clear();
        self.chunked = None;
        self.batch.clear();
        self.cancels.clear();
        self.cache.clear();
        self.free = self.config.kv_pool_tokens;
        self.own = 0;
        self.iteration = Iteration::Idle;
        self.idle();
        self.reschedule();
        lost
    }

    fn tell_time(&mut self, now: Nanos) {
        assert!(now >= self.clock, "time went back from {} to {now}", self.clock);
        self.clock = now;
    }

    /// Processes boundaries before `limit`; what happens is reported by the next `advance`.
    fn catch_up(&mut self, limit: Femtos) {
        if self.boundary.is_some_and(|boundary| boundary < limit) {
            let mut out = std::mem::take(&mut self.unreported);
            self.run_until(Femtos(limit.0 - 1), &mut out);
            self.unreported = out;
        }
    }

    /// Processes boundaries up to and including `limit`.
    fn run_until(&mut self, limit: Femtos, out: &mut ReplicaOutput) {
        while let Some(boundary) = self.boundary
            && boundary <= limit
        {
            self.pass_boundary(boundary, out);
        }
    }

    /// One boundary, as README.md orders it: results, cancels, newly ready requests, then the next iteration.
    fn pass_boundary(&mut self, at: Femtos, out: &mut ReplicaOutput) {
        match std::mem::replace(&mut self.iteration, Iteration::Idle) {
            Iteration::Idle => {}
            Iteration::Prefill { start, .. } => self.end_prefill(start, at, out),
            Iteration::Decode(run) => self.end_decode(run, out),
        }
        self.apply_cancels(at, out);
        self.join_ready(at);
        if let Some(end) = self.start_prefill(at) {
            self.iteration = Iteration::Prefill { start: at, end };
        } else if !self.running.is_empty() {
            self.iteration = Iteration::Decode(self.start_decode(at, out));
        } else {
            assert!(self.waiting.is_empty(), "whoever waits alone is admitted");
            self.idle();
        }
        self.totals.until = at;
        self.assert_conserved();
        self.reschedule();
        assert!(self.boundary.is_none_or(|next| next >= at), "time went back");
    }

    /// The boundary that is being passed, in nanoseconds: what its events bear.
    const fn boundary_time(&self) -> Nanos {
        self.wake.expect("events happen at a boundary")
    }

    /// Nothing to do: the scheduler forgets what it had learnt.
    fn idle(&mut self) {
        self.ratio_ppb = u64::from(self.config.limits.new_token_ratio_init_ppb);
        self.batch_is_full = false;
    }

    fn apply_cancels(&mut self, at: Femtos, out: &mut ReplicaOutput) {
        while let Some(&(asked, slot, arrival)) = self.cancels.front() {
            if Femtos::from_nanos(asked) > at {
                return;
            }
            self.cancels.pop_front();
            let Some(live) = self.requests.get(slot, arrival) else { continue };
            let key = live.key;
            self.release_cancelled(slot);
            self.totals.cancelled += 1;
            out.events.push(ReplicaEvent::Cancelled { key, at: self.boundary_time() });
        }
    }

    fn join_ready(&mut self, at: Femtos) {
        while let Some(&(ready, slot)) = self.coming.front() {
            if Femtos::from_nanos(ready) > at {
                return;
            }
            self.coming.pop_front();
            self.requests.at_mut(slot).place = request::Place::Waiting;
            self.waiting.push_back(slot);
        }
    }

    /// Ends a run of decode steps at its first boundary at or after `at`, if it would go on beyond.
    fn cut_run(&mut self, at: Femtos) {
        let loses_step = self.faulty(Mutation::CutLosesStep);
        if let Iteration::Decode(run) = &mut self.iteration
            && at < run.end
        {
            let steps = run.series.steps_to_reach(at.saturating_sub(run.start));
            if steps < run.steps {
                run.steps = steps;
                run.end = run.start + run.series.length(steps + u64::from(loses_step));
                self.reschedule();
            }
        }
    }

    /// Sets the next boundary from the iteration under way.
    fn reschedule(&mut self) {
        self.boundary = match self.iteration {
            Iteration::Prefill { end, .. } => Some(end),
            Iteration::Decode(run) => Some(run.end),
            Iteration::Idle => self
                .coming
                .front()
                .map(|&(ready, _)| Femtos::from_nanos(ready).max(self.totals.until)),
        };
        self.wake = self.boundary.map(Femtos::to_nanos);
    }

    /// The pool less what is free or evictable.
    const fn used_tokens(&self) -> u64 {
        self.config.kv_pool_tokens - self.free - self.cache.evictable_tokens()
    }

    fn assert_conserved(&self) {
        assert!(
            self.free + self.own + self.cache.tokens() == self.config.kv_pool_tokens,
            "KV tokens are lost or doubled: free {} + own {} + cached {} of {}",
            self.free,
            self.own,
            self.cache.tokens(),
            self.config.kv_pool_tokens
        );
    }

    /// A request has left for good.
    fn forget(&mut self, slot: Slot) -> Live {
        let live = self.requests.remove(slot);
        self.by_key.remove(&live.key);
        live
    }
}

/// Numbers of requests alive fit 32 bits, as their keys do.
fn count(requests: usize) -> u32 {
    u32::try_from(requests).expect("fewer requests alive than keys")
}
