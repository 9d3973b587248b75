//! A comparison of two runs as a table and as JSON.

use crate::grid::{Grid, Style};
use crate::json::pretty;
use crate::table::milliseconds;
use gorgo_metrics::{Comparison, Distribution, PairedDifference, SCHEMA};
use serde::Serialize;
use std::fmt::Write;

/// Takes a number out of a distribution.
type Pick = fn(Distribution) -> Option<f64>;

/// The comparison for people: the two runs side by side, then request by request.
#[must_use]
pub fn comparison_table(comparison: &Comparison, style: Style) -> String {
    let (a, b) = (&comparison.a, &comparison.b);
    let mut grid = Grid::new(style);
    grid.header([["metric", ""], [&a.label, "ms"], [&b.label, "ms"], ["change", "%"]]);
    for (metric, a, b) in [("TTFT", a.ttft_ms, b.ttft_ms), ("E2E", a.e2e_ms, b.e2e_ms)] {
        let picks: [(&str, Pick); 4] =
            [("P50", |d| d.p50), ("P90", |d| d.p90), ("P99", |d| d.p99), ("mean", |d| d.mean)];
        for (name, pick) in picks {
            let (a, b) = (pick(a), pick(b));
            let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), milliseconds);
            let lower = |value: Option<f64>, other: Option<f64>| {
                value.is_some_and(|value| value < other.unwrap_or(f64::INFINITY))
            };
            grid.row([
                (format!("{metric} {name}"), false),
                (text(a), lower(a, b)),
                (text(b), lower(b, a)),
                (change(a, b), false),
            ]);
        }
    }
    let mut text = grid.finish();
    let _ = writeln!(
        text,
        "completed/measured: {} {}/{}, {} {}/{}; a `-` falls on a request that did not complete\n",
        a.label, a.completed, a.measured, b.label, b.completed, b.measured
    );
    let _ = writeln!(
        text,
        "paired by request: {} in both, {} only in {}, {} only in {}",
        comparison.paired, comparison.only_a, a.label, comparison.only_b, b.label
    );
    push_difference(&mut text, "TTFT", comparison, &comparison.ttft_difference);
    push_difference(&mut text, "E2E", comparison, &comparison.e2e_difference);
    text
}

fn change(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => format!("{:+.1}", (b / a - 1.0) * 100.0),
        _ => "-".to_owned(),
    }
}

fn push_difference(
    text: &mut String,
    metric: &str,
    runs: &Comparison,
    difference: &PairedDifference,
) {
    let (a, b) = (&runs.a.label, &runs.b.label);
    let (Some(mean), Some(median), Some(p5), Some(p95)) =
        (difference.mean_ms, difference.median_ms, difference.p5_ms, difference.p95_ms)
    else {
        let _ = writeln!(text, "{metric}: no request completed in both runs");
        return;
    };
    let interval = difference.mean_ci95_ms.map_or_else(
        || "no interval: fewer than 200 pairs".to_owned(),
        |[low, high]| {
            format!(
                "95 % interval {} to {}, batch means, this seed alone",
                signed(low),
                signed(high)
            )
        },
    );
    let share = |share: Option<f64>| share.unwrap_or(0.0) * 100.0;
    let _ = writeln!(
        text,
        "{metric} of {b} minus {a}, over {} pairs that completed:\n  \
         mean {} ms ({interval}); median {} ms; P5 {} ms, P95 {} ms\n  \
         {b} is faster in {:.1} % of the pairs, slower in {:.1} %",
        difference.completed_in_both,
        signed(mean),
        signed(median),
        signed(p5),
        signed(p95),
        share(difference.better),
        share(difference.worse),
    );
}

fn signed(ms: f64) -> String {
    let text = milliseconds(ms);
    if ms > 0.0 { format!("+{text}") } else { text }
}

/// The comparison as JSON, with the version of its shape.
#[must_use]
pub fn comparison_json(comparison: &Comparison) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        comparison: &'a Comparison,
    }
    pretty(&Document { schema: SCHEMA, comparison })
}
