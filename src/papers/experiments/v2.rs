//! GORGO v2 (arXiv 2602.11688v2): its main table, the same at another time scale, and its window of reward hacking. The
//! window of Apr 5 runs on its recorded arrivals; nobody published those of the others.

use crate::experiment::{Arm, Case, Experiment, Group, ScenarioText, Study, Window};

mod june10;

const APR5: ScenarioText = ScenarioText {
    name: "scenarios/papers/v2_apr5.toml",
    toml: include_str!("../../../scenarios/papers/v2_apr5.toml"),
};

/// The paper's baselines and ours. `least-load` and `least-request` are those that the fleet's profile was fitted to.
const BASELINES: [(&str, &str); 4] = [
    ("simple-session-affinity", "session-affinity"),
    ("least-load", "least-load"),
    ("least-request", "least-request"),
    ("prefix-cache", "prefix-cache"),
];

/// The figures that the paper's claims rest on; P99s are left to the table.
const SIX: [&str; 6] =
    ["ttft_ms_p50", "ttft_ms_p95", "e2e_s_p50", "e2e_s_p95", "itl_ms_p50", "in_flight_mean"];

/// The windows that nothing of is known but figures.
const MADE_UP: [&str; 3] = ["apr6_ts2", "apr7_ts3", "apr7_ts2"];

/// The paper's policies and ours, GORGO under this label.
fn pairs(gorgo: &'static str) -> Vec<(&'static str, &'static str)> {
    [("gorgo", gorgo)].into_iter().chain(BASELINES).collect()
}

/// Apr 5 is the window in which the paper's GORGO was tuned: its weights changed as its log says.
const AS_RUN: &str = "gorgo-as-run";

fn recorded() -> Case {
    Case { recorded: Some("gorgo/apr5_1615_arrivals.csv.gz"), ..Case::of(APR5) }
}

/// A window of other days: the same fleet, users and prompts like that day's, slowed down as the paper slowed it down.
fn made_up(day: &str, slower: f64) -> Case {
    Case::of(APR5)
        .set(format!("workload.art_chat.window={day:?}"))
        .set("workload.art_chat.bursts={ requests = 4, gap = \"15s\" }")
        .set(format!("load.recorded.speedup={}", 1.0 / slower))
        .only(&["gorgo", "session-affinity", "least-load", "least-request", "prefix-cache"])
}

/// The window in which tuned weights starved E2E.
fn reward_hacking() -> Case {
    Case::of(APR5)
        .set("workload.art_chat.requests=3071")
        .set("workload.art_chat.users=300")
        .set("workload.art_chat.top_user_share=0.382")
        .set(APR2_LENGTHS)
        .set("workload.art_chat.multi_turn_share=0.526")
        .set(
            "router.policies=[{ name = \"gorgo\", label = \"gorgo-hacked\", w_rtt = 0.227, w_prefill = 0.907, w_queue = 0.0 }, \
             \"session-affinity\", \"least-load\", \"least-request\", \"random\", \"prefix-cache\"]",
        )
}

/// Chosen so that `random`, and no other policy, has about its published TTFT P50 and P95.
const APR2_LENGTHS: &str = "workload.art_chat.input_tokens={ top_user = 17, median = 600, mean = 3700.0, p95 = 17500, max = 23872 }";

const MADE_UP_TEXT: &str = "Arrivals, lengths, users and prompts are made up to the published figures of this window, anew \
     under every seed: each seed is another workload. GORGO holds the weights that were learned on Apr 5, as in the paper.";

/// The same window at the speed at which it was recorded, which no policy could keep up with.
fn over_capacity() -> Window {
    let of_it =
        |pair: &(&str, &str)| ["gorgo", "session-affinity", "least-request"].contains(&pair.1);
    Window {
        name: "apr7_ts1",
        title: "Apr 7, 19:45 to 20:15, time scale 1: over capacity",
        case: made_up("apr7", 1.0).only(&["gorgo", "session-affinity", "least-request"]),
        pairs: pairs("gorgo").into_iter().filter(of_it).collect(),
        orders: vec!["ttft_ms_p50", "e2e_s_p95"],
        text: include_str!("v2/apr7_ts1.md"),
    }
}

fn windows() -> Vec<Window> {
    let apr5 = Window {
        name: "apr5_ts1",
        title: "Apr 5, 16:15 to 16:45, time scale 1",
        case: recorded(),
        pairs: pairs(AS_RUN),
        orders: vec!["ttft_ms_p50"],
        text: include_str!("v2/apr5.md"),
    };
    let other = |name, title, case| Window {
        name,
        title,
        case,
        pairs: pairs("gorgo"),
        orders: vec!["ttft_ms_p50", "e2e_s_p95"],
        text: MADE_UP_TEXT,
    };
    let hacked = Window {
        name: "apr2_1230_ts1",
        title: "Apr 2, 12:30 to 13:00: weights without a queue term",
        case: reward_hacking(),
        pairs: [("gorgo-hacked", "gorgo-hacked"), ("random", "random")]
            .into_iter()
            .chain(BASELINES)
            .collect(),
        orders: vec!["ttft_ms_p50", "e2e_s_p95"],
        text: include_str!("v2/apr2.md"),
    };
    vec![
        apr5,
        june10::window(recorded()),
        other("apr6_ts2", "Apr 6, 15:05 to 15:35, time scale 2", made_up("apr6", 2.0)),
        other("apr7_ts3", "Apr 7, 19:45 to 20:15, time scale 3", made_up("apr7", 3.0)),
        other("apr7_ts2", "Apr 7, 19:45 to 20:15, time scale 2", made_up("apr7", 2.0)),
        over_capacity(),
        hacked,
    ]
}

