//! The prefill batch: who is admitted, what it allocates, what its end brings (SGLang: `PrefillAdder`).

use super::SglangReplica;
use crate::cache::NodeId;
use crate::replica::Mutation;
use crate::replica::request::{Place, Slot};
use crate::{Femtos, PrefillItem, ReplicaOutput, Schedule};
use std::hint::cold_path;

/// A request's part of a prefill batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchItem {
    slot: Slot,
    new_tokens: u32,
    /// False for a chunk after which some of the prompt is left.
    completes: bool,
}

/// What is left for a batch. Signed: the last one to be admitted may overdraw the input budget, and running requests
/// may have reserved more than there is.
struct Budget {
    input: i64,
    chunk: i64,
    total: i128,
}

/// How many requests may wait for a sort by cached prefix (SGLang: `WAITING_QUEUE_PREFIX_MATCH_MAX`).
const MOST_WAITING_FOR_LPM: usize = 128;

const BILLION: u64 = 1_000_000_000;

impl SglangReplica {
    /// Forms a prefill batch and takes its memory. Returns when it ends; `None` where there is none.
    pub(super) fn start_prefill(&mut self, at: Femtos) -> Option<Femtos> {
        if self.state.chunked.is_none() && (self.waiting.is_empty() || self.state.batch_is_full) {
            return None;
        }
        self.state.batch.clear();
        self.state.batch_costs.clear();
        let mut budget = self.budget();
        if let Some(slot) = self.state.chunked {
            self.continue_chunked(slot, &mut budget);
        }
        if self.config.limits.schedule == Schedule::Lpm {
            self.sort_by_cached_prefix();
        }
        while let Some(&slot) = self.waiting.front() {
            if !self.admit(slot, &mut budget) {
                break;
            }
            self.waiting.pop_front();
        }
        if self.state.batch.is_empty() {
            return None;
        }
        let new_tokens: u64 = self.state.batch.iter().map(|item| u64::from(item.new_tokens)).sum();
        if self.state.free < new_tokens {
            let freed = self.evict(new_tokens - self.state.free);
            self.state.free += freed;
            self.totals.evicted_in_prefill_tokens += freed;
        }
        self.state.free =
            self.state.free.checked_sub(new_tokens).expect("what is admitted fits in the pool");
        self.state.own += new_tokens;
        Some(at + self.config.profile.prefill(&self.state.batch_costs))
    }

    fn budget(&mut self) -> Budget {
        let limits = &self.config.limits;
        let reserve = self.state.running.reserve(limits.clip_max_new_tokens);
        let reserved = match self.state.ratio_ppb.checked_mul(reserve) {
            Some(product) => u128::from(product / BILLION),
            None => {
                cold_path();
                u128::from(self.state.ratio_ppb) * u128::from(reserve) / u128::from(BILLION)
            }
        };
        let available = i128::from(self.state.free + self.state.cache.evictable_tokens());
        Budget {
            input: i64::from(limits.max_prefill_tokens),
            chunk: i64::from(limits.chunked_prefill_tokens),
            total: available - i128::try_from(reserved).expect("far below 2^127"),
        }
    }

    /// The next chunk of the request that is computed in chunks: always admitted, and not matched again.
    fn continue_chunked(&mut self, slot: Slot, budget: &mut Budget) {
        let live = self.requests.at(slot);
        let left = live.known_tokens() - live.computed;
        let new_tokens = left.min(self.config.limits.chunked_prefill_tokens);
        let completes = new_tokens == left;
        let reserve =
            if completes { live.reserve(self.config.limits.clip_max_new_tokens) } else { 0 };
        budget.total -= i128::from(u64::from(new_tokens) + reserve);
        budget.input -= i64::from(new_tokens);
        budget.chunk -= i64::from(new_tokens);
        self.add_to_batch(slot, new_tokens, completes);
    }

    /// Tries the first waiting request. False: the batch is closed.
    fn admit(&mut self, slot: Slot, budget: &mut Budget) -> bool {
        let in_batch = self.state.batch.len();
        if self.state.running.len() + in_batch >= self.config.limits.max_running_requests as usize {
            return self.refuse();
        }
        if in_batch > 0 && budget.total <= 0 {
            return self.refuse();
        }
        if in_batch > 0 && (budget.input <= 0 || budget.chunk <= 0) {
            return false;
        }
        // With nothing running and nobody admitted a refusal for memory would stand for good.
        let alone = in_batch == 0 && self.state.running.is_empty();
        let at_end = self.faulty(Mutation::StateAtPromptEndUsed);
        let live = self.requests.at(slot);
        let found = self.config.prefix_cache.then(|| {
            if self.state.cache.needs_states() {
                // One token has to be computed, and there is no going on from inside of what a state stands for.
                self.state.cache.find_state(&live.prompt, live.known_tokens() - u32::from(!at_end))
            } else {
                self.state.cache.find(&live.prompt)
            }
        });
        let (node, matched) = found.map_or((NodeId::ROOT, 0), |found| (found.node, found.tokens));
        let cached = matched.min(live.known_tokens() - 1);
        let wanted = live.known_tokens() - cached;
        let need = u64::from(wanted) + live.reserve(self.config.limits.clip_max_new_tokens);
        let need = i128::from(need);
        if need >= budget.total && !alone {
            self.touch_refused(node);
            return self.refuse();
        }
        if i64::from(wanted) >= budget.input && in_batch > 0 {
            self.touch_refused(node);
            return false;
        }
        let mut newly_locked = i128::from(self.state.cache.unlocked_tokens(node));
        if self.faulty(Mutation::LockedStaysInBudget) {
            newly_locked = 0;
        }
        if need >= budget.total - newly_locked && !alone {
            self.touch_refused(node);
            return self.refuse();
        }
        self.state.cache.touch_and_lock(node);
        let completes = i64::from(wanted) <= budget.chunk;
        let new_tokens = if completes {
            budget.total -= newly_locked + need;
            wanted
        } else {
            let chunk = u32::try_from(budget.chunk).expect("a positive part of a 32-bit limit");
            budget.total -= newly_locked + i128::from(chunk);
            self.state.chunked = Some(slot);
            chunk
        };
        budget.input -= i64::from(new_tokens);
        budget.chunk -= i64::from(new_tokens);
        let now = self.boundary_time();
        let live = self.requests.at_mut(slot);
        live.place = Place::Prefill;
        live.held.node = node;
        live.held.node_blocks = found.map_or(0, |found| found.blocks);
        live.computed = cached;
        if live.emitted == 0 {
            live.admitted = now;
            live.cached_tokens = cached;
        }
        self.totals.cached_tokens += u64::from(cached);
        self.totals.hit_requests += u64::from(cached > 0);
        self.add_to_batch(slot, new_tokens, completes);
        true
    }

