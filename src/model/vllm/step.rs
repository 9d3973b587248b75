//! One step: who computes how many tokens, and what comes of it.

use super::{Part, VllmReplica};
use crate::replica::count;
use crate::replica::request::{Place, Slot};
use crate::replica::scheduler::{DecodeRun, Iteration};
use crate::replica::series::StepSeries;
use crate::{Femtos, PrefillItem, ReplicaEvent, ReplicaOutput};

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
        self.state.batch.clear();
        let mut budget = self.state.limits.max_num_batched_tokens;
        let preempted = self.continue_running(&mut budget, out);
        let queue = if preempted { Queue::Open } else { self.admit(&mut budget) };
        if self.state.batch.is_empty() {
            assert!(
                self.state.running.is_empty() && self.waiting.is_empty(),
                "a step computes something"
            );
            return Iteration::Idle;
        }
        self.state.prefills.clear();
        let (mut sequences, mut context) = (0_u32, 0_u64);
        for part in &self.state.batch {
            let live = self.requests.at(part.slot);
            if part.new_tokens == 1 && live.emitted > 0 {
                sequences += 1;
                context += u64::from(live.known_tokens());
            } else {
                let (new_tokens, cached_tokens) = (part.new_tokens, live.computed);
                self.state.prefills.push(PrefillItem { new_tokens, cached_tokens });
            }
        }
        let all_decode =
            self.state.prefills.is_empty() && self.state.batch.len() == self.state.running.len();
        if all_decode && queue != Queue::Open {
            return Iteration::Decode(self.plan_run(at, context, queue == Queue::LacksMemory));
        }
        Iteration::Batch { start: at, end: at + self.duration(sequences, context) }
    }

    /// A step of prefills and decodes together reads the weights once: the decodes add what they cost beyond a lone
    /// sequence without context. vLLM on a CPU keeps to it within a tenth (`results/live/vllm`); on GPUs it is an
    /// assumption.
    fn duration(&self, sequences: u32, context: u64) -> Femtos {
        let profile = &self.config.profile;
        if self.state.prefills.is_empty() {
            return profile.decode_step(sequences, context);
        }
        let prefill = profile.prefill(&self.state.prefills);
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
        while index < self.state.running.len() && *budget > 0 {
            let slot = self.state.running[index];
            let live = self.requests.at(slot);
            let new_tokens = (live.known_tokens() - live.computed).min(*budget);
            let wanted = live.computed + new_tokens;
            while self.lacks(slot, wanted) > self.state.pool.free() {
                // The last to be admitted gives up its memory; it can be this one.
                let victim = self.state.running.pop().expect("this one runs");
                self.preempt(victim, out);
                preempted = true;
                if victim == slot {
                    return true;
                }
            }
            self.grow(slot, wanted);
            self.state.batch.push(Part { slot, new_tokens });
            *budget -= new_tokens;
            index += 1;
        }
        preempted
    }

    /// Those that wait are admitted in their order, until the first that does not fit.
    fn admit(&mut self, budget: &mut u32) -> Queue {
        let size = self.state.limits.block_tokens;
        while let Some(&slot) = self.waiting.front() {
            if self.state.running.len() >= self.state.limits.max_num_seqs as usize {
                return Queue::Closed;
            }
            if *budget == 0 {
                return Queue::Open;
            }
            self.find_prefix(slot);
            let found = self.state.found.len() as u32;
            let idle =
                self.state.found.iter().filter(|&&block| self.state.pool.is_free(block)).count()
                    as u32;
            // The whole prompt must fit, although only a chunk of it may be computed now.
            let tokens = self.requests.at(slot).known_tokens();
            if tokens.div_ceil(size) - found + idle > self.state.pool.free() {
                return Queue::LacksMemory;
            }
            self.waiting.pop_front();
            for &block in &self.state.found {
                self.state.pool.hold(block);
            }
            let (now, cached) = (self.boundary_time(), found * size);
            let live = self.requests.at_mut(slot);
            live.held.blocks.clone_from(&self.state.found);
            (live.held.named, live.computed, live.place) = (found, cached, Place::Running);
            if !std::mem::replace(&mut live.held.was_admitted, true) {
                (live.admitted, live.cached_tokens) = (now, cached);
                self.totals.cached_tokens += u64::from(cached);
                self.totals.hit_requests += u64::from(cached > 0);
            }
            let new_tokens = (tokens - cached).min(*budget);
            self.grow(slot, cached + new_tokens);
            self.state.running.push(slot);
            self.state.batch.push(Part { slot, new_tokens });
            *budget -= new_tokens;
        }
        Queue::Closed
    }

    /// The longest prefix of whole blocks in the cache; at least one token is left to be computed.
    fn find_prefix(&mut self, slot: Slot) {
        self.state.found.clear();
        if !self.config.prefix_cache {
            return;
        }
        let size = self.state.limits.block_tokens;
        let live = self.requests.at(slot);
        for index in 0..(live.known_tokens() - 1) / size {
            let super::pool::Known::As(content) = live.known(index, size) else { return };
            let Some(block) = self.state.pool.find(content) else { return };
            self.state.found.push(block);
        }
    }

    /// Blocks that a request needs beyond its own for so many tokens.
    fn lacks(&self, slot: Slot, tokens: u32) -> u32 {
        let own = self.requests.at(slot).held.blocks.len() as u32;
        tokens.div_ceil(self.state.limits.block_tokens).saturating_sub(own)
    }

    /// Takes the blocks for so many tokens, and names those that are full then.
    pub(super) fn grow(&mut self, slot: Slot, tokens: u32) {
        let size = self.state.limits.block_tokens;
        let live = self.requests.at_mut(slot);
        while (live.held.blocks.len() as u32) < tokens.div_ceil(size) {
            let (block, evicted) = self.state.pool.take();
            if evicted {
                let decodes = live.emitted > 0;
                let evicted = if decodes {
                    &mut self.totals.evicted_in_decode_tokens
                } else {
                    &mut self.totals.evicted_in_prefill_tokens
                };
                *evicted += u64::from(size);
            }
            live.held.blocks.push(block);
        }
        let named = live.held.named;
        while live.held.named < tokens / size {
            let known = live.known(live.held.named, size);
            self.state.pool.name(live.held.blocks[live.held.named as usize], known);
            live.held.named += 1;
        }
        if named < live.held.named && self.state.pool.records() {
            let parent = named.checked_sub(1).map(|before| live.known(before, size));
            let known = (named..live.held.named).map(|index| live.known(index, size));
            self.state.pool.stored(parent, known);
        }
    }

    /// A request loses its memory and waits again, before all others.
    fn preempt(&mut self, slot: Slot, out: &mut ReplicaOutput) {
        let at = self.boundary_time();
        let live = self.requests.at_mut(slot);
        let blocks = std::mem::take(&mut live.held.blocks);
        (live.computed, live.held.named, live.place) = (0, 0, Place::Waiting);
        out.events.push(ReplicaEvent::Retracted { key: live.key, at });
        self.state.pool.release(&blocks);
        self.waiting.push_front(slot);
        self.totals.retracted += 1;
    }

    /// A step has been computed: who has all its tokens emits one.
    pub(super) fn end_step(&mut self, start: Femtos, end: Femtos, out: &mut ReplicaOutput) {
        let batch = std::mem::take(&mut self.state.batch);
        self.totals.kv_token_time += u128::from(self.state.used_tokens()) * (end - start).0;
        if self.state.prefills.is_empty() {
            self.totals.decode_busy += end - start;
            self.totals.decode_steps += 1;
        } else {
            self.totals.prefill_busy += end - start;
            self.totals.prefill_batches += 1;
            let in_range = self.config.profile.prefill_in_range(&self.state.prefills);
            self.totals.extrapolated_prefill_batches += u64::from(!in_range);
        }
        let (at, record) = (self.boundary_time(), self.record_token_runs);
        for part in &batch {
            let live = self.requests.at_mut(part.slot);
            if part.new_tokens > 1 || live.emitted == 0 {
                self.totals.prefill_tokens += u64::from(part.new_tokens);
            }
            live.computed += part.new_tokens;
            if live.computed < live.known_tokens() {
                self.totals.partial_chunks += 1;
                continue;
            }
            live.emit(at, end, record, out);
            self.totals.emitted_tokens += 1;
        }
        self.state.batch = batch;
        self.end_finished(out);
    }

    /// Those that have emitted their last token let go of their memory, in the order of the batch.
    pub(super) fn end_finished(&mut self, out: &mut ReplicaOutput) {
        let at = self.boundary_time();
        let running = std::mem::take(&mut self.state.running);
        let mut left = Vec::with_capacity(running.len());
        for slot in running {
            let live = self.requests.at(slot);
            if live.emitted < live.output_tokens {
                left.push(slot);
                continue;
            }
            let key = self.release(slot);
            self.totals.finished += 1;
            out.events.push(ReplicaEvent::Finished { key, at });
        }
        self.state.running = left;
    }

    /// As many decode steps as are sure to be alike.
    fn plan_run(&self, at: Femtos, context: u64, until_next_block: bool) -> DecodeRun {
        let sequences = count(self.state.running.len());
        let segment = self.config.profile.decode_segment(sequences, context);
        let series = StepSeries::from(segment);
        let mut steps = segment.steps;
        let size = self.state.limits.block_tokens;
        for &slot in &self.state.running {
            let live = self.requests.at(slot);
            steps = steps.min(u64::from(live.output_tokens - live.emitted));
            if until_next_block {
                // A block is full at the start of the step that computes its last token.
                let to_full = size - live.computed % size;
                // After a full one the next begins a new one.
                steps = steps.min(u64::from(to_full.max(2)) - 1);
            }
        }
        let steps = self.steps_until_news(at, series, steps, true);
        DecodeRun::new(at, series, self.steps_with_memory(steps))
    }
}
