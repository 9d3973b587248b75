//! How surely each setting is worse than the best: paired by seed under common random numbers, corrected for their
//! number.
//!
//! The best was chosen by the same seeds, which flatters it a little; a page that shows a standing says so.

use crate::plan::Plan;
use crate::table::{CellNumbers, METRICS, SettingRow};
use gorgo_stats::{holm, paired_difference};

/// The family-wise error of calling a setting worse than the best.
pub const ALPHA: f64 = 0.05;

/// A row against the best one, over the seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Mean difference from the best, in the objective's unit, with its own 95 % interval (this row's alone, not
    /// corrected). None where there are fewer than two seeds or one of them has no number.
    pub difference: Option<[f64; 3]>,
    /// Whether the difference cannot be told from none: Holm's correction over all rows at [`ALPHA`]. The best itself
    /// is one of them. None where nothing can be said: there is one seed only, or the
    /// best has no number under one of them.
    pub same: Option<bool>,
}

/// The objective of a row under each seed.
#[must_use]
pub fn values(plan: &Plan, cells: &[CellNumbers], row: &SettingRow) -> Vec<Option<f64>> {
    let objective = METRICS.iter().position(|metric| *metric == plan.file.objective.0);
    let of = |cell: &CellNumbers| objective.and_then(|objective| cell.numbers[objective]);
    cells[plan.cells_of(row.settings[0], row.policy)].iter().map(of).collect()
}

/// The standing of each row of [`crate::settings`], which has the best first.
#[must_use]
pub fn standings(plan: &Plan, cells: &[CellNumbers], rows: &[SettingRow]) -> Vec<Standing> {
    let complete = |row: &SettingRow| values(plan, cells, row).into_iter().collect::<Option<_>>();
    let best: Option<Vec<f64>> = rows.first().and_then(complete);
    let compared: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            let (best, own): (_, Vec<f64>) = (best.as_ref()?, complete(row)?);
            if index == 0 || own.len() < 2 {
                return None;
            }
            // Seeds that all agree leave nothing to test.
            let equal = best == &own;
            let estimate = paired_difference(best, &own)?;
            let p = 2.0 * estimate.p_above(0.0).min(estimate.p_below(0.0));
            let [low, high] = estimate.interval(0.95);
            Some((
                if equal || p.is_nan() { 1.0 } else { p.min(1.0) },
                [estimate.value(), low, high],
            ))
        })
        .collect();
    let family: Vec<f64> = compared.iter().flatten().map(|(p, _)| *p).collect();
    let mut corrected = holm(&family).into_iter();
    let can_tell = plan.file.seeds.count > 1 && best.is_some();
    compared
        .into_iter()
        .enumerate()
        .map(|(index, compared)| {
            let same = match &compared {
                Some(_) => corrected.next().is_none_or(|p| p > ALPHA),
                // A row without a number under some seed is worse than a best that has one under each.
                None => index == 0,
            };
            let difference = compared.map(|(_, difference)| difference);
            Standing { difference, same: can_tell.then_some(same) }
        })
        .collect()
}
