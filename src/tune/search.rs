//! The search: who proposes, who is raced, who is the best.
//!
//! The first candidate is the setting as it stands. Then a proposer asks for points; their settings race over the seeds,
//! and their order goes back to it. With two objectives the proposals are shared among five searches, each for another
//! weighting of the two (the larger of the weighted distances from the best known value of each, Chebyshev's way, which
//! also finds the hollow parts of a front); the front is taken over everything that met all seeds.

use crate::cma::Cma;
use crate::error::TuneError;
use crate::evolution::OnePlusOne;
use crate::goal::{Goal, Score};
use crate::pareto::front;
use crate::race::{Counts, Field, World, race};

/// Deviation, in edges of the cube, below which CMA-ES starts again: a world may tell settings apart down to this.
const SMALLEST: f64 = 1e-3;
/// What a broken bound costs the evolution strategy, which knows one number only: more than any objective does.
const BREACH: f64 = 1e12;
/// The shares of the first objective in the five searches for a front; the ends come first, so that the others know them.
const SHARES: [f64; 5] = [1.0, 0.0, 0.5, 0.75, 0.25];
/// What the sum of the distances adds to the larger one, so that of two settings with the same worst the better one wins.
const SUM: f64 = 0.01;

/// Who proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// CMA-ES, generation by generation.
    CmaEs,
    /// GORGO v2's (1+1) evolution strategy, one candidate after the other.
    OnePlusOne,
}

/// A search to be made.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// What is wanted: one or two objectives.
    pub goal: &'a Goal,
    /// The seeds that every candidate may meet, one or more.
    pub seeds: &'a [u64],
    /// For each axis its width in natural logarithms where it is logarithmic, else 2.
    pub spans: &'a [f64],
    /// Who proposes.
    pub method: Method,
    /// How many candidates are proposed, besides the setting as it stands.
    pub candidates: u64,
    /// Of the proposals.
    pub seed: u64,
}

/// A setting that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its assignments; none: as it stands.
    pub setting: Vec<String>,
    /// The step of the search (a generation of CMA-ES) that first proposed it; 0: as it stands.
    pub step: u64,
    /// How many seeds it has met.
    pub seeds: usize,
    /// Its score over those.
    pub score: Score,
    /// The best of those that had met all seeds by the end of its step, as a place in the list.
    pub best: usize,
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The candidates, in the order of their first proposal; the first one is the setting as it stands.
    pub candidates: Vec<Candidate>,
    /// The best of those that met all seeds; by the first objective, where there are two.
    pub best: usize,
    /// With two objectives: those that met all seeds and are not dominated.
    pub front: Vec<usize>,
    /// What was run.
    pub counts: Counts,
    /// How many steps were made.
    pub steps: u64,
    /// Whether the evolution strategy ended by itself, before the candidates were used up.
    pub ended: bool,
}

/// A search under way.
struct Run<'a, W> {
    plan: &'a Plan<'a>,
    world: &'a mut W,
    field: Field<'a>,
    /// The step that first proposed each candidate.
    steps: Vec<u64>,
    /// The best after each step.
    bests: Vec<usize>,
    ended: bool,
}

