//! A simulated engine: a passive state machine from arrivals to token times.
//!
//! Here is what all engines have in common: time and its boundaries, the requests on their way to the scheduler, cancels,
//! a crash. What an iteration computes, and in which memory, is its scheduler's: [`crate::sglang`], [`crate::vllm`].
//! The rules stand in `README.md`, section by section.
//!
//! What makes it fast: nothing is done per decode step or per block. A run of decode steps is one event whose end can
//! still be revised (an arrival or a cancel cuts it at the next step's end). A lone boundary therefore costs the same
//! whether one step led to it or ten thousand. Nothing is done ahead of time: memory for a step is taken, or made by
//! eviction, when that step starts.
//!
//! Time never goes back and no count is negative: asserted in every build.

mod arrival;
mod interface;
mod mutation;
pub(crate) mod request;
pub(crate) mod scheduler;
pub(crate) mod series;

pub use interface::{
    EngineRequest, GapRun, Observation, ReplicaEvent, ReplicaOutput, ReplicaTotals, RequestKey,
    TokenRun,
};
#[cfg(feature = "mutations")]
pub use mutation::Mutation;
#[cfg(not(feature = "mutations"))]
pub(crate) use mutation::Mutation;

use crate::{Femtos, ModelError, ReplicaConfig};
use gorgo_types::Nanos;
use request::{Place, Requests, Slot};
use scheduler::{DecodeRun, Iteration, Scheduler};
use series::StepSeries;
use std::collections::VecDeque;
use std::hint::cold_path;

/// One engine under a scheduler.
///
/// Calls come in order of time. All arrivals up to a time are told before [`Replica::advance`] to that time;
/// [`Replica::next_wake`] says when to advance next. From then on an event's time is final.
#[derive(Clone, Debug)]
pub struct Replica<S: Scheduler> {
    pub(crate) config: ReplicaConfig,
    /// The scheduler's own: who runs, and the memory.
    pub(crate) state: S,
    /// Block size of all chains, from the first request on.
    pub(crate) block_tokens: Option<u32>,

    pub(crate) requests: Requests<S::Held>,
    /// Still in their overhead, in order of (ready time, arrival).
    pub(crate) coming: VecDeque<(Nanos, Slot)>,
    pub(crate) waiting: VecDeque<Slot>,
    /// Cancels that wait for a boundary: when asked for, of whom (slot and number of its arrival).
    cancels: VecDeque<(Nanos, Slot, u64)>,

    pub(crate) iteration: Iteration,
    /// The end of the iteration, or the next ready time where idle; `wake` is the same in nanoseconds.
    boundary: Option<Femtos>,
    wake: Option<Nanos>,
    /// The latest time that a caller has named.
    pub(crate) clock: Nanos,
    /// What happened outside `advance` and has not been reported yet.
    unreported: ReplicaOutput,
    pub(crate) record_token_runs: bool,
    pub(crate) step_by_step: bool,
    pub(crate) totals: ReplicaTotals,
    #[cfg(feature = "mutations")]
    mutation: Option<Mutation>,
}

