//! The table of an article that sums GORGO up. It names no workload, so one was fitted to it
//! (`examples/search_summary.rs`), and the studies say how far the claim holds around that one.

use crate::experiment::{Arm, Case, Experiment, Group, ScenarioText, Study, Window};

const SUMMARY: ScenarioText = ScenarioText {
    name: "scenarios/papers/summary.toml",
    toml: include_str!("../../../scenarios/papers/summary.toml"),
};

/// The table's four policies.
const FOUR: [&str; 4] = ["least-load", "prefix-similarity", "prior-policy-proxy", "gorgo"];

/// What the search found, of what the studies multiply: sessions a second, and the mean tokens of a user text.
const RATE: f64 = 1.657;
const USER_TOKENS: f64 = 922.4;
/// The same of turns.
const TURNS: f64 = 1.59;

fn arm(label: &str, sets: &[&str]) -> Arm {
    let sets = sets.iter().map(|&set| set.to_owned()).collect();
    let case = Case { sets, ..Case::of(SUMMARY) };
    Arm { label: label.to_owned(), case: case.only(&FOUR) }
}

fn study(
    id: &'static str,
    title: &'static str,
    varied: &'static str,
    text: &'static str,
    arms: Vec<Arm>,
) -> Study {
    let metrics = vec!["ttft_ms_p50", "ttft_ms_p95", "token_hit_rate_pct"];
    Study { id, title, varied, text, arms, drawn: metrics.clone(), metrics, seeds: 10 }
}

fn rate(factor: f64) -> String {
    format!("load.poisson.rate=\"{} sessions/s\"", RATE * factor)
}

fn user_tokens(factor: f64) -> String {
    let mean = USER_TOKENS * factor;
    let sd = 2.0 * mean;
    format!("workload.chat.user_tokens={{ mean = {mean}, sd = {sd}, min = 1, max = 8000 }}")
}

fn turns(factor: f64) -> String {
    format!("workload.chat.turns={{ geometric = {{ mean = {} }} }}", (TURNS * factor).max(1.0))
}

/// Three regions, the first of them with load generator and proxy; a third of the users beside each.
fn regions(names: [&str; 3]) -> Vec<String> {
    let all = names.map(|name| format!("\"azure:{name}\"")).join(", ");
    let users =
        names.map(|name| format!("{{ share = 1.0, region = \"azure:{name}\" }}")).join(", ");
    vec![format!("fleet.regions=[{all}]"), format!("workload.chat.origins=[{users}]")]
}

fn studies() -> Vec<Study> {
    let near = regions(["eastus", "eastus2", "northcentralus"]);
    let far = regions(["eastus", "japaneast", "australiaeast"]);
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    let far: Vec<&str> = far.iter().map(String::as_str).collect();
    let beside = "router.variants.regional.per_region.regions=[\"azure:eastus\"]";
    let no_prompts = "workload.chat.system={ count = 0, zipf_exponent = 1.0, tokens = { mean = 1.0, sd = 0.0, min = 1, max = 1 } }";
    vec![
        study(
            "load",
            "The load",
            "rate / fitted rate",
            include_str!("summary/load.md"),
            vec![
                arm("0.25", &[&rate(0.25)]),
                arm("0.5", &[&rate(0.5)]),
                arm("0.75", &[&rate(0.75)]),
                arm("1", &[]),
                arm("1.25", &[&rate(1.25)]),
                arm("1.5", &[&rate(1.5)]),
            ],
        ),
        study(
            "prompts",
            "Lengths of prompts",
            "length of texts / fitted; the rate is divided by it",
            include_str!("summary/prompts.md"),
            vec![
                arm("0.25", &[&user_tokens(0.25), &rate(4.0)]),
                arm("0.5", &[&user_tokens(0.5), &rate(2.0)]),
                arm("1", &[]),
                arm("2", &[&user_tokens(2.0), &rate(0.5)]),
                arm("4", &[&user_tokens(4.0), &rate(0.25)]),
            ],
        ),
        study(
            "sharing",
            "What prompts share",
            "prefixes",
            include_str!("summary/sharing.md"),
            vec![
                arm("nothing", &[no_prompts, &turns(0.0), &rate(TURNS)]),
                arm("system prompts alone", &[&turns(0.0), &rate(TURNS)]),
                arm("turns alone", &[no_prompts]),
                arm("both, as fitted", &[]),
                arm("both, twice the turns", &[&turns(2.0), &rate(0.5)]),
            ],
        ),
        study(
            "regions",
            "How far the regions are apart",
            "regions",
            include_str!("summary/regions.md"),
            vec![
                arm("one continent: 8 and 19 ms", &near),
                arm("as assumed: 69 and 83 ms", &[]),
                arm("around the Pacific: 162 and 201 ms", &far),
            ],
        ),
        study(
            "topology",
            "Where the first two policies route",
            "least-load and prefix-similarity",
            include_str!("summary/topology.md"),
            vec![
                arm("a balancer in each region", &[]),
                arm("one router beside the load generator", &[beside]),
            ],
        ),
    ]
}

pub(super) fn experiment() -> Experiment {
    let window = Window {
        name: "synthetic_3_regions",
        title: "Four policies in three regions, 13B",
        case: Case::of(SUMMARY),
        pairs: FOUR.map(|policy| (policy, policy)).to_vec(),
        orders: vec!["ttft_ms_p50", "ttft_ms_p95", "token_hit_rate_pct"],
        text: include_str!("summary/window.md"),
    };
    let group = |title, metrics: &[&'static str]| Group {
        title,
        windows: Vec::new(),
        policies: Vec::new(),
        metrics: metrics.to_vec(),
    };
    Experiment {
        name: "summary",
        title: "The summary article's table: a workload that was fitted to it",
        head: include_str!("summary/head.md"),
        tail: "",
        published: ScenarioText {
            name: "data/papers/summary.csv",
            toml: include_str!("../../../data/papers/summary.csv"),
        },
        windows: vec![window],
        groups: vec![
            group("all twelve figures, which the workload was fitted to", &[]),
            group("of these the eight of TTFT", &["ttft_ms_p50", "ttft_ms_p95"]),
        ],
        studies: studies(),
        seeds: 20,
    }
}
