//! This project's tuner: requests of the same minutes are routed by weights a step above and a step below the best
//! known, and compared. (Evolutionary operation, Box, Applied Statistics 6, 1957, with lots instead of a fixed plan.)
//!
//! Each weight is searched for itself, all on the same requests: for each weight apart, lots decide which requests get
//! its level above, which its level below, and which its centre (`axis.rs`). So both levels meet the same load, every
//! request tells of every weight, and a request counts for the weights that routed it, however long it takes. What the
//! prompt brings whoever routes it, the tokens that no replica has cached, is taken out of the comparison. Once in
//! `look` requests, when all before have come in, the levels are compared (`rank.rs`): a level that is clearly better
//! (`accept`) becomes the centre, and at the latest after `samples` requests the milder `accept_last` decides. At the
//! edge of the box, where only one level leads away, it is given up as soon as it is somewhat worse (`reject`).
//!
//! Steps grow while they lead the same way, and shrink after a turn. A trial that finds nothing better makes the next
//! step smaller, and doubles `share` up to `share_max`: fewer and fewer requests pay for exploring, until something
//! better is found again. The search never ends, so it follows a load or a network that drifts.
//!
//! What it cannot see: the levels share replicas, so weights that are good for the request and bad for its neighbours
//! look better here than they are, and it goes there. The box is what keeps it from that: give it one of whose corners
//! each could be routed by for good. Longer blocks (with the first `burn_in` requests of each not judged) see more of
//! the harm, and need several times the requests. Read `strategy.rs` next.

use super::axis::{Axis, Side};
use super::config::{Bounds, Objective, TunerError};
pub use super::paired_parameters::PairedParameters;
use super::rank::{Ranked, advantage, scores};
use super::score::Sample;
use super::step::TuneStep;
use super::strategy::Assignment;
use gorgo_types::Nanos;
use std::collections::VecDeque;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Open,
    /// Its cost, in seconds.
    Done(f64),
    /// Its client gave up: it says nothing.
    Void,
}

/// This project's tuner.
#[derive(Clone, Debug)]
pub struct Paired {
    parameters: PairedParameters,
    objective: Objective,
    seed: u64,
    axes: Vec<Axis>,
    /// The axes' centres.
    incumbent: Vec<f64>,
    /// What routes the next request.
    next: Vec<f64>,
    /// Trials begun so far, of all weights.
    trials: u64,
    /// The work and the fate of the requests that still matter; the first is at the place `base`.
    places: VecDeque<(u64, Place)>,
    base: u64,
    /// The first place that is still open, or was not dealt yet.
    settled: u64,
    /// The place before which the next comparison looks.
    next_look: u64,
    samples: u64,
}

/// What a trial came to.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    weight: usize,
    /// Which of its levels was judged.
    side: Side,
    accepted: bool,
    score: f64,
}

impl Paired {
    /// A tuner that starts from these weights.
    ///
    /// # Errors
    /// When a parameter is out of range, or a start outside its box.
    pub fn new(
        parameters: PairedParameters,
        objective: Objective,
        bounds: &[Bounds],
        start: &[f64],
        seed: u64,
    ) -> Result<Self, TunerError> {
        parameters.validate()?;
        objective.validate()?;
        Bounds::check_start(bounds, start)?;
        let axis = |(bounds, &start)| Axis::new(parameters, bounds, start);
        let mut tuner = Self {
            parameters,
            objective,
            seed,
            axes: bounds.iter().zip(start).map(axis).collect(),
            incumbent: start.to_vec(),
            next: start.to_vec(),
            trials: 0,
            places: VecDeque::new(),
            base: 0,
            settled: 0,
            next_look: u64::from(parameters.look),
            samples: 0,
        };
        (0..tuner.axes.len()).for_each(|weight| tuner.start_trial(weight));
        Ok(tuner)
    }

    /// What routes the next request. Where every trial has dealt out all its requests, and until they have come in: the
    /// incumbent.
    #[must_use]
    pub fn assign(&self) -> Assignment {
        let place = self.next_place();
        let dealt = self.axes.iter().any(|axis| axis.deals(place));
        Assignment { trial: self.trials, place: dealt.then_some(place) }
    }

    /// A request was sent with the assignment that [`Paired::assign`] gave last. False: it was not that one, and will
    /// not be judged. `work_tokens` are the prompt tokens that it brings wherever it goes: what no replica has cached.
    pub fn dispatched(&mut self, assignment: Assignment, work_tokens: u64) -> bool {
        let next = assignment == self.assign() && assignment.place.is_some();
        if next {
            self.places.push_back((work_tokens, Place::Open));
            self.deal();
        }
        next
    }

    /// The first token of a request is there: where nothing after it counts, that is all there is to know.
    pub fn first_token(
        &mut self,
        assignment: Assignment,
        ttft: Nanos,
        now: Nanos,
    ) -> Option<TuneStep> {
        if self.objective.after_first_token > 0.0 {
            return None;
        }
        let cost = Sample { ttft, e2e: ttft }.cost_s(&self.objective);
        self.settle(assignment, Place::Done(cost), now)
    }

    /// A request has completed.
    pub fn observe(
        &mut self,
        assignment: Assignment,
        sample: Sample,
        now: Nanos,
    ) -> Option<TuneStep> {
        let cost = sample.cost_s(&self.objective);
        self.settle(assignment, Place::Done(cost), now)
    }

