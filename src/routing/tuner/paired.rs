//! This project's tuner: the candidate and the incumbent route in the same minutes, and are compared on those.
//!
//! A trial deals the requests out in groups of `share` blocks of `block` requests: one block of each group, drawn by
//! lot, is the candidate's, the others are the incumbent's. So both meet the same load; no more than one request in
//! `share` is exposed; and a request counts for the weights that routed it, however long it takes. What the prompt
//! brings whoever routes it, the tokens that no replica has cached, is taken out of the comparison. Once in `look`
//! requests, when all before have come in, the two are compared (`rank.rs`): a candidate that is clearly worse
//! (`reject`) is given up there and then, one that is clearly better (`accept`) becomes the incumbent, and at the
//! latest after `samples` requests it is decided by the milder `accept_last`.
//!
//! Candidates are mutated as in the published search, but sigma stays between `sigma_min` and `sigma_max`. A success
//! widens it, and the search goes on in the direction that has just paid. After a failure the opposite direction is
//! tried; when that fails too, sigma shrinks and a direction is drawn anew. The search never ends: at its smallest
//! sigma it costs little, and it follows a load or a network that drifts.
//!
//! What it cannot see: a candidate's requests share replicas with the incumbent's, so weights that are good for
//! the request and bad for its neighbours look better here than they are. Longer blocks (with the first `burn_in`
//! requests of each not judged) show more of that, with fewer independent blocks to judge by. Read
//! `strategy.rs` next.

use super::config::{Bounds, Objective, TunerError, check, number};
use super::normal::mutation;
use super::rank::{Ranked, advantage};
use super::score::Sample;
use super::step::TuneStep;
use super::strategy::Assignment;
use gorgo_random::{Key, Purpose};
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// The most requests of a trial: its costs are kept until it ends.
const LONGEST_TRIAL: u64 = 10_000_000;

/// The parameters. The defaults are this project's, chosen on other fleets and workloads than those of its results page
/// (`results/papers/reviewers/tuner.md`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairedParameters {
    /// Requests in a row that are routed alike. From 1 to 10,000.
    pub block: u32,
    /// Of these, the first that are not judged: they meet the queues that the block before has left. Below `block`.
    pub burn_in: u32,
    /// One block in so many is the candidate's. From 2 to 100.
    pub share: u32,
    /// Judged requests from one comparison to the next. From 2 to 100,000.
    pub look: u32,
    /// The most judged requests of a trial. From `look` to 1,000,000.
    pub samples: u32,
    /// Standard deviations above the incumbent at which a candidate is accepted at once. Above 0, at most 100.
    pub accept: f64,
    /// Standard deviations above at which it is accepted at the end of the trial. From 0 to 100.
    pub accept_last: f64,
    /// Standard deviations below at which it is given up at once. Above 0, at most 100.
    pub reject: f64,
    /// The first step size: the standard deviation of a weight's logarithm. From `sigma_min` to `sigma_max`.
    pub sigma: f64,
    /// The smallest step size. Above 0.
    pub sigma_min: f64,
    /// The largest step size, at most 10.
    pub sigma_max: f64,
    /// What sigma grows by after a success. From 1 to 10.
    pub grow: f64,
    /// What sigma shrinks by when a direction and its opposite have failed. Above 0, at most 1.
    pub shrink: f64,
}

impl Default for PairedParameters {
    fn default() -> Self {
        Self {
            block: 1,
            burn_in: 0,
            share: 2,
            look: 32,
            samples: 384,
            accept: 2.5,
            accept_last: 1.0,
            reject: 0.5,
            sigma: 0.5,
            sigma_min: 0.1,
            sigma_max: 1.0,
            grow: 1.5,
            shrink: 0.8,
        }
    }
}

