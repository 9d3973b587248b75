//! The running batch: sums that never need a walk over its members.
//!
//! Members count their decode steps by one counter that all share, so a step changes one number. Who finishes first
//! is the top of a heap on that counter; Σ context and Σ min(M − g, clip) are sums of terms linear in it.

use super::Live;
use crate::replica::request::Slot;
use crate::replica::series::StepSeries;
use crate::{Femtos, GapRun};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// The running batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    /// In no particular order; the batch order is that of `Held::joined`.
    members: Vec<Slot>,
    /// Decode steps since the start of the replica.
    step: u64,
    /// Joins since the start of the replica.
    joins: u64,
    /// (step at whose end it finishes, join, who).
    finishes: BinaryHeap<Reverse<(u64, u64, Slot)>>,
    /// Σ (P + g).
    context: u64,
    /// (step at which M − g would reach 0, join) of members with M − g > clip; maybe some more until settled.
    clipped: BTreeSet<(u64, u64)>,
    /// Σ of those steps over all other members.
    limits: u64,
    /// Members by the time of their last token; after a decode step all are one group.
    groups: Vec<(Femtos, u32)>,
    /// End of the last decode step.
    last_step_end: Femtos,
}

impl Running {
    pub(super) const fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// B: a batch has at most `max_running_requests` members, a 32-bit number.
    #[expect(clippy::cast_possible_truncation, reason = "max_running_requests fits 32 bits")]
    pub(super) const fn sequences(&self) -> u32 {
        self.members.len() as u32
    }

    /// S = Σ (P + g).
    pub(super) const fn context(&self) -> u64 {
        self.context
    }

    pub(super) fn members(&self) -> &[Slot] {
        &self.members
    }

    /// Σ (P + g), for checking [`Self::context`].
    pub(super) fn emitted(&self, live: &Live) -> u32 {
        live.emitted + self.steps_of(live)
    }

    /// KV tokens of its own.
    pub(super) fn own(&self, live: &Live) -> u64 {
        live.held.own + u64::from(self.steps_of(live))
    }

    /// Decode steps that a member has run since it joined.
    #[expect(clippy::cast_possible_truncation, reason = "a request has at most 2^32 tokens")]
    const fn steps_of(&self, live: &Live) -> u32 {
        (self.step - live.held.joined_at_step) as u32
    }

    /// Decode steps until the first member finishes.
    pub(super) fn steps_to_finish(&self) -> u64 {
        self.finishes.peek().map_or(u64::MAX, |Reverse((step, ..))| step - self.step)
    }

    /// A request joins at the end, with its last token just emitted.
    pub(super) fn join(&mut self, slot: Slot, live: &mut Live, clip: u32) {
        live.held.joined_at_step = self.step;
        live.held.joined = self.joins;
        live.held.member = self.sequences();
        self.joins += 1;
        self.members.push(slot);
        self.context += u64::from(live.known_tokens());
        let finish = self.step + u64::from(live.output_tokens - live.emitted);
        self.finishes.push(Reverse((finish, live.held.joined, slot)));
        let limit = self.step + u64::from(live.held.max_tokens - live.emitted);
        if limit > self.step + u64::from(clip) {
            self.clipped.insert((limit, live.held.joined));
        } else {
            self.limits += limit;
        }
        match self.groups.iter_mut().find(|(last, _)| *last == live.last_token) {
            Some((_, count)) => *count += 1,
            None => self.groups.push((live.last_token, 1)),
        }
    }

    /// The next member that has emitted its whole output, in batch order.
    pub(super) fn pop_finished(&mut self) -> Option<Slot> {
        let &Reverse((step, _, slot)) = self.finishes.peek()?;
        if step > self.step {
            return None;
        }
        self.finishes.pop();
        Some(slot)
    }

