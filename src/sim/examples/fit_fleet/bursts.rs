//! Do requests that are sent together wait for each other before they have a replica?
//!
//! A short prompt is sent a moment after others. Where each goes out by itself, the luckiest of such prompts find an idle
//! replica, and come as soon as any. Where one thread decides on one after the other, even these wait, the longer the
//! more were sent before them. Nothing is fitted to this; it is printed beside what is.

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
/// Fewer tell nothing.
const FEWEST: usize = 10;

/// TTFT of the short prompts, sorted, by [`RANKS`].
fn by_rank(samples: &Samples) -> [Vec<f64>; RANKS.len()] {
    let mut requests: Vec<_> = samples.requests.iter().collect();
    requests.sort_by(|a, b| a.sent_ms.total_cmp(&b.sent_ms));
    let mut ttfts = [const { Vec::new() }; RANKS.len()];
    for (place, request) in requests.iter().enumerate() {
        if request.input_tokens > SHORT_TOKENS || request.sent_ms < FROM_MS {
            continue;
        }
        let from = requests.partition_point(|other| other.sent_ms < request.sent_ms - TOGETHER_MS);
        let before = place - from;
        let rank = RANKS.iter().position(|&(low, high)| (low..high).contains(&before));
        if let Some(rank) = rank {
            ttfts[rank].push(request.ttft_ms);
        }
    }
    ttfts.iter_mut().for_each(|ttfts| ttfts.sort_unstable_by(f64::total_cmp));
    ttfts
}

/// In words: 10th percentile and median, measured and of all simulated runs together.
pub fn told(measured: &Samples, simulated: &[Samples]) -> String {
    let mut all = [const { Vec::new() }; RANKS.len()];
    for run in simulated {
        for (all, mut of_run) in all.iter_mut().zip(by_rank(run)) {
            all.append(&mut of_run);
        }
    }
    let mut told = String::new();
    for (((low, high), measured), mut simulated) in
        RANKS.into_iter().zip(by_rank(measured)).zip(all)
    {
        simulated.sort_unstable_by(f64::total_cmp);
        if measured.len().min(simulated.len()) < FEWEST {
            continue;
        }
        let of = |sorted: &[f64]| {
            let [low, middle] = [0.1, 0.5].map(|q| quantile(sorted, q));
            format!("p10 {low:.0}, p50 {middle:.0} ({})", sorted.len())
        };
        let _ = writeln!(
            told,
            "  17 tokens, {low} to {} sent in the {TOGETHER_MS} ms before: measured {}, simulated {}",
            high - 1,
            of(&measured),
            of(&simulated)
        );
    }
    told
}
