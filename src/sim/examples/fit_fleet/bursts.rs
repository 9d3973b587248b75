//! Do requests that are sent together wait for each other before they have a replica?
//!
//! A short prompt is sent a moment after others. Where each goes out by itself, the luckiest of such prompts find an idle
//! replica, and come as soon as any. Where one thread decides on one after the other, even these wait, the longer the
//! more were sent before them. Where this thread also passes on every token, those that were sent alone wait too, the longer
//! the more requests are in flight. Nothing is fitted to this; it is printed beside what is.

use crate::measured::{Samples, quantile};
use std::fmt::Write as _;

/// Prompts of so many tokens or fewer: a pass of their own, and no second round trip to send them.
const SHORT_TOKENS: u32 = 17;
/// What was sent so shortly before counts, ms.
const TOGETHER_MS: f64 = 60.0;
/// Until then the start-up stall is worked off, ms.
const FROM_MS: f64 = 30_000.0;
/// Requests sent shortly before, from and (exclusive) to.
const RANKS: [(usize, usize); 5] = [(0, 1), (1, 2), (2, 4), (4, 8), (8, 64)];
/// Requests in flight, from and (exclusive) to.
const LOADS: [(usize, usize); 5] = [(0, 10), (10, 20), (20, 35), (35, 50), (50, 65)];
/// Fewer tell nothing.
const FEWEST: usize = 10;

/// TTFTs in classes, each sorted.
type Classes = [Vec<f64>; RANKS.len()];

/// TTFT of the short prompts by [`RANKS`], and of those with none shortly before them by [`LOADS`].
fn classes(samples: &Samples) -> [Classes; 2] {
    let mut requests: Vec<_> = samples.requests.iter().collect();
    requests.sort_by(|a, b| a.sent_ms.total_cmp(&b.sent_ms));
    let mut ends: Vec<f64> = requests.iter().map(|r| r.sent_ms + r.e2e_ms).collect();
    ends.sort_unstable_by(f64::total_cmp);
    let mut told = [const { [const { Vec::new() }; RANKS.len()] }; 2];
    for (place, request) in requests.iter().enumerate() {
        if request.input_tokens > SHORT_TOKENS || request.sent_ms < FROM_MS {
            continue;
        }
        let mut put = |which: usize, classes: &[(usize, usize)], count: usize| {
            let class = classes.iter().position(|&(low, high)| (low..high).contains(&count));
            if let Some(class) = class {
                told[which][class].push(request.ttft_ms);
            }
        };
        let from = requests.partition_point(|other| other.sent_ms < request.sent_ms - TOGETHER_MS);
        let before = place - from;
        put(0, &RANKS, before);
        if before == 0 {
            put(1, &LOADS, place - ends.partition_point(|&end| end <= request.sent_ms));
        }
    }
    told.iter_mut().flatten().for_each(|ttfts| ttfts.sort_unstable_by(f64::total_cmp));
    told
}

/// In words: 10th percentile and median, measured and of all simulated runs together.
pub fn told(measured: &Samples, simulated: &[Samples]) -> String {
    let mut all = [const { [const { Vec::new() }; RANKS.len()] }; 2];
    for run in simulated {
        for (all, mut of_run) in all.iter_mut().flatten().zip(classes(run).into_iter().flatten()) {
            all.append(&mut of_run);
        }
    }
    all.iter_mut().flatten().for_each(|ttfts| ttfts.sort_unstable_by(f64::total_cmp));
    let together = format!("sent in the {TOGETHER_MS} ms before");
    let names = [(&RANKS, together.as_str()), (&LOADS, "in flight, none sent just before")];
    let mut told = String::new();
    for (((classes, name), measured), simulated) in names.iter().zip(classes(measured)).zip(all) {
        for ((&(low, high), measured), simulated) in classes.iter().zip(measured).zip(simulated) {
            if measured.len().min(simulated.len()) < FEWEST {
                continue;
            }
            let of = |sorted: &[f64]| {
                let [low, middle] = [0.1, 0.5].map(|q| quantile(sorted, q));
                format!("p10 {low:.0}, p50 {middle:.0} ({})", sorted.len())
            };
            let _ = writeln!(
                told,
                "  17 tokens, {low} to {} {name}: measured {}, simulated {}",
                high - 1,
                of(&measured),
                of(&simulated)
            );
        }
    }
    told
}
