//! What is counted: runs that complete as many requests, gaps between tokens, throughput.

use super::super::question::{Look, Panel, Point, Question};
use super::{Scenario, long_loads, scenario};

/// The question of equal counts.
pub(super) fn equal_counts() -> Question {
    let point = |label: &str, sets: &[&str]| Point::new(label, sets);
    Question {
        id: "equal-counts",
        title: "Equal completed counts",
        asked: "In the paper the policies completed 57 to 141 requests. Here 64 streams run for a minute, whatever \
                completes; then until each policy has completed the same 1,500 requests.",
        panels: vec![Panel {
            axis: "what ends the run",
            points: vec![
                point("a minute", &[]),
                point(
                    "1,500 requests",
                    &[
                        "measure={ stop_after_requests = 1_500, slo_ttft = \"1s\", slo_tpot = \"50ms\" }",
                    ],
                ),
            ],
            drawn: &["completed", "ttft_p50_ms", "ttft_p95_ms", "e2e_p50_ms"],
            tabled: &["completed", "ttft_p50_ms", "ttft_p95_ms", "e2e_p50_ms"],
            look: Look::Dots,
            ..Panel::of("counts", "A minute, or the same requests", scenario!("equal_counts.toml"))
        }],
        found: "\
In a minute the policies complete {= counts | a minute | prefix-cache | completed} (`prefix-cache`) to {= counts | a minute | session-affinity | completed} (session affinity) requests. Cut to equal counts no order changes: `gorgo-priced`'s P50 is {vs counts | a minute | gorgo-priced | least-load | ttft_p50_ms} against least-load in the minute and {vs counts | 1,500 requests | gorgo-priced | least-load | ttft_p50_ms} over the same 1,500 requests, session affinity's {vs counts | a minute | session-affinity | least-load | ttft_p50_ms} and {vs counts | 1,500 requests | session-affinity | least-load | ttft_p50_ms}.
With 64 streams the fleet is full, and GORGO loses: round-robin's P50 is {vs counts | 1,500 requests | round-robin | gorgo | ttft_p50_ms} against `gorgo`, at about the same E2E P50 ({vs counts | 1,500 requests | round-robin | gorgo | e2e_p50_ms}). A count alone says little of who answered first.",
        claims: &[
            "lowest counts | a minute | prefix-cache | completed",
            "highest counts | a minute | session-affinity | completed",
            "lower counts | 1,500 requests | round-robin | gorgo | ttft_p50_ms",
            "about counts | 1,500 requests | round-robin | gorgo | e2e_p50_ms",
        ],
    }
}

/// The question of gaps and throughput.
pub(super) fn throughput() -> Question {
    Question {
        id: "throughput",
        title: "Gaps between tokens, throughput, traffic",
        asked: "TBT/ITL, throughput and bandwidth, from an idle fleet to 130 % of what it bears under least-load.",
        panels: vec![Panel {
            axis: "offered load, share of what least-load bears",
            points: long_loads(&[10, 30, 50, 70, 90, 100, 110, 130]),
            drawn: &[
                "ttft_p95_ms",
                "itl_p99_ms",
                "completed_rps",
                "goodput_rps",
                "e2e_p50_ms",
                "cross_region_gb_h",
            ],
            tabled: &[
                "itl_p50_ms",
                "itl_p99_ms",
                "completed_rps",
                "goodput_rps",
                "cross_region_gb_h",
                "saturated",
            ],
            ..Panel::of("load", "From idle to saturated", scenario!("throughput.toml"))
        }],
        found: "\
Where the fleet is full, hits are throughput: at 130 % of what least-load bears `gorgo-priced` completes {vs load | 130 % | gorgo-priced | least-load | completed_rps} against least-load, `gorgo` {vs load | 130 % | gorgo | least-load | completed_rps}, session affinity {vs load | 130 % | session-affinity | least-load | completed_rps}; good requests (TTFT below 1 s, TPOT below 50 ms) at 100 % are {= load | 100 % | gorgo-priced | goodput_rps} a second under `gorgo-priced`, {= load | 100 % | gorgo | goodput_rps} under `gorgo`, {= load | 100 % | least-load | goodput_rps} under least-load.
`gorgo-priced` pays with gaps between tokens at low load, where it fills the near replica (ITL P99 at 30 %: {vs load | 30 % | gorgo-priced | least-load | itl_p99_ms} against least-load), and wins them back under load ({vs load | 90 % | gorgo-priced | least-load | itl_p99_ms} at 90 %). Between regions it moves {= load | 50 % | gorgo-priced | cross_region_gb_h} GB/h at 50 %, {vs load | 50 % | gorgo-priced | least-load | cross_region_gb_h} against least-load.",
        claims: &[
            "higher load | 130 % | gorgo-priced | least-load | completed_rps",
            "higher load | 130 % | session-affinity | least-load | completed_rps",
            "higher load | 30 % | gorgo-priced | least-load | itl_p99_ms",
            "lower load | 90 % | gorgo-priced | least-load | itl_p99_ms",
        ],
    }
}
