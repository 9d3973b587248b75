//! An outcome as JSON: `{"rows":[{"window","policy","metric","paper","ours","ours_ci95","error_pct",...}, ...], ...}`.
//!
//! `rows` are the published figures; `paper` is a number in the metric's unit, and `relation` says whether it is that
//! number or a bound. What does not exist is null.

use crate::outcome::{Outcome, Row, StudyOutcome, WindowOutcome};
use serde_json::{Value, json};

/// The version of this shape.
const SCHEMA: u32 = 1;

/// The document, indented, with a newline at the end.
///
/// # Panics
/// Never: numbers and strings are JSON.
#[must_use]
pub fn to_json(outcome: &Outcome) -> String {
    let rows = |of: fn(&WindowOutcome) -> &Vec<Row>| -> Vec<Value> {
        outcome.windows.iter().flat_map(|window| of(window).iter().map(row)).collect()
    };
    let orders: Vec<_> = outcome.windows.iter().flat_map(|window| &window.orders).collect();
    let document = json!({
        "schema": SCHEMA,
        "paper": outcome.name,
        "seeds": outcome.seeds,
        "arrivals": outcome.arrivals(),
        "windows": outcome.windows.iter().map(window).collect::<Vec<_>>(),
        "rows": rows(|window| &window.rows),
        "unpublished": rows(|window| &window.further),
        "orders": orders,
        "groups": outcome.groups,
        "studies": outcome.studies.iter().map(study).collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_string_pretty(&document).expect("numbers and strings are JSON");
    text.push('\n');
    text
}

fn window(window: &WindowOutcome) -> Value {
    json!({
        "window": window.window.name,
        "arrivals": window.arrivals,
        "measured_requests": window.measured,
        "warnings": window.warnings.iter().map(|(text, runs)| json!({"warning": text, "runs": runs}))
            .collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "window": row.window,
        "policy": row.policy,
        "metric": row.metric.name,
        "unit": row.metric.unit,
        "relation": row.paper.map(|(relation, _)| relation),
        "paper": row.paper.map(|(_, value)| value),
        "ours": row.ours.median,
        "ours_ci95": row.ours.ci95,
        "ours_p10_p90": row.ours.band,
        "error_pct": row.error_pct(),
        "agrees": row.agrees(),
    })
}

fn study(outcome: &StudyOutcome) -> Value {
    let study = &outcome.study;
    let rows: Vec<Value> = outcome
        .rows
        .iter()
        .map(|row| {
            json!({
                "arm": study.arms[row.arm].label,
                "policy": row.policy,
                "metric": row.metric.name,
                "unit": row.metric.unit,
                "ours": row.ours.median,
                "ours_ci95": row.ours.ci95,
                "ours_p10_p90": row.ours.band,
            })
        })
        .collect();
    json!({
        "study": study.id,
        "varied": study.varied,
        "seeds": outcome.seeds,
        "rows": rows,
    })
}
