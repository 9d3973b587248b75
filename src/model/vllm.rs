//! A simulated vLLM V1 engine: one token budget a step, shared by decodes and chunked prefills; KV in equal blocks.
//!
//! The same passive interface as [`crate::Replica`], another scheduler and another cache. The rules stand in
//! `README.md`, section *vLLM*; they were read in vLLM 0.32 (`v1/core/sched/scheduler.py`, `kv_cache_manager.py`,
//! `block_pool.py`). Here is the iteration and time; `vllm/step.rs` forms a step, `vllm/run.rs` has decode steps in
//! runs, `vllm/pool.rs` the blocks.
//!
//! Steps in which all that runs decodes and nobody new can join are one event, as in the other engine. Not modelled:
//! speculative decoding, priorities, asynchronous scheduling (which hides the scheduler's own time and never changes what is
//! computed), several KV groups.

mod pool;
mod request;
mod run;
mod step;
#[cfg(test)]
mod tests;

use crate::replica::series::StepSeries;
use crate::replica::validate_sequence;
use crate::{
    CacheChange, EngineRequest, Femtos, ModelError, Observation, PrefillItem, ReplicaConfig,
    ReplicaEvent, ReplicaOutput, ReplicaTotals, RequestKey,
};
use gorgo_types::{BlockChain, BlockId, Nanos};
use hashbrown::HashMap;
use pool::{Block, Pool};
use request::{Live, Place, Slot};
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The limits of vLLM's scheduler. The default is that of its OpenAI server on an 80 GB GPU other than an A100
/// (`engine/arg_utils.py` of 0.32); smaller GPUs and the A100 have 2,048 tokens and 256 sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VllmLimits {
    /// Most tokens that one step computes (`--max-num-batched-tokens`).
    pub max_num_batched_tokens: u32,
    /// Most requests that run at once (`--max-num-seqs`).
    pub max_num_seqs: u32,
    /// Tokens per KV block (`--block-size`). A multiple or a part of the workload's block size.
    pub block_tokens: u32,
}

impl Default for VllmLimits {
    fn default() -> Self {
        Self { max_num_batched_tokens: 8_192, max_num_seqs: 1_024, block_tokens: 16 }
    }
}

/// Some of a request's tokens, computed in one step.
#[derive(Clone, Copy, Debug)]
struct Part {
    slot: Slot,
    new_tokens: u32,
}

/// Decode steps of an unchanging batch. Cut short, it keeps its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DecodeRun {
    start: Femtos,
    series: StepSeries,
    steps: u64,
    end: Femtos,
}

/// What the GPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Iteration {
    Idle,
    /// One step, of the parts in `VllmReplica::batch`.
    Step {
        start: Femtos,
        end: Femtos,
    },
    /// Decode steps of all that run.
    Decode(DecodeRun),
}

/// One engine. Calls come in order of time, as in [`crate::Replica`].
#[derive(Clone, Debug)]
pub struct VllmReplica {
    config: ReplicaConfig,
    limits: VllmLimits,
    pool: Pool,
    /// Block size of all chains, from the first request on.
    chain_block_tokens: Option<u32>,

    requests: Vec<Option<Live>>,
    unused: Vec<Slot>,
    by_key: HashMap<RequestKey, Slot, FxBuildHasher>,
    /// Still in their overhead, in order of (ready time, arrival).
    coming: VecDeque<(Nanos, Slot)>,
    waiting: VecDeque<Slot>,
    /// In the order in which they were admitted.
    running: Vec<Slot>,
    batch: Vec<Part>,
    prefills: Vec<PrefillItem>,
    /// Scratch: blocks found in the cache.
    found: Vec<Block>,
    /// Cancels that wait for a boundary: when asked for, of whom (slot and number of its arrival).
    cancels: VecDeque<(Nanos, Slot, u64)>,

    iteration: Iteration,
    boundary: Option<Femtos>,
    wake: Option<Nanos>,
    clock: Nanos,
    unreported: ReplicaOutput,
    record_token_runs: bool,
    step_by_step: bool,
    totals: ReplicaTotals,
}

