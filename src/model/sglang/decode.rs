//! Decode steps in runs: memory for them, retraction, their end; and the release of requests.

use super::SglangReplica;
use crate::replica::Mutation;
use crate::replica::request::{Place, Slot};
use crate::replica::scheduler::DecodeRun;
use crate::replica::series::StepSeries;
use crate::{Femtos, ReplicaEvent, ReplicaOutput, TokenRun};
use std::cmp::Reverse;
use std::hint::cold_path;

const BILLION: u128 = 1_000_000_000;

impl SglangReplica {
    /// Makes room for the next step and plans as many steps as are sure to be alike.
    pub(super) fn start_decode(&mut self, at: Femtos, out: &mut ReplicaOutput) -> DecodeRun {
        self.make_room(out);
        let sequences = self.state.running.sequences();
        let segment = self.config.profile.decode_segment(sequences, self.state.running.context());
        let series = StepSeries::from(segment);
        let knot = if self.faulty(Mutation::KnotIgnored) { u64::MAX } else { segment.steps };
        let mut steps = knot
            .min(self.state.running.steps_to_finish())
            .min(self.state.free / u64::from(sequences));
        let tries = !self.state.batch_is_full;
        if tries && !self.waiting.is_empty() && !self.faulty(Mutation::RunsOnAfterRetraction) {
            // A retraction has just cleared the flag: the next boundary tries again.
            steps = steps.min(1);
        }
        let arrivals_matter = tries && self.waiting.is_empty();
        DecodeRun::new(at, series, self.steps_until_news(at, series, steps, arrivals_matter))
    }

    /// One free token for every sequence: by eviction, else by retraction.
    fn make_room(&mut self, out: &mut ReplicaOutput) {
        if self.evict_until(self.state.running.len() as u64) {
            return;
        }
        cold_path();
        let ahead = u64::from(self.config.limits.retract_decode_steps);
        loop {
            assert!(self.state.running.len() > 1, "a request that was accepted fits alone");
            self.retract_one(out);
            let left = self.state.running.len() as u64;
            self.evict_until(ahead * left);
            if self.evict_until(left) {
                break;
            }
        }
        let (mut emitted, mut limits) = (0_u128, 0_u128);
        for &slot in self.state.running.members() {
            let live = self.requests.at(slot);
            emitted += u128::from(self.state.running.emitted(live));
            limits += u128::from(live.held.max_tokens);
        }
        let expected = emitted + u128::from(ahead) * self.state.running.len() as u128;
        let ratio = (BILLION * expected / (limits + 1)).min(BILLION);
        self.state.ratio_ppb = u64::try_from(ratio).expect("at most a billion");
        self.state.batch_is_full = false;
    }

    /// Evicts for decode until so much is free. False where the cache has no more.
    fn evict_until(&mut self, wanted: u64) -> bool {
        if self.state.free < wanted {
            let freed = self.evict(wanted - self.state.free);
            self.state.free += freed;
            self.totals.evicted_in_decode_tokens += freed;
        }
        self.state.free >= wanted
    }

    /// Evicts from the cache; returns the tokens freed.
    pub(super) fn evict(&mut self, wanted: u64) -> u64 {
        if self.faulty(Mutation::EvictMostRecent) {
            return self.state.cache.evict_newest(wanted);
        }
        self.state.cache.evict(wanted)
    }

    /// Takes the member with the fewest tokens emitted, among those the longest prompt, the last to join, and lets it
    /// wait again.
    fn retract_one(&mut self, out: &mut ReplicaOutput) {
        let (running, requests) = (&self.state.running, &self.requests);
        let key = |&slot: &Slot| {
            let live = requests.at(slot);
            (running.emitted(live), Reverse(live.prompt_tokens()), Reverse(live.held.joined))
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
            self.state.cache.unlock(live.held.node);
        }
        self.state.own -= live.held.own;
        self.state.free += live.held.own;
        live.held.own = 0;
        live.held.node = crate::cache::NodeId::ROOT;
        live.held.node_blocks = 0;
        live.computed = 0;
        live.place = Place::Waiting;
        out.events.push(ReplicaEvent::Retracted { key: live.key, at });
        self.waiting.push_back(slot);
        self.totals.retracted += 1;
    }

