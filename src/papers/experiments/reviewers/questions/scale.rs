//! More regions, larger models.

use super::super::question::{Panel, Point, Question};
use super::{CHAT_CAPACITY_RPS, Scenario, scenario};

/// Azure's regions, in the order in which a fleet of more has them: far apart first.
const REGIONS: [&str; 24] = [
    "eastus",
    "germanywestcentral",
    "southeastasia",
    "westus2",
    "japaneast",
    "uksouth",
    "brazilsouth",
    "centralindia",
    "australiaeast",
    "swedencentral",
    "koreacentral",
    "southafricanorth",
    "canadacentral",
    "francecentral",
    "eastasia",
    "uaenorth",
    "southcentralus",
    "northeurope",
    "polandcentral",
    "japanwest",
    "centralus",
    "switzerlandnorth",
    "australiasoutheast",
    "westeurope",
];

/// The question of regions.
pub(super) fn regions() -> Question {
    let point = |&count: &usize| {
        let names: Vec<String> =
            REGIONS[..count].iter().map(|name| format!("\"azure:{name}\"")).collect();
        let share = count as f64 / 3.0;
        let sets = [
            format!("fleet.regions=[{}]", names.join(", ")),
            format!("load.poisson.rate=\"{:.3} sessions/s\"", 0.7 * CHAT_CAPACITY_RPS * share),
            format!("workload.wildchat.requests={}", 500 * count),
            format!("workload.wildchat.users={}", 200 * count),
            format!("measure.warm_up_requests={}", 150 * count),
        ];
        Point::new(format!("{count}"), &sets.each_ref().map(String::as_str))
    };
    Question {
        id: "regions",
        title: "From 3 to 24 regions",
        asked: "More than three regions: one H100 in each of 3 to 24 of Azure's, clients all over the world, 70 % load in \
                proportion. One router in Virginia, or one in each region.",
        panels: vec![Panel {
            axis: "regions",
            points: [3, 6, 12, 24].iter().map(point).collect(),
            drawn: &["ttft_p50_ms", "ttft_p95_ms", "network_ms", "hit_pct"],
            tabled: &["ttft_p50_ms", "ttft_p95_ms", "hit_pct"],
            ..Panel::of("regions", "Worldwide chat over 3 to 24 regions", scenario!("regions.toml"))
        }],
        found: "\
From 3 to 24 regions a central `gorgo-priced` keeps its lead over least-load ({vs regions | 3 | gorgo-priced | least-load | ttft_p50_ms} in P50 at 3, {vs regions | 24 | gorgo-priced | least-load | ttft_p50_ms} at 24) and its hits ({= regions | 24 | gorgo-priced | hit_pct} against {= regions | 24 | least-load | hit_pct} at 24, where least-load scatters sessions).
But one router for the world is the wrong place for it: the same rule in a router of each region (`blind`) is {vs regions | 3 | gorgo-priced-blind | gorgo-priced | ttft_p50_ms} in P50 at 3 regions and {vs regions | 24 | gorgo-priced-blind | gorgo-priced | ttft_p50_ms} at 24, because nobody's request goes by way of Virginia. Forwarding by way of the other region's router costs {vs regions | 24 | gorgo-priced-forward | gorgo-priced-blind | ttft_p50_ms} against sending to its replica directly.",
        claims: &[
            "lower regions | * | gorgo-priced | least-load | ttft_p50_ms",
            "higher regions | * | gorgo-priced | least-load | hit_pct",
            "lower regions | 3 | gorgo-priced-blind | gorgo-priced | ttft_p50_ms",
            "lower regions | 24 | gorgo-priced-blind | gorgo-priced | ttft_p50_ms",
            "higher regions | 24 | gorgo-priced-forward | gorgo-priced-blind | ttft_p50_ms",
        ],
    }
}

/// An engine in each of three regions.
struct Engine {
    /// On the axis.
    label: &'static str,
    gpu: &'static str,
    model: &'static str,
    /// What a prompt token takes on it: `prefill_ms_per_token` of its profile, and its quadratic part for a prompt
    /// of 5,000 tokens.
    ms_per_token: f64,
    /// What three of them complete under least-load when half as much again is offered: mean of seeds 1 to 3.
    capacity_rps: f64,
}