impl<S: Scheduler> Replica<S> {
    /// An idle replica with an empty cache, at time zero.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] where the configuration makes no sense.
    pub fn new(config: ReplicaConfig) -> Result<Self, ModelError> {
        config.validate()?;
        Ok(Self {
            state: S::new(&config)?,
            block_tokens: None,
            requests: Requests::default(),
            coming: VecDeque::new(),
            waiting: VecDeque::new(),
            cancels: VecDeque::new(),
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
            cold_path();
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
        let ready = self.coming.partition_point(|&(ready, _)| ready <= now);
        let queued_requests = count(self.waiting.len() + ready);
        Observation { queued_requests, ..S::observe(self, now) }
    }

    /// The decode step that is under way at `now`: how many sequences get a token at its end, and how long it takes. None
    /// where nothing is decoded, and in a batch that prefills, whoever decodes beside.
    ///
    /// Boundaries up to `now` must have been processed by [`Replica::advance`] already.
    #[must_use]
    pub fn decode_step(&self, now: Nanos) -> Option<(u32, Nanos)> {
        let Iteration::Decode(run) = self.iteration else { return None };
        let step = run.series.step_after(run.steps_ended(now)).to_nanos();
        Some((S::observe(self, now).running_requests, step.max(Nanos(1))))
    }

    /// Counts since the start, up to the last boundary.
    #[must_use]
    pub const fn totals(&self) -> ReplicaTotals {
        self.totals
    }

    /// Verifies at a cost everything that must hold.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        self.requests.check()?;
        S::check(self)
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
        let Some(slot) = self.requests.slot(key) else { return false };
        let live = self.requests.at_mut(slot);
        match live.place {
            // Those that time out are the oldest: they are found, and taken out, near the front.
            Place::Coming => {
                let place = self.coming.iter().position(|&(_, other)| other == slot);
                self.coming.remove(place.expect("who comes is on the list"));
            }
            Place::Waiting => {
                self.leave_queue(slot);
                S::queue_changed(self, now);
            }
            Place::Prefill | Place::Running => {
                if !live.cancelled {
                    live.cancelled = true;
                    self.cancels.push_back((now, slot, live.arrival));
                    self.cut_run(Femtos::from_nanos(now));
                }
                return true;
            }
        }
        self.requests.free(slot);
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
            let ended = run.steps_ended(now);
            if ended > 0 {
                let mut out = std::mem::take(&mut self.unreported);
                let end = run.start + run.series.length(ended);
                S::count_steps(self, DecodeRun { steps: ended, end, ..run }, &mut out);
                self.unreported = out;
                self.totals.until = end;
            }
        }
        let mut lost: Vec<RequestKey> = self.requests.iter().map(|(_, live)| live.key).collect();
        lost.sort_unstable();
        self.totals.lost += lost.len() as u64;
        self.requests.clear();
        self.coming.clear();
        self.waiting.clear();
        self.cancels.clear();
        self.state.restart(&self.config);
        self.iteration = Iteration::Idle;
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
            Iteration::Batch { start, .. } => S::end_batch(self, start, at, out),
            Iteration::Decode(run) => S::end_decode(self, run, out),
        }
        self.apply_cancels(at, out);
        self.join_ready(at);
        self.iteration = S::start(self, at, out);
        self.totals.until = at;
        self.reschedule();
        assert!(self.boundary.is_none_or(|next| next >= at), "time went back");
    }

    /// The boundary that is being passed, in nanoseconds: what its events bear.
    pub(crate) const fn boundary_time(&self) -> Nanos {
        self.wake.expect("events happen at a boundary")
    }

    fn apply_cancels(&mut self, at: Femtos, out: &mut ReplicaOutput) {
        while let Some(&(asked, slot, arrival)) = self.cancels.front() {
            if Femtos::from_nanos(asked) > at {
                return;
            }
            cold_path();
            self.cancels.pop_front();
            let Some(live) = self.requests.get(slot, arrival) else { continue };
            let key = live.key;
            S::release_cancelled(self, slot);
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
            self.requests.at_mut(slot).place = Place::Waiting;
            self.waiting.push_back(slot);
        }
    }

    /// As many of `steps` from `at` on as pass before the next cancel, and, where that matters, the next arrival; one where
    /// every step is a boundary.
    pub(crate) fn steps_until_news(
        &self,
        at: Femtos,
        series: StepSeries,
        steps: u64,
        arrivals_matter: bool,
    ) -> u64 {
        if self.step_by_step {
            cold_path();
            return steps.min(1);
        }
        let reach = |news: Nanos| {
            series.steps_to_reach(Femtos::from_nanos(news).saturating_sub(at)).min(steps)
        };
        let arrival = self.coming.front().filter(|_| arrivals_matter);
        let until_arrival = arrival.map_or(steps, |&(ready, _)| reach(ready));
        let until_cancel = self.cancels.front().map_or(steps, |&(asked, ..)| reach(asked));
        until_arrival.min(until_cancel)
    }

    /// Ends a run of decode steps at its first boundary at or after `at`, if it would go on beyond.
    pub(crate) fn cut_run(&mut self, at: Femtos) {
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
            Iteration::Batch { end, .. } => Some(end),
            Iteration::Decode(run) => Some(run.end),
            Iteration::Idle => self
                .coming
                .front()
                .map(|&(ready, _)| Femtos::from_nanos(ready).max(self.totals.until)),
        };
        self.wake = self.boundary.map(Femtos::to_nanos);
    }

    /// A request that waits leaves the queue.
    pub(crate) fn leave_queue(&mut self, slot: Slot) {
        let place = self.waiting.iter().position(|&other| other == slot);
        self.waiting.remove(place.expect("who waits is in the queue"));
    }
}

/// Numbers of requests alive fit 32 bits, as their keys do.
pub(crate) fn count(requests: usize) -> u32 {
    u32::try_from(requests).expect("fewer requests alive than keys")
}
