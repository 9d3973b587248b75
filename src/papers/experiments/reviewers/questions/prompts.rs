//! Short to very long prompts: from which length on does crossing 75 ms for a cached prefix pay?
//!
//! Twice: for one request alone, from the engines' times (`break_even`), and in a fleet under load.

use super::super::measure::Values;
use super::super::question::{How, Measured, Panel, Point, Question, Task};
use super::{Scenario, scenario};
use crate::error::PapersError;
use gorgo_model::{CostProfile, PrefillItem, ReplicaConfig};
use gorgo_scenario::Resolved;

/// What a prompt has of its own: the rest is in the other replica's cache.
const OWN_TOKENS: u32 = 64;
/// The longest prompt that is tried.
const LONGEST_TOKENS: u32 = 120_000;
/// Prompts are told apart in steps of an index block.
const STEP_TOKENS: usize = 16;

/// The question.
pub(super) fn prompt_length() -> Question {
    let engines = [
        ("8B-fp8 H100", "h100-sxm", "llama-3.1-8b-fp8"),
        ("8B H100", "h100-sxm", "llama-3.1-8b"),
        ("7B A100", "a100-sxm", "mistral-7b"),
        ("70B-fp8 4xH100", "h100-sxm-tp4", "llama-3.3-70b-fp8"),
        ("70B 4xH100", "h100-sxm-tp4", "llama-3.3-70b"),
        ("70B 4xA100", "a100-sxm-tp4", "llama-3.3-70b"),
    ];
    let engine = |&(label, gpu, model): &(&str, &str, &str)| {
        let set = |index| {
            [
                format!("fleet.replicas.{index}.gpu=\"{gpu}\""),
                format!("fleet.replicas.{index}.model=\"{model}\""),
            ]
        };
        Point { label: label.to_owned(), sets: [set(0), set(1)].concat() }
    };
    Question {
        id: "prompt-length",
        title: "From short prompts to 100,000 tokens",
        asked: "Longer contexts: from which prompt length on does it pay to cross 75 ms to a replica that has all but the last 64 \
                tokens? For a lone request, by engine; and in a fleet of two H100s whose prompts, together, are half as much \
                again as one replica can cache.",
        panels: vec![
            Panel {
                axis: "engine",
                points: engines.iter().map(engine).collect(),
                drawn: &["break_even_tokens"],
                tabled: &["break_even_tokens"],
                how: How::Own(break_even),
                one_seed: true,
                ..Panel::of(
                    "alone",
                    "Break-even prompt of a lone request",
                    scenario!("prompt_length.toml"),
                )
            },
            Panel {
                axis: "prompt, tokens",
                points: [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 100_000]
                    .iter()
                    .map(fleet)
                    .collect(),
                drawn: &["ttft_mean_ms", "ttft_p95_ms", "network_ms", "hit_pct"],
                tabled: &["ttft_mean_ms", "ttft_p95_ms", "hit_pct"],
                ..Panel::of("fleet", "Two regions 75 ms apart", scenario!("prompt_length.toml"))
            },
        ],
        found: "\
Crossing 75 ms pays for a lone request from {= alone | 8B H100 | pays at 75 ms | break_even_tokens} prompt tokens on, on an H100 with an 8B model, {= alone | 70B 4xH100 | pays at 75 ms | break_even_tokens} with 70B on four, {= alone | 70B 4xA100 | pays at 75 ms | break_even_tokens} with 70B on four A100s. GORGO's published weights cross from {= alone | 8B H100 | gorgo crosses 75 ms | break_even_tokens} tokens on, whatever the engine; the price of an H100 with 8B crosses from {= alone | 8B H100 | gorgo-priced crosses 75 ms | break_even_tokens}, right there and too late on slower engines.
In the fleet staying here (`nearest`) is best up to 2k tokens, and `gorgo-priced` does the same there; `gorgo` has {vs fleet | 2k | gorgo | nearest | ttft_mean_ms} in the mean. From 8k on `gorgo-priced` loses: greedy by request, it never divides the prompts between the two caches, and its mean at 16k is {vs fleet | 16k | gorgo-priced | session-affinity | ttft_mean_ms} against session affinity, at 100k {vs fleet | 100k | gorgo-priced | session-affinity | ttft_mean_ms}; the published weights, which cross too soon, are the better ones there ({vs fleet | 16k | gorgo | gorgo-priced | ttft_mean_ms} at 16k).",
        claims: &[
            "lowest fleet | 2k | nearest | ttft_mean_ms",
            "about fleet | 2k | gorgo-priced | nearest | ttft_mean_ms",
            "higher fleet | 8k | gorgo-priced | session-affinity | ttft_mean_ms",
            "higher fleet | 16k | gorgo-priced | session-affinity | ttft_mean_ms",
            "higher fleet | 100k | gorgo-priced | session-affinity | ttft_mean_ms",
            "lower fleet | 16k | gorgo | gorgo-priced | ttft_mean_ms",
        ],
    }
}