const ENGINES: [Engine; 6] = [
    Engine {
        label: "8B-fp8 H100",
        gpu: "h100-sxm",
        model: "llama-3.1-8b-fp8",
        ms_per_token: 0.016,
        capacity_rps: 22.0,
    },
    Engine {
        label: "7B H100",
        gpu: "h100-sxm",
        model: "mistral-7b",
        ms_per_token: 0.0225,
        capacity_rps: 18.0,
    },
    Engine {
        label: "8B H100",
        gpu: "h100-sxm",
        model: "llama-3.1-8b",
        ms_per_token: 0.0225,
        capacity_rps: 18.0,
    },
    Engine {
        label: "8B A100",
        gpu: "a100-sxm",
        model: "llama-3.1-8b",
        ms_per_token: 0.0665,
        capacity_rps: 7.0,
    },
    Engine {
        label: "70B-fp8 4xH100",
        gpu: "h100-sxm-tp4",
        model: "llama-3.3-70b-fp8",
        ms_per_token: 0.0456,
        capacity_rps: 11.0,
    },
    Engine {
        label: "70B 4xA100",
        gpu: "a100-sxm-tp4",
        model: "llama-3.3-70b",
        ms_per_token: 0.175,
        capacity_rps: 3.3,
    },
];

/// The question of models.
pub(super) fn models() -> Question {
    let point = |engine: &Engine| {
        let sets = [
            format!("fleet.gpu=\"{}\"", engine.gpu),
            format!("fleet.model=\"{}\"", engine.model),
            format!("load.poisson.rate=\"{:.3} req/s\"", 0.7 * engine.capacity_rps),
            format!("router.policies.4.w_rtt={:.2}", 1.0 / engine.ms_per_token),
        ];
        Point::new(engine.label, &sets.each_ref().map(String::as_str))
    };
    Question {
        id: "models",
        title: "From 7B to 70B",
        asked: "Larger models: the same long chats on engines from an 8B model in 8-bit floats to a 70B one on four A100s, \
                each at 70 % of what it bears.",
        panels: vec![Panel {
            axis: "engine in each of three regions",
            points: ENGINES.iter().map(point).collect(),
            tabled: &["ttft_p50_ms", "ttft_p95_ms", "saturated"],
            ..Panel::of("models", "Models from 7B to 70B", scenario!("models.toml"))
        }],
        found: "\
`gorgo-priced` leads least-load by about as much on every engine: in P95 {vs models | 8B H100 | gorgo-priced | least-load | ttft_p95_ms} on 8B H100s and {vs models | 70B 4xA100 | gorgo-priced | least-load | ttft_p95_ms} on 70B over four A100s, `gorgo` with the published weights {vs models | 8B H100 | gorgo | least-load | ttft_p95_ms} and {vs models | 70B 4xA100 | gorgo | least-load | ttft_p95_ms}.
Against session affinity `gorgo-priced` loses the P50 on fast engines ({vs models | 8B H100 | gorgo-priced | session-affinity | ttft_p50_ms} on 8B H100s) and wins the P95 on slow ones ({vs models | 8B A100 | gorgo-priced | session-affinity | ttft_p95_ms} on A100s, {vs models | 70B 4xA100 | gorgo-priced | session-affinity | ttft_p95_ms} on 70B over A100s); with the published weights GORGO loses to it on all of them.",
        claims: &[
            "lower models | * | gorgo-priced | least-load | ttft_p95_ms",
            "higher models | 8B H100 | gorgo-priced | session-affinity | ttft_p50_ms",
            "lower models | 8B A100 | gorgo-priced | session-affinity | ttft_p95_ms",
            "lower models | 70B 4xA100 | gorgo-priced | session-affinity | ttft_p95_ms",
            "higher models | * | gorgo | session-affinity | ttft_p50_ms",
            "higher models | * | gorgo | session-affinity | ttft_p95_ms",
        ],
    }
}
