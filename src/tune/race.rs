//! Successive halving over seeds: all candidates meet the first quarter of the seeds, the better half of them the next
//! quarter, and so on, and the last few all of them.
//!
//! Every candidate meets the same seeds in the same order, so the ones that are compared have met the same arrivals. A
//! candidate that is the best under every seed is never dropped. With noise one may be, by bad luck on the first seeds;
//! that costs the search something, never the result's honesty, which rests on seeds of its own.

use crate::goal::{Goal, Score};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A setting to be run under a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial<'a> {
    /// Assignments `path=value`; none: as it stands.
    pub setting: &'a [String],
    /// The seed.
    pub seed: u64,
}

/// What settings are tried in.
pub trait World {
    /// What can go wrong.
    type Error;

    /// The setting of a point of the unit cube. Equal settings are one candidate.
    fn setting(&self, point: &[f64]) -> Vec<String>;

    /// Runs trials; a row of the goal's metrics for each, in their order. Trials may be run on any threads.
    ///
    /// # Errors
    /// Whatever stops a run.
    fn run(&mut self, trials: &[Trial<'_>]) -> Result<Vec<Vec<Option<f64>>>, Self::Error>;

    /// How many candidates have been proposed by now.
    fn progress(&mut self, proposed: u64) {
        let _ = proposed;
    }
}

/// How much was run, and how much was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Candidates that were proposed, equal ones each time.
    pub proposed: u64,
    /// Trials that were run.
    pub run: u64,
    /// Trials that were not, because their candidate was dropped before.
    pub saved_by_racing: u64,
    /// Trials that were not, because an equal setting had been proposed before.
    pub saved_as_equal: u64,
}

/// The candidates and what they have met.
#[derive(Debug)]
pub struct Field<'a> {
    /// What is wanted.
    pub goal: &'a Goal,
    /// The seeds, in the order in which they are met.
    pub seeds: &'a [u64],
    /// Each different setting, in the order of its first proposal.
    pub settings: Vec<Vec<String>>,
    /// For each setting, the numbers under the first seeds that it has met.
    pub rows: Vec<Vec<Vec<Option<f64>>>>,
    proposed: u64,
    run: u64,
    places: BTreeMap<Vec<String>, usize>,
}

impl<'a> Field<'a> {
    /// No candidate yet.
    #[must_use]
    pub fn new(goal: &'a Goal, seeds: &'a [u64]) -> Self {
        let (settings, rows, places) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { goal, seeds, settings, rows, proposed: 0, run: 0, places }
    }

    /// What was run, against all proposals under all seeds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (seeds, different) = (self.seeds.len() as u64, self.settings.len() as u64);
        Counts {
            proposed: self.proposed,
            run: self.run,
            saved_by_racing: different * seeds - self.run,
            saved_as_equal: (self.proposed - different) * seeds,
        }
    }

    /// The place of a setting, a new one if it has none.
    pub fn enter(&mut self, setting: Vec<String>) -> usize {
        self.proposed += 1;
        if let Some(&place) = self.places.get(&setting) {
            return place;
        }
        let place = self.settings.len();
        self.places.insert(setting.clone(), place);
        self.settings.push(setting);
        self.rows.push(Vec::new());
        place
    }

    /// Whether a candidate has met every seed.
    #[must_use]
    pub fn is_full(&self, place: usize) -> bool {
        self.rows[place].len() == self.seeds.len()
    }

    /// The score of a candidate on the first `seeds` of those it has met.
    #[must_use]
    pub fn score(&self, place: usize, seeds: usize) -> Score {
        let rows = &self.rows[place];
        self.goal.score(&rows[..seeds.min(rows.len())])
    }

    /// Lets these candidates meet the seeds up to `count`; those they have met are not run again.
    ///
    /// # Errors
    /// The world's.
    pub fn meet<W: World>(
        &mut self,
        world: &mut W,
        places: &[usize],
        count: usize,
    ) -> Result<(), W::Error> {
        // By seed first: whoever runs them needs the requests of few seeds at a time.
        let places: BTreeSet<usize> = places.iter().copied().collect();
        let is_new = |&(seed, place): &(usize, usize)| self.rows[place].len() <= seed;
        let asked: Vec<(usize, usize)> = (0..count)
            .flat_map(|seed| places.iter().map(move |&place| (seed, place)))
            .filter(is_new)
            .collect();
        let trials: Vec<Trial<'_>> = asked
            .iter()
            .map(|&(seed, place)| Trial { setting: &self.settings[place], seed: self.seeds[seed] })
            .collect();
        let rows = world.run(&trials)?;
        self.run += rows.len() as u64;
        for (row, (_, place)) in rows.into_iter().zip(asked) {
            self.rows[place].push(row);
        }
        Ok(())
    }
}

/// How many seeds have been met after each round of a race: a quarter, a half, all.
#[must_use]
pub fn rungs(seeds: usize) -> Vec<usize> {
    let mut rungs = vec![seeds.div_ceil(4), seeds.div_ceil(2), seeds];
    rungs.dedup();
    rungs
}

/// Races candidates (places in the field, equal ones may be there twice) and tells their order, the best first, as indices
/// into `entered`. Those that were dropped come behind those that were not, the last dropped first.
///
/// # Errors
/// The world's.
pub fn race<W: World>(
    field: &mut Field<'_>,
    world: &mut W,
    entered: &[usize],
    cost: &dyn Fn(&Score) -> f64,
) -> Result<Vec<usize>, W::Error> {
    let mut alive: Vec<usize> = (0..entered.len()).collect();
    let mut behind: Vec<usize> = Vec::new();
    let rungs = rungs(field.seeds.len());
    for (round, &seeds) in rungs.iter().enumerate() {
        let places: Vec<usize> = alive.iter().map(|&index| entered[index]).collect();
        field.meet(world, &places, seeds)?;
        alive.sort_by(|&a, &b| order(field, [entered[a], entered[b]], seeds, cost).then(a.cmp(&b)));
        if round + 1 < rungs.len() {
            let mut dropped = alive.split_off(alive.len().div_ceil(2));
            dropped.append(&mut behind);
            behind = dropped;
        }
    }
    alive.append(&mut behind);
    Ok(alive)
}

fn order(
    field: &Field<'_>,
    [a, b]: [usize; 2],
    seeds: usize,
    cost: &dyn Fn(&Score) -> f64,
) -> Ordering {
    field.score(a, seeds).order_by(&field.score(b, seeds), cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_end_with_all_seeds_and_never_repeat() {
        assert_eq!(rungs(1), [1]);
        assert_eq!(rungs(2), [1, 2]);
        assert_eq!(rungs(3), [1, 2, 3]);
        assert_eq!(rungs(8), [2, 4, 8]);
        assert_eq!(rungs(10), [3, 5, 10]);
    }
}
