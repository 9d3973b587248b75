//! Capacity: the largest (or smallest) value of one axis under which all bounds are kept, by bisection, with an answer about
//! each value that is as sure as the seeds make it.
//!
//! A value is tried under seeds in batches. It *meets* the bounds when of every bound the whole interval of the median over
//! seeds lies on the good side, and *fails* when one lies wholly on the bad side; until then more seeds are asked for. When
//! they are used up it is *doubtful*. The intervals hold at 95 % together over all looks at a value (each look takes its
//! share of the 5 %), by order statistics, because runs near their capacity are skewed. A doubtful value counts as not
//! met: the answer errs to the safe side, and the doubtful values stand beside it.
//!
//! It is assumed that a harder value is never met where an easier one is not.

use crate::error::TuneError;
use crate::goal::{Bound, Goal};
use crate::race::{Trial, World};
use gorgo_stats::{FEWEST_OF_MEDIAN, level};

/// How sure the answers about one value are, together.
const CONFIDENCE: f64 = 0.95;
/// Seeds at a look. Eight can say of a median what holds in 99.2 % of cases: enough for up to six looks' shares of the 5 %.
const BATCH: usize = 8;

/// With fewer seeds no value could ever meet a bound: no median has a 95 % interval then.
pub const FEWEST_SEEDS: usize = FEWEST_OF_MEDIAN;

/// What is searched.
#[derive(Clone, Debug)]
pub struct CapacityRange<'a> {
    /// The bounds; there are no objectives.
    pub goal: &'a Goal,
    /// The seeds, [`FEWEST_SEEDS`] or more.
    pub seeds: &'a [u64],
    /// The settings, the easiest first.
    pub settings: Vec<Vec<String>>,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All bounds are kept.
    Meets,
    /// One is broken.
    Fails,
    /// The seeds do not say.
    Doubtful,
}

/// A value that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// Which of the settings.
    pub setting: usize,
    /// How many seeds it took.
    pub seeds: usize,
    /// For each bound the median over those seeds, and its interval at the last look.
    pub medians: Vec<(f64, Option<[f64; 2]>)>,
    /// What they say.
    pub verdict: Verdict,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// The hardest setting that meets all bounds; none: not even the easiest does.
    pub met: Option<usize>,
    /// The easiest setting beyond that one of which it is known that it does not; none: it was not found in the range.
    pub not_met: Option<usize>,
    /// All that were tried, in that order.
    pub tested: Vec<Tested>,
}

/// Searches.
///
/// # Errors
/// When there is no bound, no setting, or fewer than [`FEWEST_SEEDS`]; or the world's.
pub fn capacity<W: World>(range: &CapacityRange<'_>, world: &mut W) -> Result<Capacity, W::Error>
where
    W::Error: From<TuneError>,
{
    if range.goal.bounds.is_empty() || !range.goal.objectives.is_empty() {
        let wanted = "one or more bounds to keep, and no objective";
        return Err(TuneError::new("a capacity", "another goal", wanted).into());
    }
    if range.seeds.len() < FEWEST_SEEDS {
        let got = format!("{} seeds", range.seeds.len());
        return Err(TuneError::new("a capacity", got, format!("{FEWEST_SEEDS} or more")).into());
    }
    let mut tested: Vec<Tested> = Vec::new();
    let mut try_one = |setting: usize, world: &mut W| -> Result<bool, W::Error> {
        let result = try_setting(range, setting, world)?;
        let is_met = result.verdict == Verdict::Meets;
        tested.push(result);
        world.progress(tested.len() as u64);
        Ok(is_met)
    };
    let Some(last) = range.settings.len().checked_sub(1) else {
        return Err(TuneError::new("a capacity", "no value", "one or more").into());
    };
    let mut met = None;
    if try_one(0, world)? {
        met = Some(0);
        if last > 0 && try_one(last, world)? {
            met = Some(last);
        }
        let mut high = last;
        while let Some(low) = met.filter(|low| low + 1 < high) {
            let middle = usize::midpoint(low, high);
            if try_one(middle, world)? { met = Some(middle) } else { high = middle }
        }
    }
    let is_beyond = |test: &&Tested| met.is_none_or(|met| test.setting > met);
    let fails = tested.iter().filter(|test| test.verdict == Verdict::Fails).filter(is_beyond);
    let not_met = fails.map(|test| test.setting).min();
    Ok(Capacity { met, not_met, tested })
}

fn try_setting<W: World>(
    range: &CapacityRange<'_>,
    setting: usize,
    world: &mut W,
) -> Result<Tested, W::Error> {
    let looks = range.seeds.chunks(BATCH).count() as f64;
    let confidence = 1.0 - (1.0 - CONFIDENCE) / looks;
    let bounds = &range.goal.bounds;
    let mut rows: Vec<Vec<Option<f64>>> = Vec::new();
    let mut tested = Tested { setting, seeds: 0, medians: Vec::new(), verdict: Verdict::Doubtful };
    for seeds in range.seeds.chunks(BATCH) {
        let trial = |&seed: &u64| Trial { setting: &range.settings[setting], seed };
        rows.extend(world.run(&seeds.iter().map(trial).collect::<Vec<_>>())?);
        tested.seeds = rows.len();
        let known: Vec<_> = bounds
            .iter()
            .enumerate()
            .map(|(column, bound)| known_of(bound, column, &rows, confidence))
            .collect();
        tested.medians = known.iter().map(|(median, interval, _)| (*median, *interval)).collect();
        let is_said = |verdict: Verdict| move |known: &(f64, _, Verdict)| known.2 == verdict;
        tested.verdict = if known.iter().all(is_said(Verdict::Meets)) {
            Verdict::Meets
        } else if known.iter().any(is_said(Verdict::Fails)) {
            Verdict::Fails
        } else {
            Verdict::Doubtful
        };
        if tested.verdict != Verdict::Doubtful {
            break;
        }
    }
    Ok(tested)
}

/// What the seeds so far say of one bound.
fn known_of(
    bound: &Bound,
    column: usize,
    rows: &[Vec<Option<f64>>],
    confidence: f64,
) -> (f64, Option<[f64; 2]>, Verdict) {
    let worst = if bound.at_most { f64::INFINITY } else { f64::NEG_INFINITY };
    let values: Vec<f64> =
        rows.iter().map(|row| row.get(column).copied().flatten().unwrap_or(worst)).collect();
    // A run without the number stands at the bad end: the median says so when half of them do.
    let Some(estimate) = level(&values) else { return (worst, None, Verdict::Doubtful) };
    let interval = estimate.interval(confidence);
    let is_kept = |value: f64| bound.breach(value) <= 0.0;
    let verdict = match interval.map(is_kept) {
        [true, true] => Verdict::Meets,
        [false, false] => Verdict::Fails,
        _ => Verdict::Doubtful,
    };
    (estimate.value(), Some(interval), verdict)
}