/// Prompts of one length in a fleet whose first replica, prefilling all of each, would be busy 30 % of the time.
fn fleet(tokens: &u32) -> Point {
    /// Tokens of KV in an H100 beside this model (`data/gpus`).
    const POOL_TOKENS: f64 = 419_019.0;
    let length = f64::from(*tokens);
    // The fit of the profile of an H100 with this model; only the load rests on it.
    let prefill_s = (2.484 + 0.020497 * length + 8.6743e-7 * length * length / 2.0) / 1e3;
    let groups = (1.5 * POOL_TOKENS / length).round();
    let label = if *tokens < 1_000 { format!("{tokens}") } else { format!("{}k", tokens / 1_000) };
    let sets = [
        format!("workload.prefix_groups.groups={groups}"),
        format!("workload.prefix_groups.prefix_tokens=[{}]", tokens - OWN_TOKENS),
        // Each prompt comes about four times; the first time is the warm-up's.
        format!("workload.prefix_groups.requests={}", (4.0 * groups).max(400.0)),
        format!("measure.warm_up_requests={}", (2.0 * groups).max(200.0)),
        format!("load.poisson.rate=\"{:.4} req/s\"", 0.3 / prefill_s),
    ];
    Point::new(label, &sets.each_ref().map(String::as_str))
}

/// The shortest prompt for which a request alone gets its first token sooner where its prefix is cached, and the
/// shortest for which each rule goes there.
fn break_even(task: &Task<'_>) -> Result<Measured, PapersError> {
    let scenario = task.scenario()?;
    let config = &scenario.replicas[0].config;
    let row = |name: String, tokens: Option<f64>| {
        let mut values = Values::default();
        values.put("break_even_tokens", tokens);
        (name, values)
    };
    let mut rows: Vec<(String, Values)> = [25.0, 75.0, 150.0, 225.0]
        .into_iter()
        .map(|rtt_ms| row(format!("pays at {rtt_ms} ms"), shortest(config, rtt_ms).map(f64::from)))
        .collect();
    for policy in scenario.router.policies.iter().filter(|policy| policy.name == "gorgo") {
        rows.push(row(
            format!("{} crosses 75 ms", policy.label),
            crosses(&scenario, &policy.label),
        ));
    }
    Ok(rows)
}

/// By `w_rtt * RTT < w_prefill * cached`, with the round trip that the far replica has more.
fn crosses(scenario: &Resolved, label: &str) -> Option<f64> {
    let policy = scenario.router.policies.iter().find(|policy| policy.label == label)?;
    let weight = |name: &str| {
        let value = policy.parameters.get(name)?;
        value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
    };
    let more_ms = 75.0;
    Some(weight("w_rtt")? * more_ms / weight("w_prefill")? + f64::from(OWN_TOKENS))
}

fn shortest(config: &ReplicaConfig, rtt_ms: f64) -> Option<u32> {
    let saved_ms = |tokens: u32| {
        let chunk = config.limits.chunked_prefill_tokens;
        let cold = prefill_ms(&config.profile, chunk, tokens, 0);
        cold - prefill_ms(&config.profile, chunk, OWN_TOKENS, tokens - OWN_TOKENS)
    };
    (2 * OWN_TOKENS..LONGEST_TOKENS).step_by(STEP_TOKENS).find(|&tokens| saved_ms(tokens) >= rtt_ms)
}

/// Prefill of a lone request, chunk by chunk as the engine does it.
fn prefill_ms(profile: &CostProfile, chunk: u32, new_tokens: u32, cached_tokens: u32) -> f64 {
    let (mut left, mut cached_tokens, mut sum) = (new_tokens, cached_tokens, 0.0);
    while left > 0 {
        let new_tokens = left.min(chunk.max(1));
        let time = profile.prefill(&[PrefillItem { new_tokens, cached_tokens }]);
        sum += time.0 as f64 / 1e12;
        left -= new_tokens;
        cached_tokens += new_tokens;
    }
    sum
}
