//! Section (d) of the specification: who is admitted, and what happens when the batch ends.

use super::{Doing, Live, Oracle, Part};
use crate::script::Index;
use crate::trie::Place;
use gorgo_model::{Femtos, PrefillItem, Schedule};

/// Longest-prefix order is given up when more than this many wait.
const LPM_MOST_WAITING: usize = 128;

/// What is left for a batch under way.
struct Budgets {
    total: i128,
    input: i128,
    chunk: i128,
}

/// What became of a waiting request.
enum Tried {
    Admitted(Part),
    Refused,
}

impl Oracle {
    /// Takes requests off the queue. The batch may come out empty.
    pub(super) fn form_batch(&mut self) -> Vec<Part> {
        let limits = self.config.limits.clone();
        let clip = limits.clip_max_new_tokens;
        let remaining: u64 = self.running.iter().map(|&index| self.of(index).reserve(clip)).sum();
        let reserved = u128::from(self.ratio_ppb) * u128::from(remaining) / 1_000_000_000;
        let mut budgets = Budgets {
            total: i128::from(self.free()) + i128::from(self.trie.evictable())
                - i128::try_from(reserved).expect("a reserve is below 2^64"),
            input: i128::from(limits.max_prefill_tokens),
            chunk: i128::from(limits.chunked_prefill_tokens),
        };
        let mut batch = Vec::new();
        if let Some(index) = self.chunked.take() {
            batch.push(self.next_chunk(index, &mut budgets));
        }
        for index in self.queue_order() {
            let slots = limits.max_running_requests as usize;
            if self.running.len() + batch.len() >= slots {
                self.coverage.full_for_slots += u64::from(!self.batch_is_full);
                self.set_full();
                break;
            }
            if !batch.is_empty() && budgets.total <= 0 {
                self.coverage.full_for_memory += u64::from(!self.batch_is_full);
                self.set_full();
                break;
            }
            if !batch.is_empty() && (budgets.input <= 0 || budgets.chunk <= 0) {
                break;
            }
            match self.try_admit(index, &mut budgets, batch.is_empty()) {
                Tried::Admitted(part) => batch.push(part),
                Tried::Refused => break,
            }
        }
        batch
    }

    fn set_full(&mut self) {
        self.totals().batch_full += 1;
        self.batch_is_full = true;
    }

    /// The request whose prompt is under way goes on.
    fn next_chunk(&self, index: Index, budgets: &mut Budgets) -> Part {
        let live = self.of(index);
        let left = live.prefill_tokens() - live.held;
        let new = left.min(u64::from(self.config.limits.chunked_prefill_tokens));
        let completes = new == left;
        let reserve = live.reserve(self.config.limits.clip_max_new_tokens);
        budgets.total -= i128::from(new) + if completes { i128::from(reserve) } else { 0 };
        budgets.input -= i128::from(new);
        budgets.chunk -= i128::from(new);
        Part { index, new, before: live.held, completes }
    }

    /// The waiting requests in the order in which they are tried. Longest-prefix order sorts the queue itself.
    fn queue_order(&mut self) -> Vec<Index> {
        let mut order = self.waiting.clone();
        let sorted = self.config.limits.schedule == Schedule::Lpm;
        self.coverage.lpm_given_up += u64::from(sorted && order.len() > LPM_MOST_WAITING);
        if sorted && order.len() <= LPM_MOST_WAITING {
            order.sort_by_key(|&index| std::cmp::Reverse(self.cached_prefix(index)));
            self.coverage.lpm_reorders += u64::from(order != self.waiting);
            self.waiting.clone_from(&order);
        }
        order
    }

    fn cached_prefix(&self, index: Index) -> usize {
        let live = self.of(index);
        match (self.config.prefix_cache, self.config.limits.state_slots) {
            (false, _) => 0,
            (true, None) => self.trie.walk(&live.prompt).len(),
            (true, Some(_)) => self.path_to_state(live).len(),
        }
    }

    fn path_to_state(&self, live: &Live) -> Vec<Place> {
        let most = usize::try_from(live.prefill_tokens() - 1).expect("a prompt in memory");
        self.trie.walk_to_state(&live.prompt, most)
    }

    /// The cached part of a prompt that a request may go on from.
    fn match_prompt(&mut self, live: &Live) -> Vec<Place> {
        match (self.config.prefix_cache, self.config.limits.state_slots) {
            (false, _) => Vec::new(),
            (true, None) => self.trie.find(&live.prompt),
            (true, Some(_)) => {
                let known = self.trie.walk(&live.prompt).len();
                let path = self.path_to_state(live);
                self.coverage.matches_cut_to_state += u64::from(path.len() < known);
                self.coverage.matches_to_state += u64::from(!path.is_empty());
                self.trie.touch(&path);
                path
            }
        }
    }

