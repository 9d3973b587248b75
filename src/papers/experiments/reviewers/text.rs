//! What was found, in sentences whose figures are filled in from the runs, so that none can be out of date.
//!
//! A figure stands in braces, its parts divided by bars:
//! - `{= panel | point | policy | metric}`: the median over seeds;
//! - `{vs panel | point | policy | other | metric}`: the median change of the policy against the other under the same
//!   seeds, and in how many of them it is lower;
//! - `{step panel | point | other point | policy | metric}`: the same for one policy from the first point to the other.
//!
//! A figure that was not measured is an error, not a gap.

use super::measure::{Kind, Metric, metric_of};
use super::table::{Pairs, Spread, Table};
use crate::error::PapersError;

/// The question's findings with their figures.
///
/// # Errors
/// When a sentence asks for what was not measured.
pub fn findings(table: &Table<'_>) -> Result<String, PapersError> {
    let question = table.question();
    let wrong = |problem: String| PapersError::Experiment {
        experiment: format!("reviewers, {}", question.id),
        problem,
    };
    let mut text = String::new();
    let mut rest = question.found;
    while let Some((before, after)) = rest.split_once('{') {
        let (figure, after) =
            after.split_once('}').ok_or_else(|| wrong(format!("`{{{after}` has no end")))?;
        text.push_str(before);
        let shown = fill(table, figure)
            .ok_or_else(|| wrong(format!("`{{{figure}}}` is nothing that was measured")))?;
        text.push_str(&shown);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

fn fill(table: &Table<'_>, figure: &str) -> Option<String> {
    let (verb, parts) = figure.split_once(' ')?;
    let parts: Vec<&str> = parts.split('|').map(str::trim).collect();
    let place = |panel: &str, point: &str| match table.places_of(panel, point)?[..] {
        [place] => Some(place),
        _ => None,
    };
    match (verb, &parts[..]) {
        ("=", [panel, point, policy, key]) => {
            let spread = table.spread(place(panel, point)?, policy, key)?;
            Some(with_unit(metric_of(key)?, spread.median))
        }
        ("vs", [panel, point, policy, other, key]) => {
            let at = place(panel, point)?;
            let pairs = table.pairs((at, policy), (at, other), key)?;
            Some(change(pairs))
        }
        ("step", [panel, from, to, policy, key]) => {
            let (from, to) = (place(panel, from)?, place(panel, to)?);
            Some(change(table.pairs((to, policy), (from, policy), key)?))
        }
        _ => None,
    }
}

/// "-12 % (lower in 9 of 10 seeds)"; from three times on "×5".
fn change(pairs: Pairs) -> String {
    let Pairs { seeds, lower, higher, change } = pairs;
    let percent = 100.0 * change.median;
    let decimals = usize::from(percent.abs() < 9.95);
    let size = if percent > 200.0 {
        format!("×{:.0}", 1.0 + change.median)
    } else {
        format!("{percent:+.decimals$} %")
    };
    let (word, times) = if change.median > 0.0 { ("higher", higher) } else { ("lower", lower) };
    format!("{size} ({word} in {times} of {seeds} seeds)")
}

/// A number with its unit: `412 ms`, `12.5 s`, `57 %`.
#[must_use]
pub fn with_unit(metric: &Metric, value: f64) -> String {
    match metric.kind {
        Kind::Time if value >= 9_999.5 => format!("{:.1} s", value / 1e3),
        Kind::Time => format!("{} ms", bare(value)),
        Kind::Percent => format!("{} %", bare(value)),
        Kind::Plain => bare(value),
    }
}

/// Three digits or more, without needless decimals.
#[must_use]
pub fn bare(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A cell of a table: the median, with the 10th and 90th percentile of seeds where they differ.
#[must_use]
pub fn cell(metric: &Metric, spread: Option<Spread>) -> String {
    let Some(Spread { median, p10, p90 }) = spread else { return "never ended".to_owned() };
    let seconds = metric.kind == Kind::Time && median >= 9_999.5;
    let show = |value: f64| if seconds { bare(value / 1e3) } else { bare(value) };
    let unit = if seconds { " s" } else { "" };
    let (low, high) = (show(p10), show(p90));
    if low == high {
        format!("{}{unit}", show(median))
    } else {
        format!("{} ({low}\u{2013}{high}){unit}", show(median))
    }
}
