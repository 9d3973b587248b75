//! Round trips that change: steps and drift.

use super::super::question::{Panel, Point, Question};
use super::{LONG_CAPACITY_RPS, Scenario, scenario};

/// The question.
pub(super) fn network() -> Question {
    let rate = format!("load.poisson.rate=\"{:.3} req/s\"", 0.7 * LONG_CAPACITY_RPS);
    let step = |factor: &u32| {
        let sets = [format!("event.0.rtt.factor={factor}.0"), rate.clone()];
        Point::new(format!("\u{d7}{factor}"), &sets.each_ref().map(String::as_str))
    };
    let drift = |ratio: &f64| {
        let sets = [
            format!("network.links.0.rtt_p95=\"{:.0}ms\"", 94.0 * ratio),
            format!("network.links.1.rtt_p95=\"{:.0}ms\"", 224.0 * ratio),
            rate.clone(),
        ];
        Point::new(format!("{ratio}"), &sets.each_ref().map(String::as_str))
    };
    Question {
        id: "network",
        title: "Round trips that step and drift",
        asked: "Changing network conditions: Frankfurt moves 1 to 10 times as far away for good (probes every 30 s, as in \
                GORGO v2); paths that drift within a minute (probes every 5 s). 70 % load.",
        panels: vec![
            Panel {
                axis: "Frankfurt's round trip / before",
                points: [1, 2, 3, 5, 10].iter().map(step).collect(),
                ..Panel::of("step", "A step of one round trip", scenario!("rtt_step.toml"))
            },
            Panel {
                axis: "P95 / median of the long links",
                points: [1.03, 1.5, 2.0, 3.0].iter().map(drift).collect(),
                ..Panel::of("drift", "Drifting round trips", scenario!("drift.toml"))
            },
        ],
        found: "\
When Frankfurt moves ten times as far away, `gorgo-priced` leaves it alone: P50 {step step | ×1 | ×10 | gorgo-priced | ttft_p50_ms}, P95 {step step | ×1 | ×10 | gorgo-priced | ttft_p95_ms}, where session affinity goes {step step | ×1 | ×10 | session-affinity | ttft_p50_ms} and {step step | ×1 | ×10 | session-affinity | ttft_p95_ms}. The published weights, to which a millisecond is a quarter of a token, go on sending there: {step step | ×1 | ×10 | gorgo | ttft_p50_ms} in P50.
Up to a doubling session affinity remains the faster one in P50 ({vs step | ×2 | gorgo-priced | session-affinity | ttft_p50_ms} for `gorgo-priced`), and paths that drift cost both: with a P95 of three times the median {step drift | 1.03 | 3 | gorgo-priced | ttft_p95_ms} for `gorgo-priced`, {step drift | 1.03 | 3 | session-affinity | ttft_p95_ms} for session affinity.",
        claims: &[
            "rises step | ×1 | ×10 | gorgo | ttft_p50_ms",
            "rises step | ×1 | ×10 | session-affinity | ttft_p95_ms",
            "higher step | ×1 | gorgo-priced | session-affinity | ttft_p50_ms",
            "higher step | ×2 | gorgo-priced | session-affinity | ttft_p50_ms",
            "rises drift | 1.03 | 3 | gorgo-priced | ttft_p95_ms",
            "rises drift | 1.03 | 3 | session-affinity | ttft_p95_ms",
        ],
    }
}
