//! Summaries as JSON: one for `summary.json`, all of a command for stdout.

use gorgo_metrics::{RunResult, SCHEMA, Summary};
use serde::Serialize;

/// What stdout gets from `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    runs: Vec<&'a Summary>,
}

/// The text of `summary.json`.
#[must_use]
pub fn summary_json(summary: &Summary) -> String {
    pretty(summary)
}

/// `{"schema":1,"runs":[summary, ...]}`.
#[must_use]
pub fn json_document(runs: &[RunResult]) -> String {
    pretty(&Document { schema: SCHEMA, runs: runs.iter().map(|run| &run.summary).collect() })
}

/// Indented JSON with a newline at the end.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value)
        .expect("numbers, strings and structs with string keys are always JSON");
    text.push('\n');
    text
}
