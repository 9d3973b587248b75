//! Section (e) of the specification: memory for one more token each, retraction, the step and its end.

use super::{Doing, Oracle, key};
use crate::script::Index;
use gorgo_model::{Femtos, ReplicaEvent};
use std::cmp::Reverse;

impl Oracle {
    pub(super) fn start_decode(&mut self, at: Femtos) {
        let wanted = self.running.len() as u64;
        if self.free() < wanted {
            self.evict_for_decode(wanted);
        }
        if self.free() < wanted {
            self.retract(at);
        }
        assert!(self.free() >= self.running.len() as u64, "a lone sequence always fits");
        let mut context = 0;
        for &index in &self.running.clone() {
            let live = self.of_mut(index);
            assert_eq!(
                live.held + 1,
                live.prompt_tokens() + live.emitted,
                "the newest token has no KV"
            );
            live.held += 1;
            context += live.prompt_tokens() + live.emitted;
        }
        let sequences = u32::try_from(self.running.len()).expect("fewer than 2^32 run");
        self.doing = Doing::Decode(at + self.config.profile.decode_step(sequences, context));
    }

    /// Evicts, as far as possible, until `wanted` tokens are free.
    fn evict_for_decode(&mut self, wanted: u64) {
        let evicted = self.trie.evict(wanted.saturating_sub(self.free()));
        self.totals().evicted_in_decode_tokens += evicted;
        self.coverage.evictions_in_decode += u64::from(evicted > 0);
    }

    fn retract(&mut self, at: Femtos) {
        let mut order = self.running.clone();
        order.sort_by_key(|&index| {
            (Reverse(self.of(index).emitted), self.of(index).prompt_tokens())
        });
        let before = order.len();
        loop {
            let index = order.pop().expect("at least one is left");
            self.retract_one(index, at);
            let left = order.len() as u64;
            self.evict_for_decode(u64::from(self.config.limits.retract_decode_steps) * left);
            if self.free() < left {
                self.evict_for_decode(left);
            }
            if self.free() >= left || left <= 1 {
                break;
            }
        }
        self.coverage.retractions_of_several += u64::from(before - order.len() > 1);
        let emitted: u64 = self.running.iter().map(|&index| self.of(index).emitted).sum();
        let allowed: u64 =
            self.running.iter().map(|&index| self.of(index).request.max_tokens.0).sum();
        let soon = u64::from(self.config.limits.retract_decode_steps) * self.running.len() as u64;
        let ratio = 1_000_000_000 * u128::from(emitted + soon) / u128::from(allowed + 1);
        self.ratio_ppb = ratio.min(1_000_000_000) as u64;
        self.clear_full();
    }

    /// A request loses what it holds and waits again.
    fn retract_one(&mut self, index: Index, at: Femtos) {
        self.running.retain(|&other| other != index);
        self.waiting.push(index);
        let live = self.of_mut(index);
        live.held = 0;
        live.in_cache = 0;
        if let Some(end) = live.locked.take() {
            self.trie.unlock(end);
        }
        self.totals().retracted += 1;
        self.coverage.retractions += 1;
        let event = ReplicaEvent::Retracted { key: key(index), at: at.to_nanos() };
        self.outcome.events.push(event);
    }

    /// (a) after a decode step.
    pub(super) fn end_decode(&mut self, at: Femtos) {
        let span = at - self.last_boundary;
        let held: u64 = self
            .running
            .iter()
            .map(|&index| self.of(index))
            .map(|live| live.prompt_tokens() + live.emitted)
            .sum();
        let sequences = u32::try_from(self.running.len()).expect("fewer than 2^32 run");
        let covered = self.config.profile.decode_in_range(sequences, held);
        self.totals().extrapolated_decode_steps += u64::from(!covered);
        self.totals().decode_steps += 1;
        self.totals().decode_busy += span;
        self.coverage.decode_steps += 1;
        let limits = &self.config.limits;
        let (init, min) = (limits.new_token_ratio_init_ppb, limits.new_token_ratio_min_ppb);
        let decay = u64::from((init - min) / limits.new_token_ratio_decay_steps);
        let lower = self.ratio_ppb.saturating_sub(decay).max(u64::from(min));
        self.ratio_ppb = self.ratio_ppb.min(lower);
        for index in self.running.clone() {
            self.emit(index, at);
            if self.of(index).emitted == self.of(index).request.output_tokens.0 {
                self.running.retain(|&other| other != index);
                self.end_request(index, at);
            }
        }
    }
}
