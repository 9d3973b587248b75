//! Decode steps in runs: how many there is memory for, and what they took and gave once they have ended.
//!
//! The first step's blocks are taken when the run starts, as for any step. Those of the others are taken at its end, in the
//! order in which the steps would have taken them: nobody looks at the pool in between.

use super::VllmReplica;
use crate::replica::count;
use crate::replica::request::Slot;
use crate::replica::scheduler::DecodeRun;
use crate::{Femtos, GapRun, ReplicaOutput, TokenRun};

impl VllmReplica {
    /// The most steps, up to `most`, for which there are blocks.
    pub(super) fn steps_with_memory(&self, most: u64) -> u64 {
        let free = u64::from(self.state.pool.free());
        let size = u64::from(self.state.limits.block_tokens);
        let needed = |steps: u64| -> u64 {
            let of = |&slot: &Slot| {
                let live = self.requests.at(slot);
                let tokens = u64::from(live.computed) + steps;
                tokens.div_ceil(size).saturating_sub(live.held.blocks.len() as u64)
            };
            self.state.running.iter().map(of).sum()
        };
        if needed(most) <= free {
            return most;
        }
        // The first step has its blocks.
        let (mut fits, mut fails) = (1, most);
        while fails - fits > 1 {
            let middle = u64::midpoint(fits, fails);
            if needed(middle) <= free { fits = middle } else { fails = middle }
        }
        fits
    }

    /// Takes the blocks and reports the tokens of steps that have ended.
    pub(super) fn count_steps(&mut self, run: DecodeRun, out: &mut ReplicaOutput) {
        let DecodeRun { start, series, steps, end } = run;
        let sequences = self.state.running.len() as u64;
        // Blocks are counted as they are at the start, and one token a sequence and step on top.
        self.totals.kv_token_time += u128::from(self.state.used_tokens()) * (end - start).0
            + u128::from(sequences) * series.weighted_length(steps);
        self.totals.decode_busy += end - start;
        self.totals.decode_steps += steps;
        self.totals.emitted_tokens += steps * sequences;
        self.count_extrapolated(steps);
        self.take_later_blocks(steps);
        let first_end = start + series.first;
        let mut groups: Vec<(Femtos, u32)> = Vec::new();
        let (first_at, first, increment) = (first_end, series.step_after(1), series.increment);
        for index in 0..self.state.running.len() {
            let slot = self.state.running[index];
            let live = self.requests.at_mut(slot);
            match groups.iter_mut().find(|(last, _)| *last == live.last_token) {
                Some((_, count)) => *count += 1,
                None => groups.push((live.last_token, 1)),
            }
            // A run has no more steps than its first member to end has tokens left.
            live.emitted += steps as u32;
            live.computed += steps as u32;
            live.last_token = end;
            if self.record_token_runs {
                out.push_run(TokenRun { key: live.key, first_at, first, increment, steps });
            }
        }
        for (last, sequences) in groups {
            let gap = first_end - last;
            out.gaps.push(GapRun { first: gap, increment: Femtos::ZERO, steps: 1, sequences });
        }
        if steps > 1 {
            let sequences = count(self.state.running.len());
            out.gaps.push(GapRun { first, increment, steps: steps - 1, sequences });
        }
    }

    fn count_extrapolated(&mut self, steps: u64) {
        let sequences = count(self.state.running.len());
        let context: u64 =
            self.state.running.iter().map(|&s| u64::from(self.requests.at(s).known_tokens())).sum();
        let covered = self.config.profile.decode_range(sequences);
        let added = (steps - 1) * u64::from(sequences);
        if covered.is_none_or(|most| context + added > most) {
            let inside = |most: u64| {
                most.checked_sub(context).map_or(0, |left| left / u64::from(sequences) + 1)
            };
            self.totals.extrapolated_decode_steps += steps - covered.map_or(0, inside);
        }
    }

    /// The blocks of all steps but the first, step by step, and in each in the order of the batch.
    fn take_later_blocks(&mut self, steps: u64) {
        let size = u64::from(self.state.limits.block_tokens);
        let mut changes: Vec<(u64, u32)> = Vec::new();
        for (index, &slot) in self.state.running.iter().enumerate() {
            let computed = u64::from(self.requests.at(slot).computed);
            let mut tokens = computed + 2;
            while tokens <= computed + steps {
                // A new block begins with a step's token, or one becomes full with it.
                let inside = tokens % size;
                if inside <= 1 {
                    changes.push((tokens - computed, count(index)));
                }
                tokens += if inside == 0 { 1 } else { size - inside };
            }
        }
        changes.sort_unstable();
        for (step, index) in changes {
            let slot = self.state.running[index as usize];
            // At most the tokens of a request.
            let tokens = (u64::from(self.requests.at(slot).computed) + step) as u32;
            self.grow(slot, tokens);
        }
    }
}