    fn add_to_batch(&mut self, slot: Slot, new_tokens: u32, completes: bool) {
        let live = self.requests.at_mut(slot);
        self.state.batch.push(BatchItem { slot, new_tokens, completes });
        self.state.batch_costs.push(PrefillItem { new_tokens, cached_tokens: live.computed });
        live.computed += new_tokens;
        live.held.own += u64::from(new_tokens);
    }

    /// A request that is refused has touched what it matched.
    fn touch_refused(&mut self, node: NodeId) {
        if !self.faulty(Mutation::RefusedMatchUntouched) {
            self.state.cache.touch(node);
        }
    }

    /// A refusal that holds until the batch shrinks.
    fn refuse(&mut self) -> bool {
        self.state.batch_is_full = !self.faulty(Mutation::FullNeverSet);
        self.totals.batch_full += 1;
        false
    }

    fn sort_by_cached_prefix(&mut self) {
        if !self.config.prefix_cache || self.waiting.len() > MOST_WAITING_FOR_LPM {
            return;
        }
        let (cache, requests) = (&self.state.cache, &self.requests);
        let queue = self.waiting.make_contiguous();
        queue.sort_by_cached_key(|&slot| {
            let live = requests.at(slot);
            std::cmp::Reverse(if cache.needs_states() {
                u64::from(cache.find_state(&live.prompt, live.known_tokens() - 1).tokens)
            } else {
                cache.peek_tokens(&live.prompt)
            })
        });
    }

    /// The batch has been computed.
    pub(super) fn end_prefill(&mut self, start: Femtos, end: Femtos, out: &mut ReplicaOutput) {
        self.totals.kv_token_time += u128::from(self.used_tokens()) * (end - start).0;
        self.totals.prefill_busy += end - start;
        self.totals.prefill_batches += 1;
        if !self.config.profile.prefill_in_range(&self.state.batch_costs) {
            self.totals.extrapolated_prefill_batches += 1;
        }
        let batch = std::mem::take(&mut self.state.batch);
        for item in &batch {
            self.totals.prefill_tokens += u64::from(item.new_tokens);
            if item.completes {
                self.complete_prefill(item.slot, end, out);
            } else {
                self.totals.partial_chunks += 1;
                if !self.faulty(Mutation::ChunkInsertsNothing) {
                    self.insert_computed(item.slot);
                }
            }
        }
        self.state.batch = batch;
        self.state.batch.clear();
    }

    /// All L tokens are there: a token is emitted, and the request runs or ends.
    fn complete_prefill(&mut self, slot: Slot, at: Femtos, out: &mut ReplicaOutput) {
        if self.state.chunked == Some(slot) {
            self.state.chunked = None;
        }
        self.insert_computed(slot);
        let now = self.boundary_time();
        let live = self.requests.at_mut(slot);
        live.emit(now, at, self.record_token_runs, out);
        self.totals.emitted_tokens += 1;
        if live.emitted == live.output_tokens {
            self.finish(slot, out);
        } else {
            live.place = Place::Running;
            self.state.running.join(slot, live, self.config.limits.clip_max_new_tokens);
        }
    }

    /// What is computed of the prompt enters the cache, and the lock moves to its end: whole blocks, or all of the
    /// prompt once that is computed. The rest, and former outputs of a retracted request, stay the request's own.
    fn insert_computed(&mut self, slot: Slot) {
        if !self.config.prefix_cache {
            return;
        }
        let keeps_duplicates = self.faulty(Mutation::DuplicatesKept);
        let live = self.requests.at_mut(slot);
        let prompt = &live.prompt;
        let blocks = if live.computed >= live.prompt_tokens() {
            prompt.blocks()
        } else {
            (live.computed / prompt.block_tokens()) as usize
        };
        let inserted =
            self.state.cache.insert_and_lock(live.held.node, live.held.node_blocks, prompt, blocks);
        if self.state.cache.needs_states() {
            let stands_for = live.computed.min(live.prompt_tokens());
            self.state.cache.leave_state(inserted.node, stands_for);
        }
        let own = u64::from(live.computed) - prompt.tokens_in(blocks).0;
        let freed = live.held.own.checked_sub(inserted.added_tokens + own);
        let mut freed = freed.expect("what enters the cache was the request's own");
        let mut own = own;
        if keeps_duplicates {
            own += std::mem::take(&mut freed);
        }
        self.state.own -= live.held.own - own;
        self.state.free += freed;
        live.held.own = own;
        live.held.node = inserted.node;
        live.held.node_blocks = u32::try_from(blocks).expect("fewer blocks than tokens");
    }
}
