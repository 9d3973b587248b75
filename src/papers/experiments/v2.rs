//! GORGO v2 (arXiv 2602.11688v2): its main table. The window of Apr 5 runs on its recorded arrivals.

use crate::experiment::{Case, Experiment, Group, ScenarioText, Window};

const APR5: ScenarioText = ScenarioText {
    name: "scenarios/papers/v2_apr5.toml",
    toml: include_str!("../../../scenarios/papers/v2_apr5.toml"),
};

/// The paper's policies and ours. `least-load` and `least-request` are those that the fleet's profile was fitted to.
const PAIRS: [(&str, &str); 5] = [
    ("gorgo", "gorgo"),
    ("simple-session-affinity", "session-affinity"),
    ("least-load", "least-load"),
    ("least-request", "least-request"),
    ("prefix-cache", "prefix-cache"),
];

/// The figures that the paper's claims rest on; P99s are left to the table.
const SIX: [&str; 6] =
    ["ttft_ms_p50", "ttft_ms_p95", "e2e_s_p50", "e2e_s_p95", "itl_ms_p50", "in_flight_mean"];

pub(super) fn experiment() -> Experiment {
    let apr5 = Window {
        name: "apr5_ts1",
        title: "Apr 5, 16:15 to 16:45, time scale 1",
        case: Case { recorded: Some("gorgo/apr5_1615_arrivals.csv.gz"), ..Case::of(APR5) },
        pairs: PAIRS.to_vec(),
        orders: vec!["ttft_ms_p50"],
        text: "",
    };
    let group = |title, policies: &[&'static str]| Group {
        title,
        windows: vec!["apr5_ts1"],
        policies: policies.to_vec(),
        metrics: SIX.to_vec(),
    };
    Experiment {
        name: "v2",
        title: "GORGO v2: the main table",
        head: include_str!("v2.md"),
        tail: "",
        published: ScenarioText {
            name: "data/papers/v2.csv",
            toml: include_str!("../../../data/papers/v2.csv"),
        },
        windows: vec![apr5],
        groups: vec![
            group(
                "Apr 5, six figures of the two policies that were fitted",
                &["least-load", "least-request"],
            ),
            group(
                "Apr 5, six figures of the three that were not",
                &["gorgo", "session-affinity", "prefix-cache"],
            ),
        ],
        studies: Vec::new(),
        seeds: 20,
    }
}
