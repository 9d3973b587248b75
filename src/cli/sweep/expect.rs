//! `gorgo sweep run --dry-run`: every cell, and how long the runs that are to be made will take.
//!
//! The time is measured: runs from all over the sweep are made as the sweep makes them, on all threads and written to
//! disk, into a folder that is removed again.

use crate::exit::Failure;
use crate::progress::Progress;
use crate::simulate::print;
use crate::threads::keep_runs;
use gorgo_sweep::{Plan, Pool, RunId, Store};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rounds of runs are made for so long.
const ENOUGH: Duration = Duration::from_secs(3);
/// After a first round of more than this there is no second one.
const TOO_LONG: Duration = Duration::from_secs(20);

/// Prints every cell: number, policy, seed, setting, run.
pub fn cells(plan: &Plan, ids: &[RunId]) -> Result<(), Failure> {
    let mut text = String::new();
    for (index, id) in ids.iter().enumerate() {
        let cell = plan.cell(index);
        let (policy, words) = (&plan.policies[cell.policy], plan.words(cell.setting));
        let _ = writeln!(text, "{index}\t{policy}\tseed {}\t{words}\trun {id}", cell.seed);
    }
    print(&text)
}

/// A folder that goes when this does.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        // Nothing depends on it, and there is nobody to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Says how long runs will take.
pub fn time(
    plan: &Plan,
    threads: &rayon::ThreadPool,
    to_do: &[(RunId, usize)],
) -> Result<(), Failure> {
    if to_do.is_empty() {
        eprintln!("none is to be made");
        return Ok(());
    }
    let width = threads.current_num_threads();
    let name = format!("gorgo-dry-run-{}", std::process::id());
    let folder = Passing(std::env::temp_dir().join(name));
    let store = Store::open(&folder.0, plan, false)?;
    let (shared, progress) = (Pool::new(2 * width), Progress::of("runs", None, true));
    let begun = Instant::now();
    let mut rounds: Vec<(usize, f64)> = Vec::new();
    for round in spread(to_do.len()).chunks(width) {
        let spent = begun.elapsed();
        if spent > ENOUGH && (rounds.len() > 1 || spent > TOO_LONG) {
            break;
        }
        let runs: Vec<(RunId, usize)> = round.iter().map(|&place| to_do[place]).collect();
        let clock = Instant::now();
        keep_runs(plan, &store, (threads, &shared), &runs, &progress)?;
        rounds.push((runs.len(), clock.elapsed().as_secs_f64()));
    }
    let made: usize = rounds.iter().map(|(runs, _)| runs).sum();
    eprintln!(
        "{} are to be made; {made} of them, from all over the sweep, took {}: all will take about {} on {width} threads",
        to_do.len(),
        words(begun.elapsed().as_secs_f64()),
        words(expected(&rounds, to_do.len()))
    );
    Ok(())
}

/// The first round reads what all share; the others tell what a run takes once that is there.
fn expected(rounds: &[(usize, f64)], runs: usize) -> f64 {
    let Some((&(first, seconds), others)) = rounds.split_first() else { return 0.0 };
    let (made, took) = others.iter().fold((0, 0.0), |(made, took), (n, s)| (made + n, took + s));
    if made == 0 {
        return seconds * runs as f64 / first as f64;
    }
    let each = took / made as f64;
    (seconds - first as f64 * each).max(0.0) + runs as f64 * each
}

/// 0 to below n in an order whose every beginning is spread over all of it (van der Corput's, base 2).
fn spread(n: usize) -> Vec<usize> {
    let bits = usize::BITS - (n - 1).leading_zeros();
    let reversed =
        |place: usize| if bits == 0 { 0 } else { place.reverse_bits() >> (usize::BITS - bits) };
    (0..1_usize << bits).map(reversed).filter(|&place| place < n).collect()
}

/// A time as people say it.
fn words(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6_000.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_spread() {
        assert_eq!(spread(1), [0]);
        assert_eq!(spread(2), [0, 1]);
        assert_eq!(spread(6), [0, 4, 2, 1, 5, 3]);
        for n in 1..70 {
            let mut all = spread(n);
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_read_once_is_counted_once() {
        // 5 s of reading, 1 s a round of two.
        assert!((expected(&[(2, 6.0), (2, 1.0), (2, 1.0)], 100) - 55.0).abs() < 1e-9);
        assert!((expected(&[(2, 6.0)], 100) - 300.0).abs() < 1e-9);
        assert!((expected(&[(2, 0.9), (2, 1.0)], 4) - 2.0).abs() < 1e-9);
        assert_eq!(expected(&[], 4), 0.0);
        assert_eq!([words(3.21), words(600.0), words(7_200.0)], ["3.2 s", "10.0 min", "2.0 h"]);
    }
}