impl PairedParameters {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), TunerError> {
        let count = |name, value: u32, good, wanted| check(name, value, good, wanted);
        count("block", self.block, (1..=10_000).contains(&self.block), "from 1 to 10,000")?;
        count("burn_in", self.burn_in, self.burn_in < self.block, "below `block`")?;
        count("share", self.share, (2..=100).contains(&self.share), "from 2 to 100")?;
        count("look", self.look, (2..=100_000).contains(&self.look), "from 2 to 100,000")?;
        let good = self.samples >= self.look && self.samples <= 1_000_000;
        count("samples", self.samples, good, "from `look` to 1,000,000")?;
        let good = self.requests_for(self.samples) <= LONGEST_TRIAL;
        let wanted = "so many that a trial has at most 10,000,000 requests, `burn_in` included";
        count("samples", self.samples, good, wanted)?;
        let real = |name, value: f64, good, wanted| check(name, number(value), good, wanted);
        let positive = |value: f64| value > 0.0 && value <= 100.0;
        real("accept", self.accept, positive(self.accept), "above 0 and at most 100")?;
        let good = (0.0..=100.0).contains(&self.accept_last);
        real("accept_last", self.accept_last, good, "from 0 to 100")?;
        real("reject", self.reject, positive(self.reject), "above 0 and at most 100")?;
        let good = self.sigma_max > 0.0 && self.sigma_max <= 10.0;
        real("sigma_max", self.sigma_max, good, "above 0 and at most 10")?;
        let good = self.sigma_min > 0.0 && self.sigma_min <= self.sigma_max;
        real("sigma_min", self.sigma_min, good, "above 0 and at most `sigma_max`")?;
        let good = self.sigma >= self.sigma_min && self.sigma <= self.sigma_max;
        real("sigma", self.sigma, good, "from `sigma_min` to `sigma_max`")?;
        real("grow", self.grow, (1.0..=10.0).contains(&self.grow), "from 1 to 10")?;
        let good = self.shrink > 0.0 && self.shrink <= 1.0;
        real("shrink", self.shrink, good, "above 0 and at most 1")
    }

    /// Requests of a trial, judged or not, of which the first `judged` judged ones make whole groups.
    fn requests_for(&self, judged: u32) -> u64 {
        let judged_of_group = u64::from(self.block - self.burn_in) * u64::from(self.share);
        u64::from(judged).div_ceil(judged_of_group) * u64::from(self.block) * u64::from(self.share)
    }
}

/// A request of the trial under way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Open,
    /// Its cost, in seconds.
    Done(f64),
    /// Its client gave up: it says nothing.
    Void,
}

/// Which way the candidate lies from the incumbent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Drawn,
    Opposite,
    Again,
}