    /// Takes a member out. `live` then says what it has emitted, when last, and what is its own. Its entry among the
    /// finishes is the caller's affair: popped, or dropped by [`Self::forget_finish`]. Returns the member that took
    /// its place in the list, if any, which has to be told.
    pub(super) fn leave(&mut self, live: &mut Live) -> Option<Slot> {
        let steps = self.steps_of(live);
        if steps > 0 {
            live.last_token = self.last_step_end;
        }
        live.emitted += steps;
        live.held.own += u64::from(steps);
        let group =
            self.groups.iter_mut().find(|(last, count)| *last == live.last_token && *count > 0);
        group.expect("every member has a last token").1 -= 1;
        self.context = self
            .context
            .checked_sub(u64::from(live.known_tokens()))
            .expect("the context of a batch holds that of its members");
        let limit = self.step + u64::from(live.held.max_tokens - live.emitted);
        if !self.clipped.remove(&(limit, live.held.joined)) {
            self.limits -= limit;
        }
        let at = live.held.member as usize;
        self.members.swap_remove(at);
        self.members.get(at).copied()
    }

    /// Drops the entry among the finishes of a member that left before its end.
    pub(super) fn forget_finish(&mut self, joined: u64) {
        self.finishes.retain(|Reverse((_, join, _))| *join != joined);
    }

    /// Σ min(M − g, clip).
    pub(super) fn reserve(&mut self, clip: u32) -> u64 {
        while let Some(&(limit, joined)) = self.clipped.first() {
            if limit > self.step + u64::from(clip) {
                break;
            }
            self.clipped.remove(&(limit, joined));
            self.limits += limit;
        }
        let clipped = self.clipped.len() as u64;
        let linear = self.members.len() as u64 - clipped;
        clipped * u64::from(clip) + (self.limits - linear * self.step)
    }

    /// `steps` decode steps from `start` on have ended at `end`: counts them and reports the gaps.
    pub(super) fn step_on(
        &mut self,
        start: Femtos,
        end: Femtos,
        series: StepSeries,
        steps: u64,
        gaps: &mut Vec<GapRun>,
    ) {
        let sequences = self.sequences();
        self.report_gaps(start, series, steps, gaps);
        self.groups.clear();
        self.groups.push((end, sequences));
        self.last_step_end = end;
        self.step += steps;
        self.context += steps * u64::from(sequences);
    }

    fn report_gaps(&self, start: Femtos, series: StepSeries, steps: u64, gaps: &mut Vec<GapRun>) {
        let StepSeries { first, increment } = series;
        let sequences = self.sequences();
        let mut direct = 0;
        for &(last, count) in &self.groups {
            if last == start {
                direct += count;
            } else if count > 0 {
                let stalled = start + first - last;
                gaps.push(GapRun {
                    first: stalled,
                    increment: Femtos::ZERO,
                    steps: 1,
                    sequences: count,
                });
            }
        }
        if direct == sequences {
            gaps.push(GapRun { first, increment, steps, sequences });
            return;
        }
        if direct > 0 {
            gaps.push(GapRun { first, increment: Femtos::ZERO, steps: 1, sequences: direct });
        }
        if steps > 1 {
            gaps.push(GapRun {
                first: series.step_after(1),
                increment,
                steps: steps - 1,
                sequences,
            });
        }
    }

    /// Empties the batch after a crash; the counters go on.
    pub(super) fn clear(&mut self) {
        *self = Self { step: self.step, joins: self.joins, ..Self::default() };
    }

    /// Verifies the sums against a walk over the members.
    pub(super) fn check<'a>(&self, live_at: impl Fn(Slot) -> &'a Live) -> Result<(), String> {
        let (mut context, mut limits) = (0, 0);
        for (index, &slot) in self.members.iter().enumerate() {
            let live = live_at(slot);
            if live.held.member as usize != index {
                return Err(format!("{:?} is member {index}, not {}", live.key, live.held.member));
            }
            let emitted = self.emitted(live);
            if emitted == 0 || emitted >= live.output_tokens {
                return Err(format!("{:?} runs with {emitted} tokens emitted", live.key));
            }
            context += u64::from(live.prompt_tokens() + emitted);
            let limit = self.step + u64::from(live.held.max_tokens - emitted);
            if !self.clipped.contains(&(limit, live.held.joined)) {
                limits += limit;
            }
        }
        let grouped: u32 = self.groups.iter().map(|&(_, count)| count).sum();
        let (got, wanted) = (
            (self.context, self.limits, self.finishes.len(), grouped),
            (context, limits, self.members.len(), self.sequences()),
        );
        if got != wanted {
            return Err(format!(
                "context, limits, finishes, grouped: {got:?}, by a walk {wanted:?}"
            ));
        }
        Ok(())
    }
}
