//! How old the router's knowledge may be: load, and round trips.

use super::super::question::{Panel, Point, Question};
use super::{LONG_CAPACITY_RPS, Scenario, scenario, values};

const INTERVALS: [&str; 6] = ["10ms", "100ms", "1s", "5s", "30s", "60s"];

/// The question.
pub(super) fn staleness() -> Question {
    let at_seventy = |mut point: Point| {
        point.sets.push(format!("load.poisson.rate=\"{:.3} req/s\"", 0.7 * LONG_CAPACITY_RPS));
        point
    };
    let points = |path| values(path, &INTERVALS).into_iter().map(at_seventy).collect::<Vec<_>>();
    Question {
        id: "staleness",
        title: "Age of load and of round trips",
        asked: "Sync interval and staleness: scrapes of load, and probes of round trips that step, from 10 ms to 60 s apart. \
                One router, 70 % load. (Several routers that learn of each other by scrapes: below.)",
        panels: vec![
            Panel {
                axis: "time between scrapes",
                points: points("router.scrape_interval"),
                tabled: &["ttft_p50_ms", "ttft_p95_ms"],
                ..Panel::of("load", "Age of the load", scenario!("load_staleness.toml"))
            },
            Panel {
                axis: "time between probes",
                points: points("router.probe_interval"),
                tabled: &["ttft_p50_ms", "ttft_p95_ms"],
                ..Panel::of(
                    "probes",
                    "Age of round trips that step",
                    scenario!("probe_staleness.toml"),
                )
            },
        ],
        found: "\
GORGO does not look at scraped load at all, so its age changes nothing, and a price on it (`gorgo-used`, w_used 0.02) gains nothing. Rules that do look at it lose by age: from 10 ms to 5 s `prefix-cache` goes {step load | 10ms | 5s | prefix-cache | ttft_p95_ms} and `least-request` {step load | 10ms | 5s | least-request | ttft_p95_ms} in P95; least-load is worst at 1 s, where its scrapes count what its own counters still have, and changes by {step load | 1s | 60s | least-load | ttft_p95_ms} to 60 s, where it sees little but those.
The age of probes hardly matters up to GORGO v2's 30 s: with round trips that triple for 40 s at a time, P95 of `gorgo-priced` changes by {step probes | 1s | 30s | gorgo-priced | ttft_p95_ms} from probes every second to every 30 s, but by {step probes | 1s | 60s | gorgo-priced | ttft_p95_ms} to every 60 s. Session affinity, which sees no network, is {vs probes | 1s | session-affinity | gorgo-priced | ttft_p95_ms} in P95 against it with probes every second, and {vs probes | 1s | session-affinity | gorgo-priced | ttft_p50_ms} in P50.",
        claims: &[
            "keeps load | 10ms | 60s | gorgo | ttft_p95_ms",
            "keeps load | 10ms | 60s | gorgo-priced | ttft_p95_ms",
            "rises load | 10ms | 5s | prefix-cache | ttft_p95_ms",
            "rises load | 10ms | 5s | least-request | ttft_p95_ms",
            "rises load | 10ms | 1s | least-load | ttft_p95_ms",
            "falls load | 1s | 60s | least-load | ttft_p95_ms",
            "keeps probes | 1s | 30s | gorgo-priced | ttft_p95_ms",
            "rises probes | 1s | 60s | gorgo-priced | ttft_p95_ms",
        ],
    }
}