/// This project's tuner.
#[derive(Clone, Debug)]
pub struct Paired {
    parameters: PairedParameters,
    objective: Objective,
    bounds: Vec<(f64, f64)>,
    seed: u64,
    incumbent: Vec<f64>,
    candidate: Vec<f64>,
    sigma: f64,
    z: Vec<f64>,
    direction: Direction,
    /// The number of the trial under way, from 1.
    trial: u64,
    places: Vec<(u64, Place)>,
    /// How many places from the start are no longer open.
    settled: usize,
    next_look: u32,
    samples: u64,
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
        let mut tuner = Self {
            parameters,
            objective,
            bounds: bounds.iter().map(|bounds| (bounds.low, bounds.high)).collect(),
            seed,
            incumbent: start.to_vec(),
            candidate: start.to_vec(),
            sigma: parameters.sigma,
            z: Vec::new(),
            direction: Direction::Drawn,
            trial: 0,
            places: Vec::new(),
            settled: 0,
            next_look: parameters.look,
            samples: 0,
        };
        tuner.start_trial(Direction::Drawn);
        Ok(tuner)
    }

    /// What routes the next request. Once a trial is full, until its last request has come in: the incumbent.
    #[must_use]
    pub fn assign(&self) -> Assignment {
        let place = self.places.len() as u64;
        if place >= self.parameters.requests_for(self.parameters.samples) {
            return Assignment { trial: self.trial, place: None, candidate: false };
        }
        let candidate = self.is_candidate(place);
        Assignment { trial: self.trial, place: Some(place), candidate }
    }

    /// A request was sent with the assignment that [`Paired::assign`] gave last. False: it was not that one, and will
    /// not be judged. `work_tokens` are the prompt tokens that it brings wherever it goes: what no replica has cached.
    pub fn dispatched(&mut self, assignment: Assignment, work_tokens: u64) -> bool {
        let next = assignment == self.assign() && assignment.place.is_some();
        if next {
            self.places.push((work_tokens, Place::Open));
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

    /// The weights of an assignment.
    #[must_use]
    pub fn weights(&self, assignment: Assignment) -> &[f64] {
        if assignment.candidate && assignment.trial == self.trial {
            &self.candidate
        } else {
            &self.incumbent
        }
    }

    /// The best weights known.
    #[must_use]
    pub fn best(&self) -> &[f64] {
        &self.incumbent
    }

    fn is_candidate(&self, place: u64) -> bool {
        let share = u64::from(self.parameters.share);
        let block = place / u64::from(self.parameters.block);
        let key = Key::new(self.seed).with(Purpose::Tuner).word(u64::MAX).word(self.trial);
        key.word(block / share).draw().below(share) == block % share
    }

    /// What became of a place is known; news of another trial's, or of a place already settled, is ignored.
    fn settle(&mut self, assignment: Assignment, place: Place, now: Nanos) -> Option<TuneStep> {
        if assignment.trial != self.trial {
            return None;
        }
        let index = usize::try_from(assignment.place?).ok()?;
        let slot = self.places.get_mut(index).filter(|slot| slot.1 == Place::Open)?;
        slot.1 = place;
        self.samples += 1;
        while self.places.get(self.settled).is_some_and(|place| place.1 != Place::Open) {
            self.settled += 1;
        }
        let mut verdict = None;
        while verdict.is_none()
            && self.settled as u64 >= self.parameters.requests_for(self.next_look)
        {
            verdict = self.look();
        }
        verdict.map(|(accepted, score)| self.decide(accepted, score, now))
    }

    /// Compares the two on all groups up to the next look; a verdict is given with the score it rests on.
    fn look(&mut self) -> Option<(bool, f64)> {
        let PairedParameters { block, burn_in, share, look, samples, .. } = self.parameters;
        let requests = self.parameters.requests_for(self.next_look);
        let last = self.next_look >= samples;
        self.next_look = self.next_look.saturating_add(look).min(samples);
        let mut judged = Vec::new();
        for (place, &(work, settled)) in (0..requests).zip(&self.places) {
            if let Place::Done(cost) = settled
                && place % u64::from(block) >= u64::from(burn_in)
            {
                let group = usize::try_from(place / u64::from(block) / u64::from(share));
                let group = group.expect("places fit memory");
                judged.push(Ranked {
                    group,
                    candidate: self.is_candidate(place),
                    cost,
                    work: work as f64,
                });
            }
        }
        let score = advantage(&judged);
        let PairedParameters { accept, accept_last, reject, .. } = self.parameters;
        if score >= accept || (last && score >= accept_last) {
            Some((true, score))
        } else if score <= -reject || last {
            Some((false, score))
        } else {
            None
        }
    }

    fn decide(&mut self, accepted: bool, score: f64, now: Nanos) -> TuneStep {
        let judged = self.candidate.clone();
        let PairedParameters { sigma_min, sigma_max, grow, shrink, .. } = self.parameters;
        let next = match (accepted, self.direction) {
            (true, _) => {
                self.incumbent.clone_from(&judged);
                self.sigma = (self.sigma * grow).min(sigma_max);
                Direction::Again
            }
            (false, Direction::Drawn) => Direction::Opposite,
            (false, Direction::Opposite | Direction::Again) => {
                self.sigma = (self.sigma * shrink).max(sigma_min);
                Direction::Drawn
            }
        };
        self.start_trial(next);
        TuneStep {
            step: self.trial,
            at_ns: now,
            samples: self.samples,
            candidate: judged,
            score,
            accepted,
            sigma: self.sigma,
            best: self.incumbent.clone(),
            next: Some(self.candidate.clone()),
        }
    }

    /// Chooses the next candidate. Where the box leaves nothing of a step in the given direction, another is drawn.
    fn start_trial(&mut self, direction: Direction) {
        self.trial += 1;
        self.places.clear();
        self.settled = 0;
        self.next_look = self.parameters.look;
        self.direction = direction;
        match direction {
            Direction::Drawn => self.z = mutation(self.seed, self.trial, self.incumbent.len()),
            Direction::Opposite => self.z.iter_mut().for_each(|z| *z = -*z),
            Direction::Again => {}
        }
        self.candidate = self.mutated();
        if self.candidate == self.incumbent && direction != Direction::Drawn {
            self.direction = Direction::Drawn;
            self.z = mutation(self.seed, self.trial, self.incumbent.len());
            self.candidate = self.mutated();
        }
    }

    fn mutated(&self) -> Vec<f64> {
        let step = |((&from, &(low, high)), &z): ((&f64, &(f64, f64)), &f64)| {
            libm::exp(libm::log(from) + self.sigma * z).clamp(low, high)
        };
        self.incumbent.iter().zip(&self.bounds).zip(&self.z).map(step).collect()
    }
}
