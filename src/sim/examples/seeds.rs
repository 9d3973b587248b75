//! Runs every policy of a scenario on many seeds and holds each against the first: is a difference more than luck?
//!
//! `cargo run --release -p gorgo-sim --example seeds -- SCENARIO SEEDS [PATH=VALUE ...]`, where SEEDS is their number
//! (100: the seeds 1 to 100) or the first and the last (1001-1040), writes one line of CSV for each seed and policy to
//! stdout, and to stderr, for each policy, the median over seeds of its P50 and P95 TTFT and P95 E2E, and the
//! distribution over seeds of its P95 TTFT relative to the first policy's, and the share of seeds in which it is lower.
//! Under one seed all policies meet the same requests and the same network. It uses every core.

use gorgo_metrics::RunResult;
use gorgo_scenario::Resolved;
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

type Failure = Box<dyn Error + Send + Sync>;

/// One run's numbers.
struct Row {
    policy: String,
    seed: u64,
    /// P50 TTFT, P95 TTFT, P99 TTFT, P50 E2E, P95 E2E in ms; infinite where a request never ended.
    ms: [f64; 5],
    tuned: String,
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: seeds SCENARIO SEEDS [PATH=VALUE ...]";
    let path = args.next().ok_or(usage)?;
    let seeds = args.next().ok_or(usage)?;
    let (first, last) = seeds.split_once('-').unwrap_or(("1", &seeds));
    let (first, last): (u64, u64) = (first.parse()?, last.parse()?);
    let sets: Vec<String> = args.collect();
    let next = AtomicU64::new(first);
    let work = || -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return Ok(rows);
            }
            rows.append(&mut one_seed(Path::new(&path), &sets, seed)?);
        }
    };
    let threads = std::thread::available_parallelism()?.get();
    let mut rows = Vec::new();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            rows.append(&mut worker.join().map_err(|_| "a worker panicked")??);
        }
        Ok(())
    })?;
    // Stable: policies stay in the scenario's order.
    rows.sort_by_key(|row| row.seed);
    println!("seed,policy,ttft_p50_ms,ttft_p95_ms,ttft_p99_ms,e2e_p50_ms,e2e_p95_ms,tuner");
    for row in &rows {
        let numbers: Vec<String> = row.ms.iter().map(|ms| format!("{ms:.3}")).collect();
        println!("{},{},{},{}", row.seed, row.policy, numbers.join(","), row.tuned);
    }
    summarise(&rows);
    Ok(())
}

fn one_seed(path: &Path, sets: &[String], seed: u64) -> Result<Vec<Row>, Failure> {
    let seed_too: Vec<String> = sets.iter().cloned().chain([format!("seed={seed}")]).collect();
    let scenario = Resolved::from_file(path, &seed_too)?;
    let requests = scenario.requests()?;
    let policies = 0..scenario.router.policies.len();
    policies
        .map(|policy| {
            let options = RunOptions::default();
            let source = requests.source()?;
            let run = run_policy(PolicyRun { scenario: &scenario, policy, source, options })?;
            Ok(row(&run))
        })
        .collect()
}

fn row(run: &RunResult) -> Row {
    let summary = &run.summary;
    let (ttft, e2e) = (&summary.ttft_ms, &summary.e2e_ms);
    let ms = [ttft.p50, ttft.p95, ttft.p99, e2e.p50, e2e.p95];
    let tuned = summary.tuner.as_ref().map_or_else(String::new, |tuner| {
        let weights: Vec<String> =
            tuner.weights.iter().map(|(name, value)| format!("{name}={value:.4}")).collect();
        format!("{} of {} accepted: {}", tuner.accepted, tuner.steps, weights.join(" "))
    });
    let ms = ms.map(|ms| ms.unwrap_or(f64::INFINITY));
    Row { policy: summary.policy.clone(), seed: summary.seed, ms, tuned }
}

/// Tells how each policy compares with the first.
fn summarise(rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    let of = |policy: &str| -> Vec<[f64; 5]> {
        rows.iter().filter(|row| row.policy == policy).map(|row| row.ms).collect()
    };
    let base = of(&first.policy);
    let policies: Vec<&str> = rows
        .iter()
        .take_while(|row| row.seed == first.seed)
        .map(|row| row.policy.as_str())
        .collect();
    eprintln!("medians over {} seeds, ms; P95 TTFT relative to `{}`, %", base.len(), first.policy);
    eprintln!(
        "{:<24} {:>9} {:>9} {:>9} | {:>7} {:>7} {:>7} | lower in",
        "policy", "TTFT P50", "TTFT P95", "E2E P95", "5th", "median", "95th"
    );
    for policy in policies {
        let own = of(policy);
        let at = |column: usize| quantile(own.iter().map(|ms| ms[column]).collect(), 0.5);
        let ratios: Vec<f64> =
            own.iter().zip(&base).map(|(own, base)| 100.0 * (own[1] / base[1] - 1.0)).collect();
        let lower = ratios.iter().filter(|&&percent| percent < 0.0).count();
        let spread = [0.05, 0.5, 0.95].map(|q| quantile(ratios.clone(), q));
        eprintln!(
            "{policy:<24} {:>9.1} {:>9.1} {:>9.0} | {:>+7.2} {:>+7.2} {:>+7.2} | {:>3.0} %",
            at(0),
            at(1),
            at(4),
            spread[0],
            spread[1],
            spread[2],
            100.0 * lower as f64 / own.len() as f64
        );
    }
}

/// Nearest rank.
fn quantile(mut values: Vec<f64>, quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (quantile * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}
