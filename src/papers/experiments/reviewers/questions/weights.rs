//! How well the prefill rate must be known, and what each term of the cost is worth.

use super::super::question::{Look, Panel, Point, Question};
use super::{Scenario, long_loads, scenario};

/// Prefill of a token on an H100 with this model, ms: the scenario's prices come from it.
const PREFILL_MS_PER_TOKEN: f64 = 0.0225;

/// The question of the prefill rate.
pub(super) fn prefill_rate() -> Question {
    let beliefs = || -> Vec<Point> {
        let believed = [0.25, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 4.0];
        let point = |&factor: &f64| {
            let sets = [
                format!("router.policies.0.w_rtt={:.3}", 44.0 / factor),
                format!(
                    "router.policies.1.prefill_ms_per_token={:.6}",
                    PREFILL_MS_PER_TOKEN * factor
                ),
            ];
            Point::new(format!("\u{d7}{factor}"), &sets.each_ref().map(String::as_str))
        };
        believed.iter().map(point).collect()
    };
    let at = |load_pct: u32| -> Vec<Point> {
        let rate = long_loads(&[load_pct]).remove(0).sets.remove(0);
        let points = beliefs().into_iter();
        points
            .map(|mut point| {
                point.sets.push(rate.clone());
                point
            })
            .collect()
    };
    let shape = |panel: Panel| Panel {
        axis: "prefill rate the router believes / true rate",
        drawn: &["ttft_p50_ms", "ttft_p95_ms"],
        tabled: &["ttft_p95_ms"],
        ..panel
    };
    Question {
        id: "prefill-rate",
        title: "Sensitivity to the prefill rate",
        asked: "The rate was fitted to 87 samples: what if it is off by half? The router believes a rate from a quarter to \
                four times the true one; the engines stay as they are.",
        panels: vec![
            Panel {
                points: at(50),
                ..shape(Panel::of("half", "At 50 % load", scenario!("prefill_rate.toml")))
            },
            Panel {
                points: at(90),
                ..shape(Panel::of("high", "At 90 % load", scenario!("prefill_rate.toml")))
            },
        ],
        found: "\
A rate believed too high by half does no harm: it changes the P95 of `gorgo-priced` by {step half | ×1 | ×1.5 | gorgo-priced | ttft_p95_ms} at 50 % load and {step high | ×1 | ×1.5 | gorgo-priced | ttft_p95_ms} at 90 %, half the true rate by {step half | ×1 | ×0.5 | gorgo-priced | ttft_p95_ms} and {step high | ×1 | ×0.5 | gorgo-priced | ttft_p95_ms}; to believe prefill too cheap is the worse error. The slope's standard error in the paper's own fit (R² 0.9863, 87 samples) is 1.3 %, far inside that.
The true rate is not even the best one: at 50 % load a rate believed four times too high is {step half | ×1 | ×4 | gorgo-priced | ttft_p95_ms} in P95, because it weighs the network less and the cache more; and whatever is believed, `gorgo-proxy` stays {vs high | ×1 | gorgo-proxy | gorgo-priced | ttft_p95_ms} against `gorgo-priced` at 90 %.",
        claims: &[
            "falls half | ×1 | ×1.5 | gorgo-priced | ttft_p95_ms",
            "falls high | ×1 | ×1.5 | gorgo-priced | ttft_p95_ms",
            "rises high | ×1 | ×0.5 | gorgo-priced | ttft_p95_ms",
            "falls half | ×1 | ×4 | gorgo-priced | ttft_p95_ms",
        ],
    }
}

/// The question of the terms.
pub(super) fn ablation() -> Question {
    Question {
        id: "ablation",
        title: "Each term of the cost left out",
        asked: "What is each term worth? Published weights (0.276, 1, 0.5) and priced ones (44, 1, 0.1), with one of the \
                three set to zero.",
        panels: vec![Panel {
            axis: "share of the load that the fleet bears",
            points: long_loads(&[50, 70, 90]),
            drawn: &["ttft_p50_ms", "ttft_p95_ms", "e2e_p95_ms"],
            tabled: &["ttft_p50_ms", "ttft_p95_ms", "e2e_p95_ms"],
            look: Look::Dots,
            ..Panel::of("terms", "GORGO without each of its terms", scenario!("ablation.toml"))
        }],
        found: "\
The queue carries everything: without it (w_queue = 0) all requests go where the first prefix is, and at 70 % load the P50 of `priced` goes from {= terms | 70 % | priced | ttft_p50_ms} to {= terms | 70 % | priced-w_queue=0 | ttft_p50_ms}. Without prefill `priced` is {vs terms | 90 % | priced-w_prefill=0 | priced | ttft_p95_ms} in P95 at 90 % load, `gorgo` {vs terms | 90 % | gorgo-w_prefill=0 | gorgo | ttft_p95_ms}.
The network term, GORGO's own idea, does next to nothing at its published weight ({vs terms | 70 % | gorgo-w_rtt=0 | gorgo | ttft_p50_ms} in P50 without it at 70 %); priced, it takes the P50 down at half load (without it {vs terms | 50 % | priced-w_rtt=0 | priced | ttft_p50_ms}), but E2E P95 is better without ({vs terms | 50 % | priced-w_rtt=0 | priced | e2e_p95_ms} at 50 %, {vs terms | 70 % | priced-w_rtt=0 | priced | e2e_p95_ms} at 70 %): near replicas fill up and decode more slowly.",
        claims: &[
            "higher terms | 70 % | priced-w_queue=0 | priced | ttft_p50_ms",
            "higher terms | 90 % | priced-w_prefill=0 | priced | ttft_p95_ms",
            "higher terms | 90 % | gorgo-w_prefill=0 | gorgo | ttft_p95_ms",
            "about terms | 70 % | gorgo-w_rtt=0 | gorgo | ttft_p50_ms",
            "higher terms | 50 % | priced-w_rtt=0 | priced | ttft_p50_ms",
            "lower terms | 50 % | priced-w_rtt=0 | priced | e2e_p95_ms",
            "lower terms | 70 % | priced-w_rtt=0 | priced | e2e_p95_ms",
        ],
    }
}
