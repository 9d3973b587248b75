//! One step: who computes how many tokens, and what comes of it.

use super::request::{Live, Place, Slot};
use super::{DecodeRun, Iteration, Part, VllmReplica};
use crate::replica::series::StepSeries;
use crate::{Femtos, GapRun, PrefillItem, ReplicaEvent, ReplicaOutput, TokenRun};
use gorgo_types::Tokens;

/// Why nobody else joins a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// Nobody waits, or as many run as may: decode steps change nothing about it.
    Closed,
    /// The first in the queue lacks memory: what is found in the cache for it can change with every block.
    LacksMemory,
    /// The step's tokens are used up, or somebody was preempted: it is looked at again at every step.
    Open,
}

impl VllmReplica {
    /// Forms the next step and takes its memory.
    pub(super) fn start_step(&mut self, at: Femtos, out: &mut ReplicaOutput) -> Iteration {
        self.batch.clear();
        let mut budget = self.limits.max_num_batched_tokens;
        let preempted = self.continue_running(&mut budget, out);
        let queue = if preempted { Queue::Open } else { self.admit(&mut budget) };
        if self.batch.is_empty() {
            assert!(
                self.running.is_empty() && self.waiting.is_empty(),
                "a step computes something"
            );
            return Iteration::Idle;
        }
        self.prefills.clear();
        let (mut sequences, mut context) = (0_u32, 0_u64);
        for part in &self.batch {
            let live = self.requests[part.slot as usize].as_ref().expect("who is in a step lives");
            if part.new_tokens == 1 && live.emitted > 0 {
                sequences += 1;
                context += u64::from(live.tokens());
            } else {
                let (new_tokens, cached_tokens) = (part.new_tokens, live.computed);
                self.prefills.push(PrefillItem { new_tokens, cached_tokens });
            }
        }
        let all_decode = self.prefills.is_empty() && self.batch.len() == self.running.len();
        if all_decode && queue != Queue::Open {
            return Iteration::Decode(self.plan_run(at, context, queue == Queue::LacksMemory));
        }
        Iteration::Step { start: at, end: at + self.duration(sequences, context) }
    }

    /// A step of prefills and decodes together reads the weights once: the decodes add what they cost beyond a lone
    /// sequence without context. This is an assumption; measured are prefills and decodes by themselves.
    fn duration(&self, sequences: u32, context: u64) -> Femtos {
        let profile = &self.config.profile;
        if self.prefills.is_empty() {
            return profile.decode_step(sequences, context);
        }
        let prefill = profile.prefill(&self.prefills);
        if sequences == 0 {
            return prefill;
        }
        let alone = profile.decode_step(1, 0);
        prefill + profile.decode_step(sequences, context).saturating_sub(alone)
    }

    /// Those that run come first, in the order in which they were admitted. True: somebody lost its memory.
    fn continue_running(&mut self, budget: &mut u32, out: &mut ReplicaOutput) -> bool {
        let mut preempted = false;
        let mut index = 0;
        while index < self.running.len() && *budget > 0 {
            let slot = self.running[index];
            let live = self.live(slot);
            let new_tokens = (live.tokens() - live.computed).min(*budget);
            let wanted = live.computed + new_tokens;
            while self.lacks(slot, wanted) > self.pool.free() {
                // The last to be admitted gives up its memory; it can be this one.
                let victim = self.running.pop().expect("this one runs");
                self.preempt(victim, out);
                preempted = true;
                if victim == slot {
                    return true;
                }
            }
            self.grow(slot, wanted);
            self.batch.push(Part { slot, new_tokens });
            *budget -= new_tokens;
            index += 1;
        }
        preempted
    }