impl VllmReplica {
    /// An idle replica with an empty cache, at time zero. Of its KV pool whole blocks count, less one that vLLM never uses.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] where the configuration makes no sense.
    pub fn new(config: ReplicaConfig) -> Result<Self, ModelError> {
        config.validate()?;
        let limits = config.limits.vllm.clone().unwrap_or_default();
        let blocks = (config.kv_pool_tokens / u64::from(limits.block_tokens)).saturating_sub(1);
        let refuse = |value: u64, wanted: &str| ModelError::Invalid {
            part: "replica".to_owned(),
            field: "kv_pool_tokens".to_owned(),
            value: value.to_string(),
            wanted: wanted.to_owned(),
        };
        let pool = config.kv_pool_tokens;
        let blocks = u32::try_from(blocks).ok().filter(|&blocks| blocks < u32::MAX);
        let blocks = blocks.ok_or_else(|| refuse(pool, "fewer than 2^32 blocks"))?;
        if blocks == 0 {
            return Err(refuse(pool, "two blocks or more"));
        }
        Ok(Self {
            pool: Pool::new(blocks, config.prefix_cache),
            limits,
            chain_block_tokens: None,
            requests: Vec::new(),
            unused: Vec::new(),
            by_key: HashMap::default(),
            coming: VecDeque::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            batch: Vec::new(),
            prefills: Vec::new(),
            found: Vec::new(),
            cancels: VecDeque::new(),
            iteration: Iteration::Idle,
            boundary: None,
            wake: None,
            clock: Nanos::ZERO,
            unreported: ReplicaOutput::default(),
            record_token_runs: false,
            step_by_step: false,
            totals: ReplicaTotals::default(),
            config,
        })
    }

    /// What the replica was made from.
    #[must_use]
    pub const fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    /// As [`crate::Replica::record_token_runs`].
    pub fn record_token_runs(&mut self, record: bool) {
        self.record_token_runs = record;
    }

    /// As [`crate::Replica::step_by_step`].
    pub fn step_by_step(&mut self, each: bool) {
        self.step_by_step = each;
    }

    /// As [`crate::Replica::record_cache_changes`], of the engine's own blocks ([`VllmReplica::block_id`]). As vLLM says it:
    /// a block that is computed twice is told twice, stored and removed.
    pub fn record_cache_changes(&mut self) {
        self.pool.record_changes();
    }

    /// As [`crate::Replica::take_cache_changes`].
    pub fn take_cache_changes(&mut self) -> Vec<CacheChange> {
        self.pool.take_changes()
    }

    /// What the engine block `index` of a chain, of `block_tokens` tokens, is told as; none: the chain has no such block, or
    /// neither block size is a multiple of the other.
    #[must_use]
    pub fn block_id(chain: &BlockChain, index: u32, block_tokens: u32) -> Option<BlockId> {
        let own = chain.block_tokens();
        let fits = block_tokens > 0
            && (own.is_multiple_of(block_tokens) || block_tokens.is_multiple_of(own));
        fits.then(|| request::content(chain, index, block_tokens)).flatten()
    }

    /// As [`crate::Replica::next_wake`].
    #[must_use]
    pub fn next_wake(&self) -> Option<Nanos> {
        if self.unreported.is_empty() { self.wake } else { Some(self.clock) }
    }

    /// As [`crate::Replica::advance`].
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

    /// As [`crate::Replica::observe`], by the engine's own measure: tokens of whole blocks. In the middle of a run of steps
    /// blocks are those of its first step.
    #[must_use]
    pub fn observe(&self, now: Nanos) -> Observation {
        let ready = self.coming.iter().take_while(|(ready, _)| *ready <= now).count();
        let size = u64::from(self.limits.block_tokens);
        let pool = u64::from(self.pool.blocks()) * size;
        Observation {
            running_requests: count(self.running.len()),
            queued_requests: count(self.waiting.len() + ready),
            used_tokens: pool - u64::from(self.pool.free()) * size,
            cached_tokens: u64::from(self.pool.free_known()) * size,
            kv_pool_tokens: pool,
        }
    }

    /// Counts since the start, up to the last boundary.
    #[must_use]
    pub const fn totals(&self) -> ReplicaTotals {
        self.totals
    }