fn groups() -> Vec<Group> {
    let group =
        |title, windows: &[&'static str], policies: &[&'static str], metrics: &[&'static str]| {
            Group {
                title,
                windows: windows.to_vec(),
                policies: policies.to_vec(),
                metrics: metrics.to_vec(),
            }
        };
    let (apr5, once_more) = (["apr5_ts1"], ["apr5_june10"]);
    vec![
        group("all figures", &[], &[], &[]),
        group("Apr 5, all 30 of the six figures of five policies", &apr5, &[], &SIX),
        group(
            "Apr 5, six figures of the two policies that were fitted",
            &apr5,
            &["least-load", "least-request"],
            &SIX,
        ),
        group(
            "Apr 5, six figures of the three that were not",
            &apr5,
            &[AS_RUN, "session-affinity", "prefix-cache"],
            &SIX,
        ),
        group("Apr 5, GORGO's six figures", &apr5, &[AS_RUN], &SIX),
        group(
            "Apr 5 once more, six figures of the two policies that were fitted",
            &once_more,
            &["least-load", "least-request"],
            &SIX,
        ),
        group(
            "Apr 5 once more, six figures of session-affinity and prefix-cache",
            &once_more,
            &["session-affinity", "prefix-cache"],
            &SIX,
        ),
        group("Apr 5 once more, six figures of its GORGO", &once_more, &[june10::GORGO], &SIX),
        group(
            "Apr 6 and Apr 7, P50 of TTFT and E2E",
            &MADE_UP[..2],
            &[],
            &["ttft_ms_p50", "e2e_s_p50"],
        ),
        group(
            "Apr 6 and Apr 7, P95 of TTFT and E2E",
            &MADE_UP[..2],
            &[],
            &["ttft_ms_p95", "e2e_s_p95"],
        ),
        group(
            "Apr 7 at time scale 2, P50 of TTFT and E2E",
            &MADE_UP[2..],
            &[],
            &["ttft_ms_p50", "e2e_s_p50"],
        ),
        group(
            "Apr 7 at time scale 2, P95 of TTFT and E2E",
            &MADE_UP[2..],
            &[],
            &["ttft_ms_p95", "e2e_s_p95"],
        ),
        group("Apr 7 at time scale 1, over capacity", &["apr7_ts1"], &[], &[]),
    ]
}

/// Nobody shares one: what would have been system prompts is part of users' own texts.
const OWN_SYSTEM_PROMPTS: &str = "workload.art_chat.system={ count = 0, zipf_exponent = 0.0, \
     tokens = { mean = 300.0, sd = 200.0, min = 16, max = 2048 } }";

/// What a detail is worth: each left out or changed, all else as it is.
fn details() -> Study {
    let arm = |label: &str, sets: &[&str]| {
        let case = sets.iter().fold(recorded(), |case, set| case.set(*set));
        let case = case.only(&["gorgo", "session-affinity", "least-load", "prefix-cache"]);
        Arm { label: label.to_owned(), case }
    };
    Study {
        id: "details",
        title: "What a detail is worth (Apr 5)",
        varied: "left out or changed",
        text: "Each alone, all else as it was fitted. *No slow start*: an upload takes one way, whatever its length. *Side \
               by side*: decisions take as long, but do not wait for each other. *Free tokens*: passing tokens on takes nothing \
               of the proxy's time. *Any state*: a \
               request goes on from any state that its replica keeps. *Fresh load*: scrapes every 100 ms instead of every 30 s. *No \
               template*: the prompts' common beginning is left out; *own system prompts*: nobody shares one. The last two \
               cost no engine time, they change who goes where.",
        arms: vec![
            arm("as fitted", &[]),
            arm("no slow start", &["network.connect.slow_start_after_idle=false"]),
            arm("side by side", &["router.serial_decisions=false"]),
            arm("free tokens", &["router.relay_time_per_token=\"0ms\""]),
            arm(
                "any state",
                &[
                    "fleet.replicas.seoul.state_use_ppb=1000000000",
                    "fleet.replicas.frankfurt.state_use_ppb=1000000000",
                    "fleet.replicas.ashburn.state_use_ppb=1000000000",
                ],
            ),
            arm("fresh load", &["router.scrape_interval=\"100ms\""]),
            arm("no template", &["workload.art_chat.template_tokens=0"]),
            arm("own system prompts", &[OWN_SYSTEM_PROMPTS]),
        ],
        metrics: vec![
            "ttft_ms_p50",
            "ttft_ms_p95",
            "e2e_s_p50",
            "e2e_s_p95",
            "in_flight_mean",
            "token_hit_rate_pct",
            "busiest_share_pct",
        ],
        drawn: vec!["ttft_ms_p50", "ttft_ms_p95", "e2e_s_p50"],
        seeds: 5,
    }
}

pub(super) fn experiment() -> Experiment {
    Experiment {
        name: "v2",
        title: "GORGO v2: the main table",
        head: include_str!("v2/head.md"),
        tail: "",
        published: ScenarioText {
            name: "data/papers/v2.csv",
            toml: include_str!("../../../data/papers/v2.csv"),
        },
        windows: windows(),
        groups: groups(),
        studies: vec![details()],
        seeds: 20,
    }
}
