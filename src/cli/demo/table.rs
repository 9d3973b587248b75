//! What the demo shows: the simulated numbers beside the measured ones.

use super::world::Measured;
use crate::simulate::terminal_style;
use gorgo_metrics::{Numbers, RunResult};
use gorgo_report::{Grid, short_number};
use serde_json::{Value, json};

/// One policy, both ways.
pub(super) struct Shown {
    pub simulated: RunResult,
    pub measured: Measured,
}

/// The rows: what it is, and its path in a summary.
const ROWS: [(&str, &str); 9] = [
    ("TTFT P50, ms", "ttft_ms.p50"),
    ("TTFT P90, ms", "ttft_ms.p90"),
    ("TTFT P99, ms", "ttft_ms.p99"),
    ("E2E P50, ms", "e2e_ms.p50"),
    ("E2E P99, ms", "e2e_ms.p99"),
    ("TPOT P50, ms", "tpot_ms.p50"),
    ("cache hit rate, tokens", "cache.real_token_hit_rate"),
    ("busiest replica's share", "load.busiest_replica_share"),
    ("goodput, requests/s", "goodput_rps"),
];

impl Shown {
    /// Simulated, measured, and the second over the first less 1.
    fn row(&self, path: &str) -> [Option<f64>; 3] {
        let value = |result: &RunResult| Numbers::of(&result.summary).get(path);
        let (simulated, measured) = (value(&self.simulated), value(&self.measured.result));
        let apart = match (simulated, measured) {
            (Some(simulated), Some(measured)) if simulated != 0.0 => {
                Some(measured / simulated - 1.0)
            }
            _ => None,
        };
        [simulated, measured, apart]
    }
}

pub(super) fn table(shown: &[Shown]) -> String {
    let mut text = String::new();
    for one in shown {
        let mut grid = Grid::new(terminal_style());
        let policy = &one.simulated.summary.policy;
        grid.header([
            [policy.as_str(), ""],
            ["", "simulated"],
            ["over real", "HTTP"],
            ["apart", "%"],
        ]);
        for (name, path) in ROWS {
            let [simulated, measured, apart] = one.row(path);
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short_number);
            let apart =
                apart.map_or_else(|| "-".to_owned(), |apart| format!("{:+.1}", 100.0 * apart));
            let cells = [name.to_owned(), number(simulated), number(measured), apart];
            grid.row(cells.map(|cell| (cell, false)));
        }
        text.push_str(&grid.finish());
        let live = one.measured.result.summary.live.as_ref();
        let lag = live.and_then(|live| live.send_lag_ms.p99).unwrap_or(0.0);
        let [_, tokens] = one.measured.token_lateness_ms;
        let verdict =
            if one.measured.is_valid { "" } else { "; too late for numbers of this load" };
        text.push_str(&format!(
            "this machine's part, P99: requests sent {lag:.2} ms late, emulated tokens {tokens:.2} ms{verdict}\n\n"
        ));
    }
    text
}

pub(super) fn json(shown: &[Shown], seconds: u64) -> String {
    let policy = |one: &Shown| -> Value {
        let apart: serde_json::Map<String, Value> =
            ROWS.iter().map(|(_, path)| ((*path).to_owned(), json!(one.row(path)[2]))).collect();
        json!({
            "policy": one.simulated.summary.policy,
            "simulated": one.simulated.summary,
            "measured": one.measured.result.summary,
            "measured_over_simulated_less_1": apart,
            "is_valid": one.measured.is_valid,
            "token_lateness_ms": { "p50": one.measured.token_lateness_ms[0], "p99": one.measured.token_lateness_ms[1] },
        })
    };
    let policies: Vec<Value> = shown.iter().map(policy).collect();
    format!("{:#}\n", json!({ "schema": 1, "seconds": seconds, "policies": policies }))
}
