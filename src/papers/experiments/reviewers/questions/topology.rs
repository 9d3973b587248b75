//! One router or several.

use super::super::question::{Panel, Point, Question};
use super::{CHAT_CAPACITY_RPS, Scenario, scenario, values};

/// The question.
pub(super) fn topology() -> Question {
    let at = |share: f64| -> Vec<Point> {
        let rate = format!("load.poisson.rate=\"{:.3} sessions/s\"", share * CHAT_CAPACITY_RPS);
        let points = values("router.scrape_interval", &["10ms", "1s", "5s", "60s"]);
        points
            .into_iter()
            .map(|mut point| {
                point.sets.push(rate.clone());
                point
            })
            .collect()
    };
    let shape = |panel: Panel| Panel {
        axis: "time between scrapes: how routers hear of each other",
        tabled: &["ttft_p50_ms", "ttft_p95_ms"],
        ..panel
    };
    Question {
        id: "topology",
        title: "Central proxy or distributed routers",
        asked: "A central proxy against a router in each region, each blind to the others but for what it is told every 10 \
                ms to 60 s (`blind` reaches every replica itself; `forward` passes on to another region's router, at most once, what its \
                cost says; `v1-regional` is GORGO v1's rule, local first.)",
        panels: vec![
            Panel {
                points: at(0.5),
                ..shape(Panel::of("half", "At 50 % load", scenario!("topology.toml")))
            },
            Panel {
                points: at(0.9),
                ..shape(Panel::of("high", "At 90 % load", scenario!("topology.toml")))
            },
        ],
        found: "\
For clients all over the world the central proxy is the slow one: at 90 % load `gorgo-priced` in a router of each region (`blind`, scrapes every second) has {vs high | 1s | gorgo-priced-blind | gorgo-priced | ttft_p50_ms} in P50 and {vs high | 1s | gorgo-priced-blind | gorgo-priced | ttft_p95_ms} in P95; GORGO v1 measured the opposite order, but its rule for regions, local first (`v1-regional`), is not this one: its P95 is {vs high | 1s | v1-regional | gorgo-priced | ttft_p95_ms} against the central one.
How often routers hear of each other hardly matters to GORGO, which looks at its own requests only: with a price on what it hears (`gorgo-used-blind`) P95 changes by {step high | 10ms | 60s | gorgo-used-blind | ttft_p95_ms} from 10 ms to 60 s. Blind least-load changes by {step high | 10ms | 60s | least-load-blind | ttft_p95_ms}; `v1-regional`, which decides by the last scrape whether its region has room, by {step high | 1s | 60s | v1-regional | ttft_p95_ms} from 1 s to 60 s.",
        claims: &[
            "lower high | 1s | gorgo-priced-blind | gorgo-priced | ttft_p50_ms",
            "lower high | 1s | gorgo-priced-blind | gorgo-priced | ttft_p95_ms",
            "higher high | 1s | v1-regional | gorgo-priced | ttft_p95_ms",
            "keeps high | 10ms | 60s | gorgo-used-blind | ttft_p95_ms",
        ],
    }
}
