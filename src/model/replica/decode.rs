//! Decode steps in runs: memory for them, retraction, their end; and the release of requests.

use super::request::{Place, Slot};
use super::series::StepSeries;
use super::{DecodeRun, Mutation, Replica, ReplicaEvent, ReplicaOutput, TokenRun};
use crate::Femtos;
use std::cmp::Reverse;

const BILLION: u128 = 1_000_000_000;

impl Replica {
    /// Makes room for the next step and plans as many steps as are sure to be alike.
    pub(super) fn start_decode(&mut self, at: Femtos, out: &mut ReplicaOutput) -> DecodeRun {
        self.make_room(out);
        let sequences = self.running.sequences();
        let segment = self.config.profile.decode_segment(sequences, self.running.context());
        let series = StepSeries::from(segment);
        let knot = if self.faulty(Mutation::KnotIgnored) { u64::MAX } else { segment.steps };
        let mut steps =
            knot.min(self.running.steps_to_finish()).min(self.free / u64::from(sequences));
        if !self.batch_is_full {
            if !self.waiting.is_empty() {
                // A retraction has just cleared the flag: the next boundary tries again.
                if !self.faulty(Mutation::RunsOnAfterRetraction) {
                    steps = 1;
                }
            } else if let Some(&(ready, _)) = self.coming.front() {
                let wait = Femtos::from_nanos(ready).saturating_sub(at);
                steps = steps.min(series.steps_to_reach(wait));
            }
        }
        if let Some(&(asked, ..)) = self.cancels.front() {
            let wait = Femtos::from_nanos(asked).saturating_sub(at);
            steps = steps.min(series.steps_to_reach(wait));
        }
        assert!(steps > 0, "a run has a step");
        if self.step_by_step {
            steps = 1;
        }
        DecodeRun { start: at, series, steps, end: at + series.length(steps) }
    }

    /// One free token for every sequence: by eviction, else by retraction.
    fn make_room(&mut self, out: &mut ReplicaOutput) {
        if self.evict_until(self.running.len() as u64) {
            return;
        }
        let ahead = u64::from(self.config.limits.retract_decode_steps);
        loop {
            assert!(self.running.len() > 1, "a request that was accepted fits alone");
            self.retract_one(out);
            let left = self.running.len() as u64;
            self.evict_until(ahead * left);
            if self.evict_until(left) {
                break;
            }
        }
        let (mut emitted, mut limits) = (0_u128, 0_u128);
        for &slot in self.running.members() {
            let live = self.requests.at(slot);
            emitted += u128::from(self.running.emitted(live));
            limits += u128::from(live.max_tokens);
        }
        let expected = emitted + u128::from(ahead) * self.running.len() as u128;
        let ratio = (BILLION * expected / (limits + 1)).min(BILLION);
        self.ratio_ppb = u64::try_from(ratio).expect("at most a billion");
        self.batch_is_full = false;
    }

    /// Evicts for decode until so much is free. False where the cache has no more.
    fn evict_until(&mut self, wanted: u64) -> bool {
        if self.free < wanted {
            let freed = self.evict(wanted - self.free);
            self.free += freed;
            self.totals.evicted_in_decode_tokens += freed;
        }
        self.free >= wanted
    }

    /// Takes the member with the fewest tokens emitted, among those the longest prompt, the last to join, and lets it
    /// wait again.
    fn retract_one(&mut self, out: &mut ReplicaOutput) {
        let (running, requests) = (&self.running, &self.requests);
        let key = |&slot: &Slot| {
            let live = requests.at(slot);
            (running.emitted(live), Reverse(live.prompt_tokens()), Reverse(live.joined))
        };
        let members = running.members().iter().copied();
        let reversed = self.faulty(Mutation::RetractionReversed);
        let slot = if reversed { members.max_by_key(key) } else { members.min_by_key(key) };
        let slot = slot.expect("only a batch that runs lacks memory");
        self.leave_early(slot);
        let at = self.boundary_time();
        let keeps_lock = self.faulty(Mutation::RetractionKeepsLock);
        let live = self.requests.at_mut(slot);
        if !keeps_lock {
            self.cache.unlock(live.node);
        }
        self.own -= live.own;
        self.free += live.own;
        live.own = 0;
        live.node = crate::cache::NodeId::ROOT;
        live.node_blocks = 0;
        live.computed = 0;
        live.place = Place::Waiting;
        out.events.push(ReplicaEvent::Retracted { key: live.key, at });
        self.waiting.push_back(slot);
        self.totals.retracted += 1;
    }

    /// A run of steps has ended: everyone has its tokens, some have their last.
    pub(super) fn end_decode(&mut self, run: DecodeRun, out: &mut ReplicaOutput) {
        self.count_steps(run, out);
        while let Some(slot) = self.running.pop_finished() {
            self.leave(slot);
            self.finish(slot, out);
        }
    }

