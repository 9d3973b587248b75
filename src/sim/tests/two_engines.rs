//! A fleet of both engines: laws hold, the engine is the one that was asked for, and it is the same run every time.

use gorgo_metrics::RunResult;
use gorgo_scenario::Parsed;
use gorgo_sim::{RunOptions, run_policy};
use std::path::Path;

fn run(sets: &[&str]) -> RunResult {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/05_two_engines.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let parsed = Parsed::new("05_two_engines.toml", &text, &sets).unwrap();
    let scenario = parsed.resolve(file.parent().unwrap()).unwrap();
    run_policy(&scenario, 0, RunOptions::default()).unwrap()
}
