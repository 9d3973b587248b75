//! How many round trips an upload takes, read off what clients measured: `cargo run --release -p gorgo-sim --example
//! upload_steps [-- FOLDER]`, with the folder of `apr5_1615_measured_{least-load,least-request}.csv.gz`.
//!
//! In calm moments a TTFT is 0.06 ms a token (published, idle), a constant, and k round trips to one of three regions
//! whose floors are known. Which region it was is not recorded, but long and short round trips lie so far apart that the
//! times fall into three heaps, whose distances are k times those of the round trips. For each range of prompt lengths
//! this prints how much less likely each k is than the best one; then the lengths at which k steps from 1 to 2 to 3, and
//! how much less likely others are. It fits nothing else, and looks at no other file. The model: each region a third,
//! each heap normal with 18 ms, half of the requests in no heap (they waited, hit, or opened a connection).

use csv::ReaderBuilder;
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::fs::File;

#[derive(Deserialize)]
struct Row {
    sent_ms: f64,
    input_tokens: u32,
    ttft_ms: f64,
    e2e_ms: f64,
}

/// Floors of the probes, ms (`data/network/gorgo_v2.csv`).
const ROUND_TRIPS_MS: [f64; 3] = [21.0, 102.0, 208.0];
const MS_PER_TOKEN: f64 = 0.06;
const HEAP_MS: f64 = 18.0;
/// Fewer in flight over the whole fleet is calm.
const CALM: usize = 12;
const WORKERS: usize = 64;

fn main() -> Result<(), String> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "../shared/data/gorgo".to_owned());
    let mut calm = Vec::new();
    for policy in ["least-load", "least-request"] {
        calm.extend(read(&format!("{folder}/apr5_1615_measured_{policy}.csv.gz"))?);
    }
    println!("{} calm requests of more than 1,000 tokens", calm.len());
    println!("tokens, requests, log-likelihood below the best k: k = 1, 2, 3, 4 (constant, ms)");
    for edge in [1_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000, 14_000, 16_000, 18_000] {
        let to = if edge < 6_000 { edge + 1_000 } else { edge + 2_000 };
        let to = if edge == 18_000 {
            24_000
        } else if edge == 1_000 {
            3_000
        } else {
            to
        };
        let of: Vec<_> = calm.iter().filter(|&&(n, _)| (edge..to).contains(&n)).copied().collect();
        let fits: Vec<_> = (1..=4).map(|k| best_constant(&of, |_| k)).collect();
        let best = fits.iter().map(|fit| fit.0).fold(f64::NEG_INFINITY, f64::max);
        let told = fits.iter().map(|fit| format!("{:6.1} ({})", fit.0 - best, fit.1));
        println!("{edge:>6}, {:>3}: {}", of.len(), told.collect::<Vec<_>>().join(", "));
    }
    let steps = |one: u32, two: u32| {
        best_constant(&calm, |n| 1 + u32::from(n >= one) + u32::from(n >= two))
    };
    let mut all = Vec::new();
    for one in (3_600..=6_000).step_by(50) {
        for two in (12_000..=20_000).step_by(200) {
            all.push((steps(one, two), one, two));
        }
    }
    let top = all.iter().copied().max_by(|a, b| a.0.0.total_cmp(&b.0.0)).ok_or("no steps")?;
    println!("best steps: {} and {} tokens, constant {} ms", top.1, top.2, top.0.1);
    for (name, at) in [("first", 1), ("second", 2)] {
        let mut near: Vec<u32> = (all.iter().filter(|fit| fit.0.0 > top.0.0 - 2.0))
            .map(|fit| if at == 1 { fit.1 } else { fit.2 })
            .collect();
        near.sort_unstable();
        let (from, to) = (near.first().unwrap_or(&0), near.last().unwrap_or(&0));
        println!("  within 2 of the likelihood's logarithm, the {name} lies from {from} to {to}");
    }
    let never = best_constant(&calm, |_| 1);
    println!("one round trip for all: {:.0} below", never.0 - top.0.0);
    Ok(())
}

/// The largest log-likelihood over constants, and the constant, ms.
fn best_constant(of: &[(u32, f64)], trips: impl Fn(u32) -> u32) -> (f64, u32) {
    let at = |constant: u32| -> f64 {
        let one = |&(n, ttft): &(u32, f64)| {
            let rest = ttft - MS_PER_TOKEN * f64::from(n) - f64::from(constant);
            let heaps = ROUND_TRIPS_MS.iter().map(|rtt| {
                let z = (rest - f64::from(trips(n)) * rtt) / HEAP_MS;
                (-0.5 * z * z).exp() / (HEAP_MS * 2.5066 * 3.0)
            });
            (0.5 * heaps.sum::<f64>() + 0.5 / 1_600.0).ln()
        };
        of.iter().map(one).sum()
    };
    let fits = (20..=140).step_by(5).map(|constant| (at(constant), constant));
    fits.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NEG_INFINITY, 0))
}

/// (prompt tokens, TTFT in ms) of the calm requests of a file.
fn read(path: &str) -> Result<Vec<(u32, f64)>, String> {
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let mut rows = ReaderBuilder::new().from_reader(GzDecoder::new(file));
    let rows: Result<Vec<Row>, _> = rows.deserialize().collect();
    let rows = rows.map_err(|error| format!("{path}: {error}"))?;
    // `sent_ms` is stamped before the queue: 64 workers take from it in order.
    let mut free = [0.0_f64; WORKERS];
    let mut starts: Vec<f64> = Vec::with_capacity(rows.len());
    let mut ends: Vec<f64> = Vec::with_capacity(rows.len());
    for row in &rows {
        let worker = free.iter_mut().min_by(|a, b| a.total_cmp(b)).ok_or("no workers")?;
        let start = row.sent_ms.max(*worker);
        *worker = start + row.e2e_ms;
        starts.push(start);
        ends.push(*worker);
    }
    let mut sorted = ends;
    sorted.sort_unstable_by(f64::total_cmp);
    let mut begun = starts.clone();
    begun.sort_unstable_by(f64::total_cmp);
    let in_flight = |at: f64| {
        begun.partition_point(|&start| start < at) - sorted.partition_point(|&end| end < at)
    };
    let calm = rows
        .iter()
        .zip(&starts)
        .filter(|(row, start)| row.input_tokens > 1_000 && in_flight(**start) < CALM);
    Ok(calm.map(|(row, _)| (row.input_tokens, row.ttft_ms)).collect())
}