    /// A request arrives. It becomes ready after its overhead.
    ///
    /// # Errors
    /// Where it could never be served, contradicts itself, comes out of order or its key is in use. Nothing is
    /// changed then.
    pub fn arrive(
        &mut self,
        now: Nanos,
        key: RequestKey,
        request: EngineRequest,
    ) -> Result<(), ModelError> {
        if now < self.clock {
            return Err(ModelError::TimeWentBack { at: now, simulated: self.clock });
        }
        let output_tokens = self.validate(key, &request)?;
        self.clock = now;
        self.chain_block_tokens = Some(request.prompt.block_tokens());
        let ready = now + request.overhead;
        let live = Live {
            key,
            arrival: self.totals.arrived,
            prompt: request.prompt,
            sequence: request.sequence,
            output_tokens,
            ready,
            admitted: None,
            cached_tokens: 0,
            emitted: 0,
            last_token: Femtos::ZERO,
            computed: 0,
            blocks: Vec::new(),
            named: 0,
            place: Place::Coming,
            cancelled: false,
        };
        self.totals.arrived += 1;
        let slot = match self.unused.pop() {
            Some(slot) => {
                self.requests[slot as usize] = Some(live);
                slot
            }
            None => {
                self.requests.push(Some(live));
                count(self.requests.len() - 1)
            }
        };
        self.by_key.insert(key, slot);
        let mut place = self.coming.len();
        while place > 0 && self.coming[place - 1].0 > ready {
            place -= 1;
        }
        self.coming.insert(place, (ready, slot));
        match self.iteration {
            Iteration::Idle => self.reschedule(),
            Iteration::Decode(_) => self.cut_run(Femtos::from_nanos(ready)),
            Iteration::Step { .. } => {}
        }
        Ok(())
    }

    /// The output length of a request that this replica can serve.
    fn validate(&self, key: RequestKey, request: &EngineRequest) -> Result<u32, ModelError> {
        let bad = |field, value: u64, wanted: String| {
            Err(ModelError::BadRequest { key, field, value: value.to_string(), wanted })
        };
        if self.by_key.contains_key(&key) {
            return Err(ModelError::DuplicateKey { key });
        }
        let (output, max) = (request.output_tokens.0, request.max_tokens.0);
        if output == 0 {
            return bad("output_tokens", output, "at least 1".to_owned());
        }
        if max < output {
            return bad("max_tokens", max, format!("at least output_tokens = {output}"));
        }
        let (chain, own) = (request.prompt.block_tokens(), self.limits.block_tokens);
        if let Some(wanted) = self.chain_block_tokens
            && chain != wanted
        {
            return bad("block size", chain.into(), format!("{wanted}, as all before"));
        }
        if !chain.is_multiple_of(own) && !own.is_multiple_of(chain) {
            let wanted = format!("a multiple or a part of the engine's {own}");
            return bad("block size", chain.into(), wanted);
        }
        if let Some(sequence) = &request.sequence {
            validate_sequence(key, &request.prompt, sequence, output)?;
        }
        let prompt = request.prompt.tokens().0;
        let pool = u64::from(self.pool.blocks()) * u64::from(own);
        match u32::try_from(prompt.saturating_add(output)) {
            Ok(all) if u64::from(all) <= pool => Ok(all - prompt as u32),
            _ => Err(ModelError::TooLarge {
                key,
                prompt_tokens: prompt,
                output_tokens: output,
                reserved_tokens: output,
                kv_pool_tokens: pool,
            }),
        }
    }