/// Searches.
///
/// # Errors
/// When the plan makes no sense, or the world's.
pub fn search<W: World>(plan: &Plan<'_>, world: &mut W) -> Result<Search, W::Error>
where
    W::Error: From<TuneError>,
{
    check(plan)?;
    let field = Field::new(plan.goal, plan.seeds);
    let mut run = Run { plan, world, field, steps: Vec::new(), bests: Vec::new(), ended: false };
    run.enter(Vec::new(), 0);
    run.field.meet(run.world, &[0], plan.seeds.len())?;
    run.bests.push(0);
    if plan.goal.objectives.len() == 1 {
        let cost = |score: &Score| score.costs[0];
        run.propose(plan.candidates, plan.seed, &cost)?;
    } else {
        for (part, share) in (0_u64..).zip(SHARES) {
            let cost = run.weighted(share);
            let parts = SHARES.len() as u64;
            let count = plan.candidates / parts + u64::from(part < plan.candidates % parts);
            run.propose(count, plan.seed.wrapping_add(part << 48), &cost)?;
        }
    }
    Ok(run.finish())
}

fn check(plan: &Plan<'_>) -> Result<(), TuneError> {
    if !(1..=2).contains(&plan.goal.objectives.len()) {
        let got = format!("{} objectives", plan.goal.objectives.len());
        return Err(TuneError::new("the goal", got, "one, or two for a front"));
    }
    if plan.seeds.is_empty() {
        return Err(TuneError::new("the seeds", "none", "one or more"));
    }
    if plan.spans.is_empty() || plan.spans.len() > 100 {
        let got = format!("{} axes", plan.spans.len());
        return Err(TuneError::new("the search", got, "1 to 100 axes"));
    }
    Ok(())
}

impl<W: World> Run<'_, W>
where
    W::Error: From<TuneError>,
{
    fn enter(&mut self, setting: Vec<String>, step: u64) -> usize {
        let place = self.field.enter(setting);
        if place == self.steps.len() {
            self.steps.push(step);
        }
        place
    }

    /// Proposes so many candidates for one cost.
    fn propose(
        &mut self,
        count: u64,
        seed: u64,
        cost: &dyn Fn(&Score) -> f64,
    ) -> Result<(), W::Error> {
        match self.plan.method {
            Method::CmaEs => self.generations(count, seed, cost),
            Method::OnePlusOne => self.one_by_one(count, seed, cost),
        }
    }

    fn generations(
        &mut self,
        count: u64,
        seed: u64,
        cost: &dyn Fn(&Score) -> f64,
    ) -> Result<(), W::Error> {
        let mut cma = Cma::new(self.plan.spans.len(), seed, SMALLEST);
        let mut left = count;
        while left > 0 {
            let mut points = cma.ask();
            points.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= points.len() as u64;
            let step = self.bests.len() as u64;
            let entered: Vec<usize> = points
                .iter()
                .map(|point| {
                    let setting = self.world.setting(point);
                    self.enter(setting, step)
                })
                .collect();
            let order = race(&mut self.field, self.world, &entered, cost)?;
            cma.tell(&order);
            self.end_step();
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        count: u64,
        seed: u64,
        cost: &dyn Fn(&Score) -> f64,
    ) -> Result<(), W::Error> {
        let number = |score: &Score| match score.breach {
            breach if breach > 0.0 => BREACH * (1.0 + breach),
            _ => cost(score),
        };
        let seeds = self.plan.seeds.len();
        let mut strategy = OnePlusOne::new(self.plan.spans, seed)?;
        let mut incumbent = None;
        for _ in 0..count {
            let point = match incumbent {
                None => Some(strategy.start()),
                Some(_) => strategy.ask(),
            };
            let Some(point) = point else {
                self.ended = true;
                break;
            };
            let setting = self.world.setting(&point);
            let place = self.enter(setting, self.bests.len() as u64);
            let rivals: Vec<usize> = incumbent.into_iter().chain([place]).collect();
            race(&mut self.field, self.world, &rivals, cost)?;
            // Whoever was dropped on the way is no better than the incumbent.
            let is_full = self.field.is_full(place);
            let told =
                if is_full { number(&self.field.score(place, seeds)) } else { f64::INFINITY };
            if strategy.tell(&point, told) {
                incumbent = Some(place);
            }
            self.end_step();
        }
        Ok(())
    }

    fn end_step(&mut self) {
        self.bests.push(self.best());
        let proposed = self.field.counts().proposed - 1;
        self.world.progress(proposed);
    }

    fn full(&self) -> Vec<usize> {
        (0..self.steps.len()).filter(|&place| self.field.is_full(place)).collect()
    }

    fn best(&self) -> usize {
        let score = |place: usize| self.field.score(place, self.plan.seeds.len());
        let less = |a: &usize, b: &usize| score(*a).order(&score(*b)).then(a.cmp(b));
        self.full().into_iter().min_by(less).unwrap_or(0)
    }

    /// The cost of one weighting of two objectives, by the best and the worst that the front has by now.
    fn weighted(&self, share: f64) -> impl Fn(&Score) -> f64 + use<W> {
        let scores: Vec<Score> = self
            .full()
            .iter()
            .map(|&place| self.field.score(place, self.plan.seeds.len()))
            .collect();
        let known: Vec<&Score> = front(&scores).into_iter().map(|place| &scores[place]).collect();
        let axis = |index: usize| {
            let values = || known.iter().map(|score| score.costs[index]);
            let least = values().fold(f64::INFINITY, f64::min);
            let most = values().fold(f64::NEG_INFINITY, f64::max);
            let least = if least.is_finite() { least } else { 0.0 };
            // One value has no width: its own size stands in for it.
            let width = if most > least { most - least } else { least.abs() };
            (least, if width > 0.0 { width } else { 1.0 })
        };
        let axes = [axis(0), axis(1)];
        let shares = [share, 1.0 - share];
        move |score: &Score| {
            let far = |index: usize| (score.costs[index] - axes[index].0) / axes[index].1;
            let weigh = |index: usize| {
                if shares[index] > 0.0 { shares[index] * far(index) } else { f64::NEG_INFINITY }
            };
            weigh(0).max(weigh(1)) + SUM * (far(0) + far(1))
        }
    }

    fn finish(self) -> Search {
        let Run { plan, field, steps, bests, ended, .. } = self;
        let candidates: Vec<Candidate> = steps
            .iter()
            .enumerate()
            .map(|(place, &step)| Candidate {
                setting: field.settings[place].clone(),
                step,
                seeds: field.rows[place].len(),
                score: field.score(place, plan.seeds.len()),
                best: bests[step as usize],
            })
            .collect();
        let full: Vec<usize> =
            (0..candidates.len()).filter(|&place| field.is_full(place)).collect();
        let scores: Vec<Score> =
            full.iter().map(|&place| candidates[place].score.clone()).collect();
        let is_traded = plan.goal.objectives.len() > 1;
        let front = if is_traded { front(&scores) } else { Vec::new() };
        Search {
            best: bests.last().copied().unwrap_or(0),
            front: front.into_iter().map(|index| full[index]).collect(),
            counts: field.counts(),
            steps: bests.len() as u64 - 1,
            candidates,
            ended,
        }
    }
}