    /// `first`: nothing is in the batch yet.
    fn try_admit(&mut self, index: Index, budgets: &mut Budgets, first: bool) -> Tried {
        let lone = first && self.running.is_empty();
        let live = self.of(index).clone();
        let path = self.match_prompt(&live);
        let wanted = live.prefill_tokens();
        let matched = path.len() as u64;
        let before = matched.min(wanted - 1);
        let new = wanted - before;
        let need = i128::from(new + live.reserve(self.config.limits.clip_max_new_tokens));
        let newly_locked = i128::from(path.last().map_or(0, |&end| self.trie.unlocked_on(end)));
        if need >= budgets.total && !lone {
            self.coverage.full_for_memory += u64::from(!self.batch_is_full);
            self.set_full();
            return Tried::Refused;
        }
        if i128::from(new) >= budgets.input && !first {
            return Tried::Refused;
        }
        if need >= budgets.total - newly_locked && !lone {
            self.coverage.full_for_memory += u64::from(!self.batch_is_full);
            self.set_full();
            return Tried::Refused;
        }
        let completes = i128::from(new) <= budgets.chunk;
        if !completes && budgets.chunk <= 0 {
            return Tried::Refused;
        }
        let now = if completes { new } else { u64::try_from(budgets.chunk).expect("above zero") };
        self.coverage.lone_requests += u64::from(lone && need >= budgets.total - newly_locked);
        budgets.total -= newly_locked + if completes { need } else { i128::from(now) };
        budgets.input -= i128::from(now);
        budgets.chunk -= i128::from(now);
        self.admit(index, path.last().copied(), before, matched);
        if !completes {
            self.coverage.chunked_with_prefix += u64::from(before > 0);
            self.coverage.chunked_after_retraction += u64::from(live.emitted > 0);
        }
        Tried::Admitted(Part { index, new: now, before, completes })
    }

    fn admit(&mut self, index: Index, end: Option<usize>, before: u64, matched: u64) {
        self.waiting.retain(|&other| other != index);
        if let Some(end) = end {
            self.trie.lock(end);
        }
        self.totals().cached_tokens += before;
        self.totals().hit_requests += u64::from(before > 0);
        let live = self.of_mut(index);
        live.locked = end;
        live.in_cache = before;
        live.held = before;
        if live.admitted.is_none() {
            live.cached = before;
        }
        let whole = matched == live.prompt_tokens();
        let other_block = |place| self.trie.name(place).block;
        let through_tail = end.is_some_and(|end| {
            let path = self.trie.path_to(end);
            let prompt = &self.of(index).prompt;
            path.iter().zip(prompt).any(|(&place, name)| other_block(place) != name.block)
        });
        self.coverage.whole_prompt_hits += u64::from(whole);
        self.coverage.hit_through_tail += u64::from(through_tail);
    }

    pub(super) fn start_prefill(&mut self, at: Femtos, batch: Vec<Part>) {
        let new: u64 = batch.iter().map(|part| part.new).sum();
        if self.free() < new {
            let evicted = self.trie.evict(new - self.free());
            self.totals().evicted_in_prefill_tokens += evicted;
            self.coverage.evictions_in_prefill += u64::from(evicted > 0);
        }
        assert!(self.free() >= new, "admission saw to it that there is room");
        for part in &batch {
            let live = self.of_mut(part.index);
            live.held += part.new;
            live.admitted.get_or_insert(at);
        }
        let takes = self.config.profile.prefill(&items(&batch));
        self.doing = Doing::Prefill(batch, at + takes);
    }

    /// (a) after a prefill batch.
    pub(super) fn end_prefill(&mut self, at: Femtos, batch: &[Part]) {
        let span = at - self.last_boundary;
        let new: u64 = batch.iter().map(|part| part.new).sum();
        let covered = self.config.profile.prefill_in_range(&items(batch));
        let totals = self.totals();
        totals.extrapolated_prefill_batches += u64::from(!covered);
        totals.prefill_batches += 1;
        totals.prefill_tokens += new;
        totals.prefill_busy += span;
        for part in batch {
            if part.completes {
                self.complete_prompt(part.index, at);
            } else {
                self.complete_chunk(part.index);
            }
        }
    }

    fn complete_chunk(&mut self, index: Index) {
        let live = self.of(index);
        // Once all of the prompt is there (a retracted request goes on with its outputs), its tail enters too.
        let whole = if live.held >= live.prompt_tokens() {
            live.prompt_tokens()
        } else {
            live.held / live.block_tokens() * live.block_tokens()
        };
        let entering = live.prompt[..whole as usize].to_vec();
        let computed = live.held.min(live.prompt_tokens()) as usize;
        self.enter(index, &entering, computed);
        self.totals().partial_chunks += 1;
        assert!(self.chunked.is_none(), "one request at most is chunked");
        self.chunked = Some(index);
    }

    fn complete_prompt(&mut self, index: Index, at: Femtos) {
        let prompt = self.of(index).prompt.clone();
        self.enter(index, &prompt, prompt.len());
        self.emit(index, at);
        if self.of(index).emitted == self.of(index).request.output_tokens.0 {
            self.end_request(index, at);
        } else {
            self.running.push(index);
        }
    }
}

/// A batch as the cost profile wants it.
fn items(batch: &[Part]) -> Vec<PrefillItem> {
    let narrow = |tokens| u32::try_from(tokens).expect("prompts are shorter than 2^32");
    let item = |part: &Part| PrefillItem {
        new_tokens: narrow(part.new),
        cached_tokens: narrow(part.before),
    };
    batch.iter().map(item).collect()
}