    /// Takes the memory and reports the tokens of steps that have ended.
    pub(super) fn count_steps(&mut self, run: DecodeRun, out: &mut ReplicaOutput) {
        let DecodeRun { start, series, steps, end } = run;
        let sequences = u64::from(self.state.running.sequences());
        let tokens = steps * sequences;
        self.totals.kv_token_time += u128::from(self.used_tokens()) * (end - start).0
            + u128::from(sequences) * series.weighted_length(steps);
        self.totals.decode_busy += end - start;
        self.totals.decode_steps += steps;
        let context = self.state.running.context();
        let covered = self.config.profile.decode_range(self.state.running.sequences());
        if covered.is_none_or(|most| context + (steps - 1) * sequences > most) {
            // Each step adds a token to every sequence.
            let inside =
                |most: u64| most.checked_sub(context).map_or(0, |left| left / sequences + 1);
            self.totals.extrapolated_decode_steps += steps - covered.map_or(0, inside);
        }
        self.totals.emitted_tokens += tokens;
        self.state.free =
            self.state.free.checked_sub(tokens).expect("a step runs when it has its memory");
        self.state.own += tokens;
        if self.record_token_runs {
            cold_path();
            let first_at = start + series.first;
            let (first, increment) = (series.step_after(1), series.increment);
            for &slot in self.state.running.members() {
                let key = self.requests.at(slot).key;
                out.push_run(TokenRun { key, first_at, first, increment, steps });
            }
        }
        self.state.running.step_on(start, end, series, steps, &mut out.gaps);
        let least = u64::from(self.config.limits.new_token_ratio_min_ppb);
        let raised = self.faulty(Mutation::RatioRaisedByDecay);
        if (self.state.ratio_ppb > least || raised) && !self.faulty(Mutation::RatioNeverDecays) {
            let lost = self.state.decay_ppb.saturating_mul(steps);
            self.state.ratio_ppb = self.state.ratio_ppb.saturating_sub(lost).max(least);
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
                assert!(
                    self.state.chunked == Some(slot),
                    "in prefill at a boundary is the chunked one"
                );
                self.state.chunked = None;
                live.computed
            }
            Place::Coming | Place::Waiting => unreachable!("without KV a cancel waits for nothing"),
        };
        self.release(slot, held);
    }

    /// Ends a request that holds KV of its first `held` tokens: their whole blocks enter the cache where they are
    /// known, the rest is freed.
    fn release(&mut self, slot: Slot, held: u32) {
        let live = self.requests.at(slot);
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
            let inserted = self.state.cache.release(live.held.node, last);
            added = inserted.added_tokens;
            if self.state.cache.needs_states() && !self.faulty(Mutation::EndLeavesNoState) {
                match last {
                    Some(_) => self.state.cache.leave_state(inserted.node, held),
                    None => self.state.cache.leave_unreachable_state(),
                }
            }
        }
        let own = live.held.own;
        self.state.own -= own;
        self.state.free +=
            own.checked_sub(added).expect("what enters the cache was the request's own");
        self.requests.free(slot);
        self.state.batch_is_full &= self.faulty(Mutation::FullNeverCleared);
    }

    /// A member leaves the running batch; its entry among the finishes is popped already.
    pub(super) fn leave(&mut self, slot: Slot) {
        let live = self.requests.at_mut(slot);
        let member = live.held.member;
        if let Some(moved) = self.state.running.leave(live) {
            self.requests.at_mut(moved).held.member = member;
        }
    }

    /// A member leaves the running batch before its last token.
    fn leave_early(&mut self, slot: Slot) {
        self.leave(slot);
        self.state.running.forget_finish(self.requests.at(slot).held.joined);
    }
}