    /// Those that wait are admitted in their order, until the first that does not fit.
    fn admit(&mut self, budget: &mut u32) -> Queue {
        let size = self.limits.block_tokens;
        while let Some(&slot) = self.waiting.front() {
            if self.running.len() >= self.limits.max_num_seqs as usize {
                return Queue::Closed;
            }
            if *budget == 0 {
                return Queue::Open;
            }
            self.find_prefix(slot);
            let found = self.found.len() as u32;
            let idle = self.found.iter().filter(|&&block| self.pool.is_free(block)).count() as u32;
            // The whole prompt must fit, although only a chunk of it may be computed now.
            let tokens = self.live(slot).tokens();
            if tokens.div_ceil(size) - found + idle > self.pool.free() {
                return Queue::LacksMemory;
            }
            self.waiting.pop_front();
            for &block in &self.found {
                self.pool.hold(block);
            }
            let cached = found * size;
            let is_first = {
                let blocks = std::mem::take(&mut self.found);
                let live = self.live_mut(slot);
                live.blocks.clone_from(&blocks);
                (live.named, live.computed, live.place) = (found, cached, Place::Running);
                let is_first = live.admitted.is_none();
                self.found = blocks;
                is_first
            };
            if is_first {
                let now = self.boundary_time();
                let live = self.live_mut(slot);
                live.admitted = Some(now);
                live.cached_tokens = cached;
                self.totals.cached_tokens += u64::from(cached);
                self.totals.hit_requests += u64::from(cached > 0);
            }
            let new_tokens = (tokens - cached).min(*budget);
            self.grow(slot, cached + new_tokens);
            self.running.push(slot);
            self.batch.push(Part { slot, new_tokens });
            *budget -= new_tokens;
        }
        Queue::Closed
    }

    /// The longest prefix of whole blocks in the cache; at least one token is left to be computed.
    fn find_prefix(&mut self, slot: Slot) {
        self.found.clear();
        if !self.config.prefix_cache {
            return;
        }
        let size = self.limits.block_tokens;
        let live = self.requests[slot as usize].as_ref().expect("who waits lives");
        for index in 0..(live.tokens() - 1) / size {
            let super::pool::Known::As(content) = live.known(index, size) else { return };
            let Some(block) = self.pool.find(content) else { return };
            self.found.push(block);
        }
    }

    /// Blocks that a request needs beyond its own for so many tokens.
    fn lacks(&self, slot: Slot, tokens: u32) -> u32 {
        let own = self.live(slot).blocks.len() as u32;
        tokens.div_ceil(self.limits.block_tokens).saturating_sub(own)
    }

    /// Takes the blocks for so many tokens, and names those that are full then.
    pub(super) fn grow(&mut self, slot: Slot, tokens: u32) {
        let size = self.limits.block_tokens;
        let live = self.requests[slot as usize].as_mut().expect("who runs lives");
        while (live.blocks.len() as u32) < tokens.div_ceil(size) {
            let (block, evicted) = self.pool.take();
            if evicted {
                let decodes = live.emitted > 0;
                let evicted = if decodes {
                    &mut self.totals.evicted_in_decode_tokens
                } else {
                    &mut self.totals.evicted_in_prefill_tokens
                };
                *evicted += u64::from(size);
            }
            live.blocks.push(block);
        }
        let named = live.named;
        while live.named < tokens / size {
            let known = live.known(live.named, size);
            self.pool.name(live.blocks[live.named as usize], known);
            live.named += 1;
        }
        if named < live.named {
            let chain = live.sequence.as_ref().unwrap_or(&live.prompt);
            self.pool.stored(chain, (named, live.named), size);
        }
    }

    /// A request loses its memory and waits again, before all others.
    fn preempt(&mut self, slot: Slot, out: &mut ReplicaOutput) {
        let at = self.boundary_time();
        let live = self.requests[slot as usize].as_mut().expect("who runs lives");
        let blocks = std::mem::take(&mut live.blocks);
        (live.computed, live.named, live.place) = (0, 0, Place::Waiting);
        out.events.push(ReplicaEvent::Retracted { key: live.key, at });
        self.pool.release(&blocks);
        self.waiting.push_front(slot);
        self.totals.retracted += 1;
    }