    /// Takes the memory and reports the tokens of steps that have ended.
    pub(super) fn count_steps(&mut self, run: DecodeRun, out: &mut ReplicaOutput) {
        let DecodeRun { start, series, steps, end } = run;
        let sequences = u64::from(self.running.sequences());
        let tokens = steps * sequences;
        self.totals.kv_token_time += u128::from(self.used_tokens()) * (end - start).0
            + u128::from(sequences) * series.weighted_length(steps);
        self.totals.decode_busy += end - start;
        self.totals.decode_steps += steps;
        let context = self.running.context();
        let covered = self.config.profile.decode_range(self.running.sequences());
        if covered.is_none_or(|most| context + (steps - 1) * sequences > most) {
            // Each step adds a token to every sequence.
            let inside =
                |most: u64| most.checked_sub(context).map_or(0, |left| left / sequences + 1);
            self.totals.extrapolated_decode_steps += steps - covered.map_or(0, inside);
        }
        self.totals.emitted_tokens += tokens;
        self.free = self.free.checked_sub(tokens).expect("a step runs when it has its memory");
        self.own += tokens;
        if self.record_token_runs {
            let first_at = start + series.first;
            let (first, increment) = (series.step_after(1), series.increment);
            for &slot in self.running.members() {
                let key = self.requests.at(slot).key;
                out.push_run(TokenRun { key, first_at, first, increment, steps });
            }
        }
        self.running.step_on(start, end, series, steps, &mut out.gaps);
        let least = u64::from(self.config.limits.new_token_ratio_min_ppb);
        let raised = self.faulty(Mutation::RatioRaisedByDecay);
        if (self.ratio_ppb > least || raised) && !self.faulty(Mutation::RatioNeverDecays) {
            let lost = self.decay_ppb.saturating_mul(steps);
            self.ratio_ppb = self.ratio_ppb.saturating_sub(lost).max(least);
        }
    }

    /// The last token is out and the request in no batch any more.
    pub(super) fn finish(&mut self, slot: Slot, out: &mut ReplicaOutput) {
        let live = self.requests.at(slot);
        let mut held = live.prompt_tokens() + live.emitted - 1;
        if self.faulty(Mutation::ReleaseOneTokenShort) {
            held -= 1;
        }
        let key = live.key;
        self.release(slot, held);
        self.totals.finished += 1;
        out.events.push(ReplicaEvent::Finished { key, at: self.boundary_time() });
    }

    /// A request with KV is cancelled.
    pub(super) fn release_cancelled(&mut self, slot: Slot) {
        let live = self.requests.at(slot);
        let held = match live.place {
            Place::Running => {
                self.leave_early(slot);
                let live = self.requests.at(slot);
                live.prompt_tokens() + live.emitted - 1
            }
            // At a boundary a batch has ended: in prefill is only who has chunks left.
            Place::Prefill => {
                assert!(self.chunked == Some(slot), "in prefill at a boundary is the chunked one");
                self.chunked = None;
                live.computed
            }
            Place::Coming | Place::Waiting => unreachable!("without KV a cancel waits for nothing"),
        };
        self.release(slot, held);
    }

    /// Ends a request that holds KV of its first `held` tokens: their whole blocks enter the cache where they are
    /// known, the rest is freed.
    fn release(&mut self, slot: Slot, held: u32) {
        let live = self.forget(slot);
        let mut added = 0;
        if self.config.prefix_cache {
            let block_tokens = live.prompt.block_tokens();
            let in_prompt = live.prompt_tokens() / block_tokens;
            let in_held = held / block_tokens;
            let last = match &live.sequence {
                Some(sequence) if in_held > in_prompt => {
                    Some((in_prompt, sequence, in_held as usize))
                }
                _ => None,
            };
            let inserted = self.cache.release(live.node, last);
            added = inserted.added_tokens;
            if self.cache.needs_states() && !self.faulty(Mutation::EndLeavesNoState) {
                match last {
                    Some(_) => self.cache.leave_state(inserted.node, held),
                    None => self.cache.leave_unreachable_state(),
                }
            }
        }
        self.own -= live.own;
        self.free +=
            live.own.checked_sub(added).expect("what enters the cache was the request's own");
        self.batch_is_full &= self.faulty(Mutation::FullNeverCleared);
    }

    /// A member leaves the running batch; its entry among the finishes is popped already.
    fn leave(&mut self, slot: Slot) {
        let live = self.requests.at_mut(slot);
        let member = live.member;
        if let Some(moved) = self.running.leave(live) {
            self.requests.at_mut(moved).member = member;
        }
    }

    /// A member leaves the running batch before its last token.
    fn leave_early(&mut self, slot: Slot) {
        self.leave(slot);
        self.running.forget_finish(self.requests.at(slot).joined);
    }
}
