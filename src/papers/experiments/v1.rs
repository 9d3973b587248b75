//! GORGO v1 (arXiv 2602.11688v1): distributed balancers against a central proxy, on 60 s of WildChat's first messages.
//!
//! Little of that experiment is published, so there is one window and, beside it, a study for each thing that is not
//! known: it alone is changed, the rest stays. Nothing is fitted to the published figures.

use crate::experiment::{Arm, Case, Experiment, Group, ScenarioText, Study, Window};

const V1: ScenarioText = ScenarioText {
    name: "scenarios/papers/v1.toml",
    toml: include_str!("../../../scenarios/papers/v1.toml"),
};

/// The paper's four policies, as its code runs them.
const CODED: [&str; 4] = ["least-load", "prefix-tree", "gorgo", "gorgo-proxy"];

/// The routers whose place is that of the geographic proxy.
const DISTRIBUTED: [&str; 4] =
    ["no-waiting", "never-forwards", "no-waiting-as-described", "nearest-region"];

fn arm(label: &str, sets: &[&str]) -> Arm {
    let case = Case { sets: sets.iter().map(|&set| set.to_owned()).collect(), ..Case::of(V1) };
    Arm { label: label.to_owned(), case: case.only(&CODED) }
}

/// The load generator, the geographic proxy and the central proxy in another region.
fn place(label: &str, region: &str) -> Arm {
    let mut sets = vec![format!("router.per_region.geo_proxy={region}")];
    for variant in DISTRIBUTED {
        sets.push(format!("router.variants.{variant}.per_region.geo_proxy={region}"));
    }
    for variant in ["proxy", "proxy-as-described"] {
        sets.push(format!("router.variants.{variant}.per_region.geo_proxy={region}"));
        sets.push(format!("router.variants.{variant}.per_region.regions=[\"{region}\"]"));
    }
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    arm(label, &sets)
}

fn study(
    id: &'static str,
    title: &'static str,
    varied: &'static str,
    text: &'static str,
    arms: Vec<Arm>,
) -> Study {
    let metrics = vec!["ttft_ms_p50", "ttft_ms_p95", "ttft_ms_p99", "completed", "itl_ms_p50"];
    let drawn = vec!["ttft_ms_p50", "ttft_ms_p99", "completed"];
    Study { id, title, varied, text, arms, metrics, drawn, seeds: 20 }
}

impl Arm {
    fn with(mut self, set: &str) -> Self {
        self.case = self.case.set(set);
        self
    }
}

/// An answer's length, lognormal as published, cut.
fn cap(tokens: u32) -> String {
    format!("workload.wildchat.output_tokens={{mean=442.187,sd=421.08,min=1,max={tokens}}}")
}

fn load_and_connections() -> Vec<Study> {
    let poisson = |rate: u32| format!("load={{poisson={{rate=\"{rate} sessions/s\"}}}}");
    let new = |tls: u32| {
        format!(
            "network.connect={{tls_round_trips={tls},keep_alive=\"1ms\",clients=\"new\",probes=\"new\"}}"
        )
    };
    vec![
        study(
            "load",
            "The load",
            "load",
            include_str!("v1/load.md"),
            vec![
                arm("5 in flight", &["load.concurrent.streams=5"]),
                arm("10 in flight", &[]),
                arm("20 in flight", &["load.concurrent.streams=20"]),
                arm("40 in flight", &["load.concurrent.streams=40"]),
                arm("2 req/s", &[&poisson(2)]),
                arm("5 req/s", &[&poisson(5)]),
                arm("20 req/s", &[&poisson(20)]),
            ],
        ),
        study(
            "connections",
            "Connections",
            "connections",
            include_str!("v1/connections.md"),
            vec![
                arm("always open", &[]),
                arm("new for each request", &[&new(0)]),
                arm("new, with TLS 1.3", &[&new(1)]),
                arm("new, 20 in flight", &[&new(0), "load.concurrent.streams=20"]),
                arm("new, 5 req/s", &[&new(0), &poisson(5)]),
                place("new, from US East", "us-east").with(&new(0)),
                place("new, from Germany", "germany").with(&new(0)),
            ],
        ),
    ]
}

