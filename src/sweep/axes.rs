//! The axes of a sweep as pictures show them: their values in order, and in steps where they are many.

use crate::plan::Plan;
use crate::table::SettingRow;
use std::collections::BTreeMap;

/// Most values that a picture shows one by one.
const MOST_STEPS: usize = 12;
/// Steps that more values are put in, as many values in each.
const STEPS: usize = 8;

/// The values of an axis, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Values {
    /// What the steps are called.
    pub labels: Vec<String>,
    /// The step of each value.
    step: BTreeMap<String, usize>,
    /// The place of each value from 0 to 1, equally far apart.
    place: BTreeMap<String, f64>,
    /// Every value, in order.
    pub ordered: Vec<String>,
}

impl Values {
    /// Of an axis, over all settings.
    pub fn of(plan: &Plan, axis: usize) -> Self {
        let mut ordered: Vec<String> = Vec::new();
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        for setting in &plan.settings {
            if seen.insert(&setting[axis], ()).is_none() {
                ordered.push(setting[axis].clone());
            }
        }
        // Numbers of one unit by size, all else as the file has it.
        let numbers: Option<Vec<(f64, &str)>> = ordered.iter().map(|value| number(value)).collect();
        let one_unit = numbers.as_ref().is_some_and(|all| all.iter().all(|n| n.1 == all[0].1));
        if one_unit {
            let size = |value: &String| number(value).map_or(0.0, |number| number.0);
            ordered.sort_by(|a, b| size(a).total_cmp(&size(b)));
        }
        let count = ordered.len();
        let steps = if count <= MOST_STEPS { count } else { STEPS };
        let mut ends: Vec<(usize, usize)> = vec![(usize::MAX, 0); steps];
        let (mut step, mut place) = (BTreeMap::new(), BTreeMap::new());
        for (index, value) in ordered.iter().enumerate() {
            let own = index * steps / count;
            ends[own] = (ends[own].0.min(index), ends[own].1.max(index));
            step.insert(value.clone(), own);
            let last = count.saturating_sub(1).max(1);
            place.insert(value.clone(), if count == 1 { 0.5 } else { index as f64 / last as f64 });
        }
        let labels = ends
            .into_iter()
            .map(|(first, last)| match (ordered.get(first), ordered.get(last)) {
                (Some(first), Some(last)) if first != last => {
                    format!("{} to {}", label(first), label(last))
                }
                (Some(only), _) => label(only),
                _ => String::new(),
            })
            .collect();
        Self { labels, step, place, ordered }
    }

    /// The step of a value.
    pub fn step(&self, value: &str) -> Option<usize> {
        self.step.get(value).copied()
    }

    /// The place of a value, from 0 to 1.
    pub fn place(&self, value: &str) -> Option<f64> {
        self.place.get(value).copied()
    }
}

/// A TOML value without quotes.
pub(crate) fn bare(value: &str) -> &str {
    value.trim_matches('"')
}

/// A value as pictures write it: four digits of a number are enough there.
pub(crate) fn label(value: &str) -> String {
    let whole = bare(value);
    match number(value) {
        Some((number, unit)) if whole.len() - unit.len() > 6 && number != 0.0 => {
            format!("{}{unit}", format!("{number:.3e}").parse().unwrap_or(number))
        }
        _ => whole.to_owned(),
    }
}

/// A number and its unit.
fn number(value: &str) -> Option<(f64, &str)> {
    let value = bare(value);
    let end = value
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E')))
        .unwrap_or(value.len());
    let number: f64 = value[..end].parse().ok()?;
    number.is_finite().then(|| (number, &value[end..]))
}

/// How much the objective's median over rows differs from step to step of an axis; none where the axis makes no
/// difference to any of them.
pub(crate) fn effect(
    plan: &Plan,
    axis: usize,
    values: &Values,
    rows: &[(&SettingRow, f64)],
) -> Option<f64> {
    let medians: Vec<f64> = by_step(plan, axis, values, rows)
        .iter()
        .filter_map(|step| gorgo_stats::middle(step))
        .collect();
    let varies = rows.iter().any(|(row, _)| row.value(plan, axis).is_some());
    let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
    let most = medians.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (varies && medians.len() > 1).then_some(most - least)
}

/// The rows' numbers under each step of an axis, sorted. A row that the axis makes no difference to is under all.
pub(crate) fn by_step(
    plan: &Plan,
    axis: usize,
    values: &Values,
    rows: &[(&SettingRow, f64)],
) -> Vec<Vec<f64>> {
    let mut steps: Vec<Vec<f64>> = vec![Vec::new(); values.labels.len()];
    for (row, number) in rows {
        match row.value(plan, axis).map(|value| values.step(value)) {
            Some(Some(step)) => steps[step].push(*number),
            Some(None) => {}
            None => steps.iter_mut().for_each(|step| step.push(*number)),
        }
    }
    steps.iter_mut().for_each(|step| step.sort_unstable_by(f64::total_cmp));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_keep_units() {
        assert_eq!(label("25.11886432"), "25.12");
        assert_eq!(label("\"0.3981071706ms\""), "0.3981ms");
        assert_eq!(label("\"25 req/s\""), "25 req/s");
        assert_eq!(label("1234567"), "1235000");
        assert_eq!(label("\"least-load\""), "least-load");
    }
}
