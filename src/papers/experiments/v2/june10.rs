//! The window of Apr 5 once more: the authors' run of four days before the paper's, whose result files they published.
//! The same requests and four of the same policies; their GORGO priced the queue in another way.

use super::BASELINES;
use crate::experiment::{Case, Window};
use std::fmt::Write as _;

/// Its label here and in the published figures.
pub(super) const GORGO: &str = "gorgo-uncached-queue";

/// After how many completed requests which weights were installed, `w_rtt` and `w_queue`, three digits: the proposals of
/// `results/2d_v8_tune/proxy_trace_gorgo/tune.jsonl` (atoniolo76/GORGO 3845dfc). Of the same weights in a row the first
/// stands.
#[rustfmt::skip]
const CHANGES: [(u32, f64, f64); 59] = [
    (128, 0.872, 0.169), (160, 0.990, 0.158), (192, 2.480, 0.130), (224, 3.369, 0.258), (256, 2.660, 0.0896),
    (288, 2.385, 0.0869), (320, 4.710, 0.118), (352, 2.302, 0.253), (384, 2.633, 0.0553), (416, 3.611, 0.223),
    (448, 1.735, 0.422), (480, 5.0, 0.448), (512, 3.635, 0.475), (544, 3.446, 0.453), (576, 2.817, 0.150),
    (608, 5.0, 0.0319), (640, 5.0, 0.0945), (672, 0.05, 0.104), (704, 0.05, 0.01), (736, 3.532, 2.0),
    (768, 5.0, 0.01), (800, 5.0, 2.0), (832, 0.05, 0.01), (864, 0.05, 0.557), (896, 2.509, 0.01),
    (928, 0.441, 0.01), (960, 1.007, 0.0237), (992, 5.0, 0.01), (1088, 0.114, 2.0), (1120, 2.948, 0.01),
    (1152, 5.0, 0.01), (1216, 5.0, 1.033), (1248, 0.947, 0.01), (1280, 5.0, 0.01), (1312, 0.05, 0.0964),
    (1344, 5.0, 0.0293), (1376, 0.388, 0.01), (1408, 0.05, 0.0409), (1440, 5.0, 2.0), (1472, 5.0, 0.01),
    (1504, 0.05, 0.01), (1536, 5.0, 0.0544), (1568, 2.208, 0.0433), (1600, 3.630, 0.221), (1632, 3.548, 0.0325),
    (1664, 1.517, 0.0193), (1696, 4.398, 0.01), (1728, 5.0, 0.01), (1760, 4.713, 0.0167), (1792, 5.0, 0.01),
    (1856, 5.0, 0.0101), (1888, 5.0, 0.0148), (1920, 4.761, 0.01), (1952, 4.934, 0.0129), (1984, 5.0, 0.01),
    (2016, 4.149, 0.0101), (2048, 5.0, 0.0106), (2080, 4.904, 0.01), (2112, 5.0, 0.01),
];

/// The policies of that run.
fn policies() -> String {
    let mut text = String::from("router.policies=[");
    for (_, policy) in BASELINES {
        let _ = write!(text, "{policy:?}, ");
    }
    let _ = write!(
        text,
        "{{ name = \"gorgo\", label = {GORGO:?}, w_rtt = 1.0, w_prefill = 1.0, w_queue = 0.1, queue_uncached_only = true, \
         tuner = {{ weights = {{ w_rtt = [0.05, 5.0], w_queue = [0.01, 2.0] }}, schedule = {{ changes = ["
    );
    for (completed, w_rtt, w_queue) in CHANGES {
        let _ = write!(
            text,
            "{{ completed = {completed}, weights = {{ w_rtt = {w_rtt}, w_queue = {w_queue} }} }}, "
        );
    }
    text + "] } } }]"
}

pub(super) fn window(recorded: Case) -> Window {
    Window {
        name: "apr5_june10",
        title: "Apr 5 once more: the authors' run of 10 June",
        case: recorded.set(policies()),
        pairs: BASELINES.into_iter().chain([(GORGO, GORGO)]).collect(),
        orders: vec!["ttft_ms_p50"],
        text: include_str!("june10.md"),
    }
}