    /// A request will not complete. One that failed counts as the slowest there is; one whose client gave up, not at
    /// all.
    pub fn lost(&mut self, assignment: Assignment, failed: bool, now: Nanos) -> Option<TuneStep> {
        let place = if failed { Place::Done(f64::INFINITY) } else { Place::Void };
        self.settle(assignment, place, now)
    }

    /// The weights of the assignment that was given last.
    #[must_use]
    pub fn weights(&self, assignment: Assignment) -> &[f64] {
        let dealt = assignment.place.is_some() && assignment == self.assign();
        if dealt { &self.next } else { &self.incumbent }
    }

    /// The best weights known.
    #[must_use]
    pub fn best(&self) -> &[f64] {
        &self.incumbent
    }

    /// The place of the next request.
    fn next_place(&self) -> u64 {
        self.base + self.places.len() as u64
    }

    /// Finds the weights of the next request.
    fn deal(&mut self) {
        let place = self.next_place();
        for (axis, next) in self.axes.iter().zip(&mut self.next) {
            *next = axis.value_at(place);
        }
    }

    /// What became of a place is known; news of one that no longer matters, or is already settled, is ignored.
    fn settle(&mut self, assignment: Assignment, place: Place, now: Nanos) -> Option<TuneStep> {
        let index = usize::try_from(assignment.place?.checked_sub(self.base)?).ok()?;
        let slot = self.places.get_mut(index).filter(|slot| slot.1 == Place::Open)?;
        slot.1 = place;
        self.samples += 1;
        let first = usize::try_from(self.settled - self.base).ok()?;
        let settled = self.places.range(first..).take_while(|place| place.1 != Place::Open);
        self.settled += settled.count() as u64;
        let mut verdict = None;
        while verdict.is_none() && self.settled >= self.next_look {
            verdict = self.look(self.next_look);
            self.next_look += u64::from(self.parameters.look);
        }
        verdict.map(|verdict| self.decide(verdict, now))
    }

    /// Compares the levels of every weight whose turn it is on the requests before this place. Of several verdicts the
    /// clearest is given; the others come up again later.
    fn look(&self, to: u64) -> Option<Verdict> {
        if !self.axes.iter().any(|axis| axis.is_due(to)) {
            return None;
        }
        let judged = (self.base..to).zip(&self.places);
        let judged = judged.filter_map(|(place, &(work, fate))| match fate {
            Place::Done(cost) => Some((place, Ranked { cost, work: work as f64 })),
            Place::Open | Place::Void => None,
        });
        let (places, samples): (Vec<u64>, Vec<Ranked>) = judged.unzip();
        let scored: Vec<(u64, f64)> = places.into_iter().zip(scores(&samples)).collect();
        let verdicts = (0..self.axes.len()).filter_map(|weight| self.judge(weight, &scored, to));
        verdicts.max_by(|a, b| a.score.abs().total_cmp(&b.score.abs()))
    }

    /// Whether this weight's trial is decided, by the scores of the requests before the place `to`.
    fn judge(&self, weight: usize, scored: &[(u64, f64)], to: u64) -> Option<Verdict> {
        let PairedParameters { accept, accept_last, reject, .. } = self.parameters;
        let axis = &self.axes[weight];
        if !axis.is_due(to) {
            return None;
        }
        let above = advantage(scored.iter().filter_map(|&(place, score)| {
            let (group, side) = axis.compared(place)?;
            Some((group, side == Side::Above, score))
        }));
        let of = |side| if side == Side::Above { above } else { -above };
        let side = axis.ways().max_by(|&a, &b| of(a).total_cmp(&of(b)))?;
        let score = of(side);
        let last = to >= axis.end();
        let accepted = score >= if last { accept_last } else { accept };
        let refused = last || score <= -reject;
        (accepted || refused).then_some(Verdict { weight, side, accepted, score })
    }

    fn decide(&mut self, verdict: Verdict, now: Nanos) -> TuneStep {
        let Verdict { weight, side, accepted, score } = verdict;
        let axis = &mut self.axes[weight];
        let mut candidate = self.incumbent.clone();
        candidate[weight] = axis.level(Some(side));
        if accepted {
            axis.moves(side);
            self.incumbent.clone_from(&candidate);
        } else {
            axis.stays();
        }
        self.start_trial(weight);
        let axis = &self.axes[weight];
        let mut next = self.incumbent.clone();
        next[weight] = axis.level(axis.ways().last());
        TuneStep {
            step: self.trials,
            at_ns: now,
            samples: self.samples,
            weight: Some(axis.bounds.name.clone()),
            candidate,
            score,
            accepted,
            sigma: axis.sigma(),
            best: self.incumbent.clone(),
            next: Some(next),
        }
    }

    /// Begins a weight's next trial with the next request, and forgets the requests that no trial needs.
    fn start_trial(&mut self, weight: usize) {
        self.trials += 1;
        let from = self.next_place();
        self.axes[weight].start_trial(self.seed, weight, self.trials, from);
        let first = self.axes.iter().filter_map(Axis::needs).min().unwrap_or(from);
        while self.base < first.min(self.settled) {
            self.places.pop_front();
            self.base += 1;
        }
        self.deal();
    }
}