    /// A step has been computed: who has all its tokens emits one.
    pub(super) fn end_step(&mut self, start: Femtos, end: Femtos, out: &mut ReplicaOutput) {
        let batch = std::mem::take(&mut self.batch);
        self.totals.kv_token_time += u128::from(self.used_tokens()) * (end - start).0;
        if self.prefills.is_empty() {
            self.totals.decode_busy += end - start;
            self.totals.decode_steps += 1;
        } else {
            self.totals.prefill_busy += end - start;
            self.totals.prefill_batches += 1;
            let in_range = self.config.profile.prefill_in_range(&self.prefills);
            self.totals.extrapolated_prefill_batches += u64::from(!in_range);
        }
        for part in &batch {
            let live = self.requests[part.slot as usize].as_mut().expect("who is in a step lives");
            if part.new_tokens > 1 || live.emitted == 0 {
                self.totals.prefill_tokens += u64::from(part.new_tokens);
            }
            live.computed += part.new_tokens;
            if live.computed < live.tokens() {
                self.totals.partial_chunks += 1;
                continue;
            }
            self.emit(part.slot, end, out);
        }
        self.batch = batch;
        self.end_finished(out);
    }

    fn emit(&mut self, slot: Slot, end: Femtos, out: &mut ReplicaOutput) {
        let at = self.boundary_time();
        let live = self.requests[slot as usize].as_mut().expect("who emits lives");
        let key = live.key;
        if live.emitted == 0 {
            let Live { ready, cached_tokens, .. } = *live;
            let admitted = live.admitted.expect("who emits was admitted");
            assert!(ready <= admitted && admitted <= at, "no event before its cause");
            let cached_tokens = Tokens(u64::from(cached_tokens));
            out.events.push(ReplicaEvent::FirstToken { key, at, ready, admitted, cached_tokens });
        } else {
            let first = end - live.last_token;
            out.gaps.push(GapRun { first, increment: Femtos::ZERO, steps: 1, sequences: 1 });
        }
        if self.record_token_runs {
            let (first, increment) = (Femtos::ZERO, Femtos::ZERO);
            out.push_run(TokenRun { key, first_at: end, first, increment, steps: 1 });
        }
        live.emitted += 1;
        live.last_token = end;
        self.totals.emitted_tokens += 1;
    }

    /// Those that have emitted their last token let go of their memory, in the order of the batch.
    pub(super) fn end_finished(&mut self, out: &mut ReplicaOutput) {
        let at = self.boundary_time();
        let running = std::mem::take(&mut self.running);
        let mut left = Vec::with_capacity(running.len());
        for slot in running {
            let live = self.live(slot);
            if live.emitted < live.output_tokens {
                left.push(slot);
                continue;
            }
            let key = self.release(slot).key;
            self.totals.finished += 1;
            out.events.push(ReplicaEvent::Finished { key, at });
        }
        self.running = left;
    }

    /// Tokens of the blocks that are held.
    pub(super) fn used_tokens(&self) -> u64 {
        let held = self.pool.blocks() - self.pool.free();
        u64::from(held) * u64::from(self.limits.block_tokens)
    }

    /// As many decode steps as are sure to be alike.
    fn plan_run(&self, at: Femtos, context: u64, until_next_block: bool) -> DecodeRun {
        let sequences = super::count(self.running.len());
        let segment = self.config.profile.decode_segment(sequences, context);
        let series = StepSeries::from(segment);
        let mut steps = segment.steps;
        let size = self.limits.block_tokens;
        for &slot in &self.running {
            let live = self.live(slot);
            steps = steps.min(u64::from(live.output_tokens - live.emitted));
            if until_next_block {
                // A block is full at the start of the step that computes its last token.
                let to_full = size - live.computed % size;
                // After a full one the next begins a new one.
                steps = steps.min(u64::from(to_full.max(2)) - 1);
            }
        }
        if let Some(&(ready, _)) = self.coming.front() {
            let wait = Femtos::from_nanos(ready).saturating_sub(at);
            steps = steps.min(series.steps_to_reach(wait));
        }
        if let Some(&(asked, ..)) = self.cancels.front() {
            let wait = Femtos::from_nanos(asked).saturating_sub(at);
            steps = steps.min(series.steps_to_reach(wait));
        }
        steps = if self.step_by_step { 1 } else { self.steps_with_memory(steps) };
        assert!(steps > 0, "a run has a step");
        DecodeRun { start: at, series, steps, end: at + series.length(steps) }
    }
}