    /// As [`crate::Replica::cancel`].
    ///
    /// # Panics
    /// When `now` lies before a time that was named earlier.
    pub fn cancel(&mut self, now: Nanos, key: RequestKey) -> bool {
        self.tell_time(now);
        self.catch_up(Femtos::from_nanos(now));
        let Some(&slot) = self.by_key.get(&key) else { return false };
        let live = self.live_mut(slot);
        match live.place {
            Place::Coming => self.coming.retain(|&(_, other)| other != slot),
            Place::Waiting => {
                self.waiting.retain(|&other| other != slot);
                // Whoever is first now may fit.
                self.cut_run(Femtos::from_nanos(now));
            }
            Place::Running => {
                if !live.cancelled {
                    live.cancelled = true;
                    let arrival = live.arrival;
                    self.cancels.push_back((now, slot, arrival));
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

    /// As [`crate::Replica::fail`].
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
        let mut lost: Vec<RequestKey> =
            self.requests.iter().flatten().map(|live| live.key).collect();
        lost.sort_unstable();
        self.totals.lost += lost.len() as u64;
        self.requests.clear();
        self.unused.clear();
        self.by_key.clear();
        self.coming.clear();
        self.waiting.clear();
        self.running.clear();
        self.batch.clear();
        self.cancels.clear();
        self.pool.clear();
        self.iteration = Iteration::Idle;
        self.reschedule();
        lost
    }

    /// Walks everything and compares it with what is counted.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self) -> Result<(), String> {
        self.pool.audit()?;
        for &slot in &self.running {
            let live = self.live(slot);
            let room = live.blocks.len() as u64 * u64::from(self.limits.block_tokens);
            if u64::from(live.computed) > room {
                return Err(format!("{:?} has {} tokens in {room}", live.key, live.computed));
            }
        }
        let placed = self.coming.len() + self.waiting.len() + self.running.len();
        if placed != self.by_key.len() {
            return Err(format!("{placed} requests have a place, {} live", self.by_key.len()));
        }
        Ok(())
    }

    fn live(&self, slot: Slot) -> &Live {
        self.requests[slot as usize].as_ref().expect("the request is alive")
    }

    fn live_mut(&mut self, slot: Slot) -> &mut Live {
        self.requests[slot as usize].as_mut().expect("the request is alive")
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

    fn run_until(&mut self, limit: Femtos, out: &mut ReplicaOutput) {
        while let Some(boundary) = self.boundary
            && boundary <= limit
        {
            self.pass_boundary(boundary, out);
        }
    }

    /// One boundary: results, cancels, newly ready requests, then the next step.
    fn pass_boundary(&mut self, at: Femtos, out: &mut ReplicaOutput) {
        match std::mem::replace(&mut self.iteration, Iteration::Idle) {
            Iteration::Idle => {}
            Iteration::Step { start, .. } => self.end_step(start, at, out),
            Iteration::Decode(run) => {
                self.count_steps(run, out);
                self.end_finished(out);
            }
        }
        self.apply_cancels(at, out);
        while let Some(&(ready, slot)) = self.coming.front()
            && Femtos::from_nanos(ready) <= at
        {
            self.coming.pop_front();
            self.live_mut(slot).place = Place::Waiting;
            self.waiting.push_back(slot);
        }
        self.iteration = self.start_step(at, out);
        self.totals.until = at;
        self.reschedule();
        assert!(self.boundary.is_none_or(|next| next >= at), "time went back");
    }

    /// The boundary that is being passed, in nanoseconds: what its events bear.
    const fn boundary_time(&self) -> Nanos {
        self.wake.expect("events happen at a boundary")
    }

    fn apply_cancels(&mut self, at: Femtos, out: &mut ReplicaOutput) {
        while let Some(&(asked, slot, arrival)) = self.cancels.front()
            && Femtos::from_nanos(asked) <= at
        {
            self.cancels.pop_front();
            let is_it = |live: &&Live| live.arrival == arrival;
            let Some(live) = self.requests[slot as usize].as_ref().filter(is_it) else { continue };
            // One that was preempted meanwhile waits; it goes all the same.
            let key = live.key;
            match live.place {
                Place::Waiting => self.waiting.retain(|&other| other != slot),
                Place::Running | Place::Coming => self.running.retain(|&other| other != slot),
            }
            self.release(slot);
            self.totals.cancelled += 1;
            out.events.push(ReplicaEvent::Cancelled { key, at: self.boundary_time() });
        }
    }

    /// Ends a request that may hold blocks.
    fn release(&mut self, slot: Slot) -> Live {
        let live = self.forget(slot);
        self.pool.release(&live.blocks);
        live
    }

    /// A request has left for good.
    fn forget(&mut self, slot: Slot) -> Live {
        let live = self.requests[slot as usize].take().expect("the request is alive");
        self.unused.push(slot);
        self.by_key.remove(&live.key);
        live
    }

    /// Ends a run of decode steps at its first boundary at or after `at`, if it would go on beyond.
    fn cut_run(&mut self, at: Femtos) {
        if let Iteration::Decode(run) = &mut self.iteration
            && at < run.end
        {
            let steps = run.series.steps_to_reach(at.saturating_sub(run.start));
            if steps < run.steps {
                run.steps = steps;
                run.end = run.start + run.series.length(steps);
                self.reschedule();
            }
        }
    }

    /// Sets the next boundary from the iteration under way.
    fn reschedule(&mut self) {
        self.boundary = match self.iteration {
            Iteration::Step { end, .. } => Some(end),
            Iteration::Decode(run) => Some(run.end),
            Iteration::Idle => self
                .coming
                .front()
                .map(|&(ready, _)| Femtos::from_nanos(ready).max(self.totals.until)),
        };
        self.wake = self.boundary.map(Femtos::to_nanos);
    }
}

/// Requests in one replica are far fewer than 2^32.
#[expect(clippy::cast_possible_truncation, reason = "requests in one replica")]
const fn count(requests: usize) -> u32 {
    requests as u32
}
