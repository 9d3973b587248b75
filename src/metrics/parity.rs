//! A simulation against a live run of the same scenario: how far the simulator is off, policy by policy.

use crate::{Distribution, Summary};
use serde::Serialize;

/// Takes a number out of a summary.
type Pick = fn(&Summary) -> Option<f64>;

/// The numbers that are held against each other, by name.
const NUMBERS: [(&str, Pick); 10] = [
    ("ttft_ms.p50", |s| s.ttft_ms.p50),
    ("ttft_ms.p90", |s| s.ttft_ms.p90),
    ("ttft_ms.p99", |s| s.ttft_ms.p99),
    ("e2e_ms.p50", |s| s.e2e_ms.p50),
    ("e2e_ms.p90", |s| s.e2e_ms.p90),
    ("e2e_ms.p99", |s| s.e2e_ms.p99),
    ("tpot_ms.p50", |s| s.tpot_ms.p50),
    ("cache.real_token_hit_rate", |s| s.cache.real_token_hit_rate),
    ("goodput_rps", |s| s.goodput_rps),
    ("completed", |s| {
        #[expect(clippy::cast_precision_loss, reason = "a count for display")]
        let completed = s.window.measured_completed as f64;
        Some(completed)
    }),
];

/// By which policies are put in order: what, whether less is better.
const ORDERS: [(&str, bool, Pick); 3] = [
    ("ttft_ms.p50", true, |s| s.ttft_ms.p50),
    ("ttft_ms.p99", true, |s| s.ttft_ms.p99),
    ("cache.real_token_hit_rate", false, |s| s.cache.real_token_hit_rate),
];

/// A simulation held against a live run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parity {
    /// The policies that both have, in the simulation's order.
    pub policies: Vec<PolicyParity>,
    /// Policies that one side lacks.
    pub only_one_side: Vec<String>,
    /// The policies' order on either side.
    pub orders: Vec<OrderParity>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// One policy on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyParity {
    /// Its label.
    pub policy: String,
    /// The numbers.
    pub numbers: Vec<NumberParity>,
}

/// One number on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberParity {
    /// Its name in the summary.
    pub name: &'static str,
    /// Simulated.
    pub simulated: Option<f64>,
    /// Live.
    pub live: Option<f64>,
    /// simulated / live - 1; null where there is no such number, or the live one is zero.
    pub error: Option<f64>,
    /// The least and the most of the live run's rounds, where there are several and the rounds have it.
    pub live_rounds: Option<[f64; 2]>,
}

/// The policies from best to worst on either side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderParity {
    /// By which number.
    pub by: &'static str,
    /// Simulated.
    pub simulated: Vec<String>,
    /// Live.
    pub live: Vec<String>,
    /// Whether both are the same.
    pub same: bool,
}

impl Parity {
    /// Holds a simulation's summaries against a live run's.
    #[must_use]
    pub fn new(simulated: &[Summary], live: &[Summary]) -> Self {
        let partner = |summary: &Summary| live.iter().find(|l| l.policy == summary.policy);
        let pairs: Vec<(&Summary, &Summary)> =
            simulated.iter().filter_map(|s| Some((s, partner(s)?))).collect();
        let paired = |policy: &str| pairs.iter().any(|(s, _)| s.policy == policy);
        let all = simulated.iter().chain(live).map(|summary| summary.policy.clone());
        let mut only_one_side: Vec<String> = all.filter(|policy| !paired(policy)).collect();
        only_one_side.dedup();
        let orders = ORDERS.iter().filter(|_| pairs.len() > 1).map(|&(by, less, value)| {
            let order = |side: &dyn Fn(&(&Summary, &Summary)) -> Option<f64>| {
                let mut order: Vec<_> =
                    pairs.iter().map(|pair| (side(pair), pair.0.policy.clone())).collect();
                // What has no number comes last; equal ones keep the simulation's order.
                order.sort_by(|(a, _), (b, _)| match (a, b) {
                    (Some(a), Some(b)) if less => a.total_cmp(b),
                    (Some(a), Some(b)) => b.total_cmp(a),
                    _ => b.is_some().cmp(&a.is_some()),
                });
                order.into_iter().map(|(_, policy)| policy).collect::<Vec<_>>()
            };
            let (simulated, live) = (order(&|pair| value(pair.0)), order(&|pair| value(pair.1)));
            OrderParity { by, same: simulated == live, simulated, live }
        });
        Self {
            orders: orders.collect(),
            warnings: pairs.iter().flat_map(|(s, l)| warnings(s, l)).collect(),
            policies: pairs.iter().map(|(s, l)| PolicyParity::new(s, l)).collect(),
            only_one_side,
        }
    }
}

impl PolicyParity {
    fn new(simulated: &Summary, live: &Summary) -> Self {
        let numbers = NUMBERS.iter().map(|&(name, value)| {
            // Rounds are as many times the same requests.
            let rounds = if name == "completed" { f64::from(rounds(live)) } else { 1.0 };
            let (simulated, measured) = (value(simulated), value(live).map(|v| v / rounds));
            let error = match (simulated, measured) {
                (Some(simulated), Some(live)) if live > 0.0 => Some(simulated / live - 1.0),
                _ => None,
            };
            let live_rounds = spread(live, name);
            NumberParity { name, simulated, live: measured, error, live_rounds }
        });
        Self { policy: simulated.policy.clone(), numbers: numbers.collect() }
    }
}

/// How many rounds a live run's summary pools.
fn rounds(live: &Summary) -> u32 {
    let rounds = live.live.as_ref().map_or(1, |live| live.rounds.len().max(1));
    u32::try_from(rounds).unwrap_or(u32::MAX)
}

/// How far the rounds of a live run are apart.
fn spread(live: &Summary, name: &str) -> Option<[f64; 2]> {
    let rounds = &live.live.as_ref()?.rounds;
    let (of, percentile) = name.split_once('.')?;
    let values: Option<Vec<f64>> = rounds
        .iter()
        .map(|round| {
            let distribution: &Distribution = match of {
                "ttft_ms" => &round.ttft_ms,
                "e2e_ms" => &round.e2e_ms,
                "cache" => return round.real_token_hit_rate,
                _ => return None,
            };
            match percentile {
                "p50" => distribution.p50,
                "p90" => distribution.p90,
                _ => distribution.p99,
            }
        })
        .collect();
    let values = values.filter(|values| values.len() > 1)?;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some([least, most])
}

fn warnings(simulated: &Summary, live: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let policy = &simulated.policy;
    if live.live.as_ref().is_some_and(|live| !live.is_valid) {
        warnings.push(format!("{policy}: the live run is not valid: it sent too late"));
    }
    if simulated.scenario != live.scenario {
        let (a, b) = (&simulated.scenario, &live.scenario);
        warnings.push(format!("{policy}: the scenarios are `{a}` and `{b}`"));
    }
    if simulated.seed != live.seed {
        let (a, b) = (simulated.seed, live.seed);
        warnings.push(format!("{policy}: the seeds are {a} and {b}: other requests"));
    }
    let (a, b) = (simulated.window.measured * u64::from(rounds(live)), live.window.measured);
    if a != b {
        warnings.push(format!("{policy}: {a} requests are measured simulated, {b} live"));
    }
    let lost = live.window.measured - live.window.measured_completed;
    if lost > 0 {
        warnings
            .push(format!("{policy}: {lost} of the live run's measured requests did not complete"));
    }
    warnings
}