fn places_and_network() -> Vec<Study> {
    let link = |at: u32, ms: u32| format!("network.links.{at}.rtt_p50=\"{ms}ms\"");
    vec![
        study(
            "rtt",
            "Round trips between the regions",
            "round trips",
            include_str!("v1/rtt.md"),
            vec![
                arm("half the paper's", &[&link(0, 92), &link(1, 141), &link(2, 28)]),
                arm("the paper's example", &[]),
                arm("Azure's", &[&link(0, 183), &link(1, 152), &link(2, 56)]),
                arm("twice the paper's", &[&link(0, 366), &link(1, 562), &link(2, 112)]),
            ],
        ),
        study(
            "place",
            "Where load generator and proxies stood",
            "place",
            include_str!("v1/place.md"),
            vec![
                place("US West", "us-west"),
                place("US East", "us-east"),
                place("Germany", "germany"),
                place("Israel", "israel"),
            ],
        ),
    ]
}

fn engine() -> Vec<Study> {
    let overhead = |ms: &str| format!("profiles.v1-a100.overhead_ms={ms}");
    let decode = |ms: u32| format!("profiles.v1-a100.decode_base_ms={ms}");
    vec![
        study(
            "intercept",
            "How much of the 150.72 ms is the server's",
            "server's share",
            include_str!("v1/intercept.md"),
            vec![
                arm("21 ms", &[&overhead("10.0")]),
                arm("75 ms", &[&overhead("64.0")]),
                arm("all of it", &[]),
                arm("225 ms", &[&overhead("214.0")]),
            ],
        ),
        study(
            "output",
            "The longest answer",
            "cap on an answer, tokens",
            include_str!("v1/output.md"),
            vec![
                arm("64", &[&cap(64)]),
                arm("128", &[&cap(128)]),
                arm("256", &[&cap(256)]),
                arm("512", &[&cap(512)]),
                arm("none", &[]),
            ],
        ),
        study(
            "decode",
            "The decode rate",
            "ms a token, alone on a GPU",
            include_str!("v1/decode.md"),
            vec![
                arm("8", &[&decode(8)]),
                arm("11", &[]),
                arm("14", &[&decode(14)]),
                arm("16", &[&decode(16)]),
            ],
        ),
        study(
            "gpus",
            "GPUs of a node",
            "engines in a region",
            include_str!("v1/gpus.md"),
            vec![
                arm("1", &[]),
                arm("2", &["fleet.replicas_per_region=2"]),
                arm("8", &["fleet.replicas_per_region=8"]),
                arm(
                    "8, 80 in flight",
                    &["fleet.replicas_per_region=8", "load.concurrent.streams=80"],
                ),
            ],
        ),
    ]
}

fn counting() -> Vec<Study> {
    vec![study(
        "unfinished",
        "Requests that had not ended after 60 s",
        "unfinished requests",
        include_str!("v1/unfinished.md"),
        vec![
            arm("left out", &[]),
            arm("counted", &["measure.drain=\"10min\""]),
            arm("left out, 5 req/s", &["load={poisson={rate=\"5 sessions/s\"}}"]),
            arm(
                "counted, 5 req/s",
                &["load={poisson={rate=\"5 sessions/s\"}}", "measure.drain=\"10min\""],
            ),
        ],
    )]
}

pub(super) fn experiment() -> Experiment {
    let window = Window {
        name: "wildchat_60s",
        title: "60 s of WildChat, 10 requests in flight",
        case: Case::of(V1),
        pairs: CODED.iter().map(|&policy| (policy, policy)).collect(),
        orders: vec!["ttft_ms_p50"],
        text: include_str!("v1/window.md"),
    };
    let medians = Group {
        title: "the four medians of TTFT",
        windows: vec!["wildchat_60s"],
        policies: CODED.to_vec(),
        metrics: vec!["ttft_ms_p50"],
    };
    let rest = Group {
        title: "the proxy's P99 and the range of completed requests",
        windows: vec!["wildchat_60s"],
        policies: vec!["gorgo-proxy", ""],
        metrics: vec!["ttft_ms_p99", "completed"],
    };
    let studies = [load_and_connections(), places_and_network(), engine(), counting()];
    Experiment {
        name: "v1",
        title: "GORGO v1: balancers in every region against a central proxy",
        head: include_str!("v1/head.md"),
        tail: "",
        published: ScenarioText {
            name: "data/papers/v1.csv",
            toml: include_str!("../../../data/papers/v1.csv"),
        },
        windows: vec![window],
        groups: vec![medians, rest],
        studies: studies.concat(),
        seeds: 100,
    }
}
