//! A fleet of both engines: laws hold, each is the engine that was asked for, and it is the same run every time.

use gorgo_metrics::RunResult;
use gorgo_scenario::Parsed;
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use std::path::Path;

fn run(sets: &[&str]) -> RunResult {
    let text = include_str!("../../../scenarios/05_two_engines.toml");
    let scenario = Parsed::new("05_two_engines.toml", text, sets)
        .and_then(|parsed| parsed.resolve(Path::new("")))
        .unwrap_or_else(|error| panic!("{error}"));
    let source = scenario.requests().unwrap().source().unwrap();
    let options = RunOptions { check: true, ..RunOptions::default() };
    run_policy(PolicyRun { scenario: &scenario, policy: 0, source, options }).unwrap()
}

const FEW: &str = "workload.wildchat.requests=1500";

#[test]
fn both_engines_serve_and_every_law_is_checked_at_every_step() {
    let result = run(&[FEW]);
    let summary = &result.summary;
    assert_eq!(summary.requests.completed, summary.requests.injected);
    let replicas: Vec<(&str, u64)> =
        summary.replicas.iter().map(|r| (r.id.as_str(), r.requests)).collect();
    assert_eq!(
        replicas.iter().map(|r| r.0).collect::<Vec<_>>(),
        ["sglang-0", "sglang-1", "vllm-0", "vllm-1"]
    );
    assert!(replicas.iter().all(|r| r.1 > 300), "{replicas:?}");
    // Both find what earlier turns left.
    let cached = |engine: &str| {
        let records = result.records.as_ref().unwrap().iter();
        let of = records.filter(|r| r.replica.is_some_and(|id| (id.0 < 2) == (engine == "sglang")));
        of.map(|r| u64::from(r.cached_tokens)).sum::<u64>()
    };
    assert!(cached("sglang") > 100_000 && cached("vllm") > 100_000);
    assert_eq!(result.summary, run(&[FEW]).summary);
}

#[test]
fn little_memory_and_few_places_preempt_and_still_end() {
    let tight =
        ["fleet.replicas.vllm.kv_pool_tokens=90000", "fleet.replicas.vllm.vllm.max_num_seqs=60"];
    let result = run(&[&[FEW, "load.poisson.rate=120 sessions/s"], &tight[..]].concat());
    let vllm = &result.summary.replicas[2..];
    assert!(vllm.iter().all(|r| r.evicted_tokens > 0), "{vllm:?}");
    assert!(vllm.iter().any(|r| r.retracted > 0), "{vllm:?}");
}

#[test]
fn blocks_that_do_not_fit_the_workloads_are_refused() {
    let text = include_str!("../../../scenarios/05_two_engines.toml");
    let sets = ["fleet.replicas.vllm.vllm.block_tokens=0"];
    let error = Parsed::new("05_two_engines.toml", text, &sets)
        .and_then(|parsed| parsed.resolve(Path::new("")))
        .unwrap_err()
        .to_string();
    assert!(error.contains("got 0, wanted a whole number, at least 1"), "{error}");
}
