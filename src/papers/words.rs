//! An outcome in words: numbers as text, and the tables that a terminal shows.

use crate::outcome::{Arrivals, GroupVerdict, OrderVerdict, Outcome, Row, StudyOutcome};
use gorgo_report::{Grid, Style};
use std::fmt::Write as _;

/// A number in three or four digits: `0.115`, `17.6`, `673`, `18000`. A dash where there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// An error with its sign: `+4.2 %`.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.1} %"))
}

/// `low to high`.
pub(crate) fn range([low, high]: [Option<f64>; 2]) -> String {
    format!("{} to {}", number(low), number(high))
}

pub(crate) fn paper(row: &Row) -> String {
    row.paper.map_or_else(
        || "-".to_owned(),
        |(relation, value)| format!("{}{}", relation.sign(), number(Some(value))),
    )
}

pub(crate) fn agrees(row: &Row) -> &'static str {
    match row.agrees() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    }
}

pub(crate) const fn arrivals(arrivals: Arrivals) -> &'static str {
    match arrivals {
        Arrivals::Recorded => "recorded arrivals",
        Arrivals::Generated => "generated arrivals",
    }
}

/// One line about an order.
pub(crate) fn order(verdict: &OrderVerdict) -> String {
    let OrderVerdict { window, metric, order, right, first_right, seeds } = verdict;
    let first = order.first().map_or("", String::as_str);
    format!(
        "{window}, {metric}: the paper's order ({}) in {right} of {seeds} seeds; {first} first in {first_right}",
        order.join(" < "),
    )
}

/// One line about the errors of a group of rows.
pub(crate) fn group(verdict: &GroupVerdict) -> String {
    let pct = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} %"));
    format!(
        "{}: mean absolute error {}, median {}, {} of {} inside the 10-90 % band of seeds",
        verdict.title,
        pct(verdict.mean_abs_error_pct),
        pct(verdict.median_abs_error_pct),
        verdict.inside_band,
        verdict.rows,
    )
}

/// The outcome for a terminal.
#[must_use]
pub fn to_text(outcome: &Outcome, style: Style) -> String {
    let mut text = String::new();
    for window in &outcome.windows {
        let [least, most] = window.measured;
        let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let _ = writeln!(
            text,
            "{} ({}): {}, {count} measured requests a run, {} seeds",
            window.window.title,
            window.window.name,
            arrivals(window.arrivals),
            outcome.seeds,
        );
        let mut grid = Grid::new(style);
        let rows: Vec<&Row> = window.rows.iter().chain(&window.further).collect();
        grid.header([
            ["policy", ""],
            ["metric", ""],
            ["paper", ""],
            ["ours", "median"],
            ["ours", "95 % of it"],
            ["seeds", "10-90 %"],
            ["error", ""],
            ["agrees", ""],
        ]);
        for row in rows {
            let cells = [
                row.policy.clone(),
                row.metric.name.to_owned(),
                paper(row),
                number(row.ours.median),
                range(row.ours.ci95),
                range(row.ours.band),
                percent(row.error_pct()),
                agrees(row).to_owned(),
            ];
            grid.row(cells.map(|cell| (cell, false)));
        }
        text += &grid.finish();
        for verdict in &window.orders {
            let _ = writeln!(text, "{}", order(verdict));
        }
        for (warning, runs) in &window.warnings {
            let _ = writeln!(text, "note, {runs} runs, one of them: {warning}");
        }
        text.push('\n');
    }
    for verdict in &outcome.groups {
        let _ = writeln!(text, "{}", group(verdict));
    }
    for study in &outcome.studies {
        let _ = write!(text, "\n{}", study_text(study, style));
    }
    text
}

fn study_text(outcome: &StudyOutcome, style: Style) -> String {
    let study = &outcome.study;
    let mut text = format!("{} ({}), {} seeds\n", study.title, study.id, outcome.seeds);
    let mut grid = Grid::new(style);
    let heads = study.metrics.iter().map(|metric| [*metric, "median"]);
    grid.header([[study.varied, ""], ["policy", ""]].into_iter().chain(heads));
    for (arm, named) in study.arms.iter().enumerate() {
        for policy in &outcome.policies {
            let cells: Vec<String> = study
                .metrics
                .iter()
                .filter_map(|metric| cell(outcome, arm, policy, metric))
                .collect();
            if !cells.is_empty() {
                let head = [named.label.clone(), policy.clone()];
                grid.row(head.into_iter().chain(cells).map(|cell| (cell, false)));
            }
        }
    }
    text += &grid.finish();
    text
}

/// The median of a study's figure; none where that policy did not run in that arm.
pub(crate) fn cell(
    outcome: &StudyOutcome,
    arm: usize,
    policy: &str,
    metric: &str,
) -> Option<String> {
    let is_it = |row: &&crate::StudyRow| {
        row.arm == arm && row.policy == policy && row.metric.name == metric
    };
    outcome.rows.iter().find(is_it).map(|row| number(row.ours.median))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_or_four_digits() {
        let all = [0.0, 0.1154, 1.234, 17.63, 673.4, 18_000.0].map(|value| number(Some(value)));
        assert_eq!(all, ["0", "0.115", "1.23", "17.6", "673", "18000"]);
        assert_eq!(number(None), "-");
    }
}
