//! Where the additive cost breaks: batching under load, KV memory under pressure.
//!
//! A cost is good for routing if it ranks: requests by the time that they will take, and candidates of one request by
//! where it is served soonest. The first is the rank correlation of the chosen candidate's score with the TTFT that came
//! of it. The second cannot be read off a run: the run is repeated under the same draws with one decision forced to each
//! replica in turn.

use super::super::measure::Values;
use super::super::question::{How, Measured, Panel, Point, Question, Task};
use super::super::run::run_one;
use super::{LONG_CAPACITY_RPS, Scenario, long_loads, scenario};
use crate::error::PapersError;
use gorgo_metrics::{RequestRecord, RunResult, Status};
use gorgo_scenario::{Requests, Resolved};
use gorgo_sim::{FirstTokens, PolicyRun, RunOptions, regret};

/// Decisions of a run that are made again.
const DECISIONS: usize = 5;
/// TTFTs nearer than this are equally good.
const EQUAL_MS: f64 = 1.0;

/// The question of batching.
pub(super) fn additive() -> Question {
    Question {
        id: "additive",
        title: "Where the additive cost breaks: batching",
        asked: "A sum of network, prefill and queue knows no batches. How well does the score rank requests by their TTFT, \
                and how often does it take the replica that would have been fastest, from 20 to 110 % load? (Each of a \
                sample of decisions is made again with every replica.)",
        panels: vec![Panel {
            axis: "share of the load that the fleet bears",
            points: long_loads(&[20, 50, 70, 90, 110]),
            drawn: &["spearman", "top_choice_pct", "regret_ms", "ttft_p95_ms"],
            tabled: &["spearman", "top_choice_pct", "regret_ms"],
            how: How::Own(judged),
            ..Panel::of("load", "Score and outcome under load", scenario!("additive.toml"))
        }],
        found: "\
The sum ranks requests well when the fleet is idle and poorly when it is not: the rank correlation of `gorgo-priced`'s score with the TTFT falls from {= load | 20 % | gorgo-priced | spearman} at 20 % load to {= load | 90 % | gorgo-priced | spearman} at 90 % and {= load | 110 % | gorgo-priced | spearman} beyond; with the published weights from {= load | 20 % | gorgo | spearman} to {= load | 90 % | gorgo | spearman}.
At 20 % load `gorgo-priced` takes the replica that would have been fastest in {= load | 20 % | gorgo-priced | top_choice_pct} of the sampled decisions, at 90 % in {= load | 90 % | gorgo-priced | top_choice_pct} (one of three by chance: 33 %), and a decision gives away {= load | 20 % | gorgo-priced | regret_ms} and {= load | 90 % | gorgo-priced | regret_ms} in the mean. The published weights give away {= load | 90 % | gorgo | regret_ms} at 90 %, least-load {= load | 90 % | least-load | regret_ms}: the sum is still the better guide. (Five decisions a seed are sampled; regret is the request's own.)",
        claims: &[
            "falls load | 20 % | 90 % | gorgo-priced | spearman",
            "falls load | 90 % | 110 % | gorgo-priced | spearman",
            "falls load | 20 % | 90 % | gorgo | spearman",
            "falls load | 20 % | 90 % | gorgo-priced | top_choice_pct",
            "lower load | 90 % | gorgo-priced | least-load | regret_ms",
            "lower load | 90 % | gorgo | least-load | regret_ms",
        ],
    }
}

/// The question of memory.
pub(super) fn kv_pressure() -> Question {
    let point = |&pool: &u32| {
        let mut sets: Vec<String> =
            (0..3).map(|index| format!("fleet.replicas.{index}.kv_pool_tokens={pool}")).collect();
        sets.push(format!("router.variants.bounded.index.lru.capacity_tokens_per_replica={pool}"));
        sets.push(format!("load.poisson.rate=\"{:.3} req/s\"", 0.5 * LONG_CAPACITY_RPS));
        Point { label: format!("{}k", pool / 1_000), sets }
    };
    Question {
        id: "kv-pressure",
        title: "Where the additive cost breaks: KV memory",
        asked: "Memory pressure: the same load (50 % of what the fleet bears with all its memory) with KV pools from all of an \
                H100's to an eighth. GORGO's index never forgets; `bounded` remembers as much as a replica can hold. Offload \
                to host memory is not simulated.",
        panels: vec![Panel {
            axis: "KV pool of each replica, tokens",
            points: [419_019, 200_000, 100_000, 50_000].iter().map(point).collect(),
            drawn: &["ttft_p50_ms", "ttft_p95_ms", "hit_pct", "predicted_pct"],
            tabled: &["ttft_p50_ms", "ttft_p95_ms", "hit_pct", "predicted_pct", "retracted"],
            ..Panel::of("pool", "KV pools from all to an eighth", scenario!("kv_pressure.toml"))
        }],
        found: "\
With a quarter of the memory GORGO's index, which never forgets, promises what is gone: at 100k tokens `gorgo-priced` predicts {= pool | 100k | gorgo-priced | predicted_pct} of prompt tokens in a cache that has {= pool | 100k | gorgo-priced | hit_pct}. An index bounded like the caches predicts {= pool | 100k | gorgo-priced-bounded | predicted_pct} and changes P95 by {vs pool | 100k | gorgo-priced-bounded | gorgo-priced | ttft_p95_ms}.
At an eighth (50k) the fleet no longer bears this load under any rule, and the bounded index is the worse one: {vs pool | 50k | gorgo-priced-bounded | gorgo-priced | ttft_p50_ms} in P50, for it forgets what would have held sessions together ({= pool | 50k | gorgo-priced-bounded | hit_pct} hits against {= pool | 50k | gorgo-priced | hit_pct}).",
        claims: &[
            "higher pool | 50k | gorgo-priced-bounded | gorgo-priced | ttft_p50_ms",
            "lower pool | 50k | gorgo-priced-bounded | gorgo-priced | hit_pct",
        ],
    }
}

/// Every policy's run, and what its decisions were worth.
fn judged(task: &Task<'_>) -> Result<Measured, PapersError> {
    let mut scenario = task.scenario()?;
    scenario.measure.records = gorgo_scenario::Records::Always;
    let requests = scenario.requests()?;
    let policies = 0..scenario.router.policies.len();
    policies.map(|policy| judge(&scenario, &requests, policy)).collect()
}

fn judge(
    scenario: &Resolved,
    requests: &Requests,
    policy: usize,
) -> Result<(String, Values), PapersError> {
    let run = |options| {
        let source = requests.source()?;
        run_one(PolicyRun { scenario, policy, source, options })
    };
    let base = run(RunOptions::default())?;
    let mut values = Values::of(&base);
    let measured: Vec<&RequestRecord> = base
        .records
        .iter()
        .flatten()
        .filter(|r| r.status == Status::Completed && base.window.contains(r.scheduled))
        .collect();
    let pairs = measured.iter().filter_map(|r| Some((r.score, r.ttft()?.as_ms())));
    values.put("spearman", spearman(&pairs.collect::<Vec<_>>()));
    let before = first_tokens(&base)?;
    let mut regrets = Vec::new();
    let step = (measured.len() / DECISIONS).max(1);
    for record in measured.iter().skip(step / 2).step_by(step).take(DECISIONS) {
        let Some(chosen) = record.replica else { continue };
        let mut forced = Vec::new();
        for replica in (0..).map(gorgo_types::ReplicaId).take(scenario.replicas.len()) {
            let forced_to = Some((record.id, replica));
            let again = run(RunOptions { forced: forced_to, ..RunOptions::default() })?;
            forced.push(first_tokens(&again)?);
        }
        regrets.extend(regret(record.id, chosen, &before, &forced).own_ms());
    }
    if !regrets.is_empty() {
        let count = regrets.len() as f64;
        let best = regrets.iter().filter(|&&regret| regret < EQUAL_MS).count();
        values.put("top_choice_pct", Some(100.0 * best as f64 / count));
        values.put("regret_ms", Some(regrets.iter().sum::<f64>() / count));
    }
    Ok((base.summary.policy.clone(), values))
}

/// A run's first tokens; it keeps records because [`judged`] asks for them.
fn first_tokens(run: &RunResult) -> Result<FirstTokens, PapersError> {
    FirstTokens::of(run).map_err(|source| PapersError::Run {
        scenario: run.names.scenario.clone(),
        policy: run.names.policy.clone(),
        seed: run.names.seed,
        source: Box::new(source),
    })
}

/// Spearman's rank correlation; ties share the mean of their ranks. None of fewer than two pairs, or where one side is
/// all equal.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let first = ranks(pairs.iter().map(|pair| pair.0).collect());
    let second = ranks(pairs.iter().map(|pair| pair.1).collect());
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let (mut product, mut squares) = (0.0, (0.0, 0.0));
    for (a, b) in first.iter().zip(&second) {
        let (a, b) = (a - mean, b - mean);
        product += a * b;
        squares = (squares.0 + a * a, squares.1 + b * b);
    }
    let scale = (squares.0 * squares.1).sqrt();
    (scale > 0.0).then(|| product / scale)
}

/// The rank of each value, from 1; equal ones share the mean of theirs.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = order[from..].iter().take_while(|&&i| values[i] == values[order[from]]).count();
        let rank = from as f64 + (same as f64 + 1.0) / 2.0;
        for &index in &order[from..from + same] {
            ranks[index] = rank;
        }
        from += same;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_shared_among_equals() {
        assert_eq!(ranks(vec![3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn spearman_sees_order_only() {
        let close = |a: Option<f64>, b: f64| assert!((a.expect("a number") - b).abs() < 1e-12);
        close(spearman(&[(1.0, 10.0), (2.0, 1e9), (3.0, 2e9)]), 1.0);
        close(spearman(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), -1.0);
        // Ranks (1, 2, 3, 4) and (2, 1, 4, 3): 1 - 6 * 4 / (4 * 15).
        close(spearman(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0)]), 0.6);
        assert_eq!(spearman(&[(1.0, 1.0)]), None);
        assert_eq!(spearman(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}
