//! Does a prompt that was sent shortly before hit more often than one that continues another, or is new?
//!
//! Requests of exactly the same length within minutes are for the most part one prompt that is sent again (`given.rs` of
//! the workload). Where an engine can go on from the end of a prompt, such requests are answered at once if they come to
//! the replica that had them; where it can go on from a few places only, they hit no more than others.

use crate::measured::{Sample, Samples};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Prompts that are looked at, tokens.
const FROM_TOKENS: u32 = 6_000;
/// The classes: how long before the last request of that length was sent, s, from and (exclusive) to. The last class has
/// those without one.
const LAGS: [(f64, f64); 3] = [(0.0, 40.0), (40.0, 120.0), (300.0, f64::INFINITY)];
/// What hits of made-up users vary by besides the number of the measured ones, an assumption.
const DEVIATION: f64 = 0.05;

/// Requests and hits by class.
pub type Classes = [(f64, f64); LAGS.len()];

/// How many requests of each class there are, and how many of them have hit.
pub fn classes(samples: &Samples) -> Classes {
    let mut requests: Vec<&Sample> = samples.requests.iter().collect();
    requests.sort_by(|a, b| a.sent_ms.total_cmp(&b.sent_ms));
    let mut last: BTreeMap<u32, f64> = BTreeMap::new();
    let mut classes = [(0.0, 0.0); LAGS.len()];
    for request in requests {
        let before = last.insert(request.input_tokens, request.sent_ms);
        if request.input_tokens < FROM_TOKENS {
            continue;
        }
        let lag_s = before.map_or(f64::INFINITY, |before| (request.sent_ms - before) / 1e3);
        let fits = |&(from, to): &(f64, f64)| from <= lag_s && (lag_s < to || to.is_infinite());
        if let Some(class) = LAGS.iter().position(fits) {
            classes[class].0 += 1.0;
            classes[class].1 += f64::from(u8::from(request.has_hit()));
        }
    }
    classes
}

/// The share of a class's requests that hit; half a hit where there is none keeps logarithms finite.
fn share((requests, hits): (f64, f64)) -> f64 {
    f64::max(hits, 0.5) / f64::max(requests, 1.0)
}

/// The mean share of the runs, class by class.
fn mean(runs: &[Samples]) -> [f64; LAGS.len()] {
    let of_runs: Vec<Classes> = runs.iter().map(classes).collect();
    std::array::from_fn(|class| {
        of_runs.iter().map(|run| share(run[class])).sum::<f64>() / of_runs.len() as f64
    })
}

/// The classes of two runs together.
pub fn both(one: Classes, other: Classes) -> Classes {
    std::array::from_fn(|class| (one[class].0 + other[class].0, one[class].1 + other[class].1))
}

/// How far simulated shares are from measured ones, in squared deviations.
pub fn loss(measured: Classes, simulated: &[Samples]) -> f64 {
    let of_class = |(class, got): ((f64, f64), f64)| {
        let deviation = (1.0 / f64::max(class.1, 1.0) + DEVIATION.powi(2)).sqrt();
        ((got / share(class)).ln() / deviation).powi(2)
    };
    let all = measured.into_iter().zip(mean(simulated)).map(of_class);
    all.sum::<f64>() / LAGS.len() as f64
}

/// In words.
pub fn told(measured: Classes, simulated: &[Samples]) -> String {
    let mut told = String::new();
    for ((class, got), (from, to)) in measured.into_iter().zip(mean(simulated)).zip(LAGS) {
        let _ = writeln!(
            told,
            "  {FROM_TOKENS} tokens and more, the last of that length {from} to {to} s before: hits measured {:.1} % of \
             {}, simulated {:.1} %",
            100.0 * share(class),
            class.0,
            100.0 * got,
        );
    }
    let _ = writeln!(told, "  loss of these: {:.3}", loss(measured, simulated));
    told
}
